//! The SQL of customers and their addresses.

use super::{Customer, NewCustomer};
use crate::clock::Timestamp;
use crate::db::{DEFAULT_TENANT, Db, DbError, Id, Row, Sql, Tx};

/// Makes the customer, its address and its default roles; false when the address is taken.
pub(crate) async fn insert(tx: &mut Tx, new: &NewCustomer) -> Result<bool, DbError> {
    tx.execute(
        "INSERT INTO queue_customers (id, tenant_id, display_name, state, created_at, updated_at)
         VALUES ($1, $2, $3, 'active', $4, $4)",
        &[
            new.id.into(),
            DEFAULT_TENANT.into(),
            new.display_name.as_deref().into(),
            new.now.into(),
        ],
    )
    .await?;
    let owned = tx
        .execute(
            "INSERT INTO queue_customer_emails (id, tenant_id, customer_id, email, email_normalised, is_primary,
                                                created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT (tenant_id, email_normalised) DO NOTHING",
            &[
                Id::new(new.now).into(),
                DEFAULT_TENANT.into(),
                new.id.into(),
                (&new.email.written).into(),
                (&new.email.normalised).into(),
                true.into(),
                new.now.into(),
            ],
        )
        .await?;
    if owned == 0 {
        return Ok(false);
    }
    tx.execute(
        "INSERT INTO queue_customer_roles (tenant_id, customer_id, role_id, granted_at, granted_by)
         SELECT r.tenant_id, $2, r.id, $3, $4 FROM queue_roles r WHERE r.tenant_id = $1 AND r.is_default",
        &[DEFAULT_TENANT.into(), new.id.into(), new.now.into(), (&new.created_by).into()],
    )
    .await?;
    Ok(true)
}

/// The customer `id`.
pub(crate) async fn find(db: &Db, id: Id) -> Result<Option<Customer>, DbError> {
    let rows = db
        .fetch_all(BY_ID, &[DEFAULT_TENANT.into(), id.into()])
        .await?;
    read(&rows)
}

/// The customer `id`, as this transaction sees it.
pub(crate) async fn find_in(tx: &mut Tx, id: Id) -> Result<Option<Customer>, DbError> {
    let rows = tx
        .fetch_all(BY_ID, &[DEFAULT_TENANT.into(), id.into()])
        .await?;
    read(&rows)
}

/// The customer who owns the address, in its normal form.
pub(crate) async fn find_by_email(db: &Db, normalised: &str) -> Result<Option<Customer>, DbError> {
    let owner = db
        .fetch_optional(
            "SELECT customer_id FROM queue_customer_emails WHERE tenant_id = $1 AND email_normalised = $2",
            &[DEFAULT_TENANT.into(), normalised.into()],
        )
        .await?;
    match owner {
        Some(row) => find(db, row.get("customer_id")?).await,
        None => Ok(None),
    }
}

/// Gives the customer another name, or none.
pub(crate) async fn rename(
    tx: &mut Tx,
    id: Id,
    name: Option<&str>,
    now: Timestamp,
) -> Result<(), DbError> {
    tx.execute(
        "UPDATE queue_customers SET display_name = $3, updated_at = $4
         WHERE tenant_id = $1 AND id = $2 AND state <> 'erased'",
        &[DEFAULT_TENANT.into(), id.into(), name.into(), now.into()],
    )
    .await?;
    Ok(())
}

/// The state of the customer, held until the transaction ends. Whoever holds a customer and its sessions
/// holds the customer first.
pub(crate) async fn hold(tx: &mut Tx, id: Id) -> Result<Option<String>, DbError> {
    let row = tx
        .fetch_optional(HOLD, &[DEFAULT_TENANT.into(), id.into()])
        .await?;
    row.map(|row| row.get("state")).transpose()
}

/// Keeps the active customer from signing in.
pub(super) async fn suspend(tx: &mut Tx, id: Id, now: Timestamp) -> Result<(), DbError> {
    tx.execute(
        "UPDATE queue_customers SET state = 'suspended', suspended_at = $3, updated_at = $3
         WHERE tenant_id = $1 AND id = $2 AND state = 'active'",
        &[DEFAULT_TENANT.into(), id.into(), now.into()],
    )
    .await?;
    Ok(())
}

