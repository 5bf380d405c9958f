//! The place of one list: what the walk reads, what the worker writes.
//!
//! **Invariant:** reading takes no lock. An older copy never takes the place of a newer one, and no
//! copy of the same second takes back what is over for good. Nothing makes a copy older than it was
//! known to be.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[cfg(feature = "fetch")]
use arc_swap::ArcSwap;
use arc_swap::ArcSwapOption;

#[cfg(feature = "fetch")]
use super::bell::Bell;
#[cfg(feature = "fetch")]
use super::fetched::{Asks, ListProgress};
use super::list::StatusList;
use super::source::{AgePolicy, WhenStale};
use super::token::ListToken;
use super::{StatusError, StatusFreshness, Unavailable};
use crate::claims::NumericDate;
use crate::clock::Clock;

/// Where the status of one token stands; worth keeping as long as the token.
#[derive(Debug, Clone)]
pub(crate) enum StatusReference {
    /// Nowhere.
    Absent,
    /// At an index of a list.
    In { slot: Arc<ListSlot>, idx: u32 },
}

impl PartialEq for StatusReference {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Absent, Self::Absent) => true,
            (
                Self::In { slot, idx },
                Self::In {
                    slot: other,
                    idx: at,
                },
            ) => idx == at && Arc::ptr_eq(slot, other),
            _ => false,
        }
    }
}

impl StatusReference {
    /// Looks the status up; the clock is read only where there is a list.
    ///
    /// # Errors
    /// `status_revoked`, `status_suspended`, `status_unavailable`.
    pub(crate) fn check(&self, clock: &dyn Clock) -> Result<StatusFreshness, StatusError> {
        match self {
            Self::Absent => Ok(StatusFreshness::Absent),
            Self::In { slot, idx } => {
                let verdict = slot.check(*idx, clock.monotonic());
                #[cfg(feature = "fetch")]
                if let Err(StatusError::Unavailable { .. }) = verdict {
                    slot.ask();
                }
                verdict
            }
        }
    }
}

/// One list.
#[derive(Debug)]
pub(crate) struct ListSlot {
    uri: Box<str>,
    age: AgePolicy,
    current: ArcSwapOption<Snapshot>,
    /// When it was last looked into, whole seconds (monotonic).
    asked_at: AtomicU64,
    #[cfg(feature = "fetch")]
    fetching: Option<Fetching>,
}

/// One copy of the list and when the issuer last vouched for it.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    list: Arc<StatusList>,
    issued_at: NumericDate,
    /// Moment of its `exp`, leeway granted (monotonic).
    usable_until: Option<Duration>,
    /// Moment from which its age counts (monotonic), and what it was then.
    confirmed_at: Duration,
    age_then: Duration,
}

impl Snapshot {
    /// The list of `token`, confirmed now.
    pub(super) fn new(token: ListToken, leeway: u64, clock: &dyn Clock) -> Self {
        let (now, moment) = (clock.now(), clock.monotonic());
        let usable_until = token.expires_at.map(|exp| {
            let end = exp.unsigned_seconds().saturating_add(leeway);
            moment.saturating_add(Duration::from_secs(end.saturating_sub(now)))
        });
        Self {
            list: Arc::new(token.list),
            issued_at: token.issued_at,
            usable_until,
            confirmed_at: moment,
            age_then: Duration::ZERO,
        }
    }

    /// The same, confirmed at `moment` (monotonic) when it was already this old.
    pub(super) fn confirmed(self, moment: Duration, age_then: Duration) -> Self {
        Self {
            confirmed_at: moment,
            age_then,
            ..self
        }
    }

    fn age(&self, now: Duration) -> Duration {
        // `Age` is any number that a cache makes up.
        now.saturating_sub(self.confirmed_at)
            .saturating_add(self.age_then)
    }

    /// `iat` counts whole seconds: of two copies of one second, the one that takes back what is
    /// over for good is the older.
    fn is_older_than(&self, other: &Self) -> bool {
        self.issued_at < other.issued_at
            || (self.issued_at == other.issued_at && other.list.is_taken_back_by(&self.list))
    }

    /// The same, by the word of `other` if that is the younger one.
    fn no_older_than(self, other: &Self) -> Self {
        if other.age(self.confirmed_at) < self.age_then {
            self.confirmed(other.confirmed_at, other.age_then)
        } else {
            self
        }
    }

    fn is_usable(&self, now: Duration) -> bool {
        self.usable_until.is_none_or(|until| now < until)
    }
}

