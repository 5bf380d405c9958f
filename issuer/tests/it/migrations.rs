//! Migrations: plain SQL any runner can apply, the same by every way.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Database, FakeClock, Issuer, on_both_engines};
use crate::postgres::psql;

on_both_engines! {
    files_applied_by_another_runner_are_found_done
    newer_ledger_is_left_alone
    number_that_arrives_late_is_applied
    every_table_has_a_tenant
}

#[test]
fn both_folders_hold_the_same_names() {
    let names = |engine: &str| {
        let mut names: Vec<String> = std::fs::read_dir(folder(engine))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names("postgres"), names("sqlite"));
    // A number may be left out, never used twice.
    let mut last = 0;
    for name in names("postgres") {
        let (number, rest) = name.split_once('_').unwrap();
        let number: u32 = number.parse().unwrap();
        assert!(
            number > last && rest.starts_with("queue_") && rest.ends_with(".sql"),
            "{name}"
        );
        last = number;
    }
}

#[test]
fn psql_alone_makes_the_same_schema_as_the_migrator() {
    let by_psql = Database::postgres();
    apply(&by_psql);
    let by_issuer = Database::postgres();
    migrate_up(&by_issuer);
    assert_eq!(dump(&by_psql), dump(&by_issuer));
    assert!(dump(&by_psql).contains("CREATE TABLE public.queue_sessions"));
}

async fn files_applied_by_another_runner_are_found_done(database: Database) {
    if database.is_postgres() {
        apply(&database);
    } else {
        for file in files("sqlite") {
            database
                .execute(&std::fs::read_to_string(file).unwrap())
                .await
                .unwrap();
        }
    }
    let issuer = Issuer::start(&database).await;
    issuer.get("/readyz").await.expect(200);
    let customer = issuer.customer("ada@example.com").await;
    issuer.mint(&customer).await.expect(201);
    assert_eq!(
        database
            .number("SELECT COUNT(*) FROM queue_schema_migrations")
            .await,
        6
    );
}

async fn newer_ledger_is_left_alone(database: Database) {
    Issuer::start(&database).await.stop().await.unwrap();
    database
        .execute(
            "INSERT INTO queue_schema_migrations (version, name) VALUES (999, 'from_the_future')",
        )
        .await
        .unwrap();
    let issuer = Issuer::start_with(&database, &[], FakeClock::new()).await;
    issuer.get("/readyz").await.expect(200);
}

async fn number_that_arrives_late_is_applied(database: Database) {
    let engine = if database.is_postgres() {
        "postgres"
    } else {
        "sqlite"
    };
    for file in files(engine) {
        if !file.to_string_lossy().contains("/002_") {
            let text = std::fs::read_to_string(file).unwrap();
            database.execute(&text).await.unwrap();
        }
    }
    let missing = "SELECT COUNT(*) FROM queue_schema_migrations WHERE version = 2";
    assert_eq!(database.number(missing).await, 0);
    let issuer = Issuer::start(&database).await;
    issuer.get("/readyz").await.expect(200);
    assert_eq!(database.number(missing).await, 1);
    issuer.customer("ada@example.com").await;
}

async fn every_table_has_a_tenant(database: Database) {
    Issuer::start(&database).await.stop().await.unwrap();
    let without = if database.is_postgres() {
        "SELECT COUNT(*) FROM information_schema.tables t WHERE t.table_schema = 'public'
         AND t.table_name NOT IN ('queue_tenants', 'queue_schema_migrations') AND NOT EXISTS (
             SELECT 1 FROM information_schema.columns c WHERE c.table_name = t.table_name AND c.column_name = 'tenant_id')"
    } else {
        "SELECT COUNT(*) FROM sqlite_master t WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'
         AND t.name NOT IN ('queue_tenants', 'queue_schema_migrations') AND NOT EXISTS (
             SELECT 1 FROM pragma_table_info(t.name) c WHERE c.name = 'tenant_id')"
    };
    assert_eq!(database.number(without).await, 0);
}

fn apply(database: &Database) {
    for file in files("postgres") {
        psql(&database.url, &["-f", file.to_str().unwrap()]);
    }
}

fn migrate_up(database: &Database) {
    let status = Command::new(env!("CARGO_BIN_EXE_queue-issuer"))
        .args(["migrate", "up"])
        .env_clear()
        .envs(database.env(&[]))
        .output()
        .unwrap();
    assert!(
        status.status.success(),
        "{}",
        String::from_utf8_lossy(&status.stderr)
    );
}

fn dump(database: &Database) -> String {
    let output = Command::new(format!("{}/pg_dump", *crate::postgres::BIN))
        .args(["--schema-only", "--no-owner", &database.url])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    // Recent versions of pg_dump put a random key into these two lines.
    text.lines()
        .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn files(engine: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder(engine))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort_unstable();
    files
}

fn folder(engine: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../migrations")
        .join(engine)
}
