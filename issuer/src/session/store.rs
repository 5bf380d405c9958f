//! The SQL of sessions.

use std::time::Duration;

use super::{Device, Holder, SessionRow};
use crate::audit::{self, Actor, Event};
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

/// The session `id` and its customer, held still until the transaction ends. The customer is held first, as
/// whoever suspends it does, so neither waits for the other for ever.
pub(super) async fn hold(tx: &mut Tx, id: Id) -> Result<Option<(SessionRow, Holder)>, DbError> {
    let Some(session) = find(tx, id).await? else {
        return Ok(None);
    };
    let Some(holder) = holder(tx, session.customer).await? else {
        return Ok(None);
    };
    // As it is once whoever held it before has committed; SQLite's write transaction is the lock already.
    let row = tx
        .fetch_optional(HOLD, &[DEFAULT_TENANT.into(), id.into()])
        .await?;
    let session = row.as_ref().map(read).transpose()?;
    Ok(session.map(|session| (session, holder)))
}

/// The live sessions of `customer`, held still until the transaction ends, as is the customer.
pub(super) async fn hold_all(
    tx: &mut Tx,
    customer: Id,
    now: Timestamp,
) -> Result<Vec<SessionRow>, DbError> {
    holder(tx, customer).await?;
    let values = [DEFAULT_TENANT.into(), customer.into(), now.into()];
    let rows = tx.fetch_all(HOLD_ALL, &values).await?;
    rows.iter().map(read).collect()
}

/// The live session `id` of an active customer, outside any transaction.
pub(super) async fn find_live(
    db: &Db,
    id: Id,
    now: Timestamp,
) -> Result<Option<SessionRow>, DbError> {
    let row = db
        .fetch_optional(LIVE, &[DEFAULT_TENANT.into(), id.into(), now.into()])
        .await?;
    row.as_ref().map(read).transpose()
}

/// The live sessions of `customer`, newest first, with the device of those that have one.
pub(super) async fn devices(db: &Db, customer: Id, now: Timestamp) -> Result<Vec<Device>, DbError> {
    let values = [DEFAULT_TENANT.into(), customer.into(), now.into()];
    let rows = db.fetch_all(DEVICES, &values).await?;
    rows.iter().map(device).collect()
}

/// Whether a session of `customer` was ever on `device`.
pub(super) async fn knows_device(tx: &mut Tx, customer: Id, device: &str) -> Result<bool, DbError> {
    let row = tx
        .fetch_optional(
            "SELECT s.id FROM queue_sessions s
             JOIN queue_session_refreshes r ON r.tenant_id = s.tenant_id AND r.session_id = s.id
             WHERE s.tenant_id = $1 AND s.customer_id = $2 AND r.device = $3 LIMIT 1",
            &[DEFAULT_TENANT.into(), customer.into(), device.into()],
        )
        .await?;
    Ok(row.is_some())
}

/// How many sessions there are.
pub(super) struct Counts {
    pub(super) live: i64,
    pub(super) revoked_last_hour: i64,
}

/// Counts sessions.
pub(super) async fn counts(db: &Db, now: Timestamp) -> Result<Counts, DbError> {
    let hour_ago = now.minus(Duration::from_secs(3_600));
    let rows = db
        .fetch_all(
            "SELECT COUNT(CASE WHEN revoked_at IS NULL AND expires_at > $2 THEN 1 END) AS live,
                    COUNT(CASE WHEN revoked_at > $3 THEN 1 END) AS revoked
             FROM queue_sessions WHERE tenant_id = $1",
            &[DEFAULT_TENANT.into(), now.into(), hour_ago.into()],
        )
        .await?;
    let number = |name| rows.first().map_or(Ok(0), |row| row.get(name));
    Ok(Counts {
        live: number("live")?,
        revoked_last_hour: number("revoked")?,
    })
}

/// The `limit` sessions begun last, with their devices.
pub(super) async fn newest(db: &Db, limit: i64) -> Result<Vec<Device>, DbError> {
    let rows = db
        .fetch_all(NEWEST, &[DEFAULT_TENANT.into(), limit.into()])
        .await?;
    rows.iter().map(device).collect()
}

