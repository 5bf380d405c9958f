//! The audit chain against whoever can write to the database: what was changed past the issuer is found, and where.

use ::http::Method;
use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::audit_chain::{export, grow, operator_get, verify};
use crate::harness::{Database, Issuer, on_both_engines};

on_both_engines! {
    tampering_is_found_at_its_place
    chain_built_anew_is_found_by_its_checkpoint
    export_is_the_whole_chain_and_hashes_again
    tables_refuse_changes
}

async fn tampering_is_found_at_its_place(database: Database) {
    let issuer = Issuer::start(&database).await;
    let (last, signed) = grow(&issuer, &database).await;
    let sound = verify(&issuer, None).await;
    assert_eq!(sound["valid"], true, "{sound}");
    assert_eq!(sound["events"], last);
    assert_eq!(sound["unchained"], 0);
    lay_open(&database).await;
    let zeros = if database.is_postgres() {
        "'\\x00'::bytea"
    } else {
        "X'00'"
    };
    let cases: [(String, i64, &str); 12] = [
        (
            update("action = 'key.revoked'", 3),
            3,
            "audit_event_altered",
        ),
        (
            update("actor_id = actor_id || 'x'", 1),
            1,
            "audit_event_altered",
        ),
        (update("details = '{ }'", 4), 4, "audit_event_altered"),
        (
            update("customer_id = NULL", last),
            last,
            "audit_event_altered",
        ),
        (
            update("request_id = NULL", last),
            last,
            "audit_event_altered",
        ),
        (
            update("target_kind = 'custome', target_id = 'r' || target_id", 3),
            3,
            "audit_event_altered",
        ),
        (
            update(&format!("prev_hash = {zeros}"), 3),
            3,
            "audit_link_broken",
        ),
        (
            "DELETE FROM customer_audit_events WHERE chain_seq = 3".to_owned(),
            3,
            "audit_event_missing",
        ),
        (
            "DELETE FROM customer_audit_events WHERE chain_seq = 1".to_owned(),
            1,
            "audit_event_missing",
        ),
        (
            "UPDATE customer_audit_events SET chain_seq = -3 WHERE chain_seq = 3;
             UPDATE customer_audit_events SET chain_seq = 3 WHERE chain_seq = 4;
             UPDATE customer_audit_events SET chain_seq = 4 WHERE chain_seq = -3"
                .to_owned(),
            3,
            "audit_link_broken",
        ),
        (
            format!("DELETE FROM customer_audit_events WHERE chain_seq >= {signed}"),
            signed,
            "audit_chain_truncated",
        ),
        (
            "DELETE FROM customer_audit_events".to_owned(),
            1,
            "audit_chain_truncated",
        ),
    ];
    for (sql, place, problem) in cases {
        database.execute(&sql).await.unwrap();
        let report = verify(&issuer, None).await;
        assert_eq!(report["valid"], false, "{sql}: {report}");
        assert_eq!(report["first_bad_seq"], place, "{sql}: {report}");
        assert_eq!(report["problem"], problem, "{sql}: {report}");
        restore(&database).await;
    }
    let hash = "hash = prev_hash FROM customer_audit_events e WHERE e.chain_seq = 3 AND queue_audit_checkpoints.chain_seq";
    for set in [
        format!("UPDATE queue_audit_checkpoints SET {hash} = {signed}"),
        format!("UPDATE queue_audit_checkpoints SET jws = replace(jws, '.', '.A') WHERE chain_seq = {signed}"),
        format!("UPDATE queue_audit_checkpoints SET event_count = 1 WHERE chain_seq = {signed}"),
        format!(
            "UPDATE queue_audit_checkpoints SET jws = (SELECT MIN(jws) FROM queue_audit_checkpoints WHERE chain_seq < {signed})
             WHERE chain_seq = {signed}"
        ),
    ] {
        let set = set.replace("hash = prev_hash", "hash = e.prev_hash");
        database.execute(&set).await.unwrap();
        let report = verify(&issuer, None).await;
        assert_eq!(report["first_bad_seq"], signed, "{set}: {report}");
        assert_eq!(report["problem"], "audit_checkpoint_forged", "{set}: {report}");
        restore(&database).await;
    }
    assert_eq!(verify(&issuer, None).await, sound);
}

