//! Health: what a verifier knows about its keys, and waiting for it to know enough.

#[cfg(feature = "fetch")]
use std::time::Duration;

use serde::Serialize;

use crate::session::KeySetState;
use crate::verifier::Verifier;
#[cfg(feature = "fetch")]
use crate::{blocking, key::fetch::FetchError};

impl Verifier {
    /// Whether a token could be judged now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let inner = self.inner();
        inner.keys.cache().current(&*inner.clock).is_ok()
    }

    /// What the verifier knows about its keys.
    #[must_use]
    pub fn status(&self) -> Status {
        let inner = self.inner();
        let current = inner.keys.cache().current(&*inner.clock);
        let set = inner.keys.cache().set();
        let (state, age) = match current {
            Ok(current) => {
                let freshness = current.freshness();
                let state = if freshness.is_stale {
                    KeySetState::Stale
                } else {
                    KeySetState::Fresh
                };
                (Some(state), Some(freshness.age.as_secs()))
            }
            Err(_) => (None, None),
        };
        let keys = set
            .iter()
            .flat_map(|set| set.usable())
            .map(|(kid, algorithm)| KeyStatus {
                kid: kid.map(str::to_owned),
                algorithm: algorithm.as_str(),
            });
        let refused = set
            .iter()
            .flat_map(|set| set.refused())
            .map(|(kid, reason)| RefusedKey {
                kid: kid.map(str::to_owned),
                reason: reason.to_string(),
            });
        Status {
            issuer: inner.policy.issuer.clone(),
            key_set: state,
            key_set_age: age,
            keys: keys.collect(),
            refused: refused.collect(),
            refresh: self.refresh_status(),
        }
    }

    #[cfg(feature = "fetch")]
    fn refresh_status(&self) -> Option<RefreshStatus> {
        let progress = self.inner().keys.refresher()?.progress();
        Some(RefreshStatus {
            attempts: progress.attempts,
            failures_in_a_row: progress.failures_in_a_row,
            last_error: progress.last_error.map(|error| error.to_string()),
        })
    }

    #[cfg(not(feature = "fetch"))]
    const fn refresh_status(&self) -> Option<RefreshStatus> {
        None
    }
}

#[cfg(feature = "fetch")]
impl Verifier {
    /// Waits for the first usable key set; returns at once for keys given as settings.
    pub async fn ready(&self) {
        if let Some(refresher) = self.inner().keys.refresher() {
            refresher.ready().await;
        }
    }

    /// As [`Self::ready`], blocking this thread for at most `timeout`; whether keys are there.
    #[must_use]
    pub fn wait_ready(&self, timeout: Duration) -> bool {
        blocking::wait(self.ready(), timeout).is_some()
    }

    /// Fetches the key set now; keys given as settings stay as they are.
    ///
    /// # Errors
    /// What went wrong; the keys at hand stay.
    pub async fn refresh(&self) -> Result<(), FetchError> {
        match self.inner().keys.refresher() {
            Some(refresher) => refresher.refresh().await,
            None => Ok(()),
        }
    }
}

/// What a verifier knows about its keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The configured issuer.
    pub issuer: String,
    /// None when no token can be judged.
    pub key_set: Option<KeySetState>,
    /// Seconds since the issuer confirmed the set; 0 for keys given as settings.
    pub key_set_age: Option<u64>,
    /// The usable keys.
    pub keys: Vec<KeyStatus>,
    /// The keys that are not used, and why.
    pub refused: Vec<RefusedKey>,
    /// None for keys given as settings.
    pub refresh: Option<RefreshStatus>,
}

/// A usable key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeyStatus {
    /// Its `kid`.
    pub kid: Option<String>,
    /// The algorithm it is bound to.
    pub algorithm: &'static str,
}

/// A key of the set that is not used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RefusedKey {
    /// Its `kid`.
    pub kid: Option<String>,
    /// Why.
    pub reason: String,
}

/// How the fetching goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RefreshStatus {
    /// Fetches so far.
    pub attempts: u64,
    /// Failures since the last success.
    pub failures_in_a_row: u32,
    /// What the last one failed with.
    pub last_error: Option<String>,
}
