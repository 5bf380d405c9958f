//! Key commands: take a verb on a key, move it one step if the rules allow, in one audited transaction.
//!
//! Shared by the operators' routes and the command line, so both refuse alike.

use super::rotation::{self, KeyState};
use super::store::{self, KeyRow, NewKey};
use super::{KeyError, Keyring};
use crate::audit::{self, Actor, Event};
use crate::clock::Timestamp;
use crate::db::{DEFAULT_TENANT, Tx};
use crate::key::material::SigningKey;
use crate::sighting::{self, Holdings};

/// A step an operator asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Publish,
    /// Perhaps only once every known verifier has proved that it holds the key.
    Activate {
        wait_for_verifiers: bool,
    },
    Retire,
    Revoke,
}

impl Verb {
    fn action(self) -> &'static str {
        match self {
            Self::Publish => "key.published",
            Self::Activate { .. } => "key.activated",
            Self::Retire => "key.destroyed",
            Self::Revoke => "key.revoked",
        }
    }
}

/// Every key, oldest first.
pub(crate) async fn list(ring: &Keyring) -> Result<Vec<KeyRow>, KeyError> {
    Ok(store::snapshot(&ring.db, DEFAULT_TENANT).await?.1)
}

/// Which verifiers hold which generation, as far as it is known.
pub(crate) async fn holdings(ring: &Keyring) -> Result<Holdings, KeyError> {
    let silent_since = ring.timing.silent_since(ring.clock.now());
    Ok(sighting::holdings(&ring.db, silent_since).await?)
}

/// A new private key, sealed for the database. Takes a good part of a second: call it off the reactor.
pub(crate) fn generate(ring: &Keyring) -> Result<Generated, KeyError> {
    let kek = ring.kek.as_ref().ok_or(KeyError::KekMissing)?;
    let (key, pkcs8) = SigningKey::generate(ring.rsa_bits)?;
    let sealed = kek.seal(DEFAULT_TENANT, key.kid(), &pkcs8)?;
    Ok(Generated {
        kid: key.kid().to_owned(),
        public_jwk: key.public.to_json()?,
        sealed,
        kek_id: kek.id().to_owned(),
    })
}

/// A key that is made and not yet stored.
pub(crate) struct Generated {
    pub(crate) kid: String,
    pub(crate) public_jwk: String,
    sealed: Vec<u8>,
    kek_id: String,
}

/// Stores `key` in `state`.
pub(crate) async fn insert(
    tx: &mut Tx,
    key: &Generated,
    state: KeyState,
    actor: &Actor,
    now: Timestamp,
) -> Result<(), KeyError> {
    let new = NewKey {
        kid: &key.kid,
        public_jwk: &key.public_jwk,
        sealed: Some((&key.sealed, &key.kek_id)),
        state,
    };
    store::insert(tx, DEFAULT_TENANT, &new, now).await?;
    audit::record(tx, actor, &event("key.generated", &key.kid), now).await?;
    Ok(())
}

/// Takes the step `verb` on the key `kid`; the key afterwards. With `dry_run`, everything but the commit.
pub(crate) async fn step(
    ring: &Keyring,
    kid: &str,
    verb: Verb,
    actor: &Actor,
    dry_run: bool,
) -> Result<KeyRow, KeyError> {
    let now = ring.clock.now();
    let mut tx = ring.db.begin().await?;
    let before = store::lock_all(&mut tx, DEFAULT_TENANT).await?;
    if apply(ring, &mut tx, &before, kid, verb, now).await? {
        audit::record(&mut tx, actor, &event(verb.action(), kid), now).await?;
    }
    let after = store::lock_all(&mut tx, DEFAULT_TENANT).await?;
    let row = after
        .into_iter()
        .find(|row| row.kid == kid)
        .ok_or(KeyError::NotFound)?;
    if dry_run {
        tx.rollback().await?;
        return Ok(row);
    }
    tx.commit().await?;
    Ok(row)
}

/// Destroys every retired key whose last token is dead.
pub(crate) async fn sweep(ring: &Keyring, now: Timestamp) -> Result<(), KeyError> {
    let mut tx = ring.db.begin().await?;
    for row in store::lock_all(&mut tx, DEFAULT_TENANT).await? {
        if row.facts.state == KeyState::Retired && rotation::retire(&row.facts, now) == Ok(true) {
            store::destroy(&mut tx, DEFAULT_TENANT, &row.kid, now).await?;
            audit::record(
                &mut tx,
                &Actor::system(),
                &event("key.destroyed", &row.kid),
                now,
            )
            .await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

/// True when something changed; a step already taken is no error, so that a retried request is safe.
async fn apply(
    ring: &Keyring,
    tx: &mut Tx,
    keys: &[KeyRow],
    kid: &str,
    verb: Verb,
    now: Timestamp,
) -> Result<bool, KeyError> {
    let key = keys
        .iter()
        .find(|row| row.kid == kid)
        .ok_or(KeyError::NotFound)?;
    let has_active = keys.iter().any(|row| row.facts.state == KeyState::Active);
    let tenant = DEFAULT_TENANT;
    let changes = match verb {
        Verb::Publish => rotation::publish(&key.facts)?,
        Verb::Activate { .. } => rotation::activate(&key.facts, has_active, now, &ring.timing)?,
        Verb::Retire => rotation::retire(&key.facts, now)?,
        Verb::Revoke => rotation::revoke(&key.facts)?,
    };
    if !changes {
        return Ok(false);
    }
    match verb {
        Verb::Publish => store::publish(tx, tenant, kid, now).await?,
        Verb::Activate { wait_for_verifiers } => {
            if wait_for_verifiers {
                let silent_since = ring.timing.silent_since(now);
                let holdings = sighting::holdings_in(tx, silent_since).await?;
                rotation::proved(key.since_generation, has_active, &holdings)?;
            }
            // A key nobody here can sign with must not replace one that works.
            ring.open(key)?;
            store::retire_active(tx, tenant, now, ring.timing.needed_until(now)).await?;
            store::activate(tx, tenant, kid, now).await?;
        }
        Verb::Retire => store::destroy(tx, tenant, kid, now).await?,
        Verb::Revoke => store::revoke(tx, tenant, kid, now).await?,
    }
    Ok(true)
}

fn event<'a>(action: &'static str, kid: &'a str) -> Event<'a> {
    Event {
        action,
        customer: None,
        target_kind: "key",
        target_id: kid,
    }
}
