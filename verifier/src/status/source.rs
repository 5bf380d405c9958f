//! Where an issuer's status lists come from, and how old they may be: settings, not yet resolved.

use std::time::Duration;

/// Oldest a list may be unless set otherwise.
pub(crate) const DEFAULT_MAX_AGE: Duration = Duration::from_secs(60);
/// The bounds of what can be set.
pub(crate) const MIN_MAX_AGE: Duration = Duration::from_secs(1);
/// See [`MIN_MAX_AGE`].
pub(crate) const MAX_MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// Where the status lists of an issuer come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum StatusSource {
    /// Beside keys that are fetched: the URIs that tokens name. Beside keys that are given:
    /// nowhere, and sessions say [`StatusState::Absent`](crate::report::StatusState::Absent).
    #[default]
    LikeKeys,
    /// The URIs that tokens name, also beside keys that are given.
    Named,
    /// These signed lists (JWT) and no others, beside keys that are given; as old as their `iat`.
    Documents(Vec<String>),
}

/// What happens to a session whose list is older than its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenStale {
    /// It is refused, `status_unavailable`: nobody can tell.
    #[default]
    Refuse,
    /// It is judged by the old list, and says `stale`.
    Accept,
}

/// How old a list may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AgePolicy {
    pub(crate) max_age: Duration,
    pub(crate) when_stale: WhenStale,
}

impl AgePolicy {
    /// Whether a list of this `age` is too old; it is as old as the whole seconds that sessions show.
    pub(crate) fn is_passed_by(self, age: Duration) -> bool {
        Duration::from_secs(age.as_secs()) > self.max_age
    }
}
