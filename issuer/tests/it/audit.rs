//! Audit events over HTTP: found by services, recorded by other services' writers under their own prefix.

use std::time::Duration;

use ::http::Method;
use serde_json::{Value, json};

use crate::harness::{Database, FakeClock, Issuer, OPS, START, bearer, on_both_engines};
use crate::http::Answer;

on_both_engines! {
    events_are_found_by_customer_action_and_time
    events_are_paged_without_gap_or_repetition
    request_query_malformed
    event_of_another_service_is_recorded_once
    audit_action_not_allowed
    audit_event_invalid
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn insufficient_scope() {
    let database = Database::sqlite();
    let issuer = start(&database, "audit:read").await;
    let event = json!({ "action": "ledger:x", "target_kind": "order", "target_id": "1" });
    let refused = post(&issuer, &event, &[]).await;
    refused.expect_problem(403, "insufficient_scope");
    let ops = bearer(OPS);
    let refused = issuer
        .call(Method::GET, EVENTS, &[("authorization", &ops)], None)
        .await;
    refused.expect_problem(403, "insufficient_scope");
}

async fn events_are_found_by_customer_action_and_time(database: Database) {
    let issuer = start(&database, "audit:read").await;
    issuer.clock.advance(Duration::from_secs(1));
    let ada = issuer.customer("ada@example.com").await;
    issuer.clock.advance(Duration::from_secs(100));
    let bob = issuer.customer("bob@example.com").await;
    issuer.clock.advance(Duration::from_secs(1));
    issuer.mint(&bob).await.expect(201);
    let all = events(&issuer, "").await;
    let actions: Vec<&str> = all.iter().map(|event| text(event, "action")).collect();
    assert_eq!(
        actions[..3],
        ["session.minted", "customer.created", "customer.created"]
    );
    let of = async |query: &str| {
        let found = events(&issuer, query).await;
        let found = found
            .iter()
            .map(|event| text(event, "customer_id").to_owned());
        found.collect::<Vec<_>>()
    };
    assert_eq!(
        of(&format!("?customer_id={bob}")).await,
        [bob.clone(), bob.clone()]
    );
    let created = format!("?customer_id={bob}&action=customer.created");
    assert_eq!(of(&created).await, [bob.as_str()]);
    assert_eq!(
        of("?action=customer.created").await,
        [bob.clone(), ada.clone()]
    );
    let (first, then) = (START, START + 101);
    let since = format!("?action=customer.created&from={then}");
    assert_eq!(of(&since).await, [bob.as_str()]);
    let until = format!("?action=customer.created&from={first}&to={then}");
    assert_eq!(of(&until).await, [ada]);
    let event = &events(&issuer, &created).await[0];
    assert_eq!(event["actor_kind"], "service");
    assert_eq!(event["actor_id"], "raptor");
    assert_eq!(event["target_kind"], "customer");
    assert_eq!(event["target_id"], json!(bob));
    assert_eq!(event["occurred_at"], then);
    assert!(!json!(all).to_string().contains("example.com"));
}

async fn events_are_paged_without_gap_or_repetition(database: Database) {
    let issuer = start(&database, "audit:read").await;
    // All in one microsecond: the id decides.
    for number in 0..7 {
        issuer.customer(&format!("c{number}@example.com")).await;
    }
    let whole = events(&issuer, "?action=customer.created").await;
    assert_eq!(whole.len(), 7);
    let mut found = Vec::new();
    let mut cursor = String::new();
    for size in [3, 3, 1] {
        let query = format!("?action=customer.created&limit=3{cursor}");
        let page = get(&issuer, &query).await.expect(200);
        let events = page["events"].as_array().unwrap();
        assert_eq!(events.len(), size);
        found.extend(events.iter().map(|event| text(event, "id").to_owned()));
        cursor = page["next_cursor"]
            .as_str()
            .map_or(String::new(), |cursor| format!("&cursor={cursor}"));
    }
    assert_eq!(cursor, "");
    let ids: Vec<&str> = whole.iter().map(|event| text(event, "id")).collect();
    assert_eq!(found, ids);
}

async fn request_query_malformed(database: Database) {
    let issuer = start(&database, "audit:read").await;
    for query in [
        "?limit=0",
        "?limit=101",
        "?limit=x",
        "?customer_id=1",
        "?from=-1",
        "?to=253402300800",
        "?cursor=x",
        "?cursor=99999999999999999999.01a20b00-94db-741f-9219-ec14c43ddf3b",
        "?cursor=-1.01a20b00-94db-741f-9219-ec14c43ddf3b",
        "?page=1",
    ] {
        let refused = get(&issuer, query).await;
        assert_eq!(refused.status, 400, "{query}: {}", refused.text());
        refused.expect_problem(400, "request_query_malformed");
    }
}

async fn event_of_another_service_is_recorded_once(database: Database) {
    let issuer = start(&database, "audit:read audit:write").await;
    let customer = issuer.customer("ada@example.com").await;
    let event = json!({
        "action": "ledger:order.shipped",
        "customer_id": customer,
        "target_kind": "order",
        "target_id": "2026/00017",
        "details": { "parcels": 2, "carrier": "post", "express": true },
    });
    let key = [("idempotency-key", "one")];
    let made = post(&issuer, &event, &key).await;
    let recorded = made.expect(201);
    assert_eq!(
        recorded["details"],
        r#"{"carrier":"post","express":true,"parcels":2}"#
    );
    assert_eq!(recorded["actor_id"], "ledger");
    assert_eq!(recorded["request_id"], made.header("x-request-id"));
    let again = post(&issuer, &event, &key).await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.expect(201)["id"], recorded["id"]);
    let mut other = event.clone();
    other["target_id"] = json!("2026/00018");
    post(&issuer, &other, &key)
        .await
        .expect_problem(422, "idempotency_key_reused");
    let found = events(&issuer, "?action=ledger:order.shipped").await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["id"], recorded["id"]);
}

