//! The SQL of audit events and checkpoints.

use super::Actor;
use super::details::Details;
use super::entry::{Entry, Hash, Link};
use crate::clock::Timestamp;
use crate::db::{DEFAULT_TENANT, Db, DbError, Id, Row, Sql, Tx, Value};

/// An event about to be written.
pub(super) struct Record<'a> {
    pub(super) id: Id,
    pub(super) action: &'a str,
    pub(super) customer: Option<Id>,
    pub(super) target_kind: &'a str,
    pub(super) target_id: &'a str,
    pub(super) details: &'a Details,
}

/// Which events are asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    pub(super) customer: Option<Id>,
    pub(super) action: Option<String>,
    pub(super) from: Option<Timestamp>,
    pub(super) to: Option<Timestamp>,
    /// The last event of the page before.
    pub(super) before: Option<(Timestamp, Id)>,
}

/// A row of `queue_audit_checkpoints`.
#[derive(Debug, Clone)]
pub(super) struct CheckpointRow {
    pub(super) seq: i64,
    pub(super) hash: Vec<u8>,
    pub(super) count: i64,
    pub(super) created_at: Timestamp,
    pub(super) jws: String,
}

pub(super) async fn insert(
    tx: &mut Tx,
    actor: &Actor,
    record: &Record<'_>,
    now: Timestamp,
) -> Result<(), DbError> {
    let record = Record { ..*record };
    insert_each(tx, &[(actor, record, now)]).await
}

