//! Checkpoint: takes the chain's end and the active key, gives a signed word on how far the chain has come.
//!
//! **Invariant:** a checkpoint leaves only after the published key set verified it.
//! **Invariant:** it stays verifiable when its key is retired, revoked or destroyed: public halves are kept.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::entry::hex;
use super::store::{self, CheckpointRow};
use crate::app::Shared;
use crate::clock::Timestamp;
use crate::db::{DEFAULT_TENANT, DbError, Id, Tx};
use crate::key::material::{CHECKPOINT_TYP, Kind, MaterialError};
use crate::key::{KeyError, Keyring, commands};
use crate::token::selfcheck::{self, TokenRefused};

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claims {
    iss: String,
    tenant_id: Id,
    pub(super) seq: i64,
    pub(super) hash: String,
    iat: i64,
}

/// A checkpoint as operators see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Checkpoint)]
pub(super) struct CheckpointView {
    seq: i64,
    hash: String,
    count: i64,
    created_at: i64,
    jws: String,
}

/// Why no checkpoint is made.
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckpointError {
    #[error("expected an active signing key")]
    NoKey,
    #[error("the claims cannot be written")]
    Claims(#[from] serde_json::Error),
    #[error(transparent)]
    Material(#[from] MaterialError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("the checkpoint did not pass the self-check")]
    SelfCheck(#[from] TokenRefused),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<CheckpointRow> for CheckpointView {
    fn from(row: CheckpointRow) -> Self {
        Self {
            seq: row.seq,
            hash: hex(&row.hash),
            count: row.count,
            created_at: row.created_at.unix_seconds(),
            jws: row.jws,
        }
    }
}

/// Signs the chain's end if enough events or time have passed since the last checkpoint; true when it did.
pub(super) async fn make_if_due(shared: &Shared) -> Result<bool, CheckpointError> {
    let now = shared.clock.now();
    if !is_due_outside(shared, now).await? {
        return Ok(false);
    }
    let mut tx = shared.db.begin().await?;
    store::lock_chain(&mut tx).await?;
    let Some((seq, hash)) = due(shared, &mut tx, now).await? else {
        tx.rollback().await?;
        return Ok(false);
    };
    let claims = Claims {
        iss: shared.settings.url.clone(),
        tenant_id: DEFAULT_TENANT,
        seq,
        hash: hex(&hash),
        iat: now.unix_seconds(),
    };
    let row = CheckpointRow {
        seq,
        hash,
        // The chain counts from one without gaps.
        count: seq,
        created_at: now,
        jws: sign(&shared.keys, &mut tx, &claims).await?,
    };
    store::insert_checkpoint(&mut tx, &row).await?;
    tx.commit().await?;
    Ok(true)
}

/// Asked again under the lock; asked here so that an idle issuer takes no lock.
async fn is_due_outside(shared: &Shared, now: Timestamp) -> Result<bool, DbError> {
    let head = store::head(&shared.db).await?;
    let last = store::last_checkpoint(&shared.db).await?;
    Ok(is_due(shared, head.as_ref(), last.as_ref(), now))
}

/// The chain's end, if a checkpoint of it is due.
async fn due(
    shared: &Shared,
    tx: &mut Tx,
    now: Timestamp,
) -> Result<Option<(i64, Vec<u8>)>, DbError> {
    let head = store::head_in(tx).await?;
    let last = store::last_checkpoint_in(tx).await?;
    Ok(head.filter(|head| is_due(shared, Some(head), last.as_ref(), now)))
}

fn is_due(
    shared: &Shared,
    head: Option<&(i64, Vec<u8>)>,
    last: Option<&CheckpointRow>,
    now: Timestamp,
) -> bool {
    let Some((seq, _)) = head else {
        return false;
    };
    let Some(last) = last else {
        return true;
    };
    let events = seq.saturating_sub(last.seq);
    let next = last
        .created_at
        .plus(shared.settings.audit_checkpoint_interval);
    events >= i64::from(shared.settings.audit_checkpoint_events) || (events > 0 && now >= next)
}

async fn sign(keys: &Keyring, tx: &mut Tx, claims: &Claims) -> Result<String, CheckpointError> {
    let keys = keys.as_of(tx).await?;
    let (Some(key), Some(check)) = (&keys.active, &keys.check) else {
        return Err(CheckpointError::NoKey);
    };
    let payload = serde_json::to_vec(claims)?;
    let jws = key.jws(Kind::AuditCheckpoint, &payload)?;
    check.check_jws(&jws, &payload)?;
    Ok(jws)
}

/// Every public key this issuer ever had, as one-key JWK Sets.
pub(super) struct PublicKeys(HashMap<String, String>);

impl PublicKeys {
    pub(super) async fn read(keys: &Keyring) -> Result<Self, KeyError> {
        let rows = commands::list(keys).await?.into_iter();
        let sets = rows.map(|row| (row.kid, format!("{{\"keys\":[{}]}}", row.public_jwk)));
        Ok(Self(sets.collect()))
    }

    /// What `jws` says, if it is a checkpoint of this tenant that one of the keys signed.
    ///
    /// `iss` is not compared: an issuer may get another URL, and its earlier checkpoints stay true.
    pub(super) fn open(&self, jws: &str) -> Option<Claims> {
        let set = self.0.get(&selfcheck::named_kid(jws)?)?;
        let payload = selfcheck::verify_jws(set, CHECKPOINT_TYP, jws).ok()?;
        let claims: Claims = serde_json::from_slice(&payload).ok()?;
        (claims.tenant_id == DEFAULT_TENANT).then_some(claims)
    }
}

impl Claims {
    /// Whether the row says what was signed.
    pub(super) fn agrees(&self, row: &CheckpointRow) -> bool {
        self.seq == row.seq
            && self.hash == hex(&row.hash)
            && self.iat == row.created_at.unix_seconds()
            && row.count == row.seq
    }
}
