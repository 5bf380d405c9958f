//! The SQL of the outbox.
//!
//! **Invariant:** a claim is a lease: `next_attempt_at` moves past it, and `attempts` names it, so a process
//! whose lease ran out cannot undo what the next one did.

use std::time::Duration;

use super::Outgoing;
use crate::clock::Timestamp;
use crate::db::{DEFAULT_TENANT, Db, DbError, Id, Row, Sql, Tx};

/// A mail that this process alone sends until its lease ends.
pub(super) struct Claimed {
    pub(super) id: Id,
    pub(super) kind: String,
    pub(super) sealed: Vec<u8>,
    pub(super) attempts: i64,
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Timestamp,
}

/// What waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) count: i64,
    pub(super) oldest: Option<Timestamp>,
    /// When the next one is due, or was.
    pub(super) due_at: Option<Timestamp>,
}

/// A row as operators see it: no recipient, no words.
#[derive(Debug, Clone)]
pub(crate) struct MailRow {
    pub(crate) id: Id,
    pub(crate) kind: String,
    pub(crate) customer_id: Option<Id>,
    pub(crate) attempts: i64,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) next_attempt_at: Timestamp,
    pub(crate) sent_at: Option<Timestamp>,
    pub(crate) dead_at: Option<Timestamp>,
    pub(crate) last_error: Option<String>,
}

impl MailRow {
    /// `queued`, `sent` or `dead`.
    pub(crate) fn state(&self) -> &'static str {
        match (self.sent_at, self.dead_at) {
            (Some(_), _) => "sent",
            (_, Some(_)) => "dead",
            _ => "queued",
        }
    }
}

pub(super) async fn insert(
    tx: &mut Tx,
    id: Id,
    outgoing: &Outgoing<'_>,
    (sealed, kek_id): (&[u8], &str),
    now: Timestamp,
) -> Result<(), DbError> {
    tx.execute(
        "INSERT INTO queue_outbox (id, tenant_id, kind, customer_id, sealed, kek_id, next_attempt_at, created_at,
                                   expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8)",
        &[
            id.into(),
            DEFAULT_TENANT.into(),
            outgoing.mail.kind().into(),
            outgoing.customer.into(),
            sealed.into(),
            kek_id.into(),
            now.into(),
            outgoing.expires_at.into(),
        ],
    )
    .await?;
    Ok(())
}

/// What waits, and since when.
pub(super) async fn waiting(db: &Db) -> Result<Waiting, DbError> {
    let row = db
        .fetch_optional(
            "SELECT COUNT(*) AS count, MIN(created_at) AS oldest, MIN(next_attempt_at) AS due_at
             FROM queue_outbox WHERE tenant_id = $1 AND sent_at IS NULL AND dead_at IS NULL",
            &[DEFAULT_TENANT.into()],
        )
        .await?;
    let none = Waiting {
        count: 0,
        oldest: None,
        due_at: None,
    };
    row.map_or(Ok(none), |row| {
        Ok(Waiting {
            count: row.get("count")?,
            oldest: row.get("oldest")?,
            due_at: row.get("due_at")?,
        })
    })
}

/// Gives up what is worth nothing any more; how many those were.
pub(super) async fn expire(tx: &mut Tx, now: Timestamp) -> Result<u64, DbError> {
    tx.execute(
        "UPDATE queue_outbox SET dead_at = $2, sealed = NULL, kek_id = NULL, last_error = 'expired'
         WHERE tenant_id = $1 AND sent_at IS NULL AND dead_at IS NULL AND next_attempt_at <= $2 AND expires_at <= $2",
        &[DEFAULT_TENANT.into(), now.into()],
    )
    .await
}

/// Takes the mail that has been due longest, for as long as the lease.
pub(super) async fn claim(
    tx: &mut Tx,
    now: Timestamp,
    lease: Duration,
) -> Result<Option<Claimed>, DbError> {
    let row = tx
        .fetch_optional(
            CLAIM,
            &[DEFAULT_TENANT.into(), now.into(), now.plus(lease).into()],
        )
        .await?;
    row.map(|row| {
        Ok(Claimed {
            id: row.get("id")?,
            kind: row.get("kind")?,
            sealed: row.get("sealed")?,
            attempts: row.get("attempts")?,
            created_at: row.get("created_at")?,
            expires_at: row.get("expires_at")?,
        })
    })
    .transpose()
}

