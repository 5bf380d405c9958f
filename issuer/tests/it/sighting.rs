//! Rotation, proved: who holds which generation, and activation that waits for them.

use std::time::Duration;

use ::http::Method;
use serde_json::{Value, json};

use crate::harness::{
    Database, FakeClock, Issuer, OPS, START, bearer, eventually, on_both_engines,
};
use crate::http::{Answer, request, send};

on_both_engines! {
    conditional_request_proves_what_a_verifier_holds
    activation_waits_until_every_verifier_holds_the_key
    verifiers_behind_without_a_successor_hold_nothing_up
    silent_verifier_is_forgotten
    verifiers_are_seen_by_every_replica
    client_without_a_name_is_counted_by_its_requests
    key_of_an_unknown_generation_is_in_the_present_one
    more_verifiers_than_are_counted_prove_nothing
}

const ONE: &str = "AAECAwQFBgcICQoLDA0ODw";
const TWO: &str = "EBESExQVFhcYGRobHB0eHw";

/// What `verifier` hears that asks for the set and holds the one called `etag`.
async fn ask(issuer: &Issuer, verifier: &str, etag: &str) -> Answer {
    let headers = [("queue-verifier", verifier), ("if-none-match", etag)];
    let headers = if etag.is_empty() {
        &headers[..1]
    } else {
        &headers[..]
    };
    issuer
        .call(Method::GET, "/.well-known/jwks.json", headers, None)
        .await
}

async fn etag(issuer: &Issuer) -> String {
    let answer = issuer.get("/.well-known/jwks.json").await;
    answer.header("etag").to_owned()
}

async fn keys(issuer: &Issuer) -> Value {
    issuer
        .operator(Method::GET, "/api/v1/keys", None)
        .await
        .expect(200)
}

async fn new_key(issuer: &Issuer) -> String {
    let made = issuer
        .operator(Method::POST, "/api/v1/keys", Some(json!({})))
        .await
        .expect(201);
    made["kid"].as_str().unwrap().to_owned()
}

async fn activate(issuer: &Issuer, kid: &str) -> Answer {
    let body = json!({ "wait_for_verifiers": true });
    let path = format!("/api/v1/keys/{kid}/activate");
    issuer.operator(Method::POST, &path, Some(body)).await
}

async fn conditional_request_proves_what_a_verifier_holds(database: Database) {
    let issuer = Issuer::start(&database).await;
    assert_eq!(
        keys(&issuer).await["verifiers"],
        json!({ "total": 0, "holding": [], "behind": 0, "truncated": false, "anonymous": [] })
    );
    let sent = ask(&issuer, ONE, "").await;
    let listed = keys(&issuer).await;
    // The set was sent; whether it arrived is not known.
    let unproved = json!([{ "generation": 0, "count": 1, "last_seen": START }]);
    assert_eq!(listed["verifiers"]["holding"], unproved);
    assert_eq!(listed["verifiers"]["behind"], 1);
    assert_eq!(listed["keys"][0]["missing"], 1);
    issuer.clock.advance(Duration::from_secs(1));
    let same = ask(&issuer, ONE, sent.header("etag")).await;
    assert_eq!(same.status.as_u16(), 304);
    let listed = keys(&issuer).await;
    let proved = json!([{ "generation": 1, "count": 1, "last_seen": START + 1 }]);
    assert_eq!(listed["verifiers"]["holding"], proved);
    assert_eq!(listed["verifiers"]["behind"], 0);
    assert_eq!(listed["keys"][0]["held_by"], 1);
    assert_eq!(listed["keys"][0]["missing"], 0);
}

async fn activation_waits_until_every_verifier_holds_the_key(database: Database) {
    let issuer = Issuer::start(&database).await;
    let first = etag(&issuer).await;
    for verifier in [ONE, TWO] {
        ask(&issuer, verifier, &first).await;
    }
    let kid = new_key(&issuer).await;
    let second = etag(&issuer).await;
    // The time rule stays in force.
    for verifier in [ONE, TWO] {
        ask(&issuer, verifier, &second).await;
    }
    activate(&issuer, &kid)
        .await
        .expect_problem(409, "too_early");
    issuer.clock.advance(Duration::from_secs(630));
    assert_eq!(ask(&issuer, ONE, &second).await.status.as_u16(), 304);
    // A verifier that fell back, through a cache or a restored disk, is believed.
    assert_eq!(ask(&issuer, TWO, &first).await.status.as_u16(), 200);
    let refused = activate(&issuer, &kid).await;
    let problem = refused.expect_problem(409, "verifiers_behind");
    assert_eq!(problem["behind"], 1);
    let listed = keys(&issuer).await;
    for key in listed["keys"].as_array().unwrap() {
        let expect = if key["kid"] == *kid { (1, 1) } else { (2, 0) };
        let counts = (key["held_by"].as_i64(), key["missing"].as_i64());
        assert_eq!(counts, (Some(expect.0), Some(expect.1)), "{key}");
    }
    ask(&issuer, TWO, &second).await;
    let active = activate(&issuer, &kid).await.expect(200);
    assert_eq!(active["state"], "active");
}

