//! Stored service tokens: made once, shown once, replaced with an overlap, ended at once.

use std::time::Duration;

use ::http::Method;
use serde_json::{Value, json};

use crate::harness::{Database, FakeClock, Issuer, OPS, bearer, eventually, on_both_engines};
use crate::http::{Answer, request, send};

on_both_engines! {
    service_token_is_made_and_shown_once
    repeated_request_does_not_show_the_token_again
    service_token_limit_leaves_room_for_one_rotation
    service_token_ends_with_its_life
    revocation_holds_at_once_in_every_process
    service_client_suspended
    last_use_is_written_once_a_minute
    tokens_are_listed_by_pages
}

async fn service_token_is_made_and_shown_once(database: Database) {
    let issuer = Issuer::start(&database).await;
    let answer = create(
        &issuer,
        json!({ "client_id": "velour", "scopes": ["customers:read"] }),
    )
    .await;
    let made = answer.expect(201);
    assert_eq!(answer.header("cache-control"), "no-store");
    let id = made["id"].as_str().unwrap();
    assert_eq!(
        answer.header("location"),
        format!("/api/v1/service-tokens/{id}")
    );
    let token = made["token"].as_str().unwrap();
    let prefix = made["token_prefix"].as_str().unwrap();
    assert!(
        token.starts_with(&format!("{prefix}_")) && token.len() == 66,
        "{token}"
    );
    assert_eq!(made["state"], "live");
    assert_eq!(made["created_by"], "ops");
    let life = made["expires_at"].as_i64().unwrap() - made["created_at"].as_i64().unwrap();
    assert_eq!(life, 90 * 86_400);
    assert_eq!(
        status(&issuer, token).await,
        (404, "customer_not_found".to_owned())
    );
    let cut = &token[..token.len() - 1];
    let other = create(
        &issuer,
        json!({ "client_id": "other", "scopes": ["customers:read"] }),
    )
    .await;
    let other = other.expect(201)["token"].as_str().unwrap().to_owned();
    // The prefix of one token with the secret of another, its checksum mended.
    let mixed = format!("{}{}", &token[..17], &other[17..60]);
    let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, mixed.as_bytes());
    let sum = base64_simd::URL_SAFE_NO_PAD.encode_to_string(&sum.as_ref()[..4]);
    let mixed = format!("{mixed}{sum}");
    assert_eq!(mixed.len(), token.len());
    for wrong in [
        cut,
        &mixed,
        &token.to_uppercase(),
        &format!("{token}a"),
        prefix,
    ] {
        assert_eq!(
            status(&issuer, wrong).await,
            (401, "service_token_invalid".to_owned())
        );
    }
    let listed = issuer
        .operator(Method::GET, "/api/v1/service-tokens", None)
        .await;
    assert!(!listed.text().contains(&token[17..]));
    let tokens = listed.expect(200)["service_tokens"].clone();
    let mut tokens = tokens.as_array().unwrap().iter();
    assert!(tokens.any(|listed| listed["id"] == id && listed.get("token").is_none()));
    let events = format!(
        "SELECT COUNT(*) FROM customer_audit_events WHERE action = 'service_token.created'
         AND actor_kind = 'operator' AND target_id = '{id}'"
    );
    assert_eq!(database.number(&events).await, 1);
}

async fn repeated_request_does_not_show_the_token_again(database: Database) {
    let issuer = Issuer::start(&database).await;
    let body = json!({ "client_id": "velour", "scopes": ["customers:read"] });
    let ask = |path: &str, body: Value| keyed(&issuer, path.to_owned(), body);
    let path = "/api/v1/service-tokens";
    let first = ask(path, body.clone()).await.expect(201);
    let again = ask(path, body).await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    let again = again.expect(201);
    assert_eq!(
        (&again["id"], &again["token"]),
        (&first["id"], &Value::Null)
    );
    ask(
        path,
        json!({ "client_id": "velour", "scopes": ["customers:write"] }),
    )
    .await
    .expect_problem(422, "idempotency_key_reused");
    let rotate = format!("{path}/{}/rotate", first["id"].as_str().unwrap());
    let second = ask(&rotate, json!({})).await.expect(201);
    assert!(second["token"].is_string());
    let again = ask(&rotate, json!({})).await.expect(201);
    assert_eq!(
        (&again["id"], &again["token"]),
        (&second["id"], &Value::Null)
    );
    let other = format!("{path}/{}/rotate", second["id"].as_str().unwrap());
    ask(&other, json!({}))
        .await
        .expect_problem(422, "idempotency_key_reused");
    assert_eq!(
        database
            .number("SELECT COUNT(*) FROM queue_service_tokens")
            .await,
        2
    );
    let events = "SELECT COUNT(*) FROM customer_audit_events WHERE target_kind = 'service_token'";
    assert_eq!(database.number(events).await, 2);
}