/// Writes events, each with who did it and when.
pub(super) async fn insert_each(
    tx: &mut Tx,
    records: &[(&Actor, Record<'_>, Timestamp)],
) -> Result<(), DbError> {
    let each = || records.iter();
    let details = each().map(|(_, record, _)| record.details.canonical());
    let details: Vec<_> = details.collect();
    tx.execute_each(
        INSERT,
        &[DEFAULT_TENANT.into()],
        &[
            each().map(|(_, record, _)| record.id).collect(),
            each().map(|(_, _, at)| *at).collect(),
            each().map(|(actor, _, _)| actor.kind.as_str()).collect(),
            each().map(|(actor, _, _)| actor.id.as_str()).collect(),
            each().map(|(_, record, _)| record.action).collect(),
            each().map(|(_, record, _)| record.customer).collect(),
            each().map(|(_, record, _)| record.target_kind).collect(),
            each().map(|(_, record, _)| record.target_id).collect(),
            each()
                .map(|(actor, _, _)| actor.request_id.as_deref())
                .collect(),
            details.iter().map(String::as_str).collect(),
        ],
    )
    .await?;
    Ok(())
}

/// The event `id`.
pub(super) async fn find(tx: &mut Tx, id: Id) -> Result<Option<Entry>, DbError> {
    let values = [DEFAULT_TENANT.into(), id.into()];
    let row = tx.fetch_optional(FIND, &values).await?;
    row.as_ref().map(read).transpose()
}

/// Up to `limit` events, newest first.
pub(super) async fn list(db: &Db, filter: &Filter, limit: i64) -> Result<Vec<Entry>, DbError> {
    let mut values: Vec<Value<'_>> = vec![
        DEFAULT_TENANT.into(),
        filter.action.as_deref().into(),
        filter.from.into(),
        filter.to.into(),
        filter.before.map(|(at, _)| at).into(),
        filter.before.map(|(_, id)| id).into(),
        limit.into(),
    ];
    let sql = match filter.customer {
        Some(customer) => {
            values.push(customer.into());
            LIST_OF_CUSTOMER
        }
        None => LIST,
    };
    db.fetch_all(sql, &values).await?.iter().map(read).collect()
}

/// Holds every other chainer until the transaction ends.
pub(super) async fn lock_chain(tx: &mut Tx) -> Result<(), DbError> {
    tx.execute(LOCK, &[]).await.map(drop)
}

/// Whether an event waits to join the chain.
pub(super) async fn has_unchained(db: &Db) -> Result<bool, DbError> {
    let sql =
        "SELECT id FROM customer_audit_events WHERE tenant_id = $1 AND chain_seq IS NULL LIMIT 1";
    let row = db.fetch_optional(sql, &[DEFAULT_TENANT.into()]).await?;
    Ok(row.is_some())
}

/// How many events wait to join the chain.
pub(super) async fn count_unchained(db: &Db) -> Result<i64, DbError> {
    let sql = "SELECT COUNT(*) AS waiting FROM customer_audit_events WHERE tenant_id = $1 AND chain_seq IS NULL";
    let row = db.fetch_optional(sql, &[DEFAULT_TENANT.into()]).await?;
    row.map_or(Ok(0), |row| row.get("waiting"))
}

/// Up to `limit` events that have not joined the chain, oldest first.
pub(super) async fn unchained(tx: &mut Tx, limit: i64) -> Result<Vec<Entry>, DbError> {
    let rows = tx
        .fetch_all(UNCHAINED, &[DEFAULT_TENANT.into(), limit.into()])
        .await?;
    rows.iter().map(read).collect()
}

/// The chain's end: the last place and its hash.
pub(super) async fn head(db: &Db) -> Result<Option<(i64, Vec<u8>)>, DbError> {
    read_head(db.fetch_optional(HEAD, &[DEFAULT_TENANT.into()]).await?)
}

/// The same, as this transaction sees it.
pub(super) async fn head_in(tx: &mut Tx) -> Result<Option<(i64, Vec<u8>)>, DbError> {
    read_head(tx.fetch_optional(HEAD, &[DEFAULT_TENANT.into()]).await?)
}

/// Links events that are not linked, each with its place, the hash before it and its own; how many were.
pub(super) async fn link_each(
    tx: &mut Tx,
    links: &[(Id, i64, Hash, Hash)],
) -> Result<u64, DbError> {
    let each = || links.iter();
    tx.execute_each(
        LINK,
        &[DEFAULT_TENANT.into()],
        &[
            each().map(|(id, ..)| *id).collect(),
            each().map(|(_, seq, ..)| *seq).collect(),
            each()
                .map(|(_, _, prev_hash, _)| prev_hash.as_slice())
                .collect(),
            each().map(|(.., hash)| hash.as_slice()).collect(),
        ],
    )
    .await
}

/// Up to `limit` events of the chain behind the place `after`, in its order.
pub(super) async fn chained(db: &Db, after: i64, limit: i64) -> Result<Vec<Entry>, DbError> {
    let values = [DEFAULT_TENANT.into(), after.into(), limit.into()];
    let rows = db.fetch_all(CHAINED, &values).await?;
    rows.iter().map(read).collect()
}

/// The last checkpoint.
pub(super) async fn last_checkpoint(db: &Db) -> Result<Option<CheckpointRow>, DbError> {
    let row = db
        .fetch_optional(LAST_CHECKPOINT, &[DEFAULT_TENANT.into()])
        .await?;
    row.as_ref().map(read_checkpoint).transpose()
}

/// The same, as this transaction sees it.
pub(super) async fn last_checkpoint_in(tx: &mut Tx) -> Result<Option<CheckpointRow>, DbError> {
    let row = tx
        .fetch_optional(LAST_CHECKPOINT, &[DEFAULT_TENANT.into()])
        .await?;
    row.as_ref().map(read_checkpoint).transpose()
}

/// Up to `limit` checkpoints behind the place `after`, in the chain's order.
pub(super) async fn checkpoints(
    db: &Db,
    after: i64,
    limit: i64,
) -> Result<Vec<CheckpointRow>, DbError> {
    let values = [DEFAULT_TENANT.into(), after.into(), limit.into()];
    let rows = db.fetch_all(CHECKPOINTS, &values).await?;
    rows.iter().map(read_checkpoint).collect()
}

/// Keeps a checkpoint, unless there is one at its place.
pub(super) async fn insert_checkpoint(tx: &mut Tx, row: &CheckpointRow) -> Result<(), DbError> {
    tx.execute(
        "INSERT INTO queue_audit_checkpoints (tenant_id, chain_seq, hash, event_count, created_at, jws)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        &[
            DEFAULT_TENANT.into(),
            row.seq.into(),
            row.hash.as_slice().into(),
            row.count.into(),
            row.created_at.into(),
            (&row.jws).into(),
        ],
    )
    .await?;
    Ok(())
}

