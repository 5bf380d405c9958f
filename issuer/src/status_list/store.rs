//! The SQL of status lists.
//!
//! Versions and bits are written by the database itself, when a session is revoked; here they are read.

use std::collections::HashMap;
use std::iter::once;
use std::time::Duration;

use super::Place;
use crate::clock::Timestamp;
use crate::db::{DEFAULT_TENANT, Db, DbError, Id, Row, Sql, Tx};

/// A list that is published.
#[derive(Debug, Clone, Copy)]
pub(super) struct ListRow {
    pub(super) id: Id,
    pub(super) size: i64,
    pub(super) version: i64,
    pub(super) updated_at: Timestamp,
    /// When to look whether its last session is dead.
    pub(super) retire_after: Option<Timestamp>,
}

/// The place the session has.
pub(super) async fn place(tx: &mut Tx, session: Id) -> Result<Option<Place>, DbError> {
    let row = tx
        .fetch_optional(
            "SELECT list_id, idx FROM queue_session_statuses WHERE tenant_id = $1 AND session_id = $2",
            &[DEFAULT_TENANT.into(), session.into()],
        )
        .await?;
    row.as_ref().map(read_place).transpose()
}

fn read_place(row: &Row) -> Result<Place, DbError> {
    Ok(Place {
        list: row.get("list_id")?,
        idx: row.get("idx")?,
    })
}

/// Gives the session the place `random` falls on in the list that still has places, unless another session
/// has it or there is no such list.
pub(super) async fn take_any(
    tx: &mut Tx,
    session: Id,
    random: i64,
) -> Result<Option<Place>, DbError> {
    let mut taken = take_each(tx, once((session, random))).await?;
    Ok(taken.remove(&session))
}

/// The same for each of the sessions and their random numbers; those that got a place, and it.
pub(super) async fn take_each(
    tx: &mut Tx,
    sessions: impl Iterator<Item = (Id, i64)>,
) -> Result<HashMap<Id, Place>, DbError> {
    let (sessions, random): (Vec<Id>, Vec<i64>) = sessions.unzip();
    let columns = [sessions.into_iter().collect(), random.into_iter().collect()];
    let fixed = [DEFAULT_TENANT.into()];
    let rows = tx.fetch_each(TAKE_EACH, &fixed, &columns).await?;
    rows.iter()
        .map(|row| Ok((row.get("session_id")?, read_place(row)?)))
        .collect()
}

/// Gives the session the place, unless another session has it.
pub(super) async fn take(tx: &mut Tx, session: Id, place: Place) -> Result<bool, DbError> {
    let taken = tx
        .execute(
            "INSERT INTO queue_session_statuses (tenant_id, session_id, list_id, idx) VALUES ($1, $2, $3, $4)
             ON CONFLICT (tenant_id, list_id, idx) DO NOTHING",
            &[
                DEFAULT_TENANT.into(),
                session.into(),
                place.list.into(),
                place.idx.into(),
            ],
        )
        .await?;
    Ok(taken == 1)
}

/// The list that still has places, and its size.
pub(super) async fn open_list(tx: &mut Tx) -> Result<Option<(Id, i64)>, DbError> {
    let row = tx
        .fetch_optional(
            "SELECT id, size FROM queue_status_lists WHERE tenant_id = $1 AND closed_at IS NULL",
            &[DEFAULT_TENANT.into()],
        )
        .await?;
    row.map(|row| Ok((row.get("id")?, row.get("size")?)))
        .transpose()
}

/// Opens a list, unless another transaction did.
pub(super) async fn open(tx: &mut Tx, size: i64, now: Timestamp) -> Result<bool, DbError> {
    let opened = tx
        .execute(
            "INSERT INTO queue_status_lists (id, tenant_id, size, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)
             ON CONFLICT DO NOTHING",
            &[
                Id::new(now).into(),
                DEFAULT_TENANT.into(),
                size.into(),
                now.into(),
            ],
        )
        .await?;
    Ok(opened == 1)
}

/// Gives out no more places of the list.
pub(super) async fn close(
    tx: &mut Tx,
    list: Id,
    now: Timestamp,
    longest: Duration,
) -> Result<(), DbError> {
    tx.execute(
        "UPDATE queue_status_lists SET closed_at = $3, retire_after = $4
         WHERE tenant_id = $1 AND id = $2 AND closed_at IS NULL",
        &[
            DEFAULT_TENANT.into(),
            list.into(),
            now.into(),
            now.plus(longest).into(),
        ],
    )
    .await?;
    Ok(())
}