async fn service_token_limit_leaves_room_for_one_rotation(database: Database) {
    let issuer = Issuer::start(&database).await;
    let (first, one) = make(&issuer, "velour", &["customers:read"]).await;
    let rotate = async |id: &str| {
        let path = format!("/api/v1/service-tokens/{id}/rotate");
        issuer.operator(Method::POST, &path, None).await
    };
    let second = rotate(&first).await.expect(201);
    let two = second["token"].as_str().unwrap();
    assert_ne!(one, two);
    for live in [one.as_str(), two] {
        assert_eq!(status(&issuer, live).await.0, 404);
    }
    rotate(&first)
        .await
        .expect_problem(409, "service_token_limit");
    create(
        &issuer,
        json!({ "client_id": "velour", "scopes": ["customers:read"] }),
    )
    .await
    .expect_problem(409, "service_token_limit");
    for _ in 0..2 {
        let revoked = revoke(&issuer, &first).await.expect(200);
        assert_eq!(revoked["state"], "revoked");
    }
    assert_eq!(
        status(&issuer, &one).await,
        (401, "service_token_invalid".to_owned())
    );
    assert_eq!(status(&issuer, two).await.0, 404);
    let revocations =
        "SELECT COUNT(*) FROM customer_audit_events WHERE action = 'service_token.revoked'";
    assert_eq!(database.number(revocations).await, 1);
    rotate(&first)
        .await
        .expect_problem(409, "service_token_ended");
    rotate(second["id"].as_str().unwrap()).await.expect(201);
    let nothing = "01a20b00-94db-741f-9219-ec14c43ddf3b";
    rotate(nothing)
        .await
        .expect_problem(404, "service_token_not_found");
    revoke(&issuer, nothing)
        .await
        .expect_problem(404, "service_token_not_found");
}

async fn service_token_ends_with_its_life(database: Database) {
    let issuer = Issuer::start(&database).await;
    let body = json!({ "client_id": "velour", "scopes": ["customers:read"], "expires_in": 60 });
    let made = create(&issuer, body.clone()).await.expect(201);
    create(&issuer, body.clone()).await.expect(201);
    let token = made["token"].as_str().unwrap();
    issuer.clock.advance(Duration::from_micros(59_999_999));
    assert_eq!(status(&issuer, token).await.0, 404);
    issuer.clock.advance(Duration::from_micros(1));
    assert_eq!(
        status(&issuer, token).await,
        (401, "service_token_invalid".to_owned())
    );
    let path = format!(
        "/api/v1/service-tokens/{}/rotate",
        made["id"].as_str().unwrap()
    );
    issuer
        .operator(Method::POST, &path, None)
        .await
        .expect_problem(409, "service_token_ended");
    // The dead hold no place.
    for _ in 0..2 {
        create(&issuer, body.clone()).await.expect(201);
    }
    create(&issuer, body)
        .await
        .expect_problem(409, "service_token_limit");
}

async fn revocation_holds_at_once_in_every_process(database: Database) {
    let clock = FakeClock::new();
    let a = Issuer::start_with(&database, &[], clock.clone()).await;
    let b = Issuer::start_with(&database, &[], clock).await;
    let (id, token) = make(&a, "velour", &["customers:read"]).await;
    for issuer in [&a, &b] {
        assert_eq!(status(issuer, &token).await.0, 404);
    }
    revoke(&a, &id).await.expect(200);
    for issuer in [&b, &a] {
        assert_eq!(status(issuer, &token).await.0, 401);
    }
}