fn read(row: &Row) -> Result<Entry, DbError> {
    let link = match row.get::<Option<i64>>("chain_seq")? {
        Some(seq) => Some(Link {
            seq,
            prev_hash: row.get("prev_hash")?,
            hash: row.get("hash")?,
        }),
        None => None,
    };
    Ok(Entry {
        id: row.get("id")?,
        tenant: row.get("tenant_id")?,
        occurred_at: row.get("occurred_at")?,
        actor_kind: row.get("actor_kind")?,
        actor_id: row.get("actor_id")?,
        action: row.get("action")?,
        customer: row.get("customer_id")?,
        target_kind: row.get("target_kind")?,
        target_id: row.get("target_id")?,
        request_id: row.get("request_id")?,
        details: row.get("details")?,
        link,
    })
}

fn read_head(row: Option<Row>) -> Result<Option<(i64, Vec<u8>)>, DbError> {
    row.map(|row| Ok((row.get("chain_seq")?, row.get("hash")?)))
        .transpose()
}

fn read_checkpoint(row: &Row) -> Result<CheckpointRow, DbError> {
    Ok(CheckpointRow {
        seq: row.get("chain_seq")?,
        hash: row.get("hash")?,
        count: row.get("event_count")?,
        created_at: row.get("created_at")?,
        jws: row.get("jws")?,
    })
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, tenant_id, occurred_at, actor_kind, actor_id, action, customer_id, target_kind, target_id,
                    request_id, details, chain_seq, prev_hash, hash
             FROM customer_audit_events WHERE tenant_id = $1 AND ",
            $rest
        )
    };
}

const FIND: &str = select!("id = $2");
const UNCHAINED: &str = select!("chain_seq IS NULL ORDER BY occurred_at, id LIMIT $2");
const CHAINED: &str = select!("chain_seq > $2 ORDER BY chain_seq LIMIT $3");
const LIST: &str = select!(
    "($2 IS NULL OR action = $2) AND ($3 IS NULL OR occurred_at >= $3) AND ($4 IS NULL OR occurred_at < $4)
     AND ($5 IS NULL OR (occurred_at, id) < ($5, $6)) ORDER BY occurred_at DESC, id DESC LIMIT $7"
);
const LIST_OF_CUSTOMER: &str = select!(
    "customer_id = $8 AND ($2 IS NULL OR action = $2) AND ($3 IS NULL OR occurred_at >= $3)
     AND ($4 IS NULL OR occurred_at < $4) AND ($5 IS NULL OR (occurred_at, id) < ($5, $6))
     ORDER BY occurred_at DESC, id DESC LIMIT $7"
);

const INSERT: Sql = Sql::each(
    "INSERT INTO customer_audit_events (tenant_id, id, occurred_at, actor_kind, actor_id, action, customer_id,
                                        target_kind, target_id, request_id, details)
     SELECT $1, * FROM unnest($2::uuid[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::uuid[],
                              $8::text[], $9::text[], $10::text[], $11::text[])",
    "INSERT INTO customer_audit_events (tenant_id, id, occurred_at, actor_kind, actor_id, action, customer_id,
                                        target_kind, target_id, request_id, details)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
);

const LINK: Sql = Sql::each(
    "UPDATE customer_audit_events e SET chain_seq = l.chain_seq, prev_hash = l.prev_hash, hash = l.hash
     FROM unnest($2::uuid[], $3::bigint[], $4::bytea[], $5::bytea[]) AS l (id, chain_seq, prev_hash, hash)
     WHERE e.tenant_id = $1 AND e.id = l.id AND e.chain_seq IS NULL",
    "UPDATE customer_audit_events SET chain_seq = $3, prev_hash = $4, hash = $5
     WHERE tenant_id = $1 AND id = $2 AND chain_seq IS NULL",
);

const HEAD: &str = "
    SELECT chain_seq, hash FROM customer_audit_events
    WHERE tenant_id = $1 AND chain_seq IS NOT NULL ORDER BY chain_seq DESC LIMIT 1";
const LAST_CHECKPOINT: &str = "
    SELECT chain_seq, hash, event_count, created_at, jws FROM queue_audit_checkpoints
    WHERE tenant_id = $1 ORDER BY chain_seq DESC LIMIT 1";
const CHECKPOINTS: &str = "
    SELECT chain_seq, hash, event_count, created_at, jws FROM queue_audit_checkpoints
    WHERE tenant_id = $1 AND chain_seq > $2 ORDER BY chain_seq LIMIT $3";

/// SQLite's write transaction is the lock already.
const LOCK: Sql = Sql::each(
    "SELECT pg_advisory_xact_lock(7164770110471995750)",
    "SELECT 1",
);