async fn audit_action_not_allowed(database: Database) {
    let issuer = start(&database, "audit:write").await;
    for action in [
        "customer.erased",
        "key.generated",
        "raptor:order.shipped",
        "ledger.order",
        "ledgerx:order",
        "Ledger:order",
        ":order",
        "",
    ] {
        let event = json!({ "action": action, "target_kind": "order", "target_id": "1" });
        let refused = post(&issuer, &event, &[]).await;
        refused.expect_problem(422, "audit_action_not_allowed");
    }
    assert_eq!(database.number(OF_LEDGER).await, 0);
}

async fn audit_event_invalid(database: Database) {
    let issuer = start(&database, "audit:write").await;
    let good = json!({ "action": "ledger:order", "target_kind": "order", "target_id": "1" });
    let many: Value = (0..17)
        .map(|number| (format!("k{number}"), json!(1)))
        .collect();
    let long: Value = (0..16)
        .map(|number| (format!("k{number}"), json!("x".repeat(100))))
        .collect();
    for (field, value) in [
        ("action", json!("ledger:")),
        ("action", json!("ledger:a..b")),
        ("action", json!("ledger:A")),
        ("action", json!(format!("ledger:{}", ["x"; 80].join(".")))),
        ("target_kind", json!("an order")),
        ("target_id", json!("")),
        ("target_id", json!("ada@example.com")),
        ("target_id", json!("x".repeat(129))),
        ("customer_id", json!("1")),
        ("details", json!({ "mail": "ada@example.com" })),
        ("details", json!({ "name": "Ada Lovelace" })),
        ("details", json!({ "Name": "x" })),
        ("details", json!({ "deep": { "er": 1 } })),
        ("details", json!({ "list": [1] })),
        ("details", json!({ "nothing": null })),
        ("details", json!({ "half": 0.5 })),
        ("details", json!({ "large": 9_007_199_254_740_992_u64 })),
        ("details", many),
        ("details", long),
    ] {
        let mut event = good.clone();
        event[field] = value;
        let refused = post(&issuer, &event, &[]).await;
        assert_eq!(refused.status, 422, "{event}: {}", refused.text());
        refused.expect_problem(422, "audit_event_invalid");
    }
    for body in [
        r#"{"action":"ledger:x","target_kind":"order","target_id":"1","details":{"a":1,"a":2}}"#,
        r#"{"action":"ledger:x","target_kind":"order","target_id":"1","details":[]}"#,
        r#"{"action":"ledger:x","target_kind":"order","target_id":"1","occurred_at":1}"#,
    ] {
        let headers = [("authorization", &*bearer(LEDGER))];
        let request = crate::http::request(Method::POST, EVENTS, &headers, Some(body.to_owned()));
        let refused = crate::http::send(issuer.public, request).await;
        refused.expect_problem(400, "request_malformed");
    }
    assert_eq!(database.number(OF_LEDGER).await, 0);
    post(&issuer, &good, &[]).await.expect(201);
}

async fn start(database: &Database, scopes: &str) -> Issuer {
    let callers = [
        ("QUEUE_SERVICE_TOKEN_LEDGER", LEDGER),
        ("QUEUE_SERVICE_SCOPES_LEDGER", scopes),
    ];
    Issuer::start_with(database, &callers, FakeClock::new()).await
}

async fn get(issuer: &Issuer, query: &str) -> Answer {
    let headers = [("authorization", &*bearer(LEDGER))];
    let path = format!("{EVENTS}{query}");
    issuer.call(Method::GET, &path, &headers, None).await
}

async fn events(issuer: &Issuer, query: &str) -> Vec<Value> {
    let page = get(issuer, query).await.expect(200);
    page["events"].as_array().unwrap().clone()
}

async fn post(issuer: &Issuer, event: &Value, headers: &[(&str, &str)]) -> Answer {
    let bearer = bearer(LEDGER);
    let mut headers = headers.to_vec();
    headers.push(("authorization", &bearer));
    issuer
        .call(Method::POST, EVENTS, &headers, Some(event.clone()))
        .await
}

fn text<'a>(event: &'a Value, member: &str) -> &'a str {
    event[member].as_str().unwrap_or_default()
}

const EVENTS: &str = "/api/v1/audit/events";
const OF_LEDGER: &str = "SELECT COUNT(*) FROM customer_audit_events WHERE actor_id = 'ledger'";
const LEDGER: &str = "ledger-0123456789-abcdefghijklmnopqrstuvwxyz";