/// Notes that the customer has just shown more than when the session began.
pub(super) async fn step_up(tx: &mut Tx, session: &SessionRow) -> Result<(), DbError> {
    let amr = session.amr.join(" ");
    tx.execute(
        "UPDATE queue_sessions SET acr = $3, amr = $4, auth_time = $5 WHERE tenant_id = $1 AND id = $2",
        &[
            DEFAULT_TENANT.into(),
            session.id.into(),
            (&session.acr).into(),
            (&amr).into(),
            session.auth_time.into(),
        ],
    )
    .await?;
    Ok(())
}

/// Ends `session` and writes the event; false when it was over before.
pub(super) async fn end(
    tx: &mut Tx,
    session: &SessionRow,
    actor: &Actor,
    now: Timestamp,
    reason: &str,
) -> Result<bool, DbError> {
    let changed = tx
        .execute(
            "UPDATE queue_sessions SET revoked_at = $3, revoked_by = $4, revoke_reason = $5
             WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL",
            &[
                DEFAULT_TENANT.into(),
                session.id.into(),
                now.into(),
                (&actor.id).into(),
                reason.into(),
            ],
        )
        .await?;
    if changed == 0 {
        return Ok(false);
    }
    let id = session.id.to_string();
    let event = Event {
        action: "session.revoked",
        customer: Some(session.customer),
        target_kind: "session",
        target_id: &id,
    };
    audit::record(tx, actor, &event, now).await?;
    Ok(true)
}

fn device(row: &Row) -> Result<Device, DbError> {
    Ok(Device {
        session: read(row)?,
        device: row.get("device")?,
        last_used_at: row.get("last_used_at")?,
    })
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

const LIVE: &str = "
    SELECT s.id, s.customer_id, s.audience, s.client_id, s.acr, s.amr, s.auth_time, s.created_at, s.expires_at,
           s.revoked_at
    FROM queue_sessions s
    JOIN queue_customers c ON c.tenant_id = s.tenant_id AND c.id = s.customer_id AND c.state = 'active'
    WHERE s.tenant_id = $1 AND s.id = $2 AND s.revoked_at IS NULL AND s.expires_at > $3";

const DEVICES: &str = "
    SELECT s.id, s.customer_id, s.audience, s.client_id, s.acr, s.amr, s.auth_time, s.created_at, s.expires_at,
           s.revoked_at, r.device, r.last_used_at
    FROM queue_sessions s
    LEFT JOIN queue_session_refreshes r ON r.tenant_id = s.tenant_id AND r.session_id = s.id
    WHERE s.tenant_id = $1 AND s.customer_id = $2 AND s.revoked_at IS NULL AND s.expires_at > $3
    ORDER BY s.created_at DESC, s.id DESC";

const NEWEST: &str = "
    SELECT s.id, s.customer_id, s.audience, s.client_id, s.acr, s.amr, s.auth_time, s.created_at, s.expires_at,
           s.revoked_at, r.device, r.last_used_at
    FROM queue_sessions s
    LEFT JOIN queue_session_refreshes r ON r.tenant_id = s.tenant_id AND r.session_id = s.id
    WHERE s.tenant_id = $1
    ORDER BY s.id DESC LIMIT $2";

const HOLD: Sql = Sql::each(
    "SELECT id, customer_id, audience, client_id, acr, amr, auth_time, created_at, expires_at, revoked_at
     FROM queue_sessions WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
    FIND,
);

const HOLD_ALL: Sql = Sql::each(
    "SELECT id, customer_id, audience, client_id, acr, amr, auth_time, created_at, expires_at, revoked_at
     FROM queue_sessions WHERE tenant_id = $1 AND customer_id = $2 AND revoked_at IS NULL AND expires_at > $3
     ORDER BY id FOR UPDATE",
    "SELECT id, customer_id, audience, client_id, acr, amr, auth_time, created_at, expires_at, revoked_at
     FROM queue_sessions WHERE tenant_id = $1 AND customer_id = $2 AND revoked_at IS NULL AND expires_at > $3
     ORDER BY id",
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