async fn service_client_suspended(database: Database) {
    let issuer = Issuer::start(&database).await;
    let (id, token) = make(&issuer, "velour", &["customers:read"]).await;
    database
        .execute("UPDATE queue_service_clients SET state = 'suspended'")
        .await
        .unwrap();
    assert_eq!(
        status(&issuer, &token).await,
        (401, "service_token_invalid".to_owned())
    );
    create(
        &issuer,
        json!({ "client_id": "velour", "scopes": ["customers:read"] }),
    )
    .await
    .expect_problem(409, "service_client_suspended");
    let path = format!("/api/v1/service-tokens/{id}/rotate");
    issuer
        .operator(Method::POST, &path, None)
        .await
        .expect_problem(409, "service_client_suspended");
    database
        .execute("UPDATE queue_service_clients SET state = 'active'")
        .await
        .unwrap();
    assert_eq!(status(&issuer, &token).await.0, 404);
}

async fn last_use_is_written_once_a_minute(database: Database) {
    let issuer = Issuer::start(&database).await;
    let (_, token) = make(&issuer, "velour", &["customers:read"]).await;
    let used = async || {
        let list = issuer
            .operator(Method::GET, "/api/v1/service-tokens", None)
            .await;
        list.expect(200)["service_tokens"][0]["last_used_at"].as_i64()
    };
    assert_eq!(used().await, None);
    status(&issuer, &token).await;
    // Nobody has to ask for it to be written.
    let written = "SELECT COUNT(*) FROM queue_service_tokens WHERE last_used_at IS NOT NULL";
    eventually("the use is written", async || {
        database.number(written).await == 1
    })
    .await;
    let first = used().await.unwrap();
    issuer.clock.advance(Duration::from_secs(59));
    status(&issuer, &token).await;
    assert_eq!(used().await, Some(first));
    issuer.clock.advance(Duration::from_secs(1));
    status(&issuer, &token).await;
    assert_eq!(used().await, Some(first + 60));
}

async fn tokens_are_listed_by_pages(database: Database) {
    let issuer = Issuer::start(&database).await;
    let mut made = Vec::new();
    for client in ["a", "b", "c"] {
        issuer.clock.advance(Duration::from_secs(1));
        made.push(make(&issuer, client, &["customers:read"]).await.0);
    }
    let page = async |query: &str| {
        let path = format!("/api/v1/service-tokens?{query}");
        issuer.operator(Method::GET, &path, None).await
    };
    let ids = |list: &Value| -> Vec<String> {
        let tokens = list["service_tokens"].as_array().unwrap();
        tokens
            .iter()
            .map(|token| token["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = page("limit=2").await.expect(200);
    assert_eq!(ids(&first), made[..2]);
    let next = first["next"].as_str().unwrap();
    let last = page(&format!("limit=2&after={next}")).await.expect(200);
    assert_eq!(
        (ids(&last), &last["next"]),
        (made[2..].to_vec(), &Value::Null)
    );
    assert_eq!(page("limit=3").await.expect(200)["next"], Value::Null);
    for query in ["limit=0", "limit=201", "limit=-1", "after=1", "page=2"] {
        page(query)
            .await
            .expect_problem(400, "request_query_malformed");
    }
}

/// A stored token's id and text.
pub(crate) async fn make(issuer: &Issuer, client: &str, scopes: &[&str]) -> (String, String) {
    let body = json!({ "client_id": client, "scopes": scopes });
    let made = create(issuer, body).await.expect(201);
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("id"), text("token"))
}

pub(crate) async fn revoke(issuer: &Issuer, id: &str) -> Answer {
    let path = format!("/api/v1/service-tokens/{id}");
    issuer.operator(Method::DELETE, &path, None).await
}

/// What a read of a customer who is not there answers to the holder of `token`.
pub(crate) async fn status(issuer: &Issuer, token: &str) -> (u16, String) {
    let headers = [("authorization", &*bearer(token))];
    let path = "/api/v1/customers?email=nobody@example.com";
    let answer = issuer.call(Method::GET, path, &headers, None).await;
    let code = answer.json()["code"].as_str().unwrap().to_owned();
    (answer.status.as_u16(), code)
}

pub(crate) async fn create(issuer: &Issuer, body: Value) -> Answer {
    issuer
        .operator(Method::POST, "/api/v1/service-tokens", Some(body))
        .await
}

async fn keyed(issuer: &Issuer, path: String, body: Value) -> Answer {
    let headers = [
        ("authorization", &*bearer(OPS)),
        ("idempotency-key", "once"),
    ];
    send(
        issuer.ops,
        request(Method::POST, &path, &headers, Some(body.to_string())),
    )
    .await
}
