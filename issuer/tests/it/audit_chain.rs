//! The audit chain: what is written joins it once, and checkpoints say how far it has come.

use std::time::Duration;

use ::http::Method;
use serde_json::{Value, json};

use crate::harness::{Database, FakeClock, Issuer, eventually, look_into, on_both_engines};

on_both_engines! {
    two_issuers_build_one_chain
    chainer_that_dies_in_the_middle_leaves_a_valid_chain
    event_that_commits_late_joins_late
    checkpoint_comes_after_so_many_events_or_so_much_time
    checkpoint_outlives_its_key
    erasure_leaves_the_chain_valid
}

async fn two_issuers_build_one_chain(database: Database) {
    let clock = FakeClock::new();
    let a = Issuer::start_with(&database, &[], clock.clone()).await;
    let b = Issuer::start_with(&database, &[], clock).await;
    for round in 0..40 {
        let (one, two) = (
            format!("a{round}@example.com"),
            format!("b{round}@example.com"),
        );
        tokio::join!(a.customer(&one), b.customer(&two));
        if round % 10 == 9 {
            // Both chain at the same time, beside the passes of their own.
            tokio::join!(chained(&database), verify(&a, None), verify(&b, None));
        }
    }
    chained(&database).await;
    let report = verify(&a, None).await;
    assert_eq!(report["valid"], true, "{report}");
    let all = database
        .number("SELECT COUNT(*) FROM customer_audit_events")
        .await;
    assert_eq!(report["events"], all);
    assert!(all > 80);
}

async fn chainer_that_dies_in_the_middle_leaves_a_valid_chain(database: Database) {
    let issuer = Issuer::start(&database).await;
    chained(&database).await;
    let before = database.number(CHAINED).await;
    let (install, remove) = if database.is_postgres() {
        (
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF NEW.chain_seq >= {} THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW; END $$;
             CREATE TRIGGER fail BEFORE UPDATE ON customer_audit_events FOR EACH ROW EXECUTE FUNCTION fail()",
            "DROP TRIGGER fail ON customer_audit_events; DROP FUNCTION fail()",
        )
    } else {
        (
            "CREATE TRIGGER fail BEFORE UPDATE ON customer_audit_events WHEN NEW.chain_seq >= {}
             BEGIN SELECT RAISE(ABORT, 'no'); END",
            "DROP TRIGGER fail",
        )
    };
    // The first two of a batch can be linked, the third cannot.
    let install = install.replace("{}", &(before + 3).to_string());
    database.execute(&install).await.unwrap();
    let mut waiting = 0;
    while waiting < 4 {
        issuer.customer(&format!("c{waiting}@example.com")).await;
        waiting += 1;
    }
    issuer.clock.advance(Duration::from_secs(100));
    eventually("the metric says that events wait", async || {
        unchained_age(&issuer).await >= 100
    })
    .await;
    let report = verify(&issuer, None).await;
    assert_eq!(report["valid"], true, "{report}");
    assert!(report["unchained"].as_i64().unwrap() >= 2, "{report}");
    database.execute(remove).await.unwrap();
    chained(&database).await;
    let report = verify(&issuer, None).await;
    assert_eq!(report["valid"], true, "{report}");
    assert_eq!(report["events"], before + 4);
    eventually("the metric says that none waits", async || {
        unchained_age(&issuer).await < 100
    })
    .await;
}