/// Lets the suspended customer sign in again.
pub(super) async fn resume(tx: &mut Tx, id: Id, now: Timestamp) -> Result<(), DbError> {
    tx.execute(
        "UPDATE queue_customers SET state = 'active', suspended_at = NULL, updated_at = $3
         WHERE tenant_id = $1 AND id = $2 AND state = 'suspended'",
        &[DEFAULT_TENANT.into(), id.into(), now.into()],
    )
    .await?;
    Ok(())
}

/// Removes what tells who the customer is and how it signs in; its sessions have ended.
pub(super) async fn erase(tx: &mut Tx, id: Id, now: Timestamp) -> Result<(), DbError> {
    for sql in ERASE {
        tx.execute(*sql, &[DEFAULT_TENANT.into(), id.into()])
            .await?;
    }
    tx.execute(
        "UPDATE queue_customers SET state = 'erased', display_name = NULL, erased_at = $3, updated_at = $3
         WHERE tenant_id = $1 AND id = $2",
        &[DEFAULT_TENANT.into(), id.into(), now.into()],
    )
    .await?;
    Ok(())
}

/// One row a role; a customer without roles has one row with none.
fn read(rows: &[Row]) -> Result<Option<Customer>, DbError> {
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let mut roles = Vec::new();
    for row in rows {
        roles.extend(row.get::<Option<String>>("role")?);
    }
    Ok(Some(Customer {
        id: first.get("id")?,
        tenant_id: first.get("tenant_id")?,
        email: first.get("email")?,
        email_verified: first.get::<Option<Timestamp>>("verified_at")?.is_some(),
        display_name: first.get("display_name")?,
        state: first.get("state")?,
        roles,
        authz_ver: first.get("authz_ver")?,
        created_at: first.get::<Timestamp>("created_at")?.unix_seconds(),
        updated_at: first.get::<Timestamp>("updated_at")?.unix_seconds(),
    }))
}

const HOLD: Sql = Sql::each(
    "SELECT state FROM queue_customers WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE",
    "SELECT state FROM queue_customers WHERE tenant_id = $1 AND id = $2",
);

/// Everything of a customer that is a person's: addresses and their proofs, passkeys, codes, roles, devices.
const ERASE: &[&str] = &[
    "DELETE FROM queue_customer_emails WHERE tenant_id = $1 AND customer_id = $2",
    "DELETE FROM queue_email_verifications WHERE tenant_id = $1 AND customer_id = $2",
    "DELETE FROM queue_webauthn_credentials WHERE tenant_id = $1 AND customer_id = $2",
    "DELETE FROM queue_webauthn_challenges WHERE tenant_id = $1 AND customer_id = $2",
    "DELETE FROM queue_backup_codes WHERE tenant_id = $1 AND customer_id = $2",
    "DELETE FROM queue_outbox WHERE tenant_id = $1 AND customer_id = $2",
    "DELETE FROM queue_customer_roles WHERE tenant_id = $1 AND customer_id = $2",
    "DELETE FROM queue_session_refreshes WHERE tenant_id = $1
     AND session_id IN (SELECT id FROM queue_sessions WHERE tenant_id = $1 AND customer_id = $2)",
];

const BY_ID: &str = "
    SELECT c.id, c.tenant_id, c.display_name, c.state, c.authz_ver, c.created_at, c.updated_at,
           e.email, e.verified_at, r.name AS role
    FROM queue_customers c
    LEFT JOIN queue_customer_emails e ON e.tenant_id = c.tenant_id AND e.customer_id = c.id AND e.is_primary
    LEFT JOIN queue_customer_roles a ON a.tenant_id = c.tenant_id AND a.customer_id = c.id
    LEFT JOIN queue_roles r ON r.tenant_id = a.tenant_id AND r.id = a.role_id
    WHERE c.tenant_id = $1 AND c.id = $2
    ORDER BY r.name";
