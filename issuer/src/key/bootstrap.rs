//! Bootstrap: takes an empty or known database and the configured keys, leaves one key that signs.
//!
//! **Invariant:** processes that start at once on one empty database agree on one key.
//! **Invariant:** only the very first key of a database skips the wait: nobody can hold an older set.

use super::commands;
use super::rotation::KeyState;
use super::store::{self, KeyRow, NewKey};
use super::{KeyError, Keyring};
use crate::audit::{self, Actor, Event};
use crate::clock::Timestamp;
use crate::db::{DEFAULT_TENANT, Tx};

/// Why a start is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BootstrapError {
    /// The settings and the database do not fit together.
    #[error("{what}")]
    Settings { key: &'static str, what: String },
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Leaves the database with a key this process can sign with, or says why it cannot.
pub(crate) async fn ensure(ring: &Keyring) -> Result<(), BootstrapError> {
    let now = ring.clock.now();
    let known = commands::list(ring).await?;
    // Made before the lock is taken: it takes long, and only the first start of all needs it. It may
    // hold the thread: nothing is served yet.
    let fresh = match known.is_empty() && ring.configured.is_empty() {
        true => Some(commands::generate(ring).map_err(needs_kek)?),
        false => None,
    };
    let mut tx = ring.db.begin().await.map_err(KeyError::from)?;
    let keys = store::lock_all(&mut tx, DEFAULT_TENANT)
        .await
        .map_err(KeyError::from)?;
    if let (Some(fresh), true) = (&fresh, keys.is_empty()) {
        commands::insert(&mut tx, fresh, KeyState::Active, &Actor::system(), now).await?;
    }
    add_configured(ring, &mut tx, &keys, now).await?;
    let keys = store::lock_all(&mut tx, DEFAULT_TENANT)
        .await
        .map_err(KeyError::from)?;
    check_active(ring, &keys)?;
    tx.commit().await.map_err(KeyError::from)?;
    Ok(())
}

/// Stores the public half of each configured key that is new: the first key of all signs at once, any
/// other is published and waits to be activated.
async fn add_configured(
    ring: &Keyring,
    tx: &mut Tx,
    known: &[KeyRow],
    now: Timestamp,
) -> Result<(), BootstrapError> {
    let mut is_first = known.is_empty();
    for key in &ring.configured {
        if let Some(row) = known.iter().find(|row| row.kid == key.kid()) {
            if matches!(row.facts.state, KeyState::Revoked | KeyState::Destroyed) {
                let what = format!("the key {} is {}; remove it", row.kid, row.facts.state);
                return Err(BootstrapError::Settings {
                    key: SIGNING_KEY,
                    what,
                });
            }
            continue;
        }
        let public_jwk = key.public.to_json().map_err(KeyError::from)?;
        let state = if is_first {
            KeyState::Active
        } else {
            KeyState::Published
        };
        let new = NewKey {
            kid: key.kid(),
            public_jwk: &public_jwk,
            sealed: None,
            state,
        };
        store::insert(tx, DEFAULT_TENANT, &new, now)
            .await
            .map_err(KeyError::from)?;
        let event = Event {
            action: "key.configured",
            customer: None,
            target_kind: "key",
            target_id: key.kid(),
        };
        audit::record(tx, &Actor::system(), &event, now)
            .await
            .map_err(KeyError::from)?;
        is_first = false;
    }
    Ok(())
}

/// Refuses a start that could not sign, while the operator is still looking.
fn check_active(ring: &Keyring, keys: &[KeyRow]) -> Result<(), BootstrapError> {
    let Some(active) = keys.iter().find(|row| row.facts.state == KeyState::Active) else {
        // Revoked by an operator who has yet to activate another: serve the set, mint nothing.
        tracing::error!("no signing key is active");
        return Ok(());
    };
    match ring.open(active) {
        Ok(_) => Ok(()),
        Err(KeyError::PrivateHalfAbsent) if active.source == "configured" => {
            Err(BootstrapError::Settings {
                key: SIGNING_KEY,
                what: format!(
                    "the active key {} is not among the given ones; keep its PEM beside the new one until that is activated",
                    active.kid
                ),
            })
        }
        Err(KeyError::PrivateHalfAbsent) => Err(needs_kek(KeyError::KekMissing)),
        Err(KeyError::OtherKek | KeyError::Seal(_)) => Err(BootstrapError::Settings {
            key: KEK,
            what: format!(
                "expected the key-encryption key that sealed the active key {}",
                active.kid
            ),
        }),
        Err(error) => Err(error.into()),
    }
}

fn needs_kek(error: KeyError) -> BootstrapError {
    match error {
        KeyError::KekMissing => BootstrapError::Settings {
            key: KEK,
            what: "expected a key-encryption key (or QUEUE_ISSUER_KEK_FILE, or QUEUE_JWT_SIGNING_KEY): \
                   a private key is never stored unsealed"
                .to_owned(),
        },
        error => BootstrapError::Key(error),
    }
}

const KEK: &str = "QUEUE_ISSUER_KEK (kek)";
const SIGNING_KEY: &str = "QUEUE_JWT_SIGNING_KEY (signing_key)";
