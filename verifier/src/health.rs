//! Health: what a verifier knows about its keys, and waiting for it to know enough.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

#[cfg(feature = "fetch")]
use crate::blocking;
use crate::clock::Clock;
#[cfg(feature = "fetch")]
use crate::key::fetch::RefreshError;
#[cfg(feature = "fetch")]
use crate::key::refresh::Refresher;
use crate::party::Party;
use crate::session::{KeySetState, StatusState};
use crate::status::StatusFreshness;
#[cfg(feature = "fetch")]
use crate::status::fetched::Push;
use crate::status::slot::ListSlot;
use crate::verifier::{Inner, Verifier};

impl Verifier {
    /// Whether tokens of every issuer could be judged now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let Inner { parties, clock, .. } = self.inner();
        let is_ready = |party: &Party| party.keys.cache().current(&**clock).is_ok();
        parties.iter().all(is_ready)
    }

    /// What the verifier knows about each issuer.
    #[must_use]
    pub fn status(&self) -> Status {
        let Inner { parties, clock, .. } = self.inner();
        let issuers = parties.iter().map(|party| party.status(&**clock)).collect();
        Status { issuers }
    }
}

impl Party {
    fn status(&self, clock: &dyn Clock) -> IssuerStatus {
        let current = self.keys.cache().current(clock).ok();
        let freshness = current.map(|current| current.freshness());
        let set = self.keys.cache().set();
        let keys = set.iter().flat_map(|set| set.usable());
        let refused = set.iter().flat_map(|set| set.refused());
        IssuerStatus {
            issuer: self.policy.issuer.clone(),
            key_set: freshness.map(KeySetState::from),
            key_set_age: freshness.map(|freshness| freshness.age.as_secs()),
            keys: keys
                .map(|(kid, algorithm)| KeyStatus {
                    kid: kid.map(str::to_owned),
                    algorithm: algorithm.as_str(),
                })
                .collect(),
            refused: refused
                .map(|(kid, reason)| RefusedKey {
                    kid: kid.map(str::to_owned),
                    reason: reason.to_string(),
                })
                .collect(),
            refresh: self.refresh_status(),
            status_lists: self.status_lists(clock.monotonic()),
        }
    }

    fn status_lists(&self, now: Duration) -> Vec<StatusListStatus> {
        let describe = |slot: &Arc<ListSlot>| {
            let freshness = slot.freshness(now).unwrap_or(StatusFreshness::Absent);
            let mut status = StatusListStatus {
                uri: slot.uri().to_owned(),
                state: freshness.into(),
                age: freshness.age().map(|age| age.as_secs()),
                size: slot.len(),
                etag: None,
                push: "off",
                attempts: 0,
                failures_in_a_row: 0,
                last_error: None,
            };
            status.note_progress(slot);
            status
        };
        self.status.slots().iter().map(describe).collect()
    }

    #[cfg(feature = "fetch")]
    fn refresh_status(&self) -> Option<RefreshStatus> {
        let progress = self.keys.refresher()?.progress();
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
    /// Waits for the first usable key set of every issuer; returns at once for keys given as
    /// settings.
    pub async fn ready(&self) {
        for refresher in self.refreshers() {
            refresher.ready().await;
        }
    }

    /// As [`Self::ready`], blocking this thread for at most `timeout`; whether keys are there.
    #[must_use]
    pub fn wait_ready(&self, timeout: Duration) -> bool {
        blocking::wait(self.ready(), timeout).is_some()
    }

    /// Fetches the key set of every issuer now; keys given as settings stay as they are.
    ///
    /// # Errors
    /// What went wrong first; the keys at hand stay.
    pub async fn refresh(&self) -> Result<(), RefreshError> {
        let mut outcome = Ok(());
        for refresher in self.refreshers() {
            outcome = outcome.and(refresher.refresh().await);
        }
        outcome
    }

    fn refreshers(&self) -> impl Iterator<Item = &Arc<Refresher>> {
        let parties = self.inner().parties.iter();
        parties.filter_map(|party| party.keys.refresher())
    }
}

/// What a verifier knows, and how sure it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// One entry for each issuer, in the order in which they were given.
    pub issuers: Vec<IssuerStatus>,
}

/// What a verifier knows about one issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct IssuerStatus {
    /// The configured issuer.
    pub issuer: String,
    /// None when no token of it can be judged.
    pub key_set: Option<KeySetState>,
    /// Seconds since the issuer confirmed the set; 0 for keys given as settings.
    pub key_set_age: Option<u64>,
    /// The usable keys.
    pub keys: Vec<KeyStatus>,
    /// The keys that are not used, and why.
    pub refused: Vec<RefusedKey>,
    /// None for keys given as settings.
    pub refresh: Option<RefreshStatus>,
    /// The status lists that tokens named lately.
    pub status_lists: Vec<StatusListStatus>,
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

/// What a verifier knows about one status list; nothing about any session in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StatusListStatus {
    /// Where it is published.
    pub uri: String,
    /// Whether a copy is at hand, and within its age bound.
    pub state: StatusState,
    /// Seconds since the issuer confirmed it.
    pub age: Option<u64>,
    /// How many statuses it holds.
    pub size: Option<usize>,
    /// The validator of the copy.
    pub etag: Option<String>,
    /// `connected`: changes are pushed. `polling`: they were, and the connection is lost. `off`:
    /// the issuer pushes none, or the list was given.
    pub push: &'static str,
    /// Fetches so far.
    pub attempts: u64,
    /// Failures since the last success.
    pub failures_in_a_row: u32,
    /// What the last one failed with.
    pub last_error: Option<String>,
}

impl StatusListStatus {
    #[cfg(feature = "fetch")]
    fn note_progress(&mut self, slot: &ListSlot) {
        let Some(progress) = slot.progress() else {
            return;
        };
        self.etag.clone_from(&progress.etag);
        self.push = match progress.push {
            Push::Off => "off",
            Push::Connected => "connected",
            Push::Lost => "polling",
        };
        self.attempts = progress.attempts;
        self.failures_in_a_row = progress.failures_in_a_row;
        self.last_error.clone_from(&progress.last_error);
    }

    #[cfg(not(feature = "fetch"))]
    const fn note_progress(&self, _: &ListSlot) {}
}
