//! The SQL of addresses: whose one is, whether its owner has proved it, what it is replaced by.

use super::Email;
use crate::clock::Timestamp;
use crate::db::{DEFAULT_TENANT, DbError, Id, Row, Sql, Tx};

/// An address somebody owns.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    pub(crate) customer: Id,
    pub(crate) email: Email,
    pub(crate) is_primary: bool,
    pub(crate) is_verified: bool,
    /// The customer may sign in.
    pub(crate) is_active: bool,
}

/// The address, in its normal form.
pub(crate) async fn find(tx: &mut Tx, normalised: &str) -> Result<Option<Address>, DbError> {
    let values = [DEFAULT_TENANT.into(), normalised.into()];
    let row = tx.fetch_optional(FIND, &values).await?;
    row.as_ref().map(read).transpose()
}

/// The primary address of `customer`.
pub(crate) async fn primary(tx: &mut Tx, customer: Id) -> Result<Option<Address>, DbError> {
    let values = [DEFAULT_TENANT.into(), customer.into()];
    let row = tx.fetch_optional(PRIMARY, &values).await?;
    row.as_ref().map(read).transpose()
}

/// Holds `customer` still until the transaction ends, before whatever belongs to it; true when it is active.
///
/// Rows that name the customer may still be added meanwhile (`NO KEY`): whoever adds one holds other rows,
/// for which the holder may have to wait.
pub(crate) async fn hold(tx: &mut Tx, customer: Id) -> Result<bool, DbError> {
    let values = [DEFAULT_TENANT.into(), customer.into()];
    let row = tx.fetch_optional(HOLD, &values).await?;
    let state: Option<String> = row.map(|row| row.get("state")).transpose()?;
    Ok(state.as_deref() == Some("active"))
}

/// Notes that `customer` has proved the address; false when it is not the customer's.
pub(crate) async fn verify(
    tx: &mut Tx,
    customer: Id,
    normalised: &str,
    now: Timestamp,
) -> Result<bool, DbError> {
    let changed = tx
        .execute(
            "UPDATE queue_customer_emails SET verified_at = $4, updated_at = $4
             WHERE tenant_id = $1 AND customer_id = $2 AND email_normalised = $3",
            &[
                DEFAULT_TENANT.into(),
                customer.into(),
                normalised.into(),
                now.into(),
            ],
        )
        .await?;
    touch(tx, customer, now).await?;
    Ok(changed == 1)
}

/// Puts the address, which `customer` has proved, in the place of every other; false when somebody owns it,
/// and then the transaction must not be committed.
pub(crate) async fn replace(
    tx: &mut Tx,
    customer: Id,
    normalised: &str,
    now: Timestamp,
) -> Result<bool, DbError> {
    let values = [DEFAULT_TENANT.into(), customer.into()];
    tx.execute(
        "DELETE FROM queue_customer_emails WHERE tenant_id = $1 AND customer_id = $2",
        &values,
    )
    .await?;
    let owned = tx
        .execute(
            "INSERT INTO queue_customer_emails (id, tenant_id, customer_id, email, email_normalised, is_primary,
                                                verified_at, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $4, $5, $6, $6, $6) ON CONFLICT (tenant_id, email_normalised) DO NOTHING",
            &[
                Id::new(now).into(),
                DEFAULT_TENANT.into(),
                customer.into(),
                normalised.into(),
                true.into(),
                now.into(),
            ],
        )
        .await?;
    touch(tx, customer, now).await?;
    Ok(owned == 1)
}

async fn touch(tx: &mut Tx, customer: Id, now: Timestamp) -> Result<(), DbError> {
    tx.execute(
        "UPDATE queue_customers SET updated_at = $3 WHERE tenant_id = $1 AND id = $2",
        &[DEFAULT_TENANT.into(), customer.into(), now.into()],
    )
    .await?;
    Ok(())
}

fn read(row: &Row) -> Result<Address, DbError> {
    Ok(Address {
        customer: row.get("customer_id")?,
        email: Email {
            written: row.get("email")?,
            normalised: row.get("email_normalised")?,
        },
        is_primary: row.get("is_primary")?,
        is_verified: row.get::<Option<Timestamp>>("verified_at")?.is_some(),
        is_active: row.get::<String>("state")? == "active",
    })
}

const FIND: &str = "
    SELECT e.customer_id, e.email, e.email_normalised, e.is_primary, e.verified_at, c.state
    FROM queue_customer_emails e
    JOIN queue_customers c ON c.tenant_id = e.tenant_id AND c.id = e.customer_id
    WHERE e.tenant_id = $1 AND e.email_normalised = $2";

const PRIMARY: &str = "
    SELECT e.customer_id, e.email, e.email_normalised, e.is_primary, e.verified_at, c.state
    FROM queue_customer_emails e
    JOIN queue_customers c ON c.tenant_id = e.tenant_id AND c.id = e.customer_id
    WHERE e.tenant_id = $1 AND e.customer_id = $2 AND e.is_primary";

const HOLD: Sql = Sql::each(
    "SELECT state FROM queue_customers WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE",
    "SELECT state FROM queue_customers WHERE tenant_id = $1 AND id = $2",
);