async fn event_that_commits_late_joins_late(database: Database) {
    let issuer = Issuer::start(&database).await;
    let at = if database.is_postgres() {
        "'2026-11-20T00:00:00Z'"
    } else {
        "1795132800000000"
    };
    let insert = format!(
        "INSERT INTO customer_audit_events (id, tenant_id, occurred_at, actor_kind, actor_id, action, target_kind, target_id)
         VALUES ('01900000-0000-7000-8000-000000000000', '00000000-0000-7000-8000-000000000001', {at}, 'service',
                 'raptor', 'raptor:late', 'order', '1')"
    );
    if database.is_postgres() {
        // Under way, and invisible, while later events join the chain.
        use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
        let mut late = sqlx::PgConnection::connect(&database.url).await.unwrap();
        let begin = format!("BEGIN; {insert}");
        late.execute(sqlx::raw_sql(AssertSqlSafe(begin)))
            .await
            .unwrap();
        issuer.customer("ada@example.com").await;
        chained(&database).await;
        late.execute(sqlx::raw_sql("COMMIT")).await.unwrap();
    } else {
        issuer.customer("ada@example.com").await;
        chained(&database).await;
        database.execute(&insert).await.unwrap();
    }
    chained(&database).await;
    let last = "SELECT COUNT(*) FROM customer_audit_events WHERE action = 'raptor:late'
                AND chain_seq = (SELECT MAX(chain_seq) FROM customer_audit_events)";
    assert_eq!(database.number(last).await, 1);
    let report = verify(&issuer, None).await;
    assert_eq!(report["valid"], true, "{report}");
    assert_eq!(report["unchained"], 0);
}

async fn checkpoint_comes_after_so_many_events_or_so_much_time(database: Database) {
    let settings = [("QUEUE_ISSUER_AUDIT_CHECKPOINT_EVENTS", "5")];
    let issuer = Issuer::start_with(&database, &settings, FakeClock::new()).await;
    signed_to_the_end(&database).await;
    let first = database.number(SIGNED).await;
    for number in 0..4 {
        issuer.customer(&format!("c{number}@example.com")).await;
    }
    chained(&database).await;
    // Another pass has gone by once this event is in the chain as well.
    issuer.customer("c4@example.com").await;
    signed_to_the_end(&database).await;
    assert_eq!(database.number(SIGNED).await, first + 5);
    let between = format!("SELECT COUNT(*) FROM queue_audit_checkpoints WHERE chain_seq > {first}");
    assert_eq!(database.number(&between).await, 1);
    issuer.customer("c5@example.com").await;
    chained(&database).await;
    issuer.clock.advance(Duration::from_secs(3_600));
    signed_to_the_end(&database).await;
    let list = operator_get(&issuer, "/api/v1/audit/checkpoints?limit=2").await;
    assert_eq!(list["checkpoints"].as_array().unwrap().len(), 2);
    let rest = format!("/api/v1/audit/checkpoints?after={}", list["next_after"]);
    let rest = operator_get(&issuer, &rest).await;
    let checkpoint = &rest["checkpoints"][0];
    let (header, claims) = look_into(checkpoint["jws"].as_str().unwrap());
    assert_eq!(header["typ"], "queue-audit-checkpoint+jwt");
    assert_eq!(header["kid"], json!(issuer.published().await[0]));
    assert_eq!(claims["seq"], first + 6);
    assert_eq!(claims["seq"], checkpoint["seq"]);
    assert_eq!(claims["hash"], checkpoint["hash"]);
    assert_eq!(claims["iat"], checkpoint["created_at"]);
    assert_eq!(claims["iss"], "http://localhost:4100");
}

