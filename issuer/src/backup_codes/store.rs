//! The SQL of backup codes.

use crate::clock::Timestamp;
use crate::db::{DEFAULT_TENANT, Db, DbError, Id, Tx};

/// Keeps one code of a set.
pub(super) async fn insert(
    tx: &mut Tx,
    (customer, set, slot): (Id, Id, i64),
    code_hash: &[u8],
    now: Timestamp,
) -> Result<(), DbError> {
    tx.execute(
        "INSERT INTO queue_backup_codes (id, tenant_id, customer_id, set_id, slot, code_hash, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        &[
            Id::new(now).into(),
            DEFAULT_TENANT.into(),
            customer.into(),
            set.into(),
            slot.into(),
            code_hash.into(),
            now.into(),
        ],
    )
    .await?;
    Ok(())
}

/// Voids what is left of the customer's codes.
pub(super) async fn void(tx: &mut Tx, customer: Id, now: Timestamp) -> Result<(), DbError> {
    tx.execute(
        "UPDATE queue_backup_codes SET voided_at = $3
         WHERE tenant_id = $1 AND customer_id = $2 AND spent_at IS NULL AND voided_at IS NULL",
        &[DEFAULT_TENANT.into(), customer.into(), now.into()],
    )
    .await?;
    Ok(())
}

/// Spends a code of `customer`; the code's id when it was there to be spent.
pub(super) async fn spend(
    tx: &mut Tx,
    customer: Id,
    code_hash: &[u8],
    now: Timestamp,
) -> Result<Option<Id>, DbError> {
    let row = tx
        .fetch_optional(
            "UPDATE queue_backup_codes SET spent_at = $4
             WHERE tenant_id = $1 AND customer_id = $2 AND code_hash = $3
                   AND spent_at IS NULL AND voided_at IS NULL
             RETURNING id",
            &[
                DEFAULT_TENANT.into(),
                customer.into(),
                code_hash.into(),
                now.into(),
            ],
        )
        .await?;
    row.map(|row| row.get("id")).transpose()
}

/// How many codes `customer` can still spend, as this transaction sees it.
pub(super) async fn left(tx: &mut Tx, customer: Id) -> Result<i64, DbError> {
    let values = [DEFAULT_TENANT.into(), customer.into()];
    let row = tx.fetch_optional(LEFT, &values).await?;
    row.map_or(Ok(0), |row| row.get("remaining"))
}

/// How many codes `customer` can still spend, and when the newest set was made that was not voided.
pub(super) async fn standing(db: &Db, customer: Id) -> Result<(i64, Option<Timestamp>), DbError> {
    let values = [DEFAULT_TENANT.into(), customer.into()];
    let row = db.fetch_optional(LEFT, &values).await?;
    row.map_or(Ok((0, None)), |row| {
        Ok((row.get("remaining")?, row.get("created_at")?))
    })
}

/// Removes the customer's codes made before `before`, when none of them is good any more.
pub(super) async fn remove_old(
    tx: &mut Tx,
    customer: Id,
    before: Timestamp,
) -> Result<(), DbError> {
    tx.execute(
        "DELETE FROM queue_backup_codes
         WHERE tenant_id = $1 AND customer_id = $2 AND created_at <= $3
               AND (spent_at IS NOT NULL OR voided_at IS NOT NULL)",
        &[DEFAULT_TENANT.into(), customer.into(), before.into()],
    )
    .await?;
    Ok(())
}

const LEFT: &str = "
    SELECT COUNT(*) FILTER (WHERE spent_at IS NULL) AS remaining, MAX(created_at) AS created_at
    FROM queue_backup_codes WHERE tenant_id = $1 AND customer_id = $2 AND voided_at IS NULL";