async fn chain_built_anew_is_found_by_its_checkpoint(database: Database) {
    let issuer = Issuer::start(&database).await;
    let (_, signed) = grow(&issuer, &database).await;
    let checkpoints = operator_get(&issuer, "/api/v1/audit/checkpoints").await;
    let checkpoints = checkpoints["checkpoints"].as_array().unwrap();
    let kept = checkpoints.last().unwrap()["jws"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(checkpoints.last().unwrap()["seq"], signed);
    let agreed = verify(&issuer, Some(&kept)).await;
    assert_eq!(agreed["valid"], true, "{agreed}");
    lay_open(&database).await;
    // Whoever can write to the database can hash as well as the issuer can.
    database
        .execute(&update("action = 'nothing.happened'", 3))
        .await
        .unwrap();
    rehash(&issuer, &database).await;
    let report = verify(&issuer, None).await;
    assert_eq!(report["first_bad_seq"], signed, "{report}");
    assert_eq!(report["problem"], "audit_checkpoint_mismatch");
    database
        .execute("DELETE FROM queue_audit_checkpoints")
        .await
        .unwrap();
    assert_eq!(verify(&issuer, None).await["valid"], true);
    let report = verify(&issuer, Some(&kept)).await;
    assert_eq!(report["first_bad_seq"], signed, "{report}");
    assert_eq!(report["problem"], "audit_checkpoint_mismatch");
    let cut = format!("DELETE FROM customer_audit_events WHERE chain_seq >= {signed}");
    database.execute(&cut).await.unwrap();
    let report = verify(&issuer, Some(&kept)).await;
    assert_eq!(report["first_bad_seq"], signed, "{report}");
    assert_eq!(report["problem"], "audit_chain_truncated");
    let customer = issuer.customer("eve@example.com").await;
    let minted = issuer.mint(&customer).await.expect(201);
    let token = minted["access_token"].as_str().unwrap();
    for other in ["", "x", token, &kept[1..]] {
        let report = verify(&issuer, Some(other)).await;
        assert_eq!(report["problem"], "audit_checkpoint_forged", "{report}");
    }
}

async fn export_is_the_whole_chain_and_hashes_again(database: Database) {
    let issuer = Issuer::start(&database).await;
    let (last, _) = grow(&issuer, &database).await;
    let events = export(&issuer, "").await;
    assert_eq!(i64::try_from(events.len()).unwrap(), last);
    let mut prev = "0".repeat(64);
    for (seq, event) in (1..).zip(&events) {
        assert_eq!(event["chain_seq"], seq);
        assert_eq!(event["prev_hash"], json!(prev));
        prev = hex(&hash(event, seq, &unhex(&prev)));
        assert_eq!(event["hash"], json!(prev), "{event}");
    }
    assert_eq!(
        export(&issuer, &format!("?after={}", last - 2)).await,
        events[events.len() - 2..]
    );
    let lines = issuer
        .operator(Method::GET, "/api/v1/audit/export", None)
        .await;
    assert_eq!(lines.header("content-type"), "application/jsonl");
    assert_eq!(lines.header("cache-control"), "no-store");
    for (path, query) in [
        ("export", "after=-1"),
        ("export", "limit=1"),
        ("checkpoints", "limit=0"),
    ] {
        let path = format!("/api/v1/audit/{path}?{query}");
        let refused = issuer.operator(Method::GET, &path, None).await;
        refused.expect_problem(400, "request_query_malformed");
    }
}

async fn tables_refuse_changes(database: Database) {
    let issuer = Issuer::start(&database).await;
    let (last, _) = grow(&issuer, &database).await;
    let mut changes = vec![
        update("action = 'x'", 1),
        update("hash = prev_hash", 1),
        "UPDATE customer_audit_events SET chain_seq = NULL, prev_hash = NULL, hash = NULL"
            .to_owned(),
        "DELETE FROM customer_audit_events".to_owned(),
        "UPDATE queue_audit_checkpoints SET event_count = 7".to_owned(),
        "DELETE FROM queue_audit_checkpoints".to_owned(),
    ];
    if database.is_postgres() {
        changes.push("TRUNCATE customer_audit_events".to_owned());
        changes.push("TRUNCATE queue_audit_checkpoints".to_owned());
    }
    for change in changes {
        let refused = database.execute(&change).await.unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{change}: {refused}");
    }
    assert_eq!(verify(&issuer, None).await["events"], last);
}

/// Takes away what keeps others from changing the tables, and keeps a copy.
async fn lay_open(database: &Database) {
    let drop = if database.is_postgres() {
        "DROP TRIGGER customer_audit_events_append_only ON customer_audit_events;
         DROP TRIGGER queue_audit_checkpoints_append_only ON queue_audit_checkpoints;"
    } else {
        "DROP TRIGGER customer_audit_events_append_only; DROP TRIGGER customer_audit_events_are_kept;
         DROP TRIGGER queue_audit_checkpoints_append_only; DROP TRIGGER queue_audit_checkpoints_are_kept;"
    };
    let copy = "CREATE TABLE kept_events AS SELECT * FROM customer_audit_events;
                CREATE TABLE kept_checkpoints AS SELECT * FROM queue_audit_checkpoints";
    database.execute(&format!("{drop} {copy}")).await.unwrap();
}

async fn restore(database: &Database) {
    database
        .execute(
            "DELETE FROM customer_audit_events; DELETE FROM queue_audit_checkpoints;
             INSERT INTO customer_audit_events SELECT * FROM kept_events;
             INSERT INTO queue_audit_checkpoints SELECT * FROM kept_checkpoints",
        )
        .await
        .unwrap();
}

fn update(set: &str, seq: i64) -> String {
    format!("UPDATE customer_audit_events SET {set} WHERE chain_seq = {seq}")
}

/// Hashes the stored chain again, as it stands.
async fn rehash(issuer: &Issuer, database: &Database) {
    let mut prev = vec![0; 32];
    for (seq, event) in (1..).zip(export(issuer, "").await) {
        let new = hash(&event, seq, &prev);
        let bytes = |bytes: &[u8]| {
            if database.is_postgres() {
                format!("'\\x{}'::bytea", hex(bytes))
            } else {
                format!("X'{}'", hex(bytes))
            }
        };
        let set = format!("prev_hash = {}, hash = {}", bytes(&prev), bytes(&new));
        database.execute(&update(&set, seq)).await.unwrap();
        prev = new;
    }
}

/// The hash of an exported event, by the manual and not by the issuer's code.
fn hash(event: &Value, seq: i64, prev: &[u8]) -> Vec<u8> {
    let uuid = |member: &str| {
        event[member]
            .as_str()
            .map(|text| unhex(&text.replace('-', "")))
    };
    let text = |member: &str| event[member].as_str().map(|text| text.as_bytes().to_vec());
    let occurred_at = event["occurred_at_micros"].as_i64().unwrap();
    let fields = [
        Some(b"queue-audit-event-v1".to_vec()),
        uuid("tenant_id"),
        Some(seq.to_be_bytes().to_vec()),
        Some(prev.to_vec()),
        uuid("id"),
        Some(occurred_at.to_be_bytes().to_vec()),
        text("actor_kind"),
        text("actor_id"),
        text("action"),
        uuid("customer_id"),
        text("target_kind"),
        text("target_id"),
        text("request_id"),
        text("details"),
    ];
    let mut bytes = Vec::new();
    for field in fields {
        let Some(field) = field else {
            bytes.push(0);
            continue;
        };
        bytes.push(1);
        bytes.extend(u64::try_from(field.len()).unwrap().to_be_bytes());
        bytes.extend(field);
    }
    digest(&SHA256, &bytes).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}
