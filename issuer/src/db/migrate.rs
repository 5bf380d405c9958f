//! Migrations: takes a connected database, applies the files it has not seen, gives what it did.
//!
//! **Invariant:** all missing files are applied in one transaction under a lock, so processes that
//! start at once do it once, and a failing file leaves the database as it was.
//! **Invariant:** what is missing is told by number, not by position: a number may be left out, and one
//! that arrives after its successors is applied all the same.
//! **Invariant:** the ledger is written by the files themselves; who ran them does not matter.

use super::{Db, DbError, Row, Sql};

/// One migration, in both dialects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Migration {
    pub(crate) version: i64,
    pub(crate) name: &'static str,
    sql: Sql,
}

/// Applies what is missing; the migrations it applied, in order.
pub(crate) async fn up(db: &Db) -> Result<Vec<&'static Migration>, DbError> {
    let mut tx = db.begin().await?;
    tx.execute(LOCK, &[]).await?;
    let has_ledger = tx.fetch_optional(LEDGER_EXISTS, &[]).await?.is_some();
    let applied = if has_ledger {
        tx.fetch_all(APPLIED, &[]).await?
    } else {
        Vec::new()
    };
    let missing = missing(&applied)?;
    for migration in &missing {
        tx.execute_file(migration.sql).await?;
    }
    tx.commit().await?;
    Ok(missing)
}

/// The migrations this build knows and the database lacks.
pub(crate) async fn pending(db: &Db) -> Result<Vec<&'static Migration>, DbError> {
    let has_ledger = db.fetch_optional(LEDGER_EXISTS, &[]).await?.is_some();
    let applied = if has_ledger {
        db.fetch_all(APPLIED, &[]).await?
    } else {
        Vec::new()
    };
    missing(&applied)
}

fn missing(applied: &[Row]) -> Result<Vec<&'static Migration>, DbError> {
    let mut versions = Vec::<i64>::new();
    for row in applied {
        versions.push(row.get("version")?);
    }
    Ok(MIGRATIONS
        .iter()
        .filter(|migration| !versions.contains(&migration.version))
        .collect())
}

macro_rules! migration {
    ($version:literal, $name:literal, $file:literal) => {
        Migration {
            version: $version,
            name: $name,
            sql: Sql::each(
                include_str!(concat!("../../../migrations/postgres/", $file)),
                include_str!(concat!("../../../migrations/sqlite/", $file)),
            ),
        }
    };
}

/// Every migration, in order. 003 is kept for the backfill of the cutover.
pub(crate) const MIGRATIONS: &[Migration] = &[
    migration!(1, "queue_core_tables", "001_queue_core_tables.sql"),
    migration!(2, "queue_customer_roles", "002_queue_customer_roles.sql"),
    migration!(4, "queue_status_lists", "004_queue_status_lists.sql"),
    migration!(
        5,
        "queue_verifier_sightings",
        "005_queue_verifier_sightings.sql"
    ),
    migration!(6, "queue_rbac", "006_queue_rbac.sql"),
    migration!(
        7,
        "queue_audit_checkpoints",
        "007_queue_audit_checkpoints.sql"
    ),
    migration!(8, "queue_service_clients", "008_queue_service_clients.sql"),
    migration!(9, "queue_outbox", "009_queue_outbox.sql"),
    migration!(
        10,
        "queue_session_refreshes",
        "010_queue_session_refreshes.sql"
    ),
    migration!(11, "queue_parity_samples", "011_queue_parity_samples.sql"),
];

/// SQLite's write transaction is the lock already.
const LOCK: Sql = Sql::each(
    "SELECT pg_advisory_xact_lock(7164770110471995749)",
    "SELECT 1",
);

const APPLIED: &str = "SELECT version FROM queue_schema_migrations";

const LEDGER_EXISTS: Sql = Sql::each(
    "SELECT 1 AS found WHERE to_regclass('queue_schema_migrations') IS NOT NULL",
    "SELECT 1 AS found FROM sqlite_master WHERE type = 'table' AND name = 'queue_schema_migrations'",
);
