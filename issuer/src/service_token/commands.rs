//! Token commands: take a client's name or a token's id, make, replace or revoke a stored token, in the
//! caller's transaction, audited.
//!
//! Shared by the operators' routes and the command line, so both refuse alike.
//!
//! **Invariant:** a client's scopes change only while it has no live token: nobody who holds one gains or
//! loses anything by another's request.
//! **Invariant:** replacing adds a token; the one it replaces lives until it is revoked or expires.

use std::time::Duration;

use super::store::{self, ClientRow, TokenRow};
use super::text::Fresh;
use crate::audit::{self, Actor, Event};
use crate::clock::Timestamp;
use crate::db::{Db, DbError, Id, Tx};
use crate::settings::SCOPE_NAMES;

/// Why no token is made, replaced or revoked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServiceTokenError {
    #[error("expected the id of a stored service token")]
    NotFound,
    #[error("expected at most two live tokens a client; revoke one first")]
    Limit,
    #[error("expected a live token; make a new one")]
    Ended,
    #[error("expected a life of {} to {} seconds", SHORTEST.as_secs(), LONGEST.as_secs())]
    Life,
    #[error("expected a client id of a-z, 0-9 and _, at most 32 characters, a letter first")]
    ClientId,
    #[error("expected one or more scopes among: {}", SCOPE_NAMES.join(" "))]
    Scope,
    #[error(
        "expected the scopes of the client's live tokens; revoke those before the scopes change"
    )]
    ScopesDiffer,
    #[error("expected a client that is not suspended")]
    Suspended,
    #[error("there is no randomness")]
    Randomness(#[from] aws_lc_rs::error::Unspecified),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Who a new token is for, and what it may do; valid by construction.
#[derive(Debug)]
pub(crate) struct Request {
    client_id: String,
    scopes: Vec<&'static str>,
    life: Duration,
}

impl Request {
    pub(crate) fn new<'a>(
        client_id: &str,
        scopes: impl IntoIterator<Item = &'a str>,
        life: Option<u64>,
    ) -> Result<Self, ServiceTokenError> {
        let named_well = client_id.len() <= 32
            && client_id.starts_with(|first: char| first.is_ascii_lowercase())
            && client_id
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if !named_well {
            return Err(ServiceTokenError::ClientId);
        }
        let mut known = Vec::new();
        for scope in scopes {
            let name = SCOPE_NAMES.iter().find(|name| **name == scope);
            known.push(*name.ok_or(ServiceTokenError::Scope)?);
        }
        known.sort_unstable();
        known.dedup();
        if known.is_empty() {
            return Err(ServiceTokenError::Scope);
        }
        Ok(Self {
            client_id: client_id.to_owned(),
            scopes: known,
            life: check_life(life)?,
        })
    }

    pub(crate) fn scopes(&self) -> &[&'static str] {
        &self.scopes
    }
}

/// The life asked for, or the usual one.
pub(crate) fn check_life(seconds: Option<u64>) -> Result<Duration, ServiceTokenError> {
    let life = seconds.map_or(USUAL, Duration::from_secs);
    if (SHORTEST..=LONGEST).contains(&life) {
        Ok(life)
    } else {
        Err(ServiceTokenError::Life)
    }
}

/// Keeps `fresh` as a token of the client, which is made if it is not there.
pub(crate) async fn create(
    tx: &mut Tx,
    request: &Request,
    fresh: &Fresh,
    actor: &Actor,
    now: Timestamp,
) -> Result<TokenRow, ServiceTokenError> {
    let scopes = request.scopes.join(" ");
    let client = store::hold_client(tx, &request.client_id, &scopes, now).await?;
    let taken = store::taken_slots(tx, client.id, now).await?;
    if client.scopes != scopes {
        if !taken.is_empty() {
            return Err(ServiceTokenError::ScopesDiffer);
        }
        store::set_scopes(tx, client.id, &scopes, now).await?;
    }
    keep(tx, &client, &taken, fresh, request.life, actor, now).await?;
    record(tx, actor, "service_token.created", fresh.id, now).await?;
    store::find_in(tx, fresh.id)
        .await?
        .ok_or(ServiceTokenError::NotFound)
}

/// Keeps `fresh` as a second token of the client that has the token `old`.
pub(crate) async fn rotate(
    tx: &mut Tx,
    old: &TokenRow,
    fresh: &Fresh,
    life: Duration,
    actor: &Actor,
    now: Timestamp,
) -> Result<TokenRow, ServiceTokenError> {
    let client = store::hold_client(tx, &old.client_id, &old.scopes.join(" "), now).await?;
    // What was read before the client was held may have changed while others held it.
    let old = find(tx, old.id).await?;
    if old.state(now) != "live" {
        return Err(ServiceTokenError::Ended);
    }
    let taken = store::taken_slots(tx, client.id, now).await?;
    keep(tx, &client, &taken, fresh, life, actor, now).await?;
    record(tx, actor, "service_token.rotated", fresh.id, now).await?;
    find(tx, fresh.id).await
}

/// Revokes the token `id`; no error when it was revoked before, so that a retried request is safe.
pub(crate) async fn revoke(
    tx: &mut Tx,
    id: Id,
    actor: &Actor,
    now: Timestamp,
) -> Result<TokenRow, ServiceTokenError> {
    if store::revoke(tx, id, &actor.id, now).await? {
        record(tx, actor, "service_token.revoked", id, now).await?;
    }
    find(tx, id).await
}

/// Every token, oldest first.
pub(crate) async fn all(db: &Db) -> Result<Vec<TokenRow>, ServiceTokenError> {
    let mut rows = Vec::<TokenRow>::new();
    loop {
        let after = rows.last().map_or(Id::fixed(0), |row| row.id);
        let page = store::page(db, after, PAGE).await?;
        if page.is_empty() {
            return Ok(rows);
        }
        rows.extend(page);
    }
}

/// The token `id`.
pub(crate) async fn find(tx: &mut Tx, id: Id) -> Result<TokenRow, ServiceTokenError> {
    store::find_in(tx, id)
        .await?
        .ok_or(ServiceTokenError::NotFound)
}

async fn keep(
    tx: &mut Tx,
    client: &ClientRow,
    taken: &[i64],
    fresh: &Fresh,
    life: Duration,
    actor: &Actor,
    now: Timestamp,
) -> Result<(), ServiceTokenError> {
    if client.state != "active" {
        return Err(ServiceTokenError::Suspended);
    }
    let slot = SLOTS
        .into_iter()
        .find(|slot| !taken.contains(slot))
        .ok_or(ServiceTokenError::Limit)?;
    let times = (now, now.plus(life));
    store::insert(tx, client.id, fresh, slot, &actor.id, times).await?;
    Ok(())
}

async fn record(
    tx: &mut Tx,
    actor: &Actor,
    action: &'static str,
    id: Id,
    now: Timestamp,
) -> Result<(), DbError> {
    let id = id.to_string();
    let event = Event {
        action,
        customer: None,
        target_kind: "service_token",
        target_id: &id,
    };
    audit::record(tx, actor, &event, now).await
}

/// The database knows the same two.
const SLOTS: [i64; 2] = [1, 2];
const PAGE: i64 = 200;
const SHORTEST: Duration = Duration::from_secs(60);
const USUAL: Duration = Duration::from_secs(90 * 86_400);
const LONGEST: Duration = Duration::from_secs(366 * 86_400);
