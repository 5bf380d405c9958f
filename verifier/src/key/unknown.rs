//! The `kid`s that a recent key set is known to lack.
//!
//! **Invariant:** bounded, whatever a flood brings; forgetting one costs a fetch at most, which
//! the budget bounds again.

use std::time::Duration;

/// Most `kid`s remembered.
const MAX_UNKNOWN: u64 = 4096;

/// `kid` → until when (monotonic) it is taken to be unknown.
#[derive(Debug)]
pub(crate) struct UnknownKids(moka::sync::Cache<String, Duration>);

impl UnknownKids {
    pub(crate) fn new() -> Self {
        Self(moka::sync::Cache::new(MAX_UNKNOWN))
    }

    /// Takes `kid` to be unknown until `until`.
    pub(crate) fn remember(&self, kid: &str, until: Duration) {
        self.0.insert(kid.to_owned(), until);
    }

    /// Whether `kid` was looked for in vain and the memory still holds at `now`.
    pub(crate) fn contains(&self, kid: &str, now: Duration) -> bool {
        self.0.get(kid).is_some_and(|until| now < until)
    }

    /// A new set arrived: everything may be known now.
    pub(crate) fn forget_all(&self) {
        self.0.invalidate_all();
    }
}
