//! The SQL of signing keys.
//!
//! **Invariant:** a change of a key locks its tenant's row in `queue_key_sets` first, so steps on one
//! tenant's keys happen one after the other on every replica.

use super::rotation::{KeyFacts, KeyState};
use crate::clock::Timestamp;
use crate::db::{Db, DbError, Id, Row, Sql, Tx};

/// A row of `queue_signing_keys`.
#[derive(Debug, Clone)]
pub(crate) struct KeyRow {
    pub(crate) kid: String,
    pub(crate) facts: KeyFacts,
    pub(crate) public_jwk: String,
    pub(crate) source: String,
    pub(crate) sealed_private: Option<Vec<u8>>,
    pub(crate) kek_id: Option<String>,
    pub(crate) created_at: Timestamp,
    /// The first generation of the set that has the key, once it was published.
    pub(crate) since_generation: i64,
    pub(crate) activated_at: Option<Timestamp>,
    pub(crate) retired_at: Option<Timestamp>,
    pub(crate) revoked_at: Option<Timestamp>,
    pub(crate) destroyed_at: Option<Timestamp>,
}

/// A key about to be inserted.
pub(crate) struct NewKey<'a> {
    pub(crate) kid: &'a str,
    pub(crate) public_jwk: &'a str,
    pub(crate) sealed: Option<(&'a [u8], &'a str)>,
    pub(crate) state: KeyState,
}

/// The generation and every key of the tenant, as of one instant, oldest first.
pub(crate) async fn snapshot(db: &Db, tenant: Id) -> Result<(i64, Vec<KeyRow>), DbError> {
    read_snapshot(&db.fetch_all(SNAPSHOT, &[tenant.into()]).await?)
}

/// The same, as this transaction sees it.
pub(crate) async fn snapshot_in(tx: &mut Tx, tenant: Id) -> Result<(i64, Vec<KeyRow>), DbError> {
    read_snapshot(&tx.fetch_all(SNAPSHOT, &[tenant.into()]).await?)
}

/// The generation alone.
pub(crate) async fn generation(db: &Db, tenant: Id) -> Result<i64, DbError> {
    match db.fetch_optional(GENERATION, &[tenant.into()]).await? {
        Some(row) => row.get("generation"),
        None => Ok(0),
    }
}

/// The generation alone, as this transaction sees it.
pub(crate) async fn generation_in(tx: &mut Tx, tenant: Id) -> Result<i64, DbError> {
    match tx.fetch_optional(GENERATION, &[tenant.into()]).await? {
        Some(row) => row.get("generation"),
        None => Ok(0),
    }
}

/// Every key of the tenant, with its set locked until the transaction ends.
pub(crate) async fn lock_all(tx: &mut Tx, tenant: Id) -> Result<Vec<KeyRow>, DbError> {
    tx.fetch_all(LOCK, &[tenant.into()]).await?;
    Ok(snapshot_in(tx, tenant).await?.1)
}

/// Adds a key; its earlier steps are taken as done at `now`.
pub(crate) async fn insert(
    tx: &mut Tx,
    tenant: Id,
    key: &NewKey<'_>,
    now: Timestamp,
) -> Result<(), DbError> {
    let published = key.state.is_public().then_some(now);
    let activated = (key.state == KeyState::Active).then_some(now);
    let source = if key.sealed.is_some() {
        "generated"
    } else {
        "configured"
    };
    tx.execute(
        "INSERT INTO queue_signing_keys (tenant_id, kid, alg, public_jwk, source, sealed_private, kek_id, state,
                                         created_at, published_at, activated_at)
         VALUES ($1, $2, 'RS256', $3, $4, $5, $6, $7, $8, $9, $10)",
        &[
            tenant.into(),
            key.kid.into(),
            key.public_jwk.into(),
            source.into(),
            key.sealed.map(|(sealed, _)| sealed).into(),
            key.sealed.map(|(_, kek_id)| kek_id).into(),
            key.state.as_str().into(),
            now.into(),
            published.into(),
            activated.into(),
        ],
    )
    .await?;
    if key.state.is_public() {
        remember_publication(tx, tenant, key.kid).await?;
    }
    Ok(())
}

/// Moves a key to `published`.
pub(crate) async fn publish(
    tx: &mut Tx,
    tenant: Id,
    kid: &str,
    now: Timestamp,
) -> Result<(), DbError> {
    tx.execute(
        "UPDATE queue_signing_keys SET state = 'published', published_at = $3 WHERE tenant_id = $1 AND kid = $2",
        &[tenant.into(), kid.into(), now.into()],
    )
    .await?;
    remember_publication(tx, tenant, kid).await
}

