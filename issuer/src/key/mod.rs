//! Key: takes operators' verbs and the passing of time, gives the key that signs and the set that is published.
//!
//! **Invariant:** at most one key of a tenant is active (the database enforces it).
//! **Invariant:** private halves are in memory and, sealed, in the database; nowhere else.

pub(crate) mod bootstrap;
pub(crate) mod commands;
pub(crate) mod jwk_set;
pub(crate) mod keyring;
pub(crate) mod material;
pub(crate) mod rotation;
pub(crate) mod routes;
pub(crate) mod sealing;
mod store;

use serde::Serialize;

pub(crate) use keyring::{KeySnapshot, Keyring};
pub(crate) use rotation::KeyState;
pub(crate) use store::KeyRow;
use utoipa::ToSchema;

use crate::clock::Timestamp;
use crate::db::DbError;
use crate::sighting::Holdings;
use crate::token::selfcheck::SetRefused;
use material::MaterialError;
use rotation::Refusal;
use sealing::SealError;

/// Why a key cannot be read, made or moved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("expected the kid of a key of this issuer")]
    NotFound,
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("expected a signing key in memory")]
    Unavailable,
    #[error("the private half of the key is not here")]
    PrivateHalfAbsent,
    #[error("the key is sealed under another key-encryption key")]
    OtherKek,
    #[error("expected a key-encryption key")]
    KekMissing,
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Material(#[from] MaterialError),
    #[error("the key in the database cannot be read")]
    Jwk(#[from] serde_json::Error),
    #[error("the published set is not one a verifier takes")]
    SelfCheck(#[from] SetRefused),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// A key as operators see it: no private half, no public material either.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = SigningKey)]
pub(crate) struct KeyView {
    pub(crate) kid: String,
    alg: &'static str,
    pub(crate) state: &'static str,
    source: String,
    created_at: i64,
    published_at: Option<i64>,
    /// The instant from which the key may sign while another one does.
    activatable_at: Option<i64>,
    activated_at: Option<i64>,
    retired_at: Option<i64>,
    needed_until: Option<i64>,
    revoked_at: Option<i64>,
    destroyed_at: Option<i64>,
    /// Verifiers that proved a set with the key, and those that did not; told where keys are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_by: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<i64>,
}

impl KeyView {
    pub(crate) fn new(row: &KeyRow, timing: &rotation::Timing) -> Self {
        let seconds = |at: Option<Timestamp>| at.map(Timestamp::unix_seconds);
        let waiting = row
            .facts
            .published_at
            .filter(|_| row.facts.state == KeyState::Published);
        Self {
            kid: row.kid.clone(),
            alg: "RS256",
            state: row.facts.state.as_str(),
            source: row.source.clone(),
            created_at: row.created_at.unix_seconds(),
            published_at: seconds(row.facts.published_at),
            activatable_at: seconds(waiting.map(|at| timing.activatable_at(at))),
            activated_at: seconds(row.activated_at),
            retired_at: seconds(row.retired_at),
            needed_until: seconds(row.facts.needed_until),
            revoked_at: seconds(row.revoked_at),
            destroyed_at: seconds(row.destroyed_at),
            held_by: None,
            missing: None,
        }
    }

    /// With the verifiers that hold the key, if it is published.
    pub(crate) fn held(mut self, row: &KeyRow, holdings: &Holdings) -> Self {
        if row.facts.state.is_public() {
            let missing = holdings.behind(row.since_generation);
            self.held_by = Some(holdings.total() - missing);
            self.missing = Some(missing);
        }
        self
    }
}
