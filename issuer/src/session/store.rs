//! The SQL of sessions.

use super::{Holder, SessionRow};
use crate::clock::Timestamp;
use crate::db::{DEFAULT_TENANT, Db, DbError, Id, Row, Sql, Tx};

/// The customer's state and roles, held still until the transaction ends: a suspension that comes at the
/// same time waits, and then sees the session it has to revoke.
pub(super) async fn holder(tx: &mut Tx, customer: Id) -> Result<Option<Holder>, DbError> {
    let Some(row) = tx
        .fetch_optional(HOLDER, &[DEFAULT_TENANT.into(), customer.into()])
        .await?
    else {
        return Ok(None);
    };
    let mut roles = Vec::new();
    for role in tx
        .fetch_all(ROLES, &[DEFAULT_TENANT.into(), customer.into()])
        .await?
    {
        roles.push(role.get("name")?);
    }
    Ok(Some(Holder {
        state: row.get("state")?,
        roles,
        authz_ver: row.get("authz_ver")?,
    }))
}

/// Keeps a new session.
pub(super) async fn insert(tx: &mut Tx, session: &SessionRow) -> Result<(), DbError> {
    let amr = session.amr.join(" ");
    tx.execute(
        "INSERT INTO queue_sessions (id, tenant_id, customer_id, audience, client_id, acr, amr, auth_time,
                                     created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        &[
            session.id.into(),
            DEFAULT_TENANT.into(),
            session.customer.into(),
            (&session.audience).into(),
            (&session.client_id).into(),
            (&session.acr).into(),
            (&amr).into(),
            session.auth_time.into(),
            session.created_at.into(),
            session.expires_at.into(),
        ],
    )
    .await?;
    Ok(())
}

/// The session `id`.
pub(super) async fn find(tx: &mut Tx, id: Id) -> Result<Option<SessionRow>, DbError> {
    let row = tx
        .fetch_optional(FIND, &[DEFAULT_TENANT.into(), id.into()])
        .await?;
    row.as_ref().map(read).transpose()
}

/// The session `id`, held still until the transaction ends.
pub(super) async fn find_held(tx: &mut Tx, id: Id) -> Result<Option<SessionRow>, DbError> {
    // SQLite's write transaction is the lock already.
    tx.fetch_all(HOLD, &[DEFAULT_TENANT.into(), id.into()])
        .await?;
    find(tx, id).await
}

/// Whether the session of `customer` is neither over nor revoked, and the customer active.
pub(super) async fn is_live(
    db: &Db,
    session: Id,
    customer: Id,
    now: Timestamp,
) -> Result<bool, DbError> {
    let row = db
        .fetch_optional(
            "SELECT s.id FROM queue_sessions s
             JOIN queue_customers c ON c.tenant_id = s.tenant_id AND c.id = s.customer_id
             WHERE s.tenant_id = $1 AND s.id = $2 AND s.customer_id = $3 AND s.revoked_at IS NULL
               AND s.expires_at > $4 AND c.state = 'active'",
            &[
                DEFAULT_TENANT.into(),
                session.into(),
                customer.into(),
                now.into(),
            ],
        )
        .await?;
    Ok(row.is_some())
}

/// Revokes the session; false when it was revoked before.
pub(super) async fn revoke(
    tx: &mut Tx,
    id: Id,
    now: Timestamp,
    by: &str,
    reason: &str,
) -> Result<bool, DbError> {
    let changed = tx
        .execute(
            "UPDATE queue_sessions SET revoked_at = $3, revoked_by = $4, revoke_reason = $5
             WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL",
            &[
                DEFAULT_TENANT.into(),
                id.into(),
                now.into(),
                by.into(),
                reason.into(),
            ],
        )
        .await?;
    Ok(changed == 1)
}

fn read(row: &Row) -> Result<SessionRow, DbError> {
    let amr: String = row.get("amr")?;
    Ok(SessionRow {
        id: row.get("id")?,
        customer: row.get("customer_id")?,
        audience: row.get("audience")?,
        client_id: row.get("client_id")?,
        acr: row.get("acr")?,
        amr: amr.split_ascii_whitespace().map(str::to_owned).collect(),
        auth_time: row.get("auth_time")?,
        created_at: row.get("created_at")?,
        expires_at: row.get("expires_at")?,
        revoked_at: row.get("revoked_at")?,
    })
}

const FIND: &str = "
    SELECT id, customer_id, audience, client_id, acr, amr, auth_time, created_at, expires_at, revoked_at
    FROM queue_sessions WHERE tenant_id = $1 AND id = $2";

const HOLD: Sql = Sql::each(
    "SELECT id FROM queue_sessions WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
    "SELECT id FROM queue_sessions WHERE tenant_id = $1 AND id = $2",
);

const HOLDER: Sql = Sql::each(
    "SELECT state, authz_ver FROM queue_customers WHERE tenant_id = $1 AND id = $2 FOR SHARE",
    "SELECT state, authz_ver FROM queue_customers WHERE tenant_id = $1 AND id = $2",
);

const ROLES: &str = "
    SELECT r.name FROM queue_customer_roles a
    JOIN queue_roles r ON r.tenant_id = a.tenant_id AND r.id = a.role_id
    WHERE a.tenant_id = $1 AND a.customer_id = $2
    ORDER BY r.name";
