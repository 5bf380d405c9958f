//! The current key set and how fresh it is.
//!
//! **Invariant:** reading takes no lock and does no I/O. A set serves its lifetime, which runs from
//! the last time the issuer confirmed it, and past the end of that only for the stale limit more.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};

use super::{JwkSet, KeyError};
use crate::clock::Clock;

/// The keys of one issuer as the walk sees them.
#[derive(Debug)]
pub(crate) struct KeyCache {
    snapshot: ArcSwapOption<Snapshot>,
    stale_limit: Duration,
}

/// One key set and when the issuer last vouched for it.
#[derive(Debug)]
struct Snapshot {
    set: Arc<JwkSet>,
    age: Age,
}

#[derive(Debug, Clone, Copy)]
enum Age {
    /// Given as settings; it has no age.
    Static,
    /// Vouched for at a moment.
    #[cfg_attr(
        not(feature = "fetch"),
        expect(dead_code, reason = "only a fetched set ages")
    )]
    Since(Vouched),
}

/// When the issuer last vouched for a set, and what that is worth.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vouched {
    pub(crate) at: Moment,
    /// Fresh until then.
    pub(crate) lifetime: Duration,
    /// Never used past this age, whatever the stale limit says.
    pub(crate) hard_limit: Duration,
}

/// A moment that may lie before the zero of the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Monotonic.
    read_at: Duration,
    age_then: Duration,
}

impl Moment {
    /// How long ago it is.
    pub(crate) fn age(self, now: Duration) -> Duration {
        now.saturating_sub(self.read_at)
            .saturating_add(self.age_then)
    }
}

#[cfg(feature = "fetch")]
impl Moment {
    /// `age` before `now`.
    pub(crate) const fn before(now: Duration, age: Duration) -> Self {
        Self {
            read_at: now,
            age_then: age,
        }
    }

    /// The moment `age` before this one.
    pub(crate) const fn earlier_by(self, age: Duration) -> Self {
        Self {
            read_at: self.read_at,
            age_then: self.age_then.saturating_add(age),
        }
    }
}

impl KeyCache {
    /// A cache that waits for its first set.
    pub(crate) fn empty(stale_limit: Duration) -> Self {
        Self {
            snapshot: ArcSwapOption::empty(),
            stale_limit,
        }
    }

    /// A cache of keys that never change.
    pub(crate) fn fixed(set: JwkSet) -> Self {
        let cache = Self::empty(Duration::ZERO);
        cache.snapshot.store(Some(Arc::new(Snapshot {
            set: Arc::new(set),
            age: Age::Static,
        })));
        cache
    }

    /// The set to judge by now.
    ///
    /// # Errors
    /// `key_set_unavailable` when there is none, or it is older than its lifetime and the stale
    /// limit together.
    pub(crate) fn current(&self, clock: &dyn Clock) -> Result<CurrentKeys, KeyError> {
        let snapshot = self.snapshot.load();
        let Some(age) = snapshot.as_ref().map(|snapshot| snapshot.age) else {
            return Err(KeyError::SetUnavailable);
        };
        let freshness = match age {
            Age::Static => KeySetFreshness::FRESH,
            Age::Since(vouched) => {
                let age = vouched.at.age(clock.monotonic());
                let most = vouched.lifetime.saturating_add(self.stale_limit);
                if age > most.min(vouched.hard_limit) {
                    return Err(KeyError::SetUnavailable);
                }
                KeySetFreshness {
                    is_stale: age > vouched.lifetime,
                    age,
                }
            }
        };
        Ok(CurrentKeys {
            snapshot,
            freshness,
        })
    }

    /// The set at hand, whatever its age.
    pub(crate) fn set(&self) -> Option<Arc<JwkSet>> {
        self.snapshot
            .load()
            .as_ref()
            .map(|snapshot| Arc::clone(&snapshot.set))
    }
}

#[cfg(feature = "fetch")]
impl KeyCache {
    /// Replaces the set.
    pub(crate) fn replace(&self, set: JwkSet, vouched: Vouched) {
        self.store(Arc::new(set), vouched);
    }

    /// The issuer says that the set has not changed; false when there is none to confirm.
    pub(crate) fn confirm(&self, vouched: Vouched) -> bool {
        let Some(snapshot) = self.snapshot.load_full() else {
            return false;
        };
        self.store(Arc::clone(&snapshot.set), vouched);
        true
    }

    fn store(&self, set: Arc<JwkSet>, vouched: Vouched) {
        let age = Age::Since(vouched);
        self.snapshot.store(Some(Arc::new(Snapshot { set, age })));
    }
}

/// The set the walk judges by; holds it alive while it does.
#[derive(Debug)]
pub(crate) struct CurrentKeys {
    snapshot: Guard<Option<Arc<Snapshot>>>,
    freshness: KeySetFreshness,
}

impl CurrentKeys {
    /// The keys.
    pub(crate) fn set(&self) -> &JwkSet {
        let snapshot = self
            .snapshot
            .as_ref()
            .expect("`current` looked: the snapshot is there");
        &snapshot.set
    }

    /// How old they are.
    pub(crate) fn freshness(&self) -> KeySetFreshness {
        self.freshness
    }
}

/// Age of the key set a session was judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeySetFreshness {
    pub(crate) is_stale: bool,
    pub(crate) age: Duration,
}

impl KeySetFreshness {
    const FRESH: Self = Self {
        is_stale: false,
        age: Duration::ZERO,
    };
}
