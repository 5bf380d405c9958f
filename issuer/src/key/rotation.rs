//! Rotation: takes a key's state, its times and now, decides whether it may take the next step.
//!
//! **Invariant:** pending → published → active → retired → destroyed, with revoked beside it, and never back.
//! **Invariant:** while a key is active, its successor waits until every verifier can hold a set that
//! names it: publication + `max-age` + a verifier's own refresh + leeway.
//! **Invariant:** a retired key stays published until its last token is dead.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::sighting::Holdings;

/// Where a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyState {
    Pending,
    Published,
    Active,
    Retired,
    Revoked,
    Destroyed,
}

impl KeyState {
    /// Whether the key is in the JWK Set.
    pub(crate) fn is_public(self) -> bool {
        matches!(self, Self::Published | Self::Active | Self::Retired)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Published => "published",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Revoked => "revoked",
            Self::Destroyed => "destroyed",
        }
    }
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KeyState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        [
            Self::Pending,
            Self::Published,
            Self::Active,
            Self::Retired,
            Self::Revoked,
            Self::Destroyed,
        ]
        .into_iter()
        .find(|state| state.as_str() == text)
        .ok_or(UnknownState)
    }
}

/// The database holds a state this build does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a known key state")]
pub(crate) struct UnknownState;

/// How long it takes until every verifier knows a published key, and until every token is dead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) jwks_max_age: Duration,
    pub(crate) refresh_allowance: Duration,
    pub(crate) leeway: Duration,
    pub(crate) token_life: Duration,
}

impl Timing {
    /// The instant from which a key published at `published_at` may sign.
    pub(crate) fn activatable_at(&self, published_at: Timestamp) -> Timestamp {
        published_at.plus(self.jwks_max_age + self.refresh_allowance + self.leeway)
    }

    /// The instant since which a verifier that has not asked is gone: a live one asks about once in its
    /// lifetime of a set, which it never takes for shorter than a minute.
    pub(crate) fn silent_since(&self, now: Timestamp) -> Timestamp {
        let lifetime = self.jwks_max_age.max(SHORTEST_LIFETIME);
        now.minus(lifetime * 2 + self.refresh_allowance)
    }

    /// The instant from which nobody needs a key retired at `retired_at`.
    pub(crate) fn needed_until(&self, retired_at: Timestamp) -> Timestamp {
        retired_at.plus(self.token_life + self.leeway)
    }
}

/// What the rules need to know of a key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyFacts {
    pub(crate) state: KeyState,
    pub(crate) published_at: Option<Timestamp>,
    pub(crate) needed_until: Option<Timestamp>,
}

/// Why a step is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the key may sign from {at}")]
    TooEarly { at: Timestamp },
    #[error("{behind} of {total} known verifiers have not proved a set with the key")]
    VerifiersBehind { behind: i64, total: i64 },
    #[error("more verifiers ask than are counted, so nothing is proved of all of them")]
    VerifiersUncounted,
    #[error("the key is needed until {until}")]
    StillNeeded { until: Timestamp },
    #[error("the key signs; activate its successor, which retires it")]
    Signs,
    #[error("the key is {state}")]
    State { state: KeyState },
}

/// May the key enter the JWK Set? `Ok(false)` when it is there already.
pub(crate) fn publish(key: &KeyFacts) -> Result<bool, Refusal> {
    match key.state {
        KeyState::Pending => Ok(true),
        KeyState::Published => Ok(false),
        state => Err(Refusal::State { state }),
    }
}

/// May the key begin to sign? `Ok(false)` when it does already.
///
/// With no active key there is no wait: either the database is new and nobody can hold an older set,
/// or the active key was revoked and the alternative is to sign nothing at all. A verifier that has
/// not seen the new key then asks for it (its unknown-`kid` refresh).
pub(crate) fn activate(
    key: &KeyFacts,
    has_active: bool,
    now: Timestamp,
    timing: &Timing,
) -> Result<bool, Refusal> {
    match (key.state, key.published_at) {
        (KeyState::Active, _) => Ok(false),
        (KeyState::Published, Some(published_at)) => {
            let at = timing.activatable_at(published_at);
            if has_active && now < at {
                return Err(Refusal::TooEarly { at });
            }
            Ok(true)
        }
        (state, _) => Err(Refusal::State { state }),
    }
}

/// May the key begin to sign, if every verifier known is to hold it first? With no active key there is
/// nothing to wait for, as in [`activate`].
pub(crate) fn proved(
    since_generation: i64,
    has_active: bool,
    holdings: &Holdings,
) -> Result<(), Refusal> {
    if !has_active || holdings.prove(since_generation) {
        return Ok(());
    }
    match holdings.behind(since_generation) {
        0 => Err(Refusal::VerifiersUncounted),
        behind => Err(Refusal::VerifiersBehind {
            behind,
            total: holdings.total(),
        }),
    }
}

/// May the key, retired or revoked, be destroyed? `Ok(false)` when it is gone already.
pub(crate) fn retire(key: &KeyFacts, now: Timestamp) -> Result<bool, Refusal> {
    match (key.state, key.needed_until) {
        (KeyState::Destroyed, _) => Ok(false),
        (KeyState::Active, _) => Err(Refusal::Signs),
        (KeyState::Retired, Some(until)) if now < until => Err(Refusal::StillNeeded { until }),
        (KeyState::Retired | KeyState::Revoked, _) => Ok(true),
        (state, _) => Err(Refusal::State { state }),
    }
}

/// May the key be revoked, tokens or not? `Ok(false)` when it is dead already.
pub(crate) fn revoke(key: &KeyFacts) -> Result<bool, Refusal> {
    match key.state {
        KeyState::Revoked | KeyState::Destroyed => Ok(false),
        KeyState::Pending | KeyState::Published | KeyState::Active | KeyState::Retired => Ok(true),
    }
}

/// A verifier asks no oftener than it has to: once a minute, whatever `max-age` says.
pub(crate) const SHORTEST_LIFETIME: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