impl ListSlot {
    /// The place of the list at `uri`.
    pub(super) fn new(uri: &str, age: AgePolicy) -> Self {
        Self {
            uri: uri.into(),
            age,
            current: ArcSwapOption::empty(),
            asked_at: AtomicU64::new(0),
            #[cfg(feature = "fetch")]
            fetching: None,
        }
    }

    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }

    fn check(&self, idx: u32, now: Duration) -> Result<StatusFreshness, StatusError> {
        self.touch(now);
        let unavailable = |reason| Err(StatusError::unavailable(&self.uri, reason));
        let current = self.current.load();
        let Some(snapshot) = current.as_ref() else {
            return unavailable(Unavailable::NoCopy);
        };
        if !snapshot.is_usable(now) {
            return unavailable(Unavailable::Expired);
        }
        let age = snapshot.age(now);
        let is_stale = self.age.is_passed_by(age);
        let is_too_old = is_stale && self.age.when_stale == WhenStale::Refuse;
        match snapshot.list.status(idx) {
            None => unavailable(Unavailable::OutOfRange),
            // What is neither valid nor suspended is over for good, however old the news.
            Some(status @ (1 | 3..)) => Err(StatusError::Revoked { status }),
            Some(0 | 2) if is_too_old => unavailable(Unavailable::TooOld),
            Some(2) => Err(StatusError::Suspended),
            Some(0) => Ok(StatusFreshness::Known { is_stale, age }),
        }
    }

    /// Puts `snapshot` in place, unless the copy there is newer; whether it did.
    pub(super) fn replace(&self, snapshot: Snapshot) -> bool {
        let current = self.current.load();
        let Some(copy) = current.as_deref() else {
            self.current.store(Some(Arc::new(snapshot)));
            return true;
        };
        if snapshot.is_older_than(copy) {
            return false;
        }
        let is_same = snapshot.issued_at == copy.issued_at && snapshot.list == copy.list;
        let snapshot = if is_same {
            snapshot.no_older_than(copy)
        } else {
            snapshot
        };
        self.current.store(Some(Arc::new(snapshot)));
        true
    }

    /// How fresh the copy at hand is; none when there is none to use.
    pub(crate) fn freshness(&self, now: Duration) -> Option<StatusFreshness> {
        let current = self.current.load();
        let snapshot = current.as_ref().filter(|copy| copy.is_usable(now))?;
        let age = snapshot.age(now);
        let is_stale = self.age.is_passed_by(age);
        Some(StatusFreshness::Known { is_stale, age })
    }

    /// How many statuses the copy at hand has.
    pub(crate) fn len(&self) -> Option<usize> {
        let current = self.current.load();
        current.as_ref().map(|copy| copy.list.len())
    }

    /// Written at most once a second, so that threads that read share the line it lies in.
    fn touch(&self, now: Duration) {
        let now = now.as_secs();
        if self.asked_at.load(Ordering::Relaxed) != now {
            self.asked_at.store(now, Ordering::Relaxed);
        }
    }
}

/// How a list is fetched.
#[cfg(feature = "fetch")]
#[derive(Debug)]
struct Fetching {
    asks: Asks,
    /// Rings while a fetch was asked for that has not begun.
    bell: Bell,
    progress: ArcSwap<ListProgress>,
}

#[cfg(feature = "fetch")]
impl ListSlot {
    /// A place that is filled when somebody asks for it.
    pub(super) fn fetched(uri: &str, age: AgePolicy, asks: Asks, now: Duration) -> Self {
        let mut slot = Self::new(uri, age);
        slot.touch(now);
        slot.fetching = Some(Fetching {
            asks,
            bell: Bell::default(),
            progress: ArcSwap::default(),
        });
        slot
    }

    /// Leaves a note that the list should be fetched.
    fn ask(self: &Arc<Self>) {
        if let Some(Fetching { bell, asks, .. }) = &self.fetching {
            bell.ring(|| asks.ask(self, None));
        }
    }

    /// A fetch begins, or nobody will fetch any more: who asks from now on means the next one.
    pub(super) fn answer(&self) {
        if let Some(fetching) = &self.fetching {
            fetching.bell.answer();
        }
    }

    /// The issuer says that the list has not changed; false when there is none to confirm.
    pub(super) fn confirm(&self, moment: Duration, age_then: Duration) -> bool {
        let Some(copy) = self.current.load_full() else {
            return false;
        };
        let confirmed = Snapshot::clone(&copy)
            .confirmed(moment, age_then)
            .no_older_than(&copy);
        self.current.store(Some(Arc::new(confirmed)));
        true
    }

    /// Forgets the copy at hand.
    pub(super) fn clear(&self) {
        self.current.store(None);
    }

    /// For how long nobody has looked into the list, whole seconds.
    pub(super) fn idle(&self, now: Duration) -> Duration {
        let asked_at = Duration::from_secs(self.asked_at.load(Ordering::Relaxed));
        now.saturating_sub(asked_at)
    }

    pub(crate) fn progress(&self) -> Option<Arc<ListProgress>> {
        let fetching = self.fetching.as_ref()?;
        Some(fetching.progress.load_full())
    }

    /// Notes how the fetching goes; only the list's own task does.
    pub(super) fn note(&self, change: impl FnOnce(&mut ListProgress)) {
        if let Some(fetching) = &self.fetching {
            let mut progress = ListProgress::clone(&fetching.progress.load());
            change(&mut progress);
            fetching.progress.store(Arc::new(progress));
        }
    }
}
