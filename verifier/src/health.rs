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
#[cfg(feature = "fetch")]
use crate::key::snapshot::SnapshotStatus;
use crate::party::Party;
use crate::session::{KeySetState, StatusState};
use crate::status::StatusFreshness;
#[cfg(feature = "fetch")]
use crate::status::fetched::Push;
use crate::status::slot::ListSlot;
use crate::verifier::{Inner, Verifier};

/// `Date` counts whole seconds, and the answer was under way for a while.
#[cfg(feature = "fetch")]
const CLOCK_TICK: u64 = 2;

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
        let Inner {
            parties,
            clock,
            remembered,
        } = self.inner();
        let remembered = remembered.as_ref().map(|remembered| RememberedStatus {
            tokens: remembered.count(clock.now()),
            capacity: remembered.capacity(),
        });
        Status {
            issuers: parties.iter().map(|party| party.status(&**clock)).collect(),
            remembered,
        }
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
            refresh: self.refresh_status(clock.monotonic()),
            status_lists: self.status_lists(clock.monotonic()),
        }
    }

    fn status_lists(&self, now: Duration) -> Vec<StatusListStatus> {
        let describe = |slot: &Arc<ListSlot>| {
            let freshness = slot.freshness(now).unwrap_or(StatusFreshness::Absent);
            let status = StatusListStatus {
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
            status.with_progress(slot)
        };
        self.status.slots().iter().map(describe).collect()
    }

    #[cfg(feature = "fetch")]
    fn refresh_status(&self, now: Duration) -> Option<RefreshStatus> {
        let progress = self.keys.refresher()?.progress();
        let notice = self.clock_notice();
        Some(RefreshStatus {
            attempts: progress.attempts,
            failures_in_a_row: progress.failures_in_a_row,
            last_error: progress.last_error.map(|error| error.to_string()),
            next_in: progress.next_at.saturating_sub(now).as_secs(),
            etag: progress.etag,
            generation: progress.generation,
            superseded: progress.superseded,
            alarms: progress.alarms,
            clock_offset: progress.clock_offset,
            clock_notice: notice,
            snapshot: progress.snapshot,
        })
    }

    #[cfg(not(feature = "fetch"))]
    const fn refresh_status(&self, _: Duration) -> Option<RefreshStatus> {
        None
    }

    /// What to say when this clock and the issuer's are so far apart that good tokens come near to
    /// being refused.
    #[cfg(feature = "fetch")]
    pub(crate) fn clock_notice(&self) -> Option<String> {
        let offset = self.keys.refresher()?.progress().clock_offset?;
        let apart = offset.unsigned_abs();
        if apart <= (self.policy.leeway / 2).max(CLOCK_TICK) {
            return None;
        }
        let side = if offset > 0 { "behind" } else { "ahead of" };
        Some(format!("this clock is about {apart} s {side} the issuer's"))
    }

    #[cfg(not(feature = "fetch"))]
    pub(crate) const fn clock_notice(&self) -> Option<String> {
        None
    }
}

#[cfg(feature = "fetch")]
impl Verifier {
    /// Waits for the first usable key set of every issuer; returns at once for keys given as
    /// settings.
    pub async fn ready(&self) {
        if !self.are_keys_there().await {
            // They never come: whoever fetched them is no more, and the log says why.
            std::future::pending::<()>().await;
        }
    }

    /// As [`Self::ready`], blocking this thread for at most `timeout`; whether keys are there.
    #[must_use]
    pub fn wait_ready(&self, timeout: Duration) -> bool {
        blocking::wait(self.are_keys_there(), timeout) == Some(true)
    }

    async fn are_keys_there(&self) -> bool {
        for refresher in self.refreshers() {
            if !refresher.ready().await {
                return false;
            }
        }
        true
    }

    /// Fetches the key set of every issuer now; keys given as settings stay as they are.
    ///
    /// # Errors
    /// What went wrong first; the keys at hand stay. It has no code of its own: a token that cannot be
    /// judged for it gets `key_set_unavailable`, and one whose key did not come `key_not_found`.
    /// [`RefreshError::Fetch`] is an answer that did not come whole, [`RefreshError::Superseded`] an
    /// older set, [`RefreshError::Set`] no usable set; the others say where discovery went wrong, or
    /// that the refresh itself did.
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
    /// None when tokens are not remembered.
    pub remembered: Option<RememberedStatus>,
}

/// How many tokens are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RememberedStatus {
    /// Now.
    pub tokens: u64,
    /// At most.
    pub capacity: usize,
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
    /// Seconds to the next scheduled fetch.
    pub next_in: u64,
    /// The `ETag` of the set at hand, cut to 64 characters.
    pub etag: Option<String>,
    /// The generation of the set at hand, where its `ETag` proves one.
    pub generation: Option<u64>,
    /// Answers refused for being older than the set at hand.
    pub superseded: u64,
    /// `kid`s that were seen with two materials: neither verifies until the verifier is built anew.
    pub alarms: Vec<String>,
    /// The issuer's clock less this one, seconds; none when the issuer sends no `Date`.
    pub clock_offset: Option<i64>,
    /// Set when the clocks are further apart than half the leeway.
    pub clock_notice: Option<String>,
    /// None where no snapshot file was asked for.
    #[cfg(feature = "fetch")]
    pub snapshot: Option<SnapshotStatus>,
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
    fn with_progress(self, slot: &ListSlot) -> Self {
        let Some(progress) = slot.progress() else {
            return self;
        };
        Self {
            etag: progress.etag.clone(),
            push: match progress.push {
                Push::Off => "off",
                Push::Connected => "connected",
                Push::Lost => "polling",
            },
            attempts: progress.attempts,
            failures_in_a_row: progress.failures_in_a_row,
            last_error: progress.last_error.clone(),
            ..self
        }
    }

    #[cfg(not(feature = "fetch"))]
    fn with_progress(self, _: &ListSlot) -> Self {
        self
    }
}
