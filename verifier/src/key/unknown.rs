//! Unknown `kid`s: which a recent set is known to lack, and how often we may ask for one.
//!
//! **Invariant:** bounded, whatever a flood brings; forgetting a `kid` costs a fetch at most, which
//! the budget bounds again (hazard V35).

use std::time::Duration;

/// Most `kid`s remembered.
const MAX_UNKNOWN: u64 = 4096;
/// Attempts for unknown `kid`s within [`UNKNOWN_WINDOW`].
const UNKNOWN_ATTEMPTS: usize = 2;
/// The window of that budget, and how long a `kid` missing from a new set stays unknown.
pub(crate) const UNKNOWN_WINDOW: Duration = Duration::from_secs(30);

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

/// At most [`UNKNOWN_ATTEMPTS`] in any [`UNKNOWN_WINDOW`], whatever their outcome.
///
/// The worker alone spends; its copies tell callers whether asking has a point.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Budget {
    spent: [Option<Duration>; UNKNOWN_ATTEMPTS],
}

impl Budget {
    /// Whether an attempt at `now` would be one too many.
    pub(crate) fn is_spent(&self, now: Duration) -> bool {
        self.spent.iter().all(|at| Self::counts(*at, now))
    }

    /// Takes one attempt out, if there is one.
    pub(crate) fn spend(&mut self, now: Duration) -> bool {
        let free = self.spent.iter_mut().find(|at| !Self::counts(**at, now));
        free.map(|at| *at = Some(now)).is_some()
    }

    fn counts(at: Option<Duration>, now: Duration) -> bool {
        at.is_some_and(|at| now.saturating_sub(at) < UNKNOWN_WINDOW)
    }
}

#[cfg(test)]
mod tests;