async fn verifiers_behind_without_a_successor_hold_nothing_up(database: Database) {
    let issuer = Issuer::start(&database).await;
    let first = issuer.published().await[0].clone();
    ask(&issuer, ONE, "").await;
    let kid = new_key(&issuer).await;
    let revoke = format!("/api/v1/keys/{first}/revoke");
    issuer
        .operator(Method::POST, &revoke, None)
        .await
        .expect(200);
    activate(&issuer, &kid).await.expect(200);
    // And whoever does not ask to wait is held up by nobody.
    let next = new_key(&issuer).await;
    issuer.clock.advance(Duration::from_secs(630));
    activate(&issuer, &next)
        .await
        .expect_problem(409, "verifiers_behind");
    let path = format!("/api/v1/keys/{next}/activate");
    for body in [json!({}), json!({ "wait_for_verifiers": false })] {
        issuer
            .operator(Method::POST, &path, Some(body))
            .await
            .expect(200);
    }
}

async fn silent_verifier_is_forgotten(database: Database) {
    let issuer = Issuer::start(&database).await;
    ask(&issuer, ONE, "").await;
    let total = async || keys(&issuer).await["verifiers"]["total"].clone();
    // Twice max-age 300 and the allowance 300, to the second on both sides.
    issuer.clock.advance(Duration::from_secs(899));
    assert_eq!(total().await, 1);
    issuer.clock.advance(Duration::from_secs(1));
    assert_eq!(total().await, 0);
    ask(&issuer, TWO, "").await;
    assert_eq!(total().await, 1);
    let rows = "SELECT COUNT(*) FROM queue_verifier_sightings";
    assert_eq!(database.number(rows).await, 1);
}

async fn verifiers_are_seen_by_every_replica(database: Database) {
    let clock = FakeClock::new();
    let a = Issuer::start_with(&database, &[], clock.clone()).await;
    let b = Issuer::start_with(&database, &[], clock.clone()).await;
    ask(&a, ONE, "").await;
    eventually("the other knows the verifier", async || {
        keys(&b).await["verifiers"]["total"] == 1
    })
    .await;
    clock.advance(Duration::from_secs(1));
    ask(&b, ONE, &etag(&b).await).await;
    eventually("and what it proved", async || {
        keys(&a).await["verifiers"]["behind"] == 0
    })
    .await;
}

async fn client_without_a_name_is_counted_by_its_requests(database: Database) {
    let issuer = Issuer::start(&database).await;
    let tag = etag(&issuer).await;
    for name in ["", "too short", "AAECAwQFBgcICQoLDA0ODx"] {
        ask(&issuer, name, &tag).await;
    }
    let verifiers = keys(&issuer).await["verifiers"].clone();
    assert_eq!(verifiers["total"], 0);
    assert_eq!(
        verifiers["anonymous"],
        json!([{ "generation": 1, "requests": 3, "last_seen": START }])
    );
}

async fn key_of_an_unknown_generation_is_in_the_present_one(database: Database) {
    let issuer = Issuer::start(&database).await;
    let first = etag(&issuer).await;
    new_key(&issuer).await;
    database
        .execute("DELETE FROM queue_key_publications")
        .await
        .unwrap();
    ask(&issuer, ONE, &first).await;
    let missing = async || keys(&issuer).await["keys"][0]["missing"].clone();
    assert_eq!(missing().await, 1);
    ask(&issuer, ONE, &etag(&issuer).await).await;
    assert_eq!(missing().await, 0);
}

async fn more_verifiers_than_are_counted_prove_nothing(database: Database) {
    let issuer = Issuer::start(&database).await;
    ask(&issuer, ONE, &etag(&issuer).await).await;
    assert_eq!(keys(&issuer).await["verifiers"]["truncated"], false);
    let instance = if database.is_postgres() {
        "lpad(n::TEXT, 22, 'A')"
    } else {
        "printf('AAAAAAAAAAAAAAAAA%05d', n)"
    };
    let crowd = format!(
        "WITH RECURSIVE crowd (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM crowd WHERE n < 9999)
         INSERT INTO queue_verifier_sightings (tenant_id, instance, generation, first_seen, last_seen)
         SELECT tenant_id, {instance}, 2, first_seen, last_seen FROM queue_verifier_sightings, crowd"
    );
    database.execute(&crowd).await.unwrap();
    ask(&issuer, TWO, "").await;
    let verifiers = keys(&issuer).await["verifiers"].clone();
    assert_eq!(
        (&verifiers["total"], &verifiers["truncated"]),
        (&json!(10_000), &json!(true))
    );
    let kid = new_key(&issuer).await;
    issuer.clock.advance(Duration::from_secs(630));
    ask(&issuer, ONE, &etag(&issuer).await).await;
    let problem = activate(&issuer, &kid)
        .await
        .expect_problem(409, "verifiers_behind");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with("more verifiers ask"), "{detail}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn activation_takes_no_other_body() {
    let database = Database::sqlite();
    let issuer = Issuer::start(&database).await;
    let kid = new_key(&issuer).await;
    let path = format!("/api/v1/keys/{kid}/activate");
    let bearer = bearer(OPS);
    for (media, body, status, code) in [
        (
            "application/json",
            "{\"wait\":true}",
            400,
            "request_malformed",
        ),
        ("application/json", "", 400, "request_malformed"),
        ("text/plain", "{}", 415, "request_media_type_unsupported"),
    ] {
        let headers = [("authorization", &*bearer), ("content-type", media)];
        let asked = request(Method::POST, &path, &headers, Some(body.to_owned()));
        send(issuer.ops, asked).await.expect_problem(status, code);
    }
    let mut unlabelled = request(
        Method::POST,
        &path,
        &[("authorization", &*bearer)],
        Some("{}".to_owned()),
    );
    unlabelled.headers_mut().remove("content-type");
    send(issuer.ops, unlabelled)
        .await
        .expect_problem(415, "request_media_type_unsupported");
}
