//! The SQL of service clients and their stored tokens.

use super::text::{Fresh, Presented};
use crate::clock::Timestamp;
use crate::db::{DEFAULT_TENANT, Db, DbError, Id, Row, Sql, Tx};

/// A stored token with its client.
#[derive(Clone)]
pub(crate) struct TokenRow {
    pub(crate) id: Id,
    pub(crate) client_id: String,
    pub(crate) scopes: Vec<String>,
    pub(super) client_state: String,
    pub(super) prefix: String,
    hash: Vec<u8>,
    slot: Option<i64>,
    pub(crate) created_at: Timestamp,
    pub(super) created_by: String,
    pub(crate) expires_at: Timestamp,
    pub(crate) last_used_at: Option<Timestamp>,
    pub(super) revoked_at: Option<Timestamp>,
}

/// A service client, held still until the transaction ends.
pub(super) struct ClientRow {
    pub(super) id: Id,
    pub(super) scopes: String,
    pub(super) state: String,
}

impl TokenRow {
    /// Whether the token opens anything.
    pub(crate) fn is_live(&self, now: Timestamp) -> bool {
        self.client_state == "active" && self.state(now) == "live"
    }

    /// `live`, `expired` or `revoked`, whatever the client's state.
    pub(crate) fn state(&self, now: Timestamp) -> &'static str {
        if self.revoked_at.is_some() {
            "revoked"
        } else if self.slot.is_none() || self.expires_at <= now {
            "expired"
        } else {
            "live"
        }
    }
}

/// The token that was presented, dead or alive.
pub(super) async fn find_presented(
    db: &Db,
    presented: &Presented,
) -> Result<Option<TokenRow>, DbError> {
    let row = db
        .fetch_optional(
            BY_PREFIX,
            &[DEFAULT_TENANT.into(), (&presented.prefix).into()],
        )
        .await?;
    let row = row.as_ref().map(read).transpose()?;
    Ok(row.filter(|row| presented.is(&row.hash)))
}

/// The token `id`.
pub(super) async fn find(db: &Db, id: Id) -> Result<Option<TokenRow>, DbError> {
    let row = db
        .fetch_optional(BY_ID, &[DEFAULT_TENANT.into(), id.into()])
        .await?;
    row.as_ref().map(read).transpose()
}

/// The token `id`, as this transaction sees it.
pub(super) async fn find_in(tx: &mut Tx, id: Id) -> Result<Option<TokenRow>, DbError> {
    let row = tx
        .fetch_optional(BY_ID, &[DEFAULT_TENANT.into(), id.into()])
        .await?;
    row.as_ref().map(read).transpose()
}

/// Up to `limit` tokens that were made after the token `after`.
pub(super) async fn page(db: &Db, after: Id, limit: i64) -> Result<Vec<TokenRow>, DbError> {
    let rows = db
        .fetch_all(PAGE, &[DEFAULT_TENANT.into(), after.into(), limit.into()])
        .await?;
    rows.iter().map(read).collect()
}

/// The client called `client_id`, made with `scopes` if it is not there; other writers of it wait.
pub(super) async fn hold_client(
    tx: &mut Tx,
    client_id: &str,
    scopes: &str,
    now: Timestamp,
) -> Result<ClientRow, DbError> {
    tx.execute(
        "INSERT INTO queue_service_clients (id, tenant_id, client_id, scopes, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT (tenant_id, client_id) DO NOTHING",
        &[
            Id::new(now).into(),
            DEFAULT_TENANT.into(),
            client_id.into(),
            scopes.into(),
            now.into(),
        ],
    )
    .await?;
    let rows = tx
        .fetch_all(HOLD_CLIENT, &[DEFAULT_TENANT.into(), client_id.into()])
        .await?;
    let row = rows
        .first()
        .ok_or(DbError::Refused(sqlx::Error::RowNotFound))?;
    Ok(ClientRow {
        id: row.get("id")?,
        scopes: row.get("scopes")?,
        state: row.get("state")?,
    })
}

/// Gives the client other scopes.
pub(super) async fn set_scopes(
    tx: &mut Tx,
    client: Id,
    scopes: &str,
    now: Timestamp,
) -> Result<(), DbError> {
    tx.execute(
        "UPDATE queue_service_clients SET scopes = $3, updated_at = $4 WHERE tenant_id = $1 AND id = $2",
        &[
            DEFAULT_TENANT.into(),
            client.into(),
            scopes.into(),
            now.into(),
        ],
    )
    .await?;
    Ok(())
}