async fn checkpoint_outlives_its_key(database: Database) {
    let issuer = Issuer::start(&database).await;
    let (_, signed) = grow(&issuer, &database).await;
    let old = issuer.published().await[0].clone();
    let made = issuer
        .operator(Method::POST, "/api/v1/keys", Some(json!({})))
        .await;
    let kid = made.expect(201)["kid"].as_str().unwrap().to_owned();
    issuer.clock.advance(Duration::from_secs(630));
    let path = format!("/api/v1/keys/{kid}/activate");
    issuer.operator(Method::POST, &path, None).await.expect(200);
    issuer.clock.advance(Duration::from_secs(24 * 3_600));
    let destroyed = format!(
        "SELECT COUNT(*) FROM queue_signing_keys WHERE kid = '{old}' AND state = 'destroyed'"
    );
    eventually("the old key is destroyed", async || {
        database.number(&destroyed).await == 1
    })
    .await;
    signed_to_the_end(&database).await;
    let list = operator_get(&issuer, "/api/v1/audit/checkpoints").await;
    let kids: Vec<String> = list["checkpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            look_into(row["jws"].as_str().unwrap()).0["kid"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert!(kids.contains(&old) && kids.contains(&kid), "{kids:?}");
    let report = verify(&issuer, None).await;
    assert_eq!(report["valid"], true, "{report}");
    assert_eq!(report["checkpoints"], kids.len());
    assert!(report["events"].as_i64().unwrap() > signed);
}

async fn erasure_leaves_the_chain_valid(database: Database) {
    let issuer = Issuer::start(&database).await;
    let customer = issuer.customer("ada@example.com").await;
    issuer.mint(&customer).await.expect(201);
    signed_to_the_end(&database).await;
    let events = export(&issuer, "").await;
    assert!(!json!(events).to_string().contains("example.com"));
    database
        .execute(&format!(
            "UPDATE queue_customers SET state = 'erased', display_name = NULL, erased_at = created_at WHERE id = '{customer}';
             DELETE FROM queue_customer_emails WHERE customer_id = '{customer}'"
        ))
        .await
        .unwrap();
    let report = verify(&issuer, None).await;
    assert_eq!(report["valid"], true, "{report}");
    assert_eq!(export(&issuer, "").await, events);
}

/// A chain with a checkpoint and two events behind it: its last place, and the checkpoint's.
pub(crate) async fn grow(issuer: &Issuer, database: &Database) -> (i64, i64) {
    // The first comes at once; the next only after an hour.
    signed_to_the_end(database).await;
    for name in ["ada", "bob", "cas", "dan", "eli"] {
        issuer.customer(&format!("{name}@example.com")).await;
    }
    chained(database).await;
    issuer.clock.advance(Duration::from_secs(3_600));
    signed_to_the_end(database).await;
    let signed = database.number(SIGNED).await;
    for name in ["fay", "gus"] {
        issuer.customer(&format!("{name}@example.com")).await;
    }
    chained(database).await;
    let last = database.number(CHAINED).await;
    assert_eq!(last, signed + 2);
    (last, signed)
}

pub(crate) async fn chained(database: &Database) {
    eventually("everything has joined the chain", async || {
        let waiting = "SELECT COUNT(*) FROM customer_audit_events WHERE chain_seq IS NULL";
        database.number(waiting).await == 0
    })
    .await;
}

pub(crate) async fn signed_to_the_end(database: &Database) {
    eventually("a checkpoint covers the chain", async || {
        let signed = database.number(SIGNED).await;
        signed > 0 && signed == database.number(CHAINED).await
    })
    .await;
}

pub(crate) async fn verify(issuer: &Issuer, kept: Option<&str>) -> Value {
    let body = kept.map(|jws| json!({ "checkpoint": jws }));
    let answer = issuer
        .operator(Method::POST, "/api/v1/audit/verify", body)
        .await;
    answer.expect(200)
}

pub(crate) async fn operator_get(issuer: &Issuer, path: &str) -> Value {
    issuer.operator(Method::GET, path, None).await.expect(200)
}

pub(crate) async fn export(issuer: &Issuer, query: &str) -> Vec<Value> {
    let path = format!("/api/v1/audit/export{query}");
    let answer = issuer.operator(Method::GET, &path, None).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

async fn unchained_age(issuer: &Issuer) -> u64 {
    let metrics = issuer.get("/metrics").await.text();
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("queue_issuer_audit_unchained_age_seconds "));
    line.expect("the metric").parse().unwrap()
}

const CHAINED: &str = "SELECT COALESCE(MAX(chain_seq), 0) FROM customer_audit_events";
const SIGNED: &str = "SELECT COALESCE(MAX(chain_seq), 0) FROM queue_audit_checkpoints";