/// The mail has left, whoever holds the lease by now.
pub(super) async fn sent(tx: &mut Tx, id: Id, now: Timestamp) -> Result<(), DbError> {
    tx.execute(
        "UPDATE queue_outbox SET sent_at = $3, sealed = NULL, kek_id = NULL, last_error = NULL
         WHERE tenant_id = $1 AND id = $2 AND sent_at IS NULL AND dead_at IS NULL",
        &[DEFAULT_TENANT.into(), id.into(), now.into()],
    )
    .await?;
    Ok(())
}

/// The mail is given up.
pub(super) async fn dead(
    tx: &mut Tx,
    claimed: &Claimed,
    code: &str,
    now: Timestamp,
) -> Result<(), DbError> {
    tx.execute(
        "UPDATE queue_outbox SET dead_at = $4, sealed = NULL, kek_id = NULL, last_error = $5
         WHERE tenant_id = $1 AND id = $2 AND attempts = $3 AND sent_at IS NULL AND dead_at IS NULL",
        &[
            DEFAULT_TENANT.into(),
            claimed.id.into(),
            claimed.attempts.into(),
            now.into(),
            code.into(),
        ],
    )
    .await?;
    Ok(())
}

/// The mail is tried again, at `at`.
pub(super) async fn postpone(
    tx: &mut Tx,
    claimed: &Claimed,
    code: &str,
    at: Timestamp,
) -> Result<(), DbError> {
    tx.execute(
        "UPDATE queue_outbox SET next_attempt_at = $4, last_error = $5
         WHERE tenant_id = $1 AND id = $2 AND attempts = $3 AND sent_at IS NULL AND dead_at IS NULL",
        &[
            DEFAULT_TENANT.into(),
            claimed.id.into(),
            claimed.attempts.into(),
            at.into(),
            code.into(),
        ],
    )
    .await?;
    Ok(())
}

/// The newest mails made before `before`, at most `limit`.
pub(crate) async fn page(db: &Db, before: Option<Id>, limit: i64) -> Result<Vec<MailRow>, DbError> {
    let before = before.unwrap_or(Id::fixed(u128::MAX));
    let rows = db
        .fetch_all(
            "SELECT id, kind, customer_id, attempts, created_at, expires_at, next_attempt_at, sent_at, dead_at,
                    last_error
             FROM queue_outbox WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
            &[DEFAULT_TENANT.into(), before.into(), limit.into()],
        )
        .await?;
    rows.iter().map(read).collect()
}

/// Removes at most `most` rows settled before `before`.
pub(super) async fn remove_settled(db: &Db, before: Timestamp, most: i64) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    tx.execute(
        "DELETE FROM queue_outbox WHERE id IN (
             SELECT id FROM queue_outbox WHERE tenant_id = $1 AND (sent_at < $2 OR dead_at < $2) LIMIT $3)",
        &[DEFAULT_TENANT.into(), before.into(), most.into()],
    )
    .await?;
    tx.commit().await
}

fn read(row: &Row) -> Result<MailRow, DbError> {
    Ok(MailRow {
        id: row.get("id")?,
        kind: row.get("kind")?,
        customer_id: row.get("customer_id")?,
        attempts: row.get("attempts")?,
        created_at: row.get("created_at")?,
        expires_at: row.get("expires_at")?,
        next_attempt_at: row.get("next_attempt_at")?,
        sent_at: row.get("sent_at")?,
        dead_at: row.get("dead_at")?,
        last_error: row.get("last_error")?,
    })
}

/// Replicas step over each other's claims; SQLite's write transaction is the lock already.
const CLAIM: Sql = Sql::each(
    "UPDATE queue_outbox SET attempts = attempts + 1, next_attempt_at = $3
     WHERE id = (
         SELECT id FROM queue_outbox
         WHERE tenant_id = $1 AND sent_at IS NULL AND dead_at IS NULL AND next_attempt_at <= $2
         ORDER BY next_attempt_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
     RETURNING id, kind, sealed, attempts, created_at, expires_at",
    "UPDATE queue_outbox SET attempts = attempts + 1, next_attempt_at = $3
     WHERE id = (
         SELECT id FROM queue_outbox
         WHERE tenant_id = $1 AND sent_at IS NULL AND dead_at IS NULL AND next_attempt_at <= $2
         ORDER BY next_attempt_at, id LIMIT 1)
     RETURNING id, kind, sealed, attempts, created_at, expires_at",
);
