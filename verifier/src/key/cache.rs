//! The current key set and how fresh it is.
//!
//! **Invariant:** reading takes no lock and does no I/O. A set serves past its lifetime only
//! within the stale limit, which runs from the last time the issuer confirmed it.

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
    /// Confirmed at a moment (monotonic) for a lifetime.
    #[cfg_attr(
        not(feature = "fetch"),
        expect(dead_code, reason = "only a fetched set ages")
    )]
    Since {
        confirmed_at: Duration,
        lifetime: Duration,
    },
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
            Age::Since {
                confirmed_at,
                lifetime,
            } => {
                let age = clock.monotonic().saturating_sub(confirmed_at);
                if age > lifetime + self.stale_limit {
                    return Err(KeyError::SetUnavailable);
                }
                KeySetFreshness {
                    is_stale: age > lifetime,
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
    pub(crate) fn replace(&self, set: JwkSet, confirmed_at: Duration, lifetime: Duration) {
        self.store(Arc::new(set), confirmed_at, lifetime);
    }

    /// The issuer says that the set has not changed; false when there is none to confirm.
    pub(crate) fn confirm(&self, confirmed_at: Duration, lifetime: Duration) -> bool {
        let Some(snapshot) = self.snapshot.load_full() else {
            return false;
        };
        self.store(Arc::clone(&snapshot.set), confirmed_at, lifetime);
        true
    }

    fn store(&self, set: Arc<JwkSet>, confirmed_at: Duration, lifetime: Duration) {
        let age = Age::Since {
            confirmed_at,
            lifetime,
        };
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