/// Frees the slots of expired tokens; the slots that are left taken.
pub(super) async fn taken_slots(
    tx: &mut Tx,
    client: Id,
    now: Timestamp,
) -> Result<Vec<i64>, DbError> {
    tx.execute(
        "UPDATE queue_service_tokens SET slot = NULL
         WHERE tenant_id = $1 AND service_client_id = $2 AND slot IS NOT NULL AND expires_at <= $3",
        &[DEFAULT_TENANT.into(), client.into(), now.into()],
    )
    .await?;
    let rows = tx
        .fetch_all(
            "SELECT slot FROM queue_service_tokens
             WHERE tenant_id = $1 AND service_client_id = $2 AND slot IS NOT NULL",
            &[DEFAULT_TENANT.into(), client.into()],
        )
        .await?;
    rows.iter().map(|row| row.get("slot")).collect()
}

/// Keeps a new token of the client.
pub(super) async fn insert(
    tx: &mut Tx,
    client: Id,
    fresh: &Fresh,
    slot: i64,
    by: &str,
    times: (Timestamp, Timestamp),
) -> Result<(), DbError> {
    tx.execute(
        "INSERT INTO queue_service_tokens (id, tenant_id, service_client_id, token_prefix, token_hash, slot,
                                           created_at, created_by, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        &[
            fresh.id.into(),
            DEFAULT_TENANT.into(),
            client.into(),
            (&fresh.prefix).into(),
            fresh.hash.as_slice().into(),
            slot.into(),
            times.0.into(),
            by.into(),
            times.1.into(),
        ],
    )
    .await?;
    Ok(())
}

/// Revokes the token; false when it was revoked before, or is none.
pub(super) async fn revoke(tx: &mut Tx, id: Id, by: &str, now: Timestamp) -> Result<bool, DbError> {
    let changed = tx
        .execute(
            "UPDATE queue_service_tokens SET revoked_at = $3, revoked_by = $4, slot = NULL
             WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL",
            &[DEFAULT_TENANT.into(), id.into(), now.into(), by.into()],
        )
        .await?;
    Ok(changed == 1)
}

/// Writes down that the token was used at `at`, unless a use later than `before` is written already.
pub(super) async fn used(
    tx: &mut Tx,
    id: Id,
    at: Timestamp,
    before: Timestamp,
) -> Result<(), DbError> {
    tx.execute(
        "UPDATE queue_service_tokens SET last_used_at = $3
         WHERE tenant_id = $1 AND id = $2 AND (last_used_at IS NULL OR last_used_at <= $4)",
        &[DEFAULT_TENANT.into(), id.into(), at.into(), before.into()],
    )
    .await?;
    Ok(())
}

fn read(row: &Row) -> Result<TokenRow, DbError> {
    let scopes: String = row.get("scopes")?;
    Ok(TokenRow {
        id: row.get("id")?,
        client_id: row.get("client_id")?,
        scopes: scopes.split_ascii_whitespace().map(str::to_owned).collect(),
        client_state: row.get("state")?,
        prefix: row.get("token_prefix")?,
        hash: row.get("token_hash")?,
        slot: row.get("slot")?,
        created_at: row.get("created_at")?,
        created_by: row.get("created_by")?,
        expires_at: row.get("expires_at")?,
        last_used_at: row.get("last_used_at")?,
        revoked_at: row.get("revoked_at")?,
    })
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT t.id, c.client_id, c.scopes, c.state, t.token_prefix, t.token_hash, t.slot,
                    t.created_at, t.created_by, t.expires_at, t.last_used_at, t.revoked_at
             FROM queue_service_tokens t
             JOIN queue_service_clients c ON c.tenant_id = t.tenant_id AND c.id = t.service_client_id
             WHERE t.tenant_id = $1 AND ",
            $rest
        )
    };
}

const BY_PREFIX: &str = select!("t.token_prefix = $2");
const BY_ID: &str = select!("t.id = $2");
const PAGE: &str = select!("t.id > $2 ORDER BY t.id LIMIT $3");

const HOLD_CLIENT: Sql = Sql::each(
    "SELECT id, scopes, state FROM queue_service_clients WHERE tenant_id = $1 AND client_id = $2 FOR UPDATE",
    "SELECT id, scopes, state FROM queue_service_clients WHERE tenant_id = $1 AND client_id = $2",
);