/// Every list that is published.
pub(super) async fn published(db: &Db) -> Result<Vec<ListRow>, DbError> {
    let rows = db
        .fetch_all(
            "SELECT id, size, version, updated_at, retire_after FROM queue_status_lists
             WHERE tenant_id = $1 AND retired_at IS NULL ORDER BY created_at, id",
            &[DEFAULT_TENANT.into()],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(ListRow {
                id: row.get("id")?,
                size: row.get("size")?,
                version: row.get("version")?,
                updated_at: row.get("updated_at")?,
                retire_after: row.get("retire_after")?,
            })
        })
        .collect()
}

/// The places revoked after version `after`, up to version `upto`.
pub(super) async fn revoked(db: &Db, list: Id, after: i64, upto: i64) -> Result<Vec<i64>, DbError> {
    let rows = db
        .fetch_all(
            "SELECT idx FROM queue_session_statuses
             WHERE tenant_id = $1 AND list_id = $2 AND revoked_version > $3 AND revoked_version <= $4",
            &[
                DEFAULT_TENANT.into(),
                list.into(),
                after.into(),
                upto.into(),
            ],
        )
        .await?;
    rows.iter().map(|row: &Row| row.get("idx")).collect()
}

/// When the last session with a place in the list ends.
pub(super) async fn last_expiry(db: &Db, list: Id) -> Result<Option<Timestamp>, DbError> {
    let row = db
        .fetch_optional(
            "SELECT MAX(s.expires_at) AS last FROM queue_session_statuses p
             JOIN queue_sessions s ON s.tenant_id = p.tenant_id AND s.id = p.session_id
             WHERE p.tenant_id = $1 AND p.list_id = $2",
            &[DEFAULT_TENANT.into(), list.into()],
        )
        .await?;
    row.map_or(Ok(None), |row| row.get("last"))
}

/// Looks at the list again at `at`.
pub(super) async fn postpone(tx: &mut Tx, list: Id, at: Timestamp) -> Result<(), DbError> {
    tx.execute(
        "UPDATE queue_status_lists SET retire_after = $3 WHERE tenant_id = $1 AND id = $2",
        &[DEFAULT_TENANT.into(), list.into(), at.into()],
    )
    .await?;
    Ok(())
}

/// Publishes the list no more.
pub(super) async fn retire(tx: &mut Tx, list: Id, now: Timestamp) -> Result<(), DbError> {
    tx.execute(
        "UPDATE queue_status_lists SET retired_at = $3 WHERE tenant_id = $1 AND id = $2 AND retired_at IS NULL",
        &[DEFAULT_TENANT.into(), list.into(), now.into()],
    )
    .await?;
    Ok(())
}

/// Removes up to `most` places of retired lists.
pub(super) async fn remove_places(tx: &mut Tx, most: i64) -> Result<(), DbError> {
    tx.execute(
        "DELETE FROM queue_session_statuses WHERE (tenant_id, session_id) IN (
             SELECT p.tenant_id, p.session_id FROM queue_session_statuses p
             JOIN queue_status_lists l ON l.tenant_id = p.tenant_id AND l.id = p.list_id
             WHERE l.retired_at IS NOT NULL LIMIT $1)",
        &[most.into()],
    )
    .await?;
    Ok(())
}

/// In the order of the places: of two transactions that want the same ones, neither waits for the other for ever.
const TAKE_EACH: Sql = Sql::each(
    "INSERT INTO queue_session_statuses (tenant_id, session_id, list_id, idx)
     SELECT l.tenant_id, n.session_id, l.id, n.random % l.size
     FROM queue_status_lists l, unnest($2::uuid[], $3::bigint[]) AS n (session_id, random)
     WHERE l.tenant_id = $1 AND l.closed_at IS NULL ORDER BY n.random % l.size
     ON CONFLICT (tenant_id, list_id, idx) DO NOTHING RETURNING session_id, list_id, idx",
    "INSERT INTO queue_session_statuses (tenant_id, session_id, list_id, idx)
     SELECT tenant_id, $2, id, $3 % size FROM queue_status_lists WHERE tenant_id = $1 AND closed_at IS NULL
     ON CONFLICT (tenant_id, list_id, idx) DO NOTHING RETURNING session_id, list_id, idx",
);