/// Remembers the present generation as the first that has the key; the change before has just made it.
async fn remember_publication(tx: &mut Tx, tenant: Id, kid: &str) -> Result<(), DbError> {
    tx.execute(
        "INSERT INTO queue_key_publications (tenant_id, kid, generation)
         SELECT tenant_id, $2, generation FROM queue_key_sets WHERE tenant_id = $1
         ON CONFLICT (tenant_id, kid) DO NOTHING",
        &[tenant.into(), kid.into()],
    )
    .await?;
    Ok(())
}

/// Moves a key to `active`.
pub(crate) async fn activate(
    tx: &mut Tx,
    tenant: Id,
    kid: &str,
    now: Timestamp,
) -> Result<(), DbError> {
    tx.execute(
        "UPDATE queue_signing_keys SET state = 'active', activated_at = $3 WHERE tenant_id = $1 AND kid = $2",
        &[tenant.into(), kid.into(), now.into()],
    )
    .await?;
    Ok(())
}

/// Moves the active key, if there is one, to `retired`.
pub(crate) async fn retire_active(
    tx: &mut Tx,
    tenant: Id,
    now: Timestamp,
    needed_until: Timestamp,
) -> Result<(), DbError> {
    tx.execute(
        "UPDATE queue_signing_keys SET state = 'retired', retired_at = $2, needed_until = $3
         WHERE tenant_id = $1 AND state = 'active'",
        &[tenant.into(), now.into(), needed_until.into()],
    )
    .await?;
    Ok(())
}

/// Moves a key to `revoked`.
pub(crate) async fn revoke(
    tx: &mut Tx,
    tenant: Id,
    kid: &str,
    now: Timestamp,
) -> Result<(), DbError> {
    tx.execute(
        "UPDATE queue_signing_keys SET state = 'revoked', revoked_at = $3 WHERE tenant_id = $1 AND kid = $2",
        &[tenant.into(), kid.into(), now.into()],
    )
    .await?;
    Ok(())
}

/// Moves a key to `destroyed`: its private half is gone, its row stays.
pub(crate) async fn destroy(
    tx: &mut Tx,
    tenant: Id,
    kid: &str,
    now: Timestamp,
) -> Result<(), DbError> {
    tx.execute(
        "UPDATE queue_signing_keys SET state = 'destroyed', destroyed_at = $3, sealed_private = NULL, kek_id = NULL
         WHERE tenant_id = $1 AND kid = $2",
        &[tenant.into(), kid.into(), now.into()],
    )
    .await?;
    Ok(())
}

/// A tenant without keys has one row with a generation and no key.
fn read_snapshot(rows: &[Row]) -> Result<(i64, Vec<KeyRow>), DbError> {
    let mut generation = 0;
    let mut keys = Vec::new();
    for row in rows {
        generation = row.get("generation")?;
        if row.get::<Option<String>>("kid")?.is_some() {
            keys.push(read(row)?);
        }
    }
    Ok((generation, keys))
}

fn read(row: &Row) -> Result<KeyRow, DbError> {
    let state: String = row.get("state")?;
    let state = state
        .parse::<KeyState>()
        .map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(KeyRow {
        kid: row.get("kid")?,
        facts: KeyFacts {
            state,
            published_at: row.get("published_at")?,
            needed_until: row.get("needed_until")?,
        },
        public_jwk: row.get("public_jwk")?,
        source: row.get("source")?,
        sealed_private: row.get("sealed_private")?,
        kek_id: row.get("kek_id")?,
        created_at: row.get("created_at")?,
        since_generation: row.get("since_generation")?,
        activated_at: row.get("activated_at")?,
        retired_at: row.get("retired_at")?,
        revoked_at: row.get("revoked_at")?,
        destroyed_at: row.get("destroyed_at")?,
    })
}

/// One statement, so that the generation and the keys belong together. A key published by an issuer that
/// did not remember when is in the present generation for certain.
const SNAPSHOT: &str = "
    SELECT s.generation, k.kid, k.state, k.public_jwk, k.source, k.sealed_private, k.kek_id, k.created_at,
           k.published_at, k.activated_at, k.retired_at, k.needed_until, k.revoked_at, k.destroyed_at,
           COALESCE(p.generation, s.generation) AS since_generation
    FROM queue_key_sets s LEFT JOIN queue_signing_keys k ON k.tenant_id = s.tenant_id
    LEFT JOIN queue_key_publications p ON p.tenant_id = k.tenant_id AND p.kid = k.kid
    WHERE s.tenant_id = $1
    ORDER BY k.created_at, k.kid";

const GENERATION: &str = "SELECT generation FROM queue_key_sets WHERE tenant_id = $1";

/// SQLite's write transaction is the lock already.
const LOCK: Sql = Sql::each(
    "SELECT generation FROM queue_key_sets WHERE tenant_id = $1 FOR UPDATE",
    "SELECT generation FROM queue_key_sets WHERE tenant_id = $1",
);
