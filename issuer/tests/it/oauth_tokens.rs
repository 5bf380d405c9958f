//! Tokens of every kind, looked at and ended by services.

use std::time::Duration;

use ::http::Method;
use serde_json::{Value, json};

use crate::harness::{Database, Issuer, RAPTOR, START, VELVET, bearer, look_into, on_both_engines};
use crate::http::Answer;
use crate::oauth::{access, basic, expect_error, form};
use crate::service_clients::{make, revoke, status};
use crate::status_list::{bits, place};

on_both_engines! {
    introspection_follows_the_session
    introspection_of_service_tokens
    inactive_says_nothing_else
    revocation_ends_a_session
    revocation_of_other_tokens
}

/// Hazard I8.
async fn introspection_follows_the_session(database: Database) {
    let issuer = Issuer::start(&database).await;
    let now = if database.is_postgres() {
        "now()"
    } else {
        "unixepoch() * 1000000"
    };
    for end in ["revoke", "suspend", "erase", "expire_session", "expire"] {
        let customer = issuer.customer(&format!("{end}@example.com")).await;
        let minted = issuer.mint(&customer).await.expect(201);
        let token = minted["access_token"].as_str().unwrap();
        let sid = minted["session"]["session_id"].as_str().unwrap();
        let said = introspect(&issuer, RAPTOR, token).await.expect(200);
        let (_, mut claims) = look_into(token);
        claims["active"] = json!(true);
        claims["token_type"] = json!("Bearer");
        assert_eq!(said, claims);
        match end {
            "revoke" => crate::status_list::revoke(&issuer, &minted).await,
            "suspend" | "erase" => {
                let change = if end == "suspend" {
                    format!("state = 'suspended', suspended_at = {now}")
                } else {
                    format!("state = 'erased', erased_at = {now}, display_name = NULL")
                };
                let sql = format!("UPDATE queue_customers SET {change} WHERE id = '{customer}'");
                database.execute(&sql).await.unwrap();
            }
            "expire_session" => {
                let early = if database.is_postgres() {
                    "created_at + interval '1 second'"
                } else {
                    "created_at + 1000000"
                };
                let sql =
                    format!("UPDATE queue_sessions SET expires_at = {early} WHERE id = '{sid}'");
                database.execute(&sql).await.unwrap();
                issuer.clock.advance(Duration::from_secs(1));
            }
            _ => {
                // To the second, without the leeway verifiers give.
                let life = u64::try_from(minted["expires_in"].as_i64().unwrap()).unwrap();
                issuer.clock.advance(Duration::from_secs(life - 1));
                assert_eq!(
                    introspect(&issuer, RAPTOR, token).await.expect(200)["active"],
                    true
                );
                issuer.clock.advance(Duration::from_secs(1));
            }
        }
        let said = introspect(&issuer, RAPTOR, token).await.expect(200);
        assert_eq!(said, json!({ "active": false }), "{end}");
    }
}

async fn introspection_of_service_tokens(database: Database) {
    let issuer = Issuer::start(&database).await;
    let (id, secret) = make(&issuer, "velour", &["customers:read"]).await;
    let short = access(
        &issuer,
        &basic("velour", &secret),
        &[("audience", "raptor")],
    )
    .await;
    let said = introspect(&issuer, RAPTOR, &secret).await.expect(200);
    let expect = json!({
        "active": true, "token_type": "Bearer", "iss": "http://localhost:4100", "sub": "velour",
        "client_id": "velour", "scope": "customers:read", "iat": START, "exp": START + 90 * 86_400,
    });
    assert_eq!(said, expect);
    let said = introspect(&issuer, RAPTOR, &short).await.expect(200);
    assert_eq!(
        (&said["active"], &said["aud"], &said["sub"]),
        (&json!(true), &json!("raptor"), &json!("velour"))
    );
    let said = introspect(&issuer, RAPTOR, VELVET).await.expect(200);
    assert_eq!(
        (&said["active"], &said["client_id"]),
        (&json!(true), &json!("velvet"))
    );
    // To look is not to use.
    let unused = "SELECT COUNT(*) FROM queue_service_tokens WHERE last_used_at IS NULL";
    let (_, other) = make(&issuer, "other", &["customers:read"]).await;
    introspect(&issuer, RAPTOR, &other).await.expect(200);
    issuer
        .operator(Method::GET, "/api/v1/service-tokens", None)
        .await
        .expect(200);
    assert_eq!(database.number(unused).await, 1);
    revoke(&issuer, &id).await.expect(200);
    for dead in [&secret, &short] {
        assert_eq!(
            introspect(&issuer, RAPTOR, dead).await.expect(200),
            json!({ "active": false })
        );
    }
}

async fn inactive_says_nothing_else(database: Database) {
    let issuer = Issuer::start(&database).await;
    let long = "x".repeat(20_000);
    for unknown in ["x", "eyJ", "eyJ.e30.", "a.b.c", "qst_", "null", "é", &long] {
        let answer = introspect(&issuer, RAPTOR, unknown).await;
        assert_eq!(answer.expect(200), json!({ "active": false }), "{unknown}");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    introspect(&issuer, VELVET, "x")
        .await
        .expect_problem(403, "insufficient_scope");
    let nobody = form(&issuer, "introspect", None, &[("token", "x")]).await;
    nobody.expect_problem(401, "bearer_missing");
    let auth = bearer(RAPTOR);
    let hint = [("token", "x"), ("token_type_hint", "refresh_token")];
    form(&issuer, "introspect", Some(&auth), &hint)
        .await
        .expect(200);
    expect_error(
        &form(&issuer, "introspect", Some(&auth), &[]).await,
        400,
        "invalid_request",
    );
    let twice = [("token", "x"), ("token", "y")];
    expect_error(
        &form(&issuer, "introspect", Some(&auth), &twice).await,
        400,
        "invalid_request",
    );
    // Standard clients prove themselves by client_secret_basic.
    let raptor = basic("raptor", RAPTOR);
    form(&issuer, "introspect", Some(&raptor), &[("token", "x")])
        .await
        .expect(200);
    let wrong = basic("velvet", RAPTOR);
    expect_error(
        &form(&issuer, "introspect", Some(&wrong), &[("token", "x")]).await,
        401,
        "invalid_client",
    );
}

async fn revocation_ends_a_session(database: Database) {
    let issuer = Issuer::start(&database).await;
    let customer = issuer.customer("ada@example.com").await;
    let minted = issuer.mint(&customer).await.expect(201);
    let late = issuer.mint(&customer).await.expect(201);
    let text = |minted: &Value| minted["access_token"].as_str().unwrap().to_owned();
    let velvet = bearer(VELVET);
    let refused = form(
        &issuer,
        "revoke",
        Some(&velvet),
        &[("token", &text(&minted))],
    )
    .await;
    refused.expect_problem(403, "insufficient_scope");
    let (path, idx) = place(&minted);
    assert!(!bits(&issuer.get(&path).await)[idx]);
    let raptor = bearer(RAPTOR);
    for _ in 0..2 {
        let done = form(
            &issuer,
            "revoke",
            Some(&raptor),
            &[("token", &text(&minted))],
        )
        .await;
        assert_eq!((done.status.as_u16(), done.body.len()), (200, 0));
    }
    assert!(bits(&issuer.get(&path).await)[idx]);
    let said = introspect(&issuer, RAPTOR, &text(&minted))
        .await
        .expect(200);
    assert_eq!(said, json!({ "active": false }));
    let events = "SELECT COUNT(*) FROM customer_audit_events WHERE action = 'session.revoked'";
    assert_eq!(database.number(events).await, 1);
    // A token that has just expired still ends its session.
    issuer.clock.advance(Duration::from_secs(400));
    let done = form(&issuer, "revoke", Some(&raptor), &[("token", &text(&late))]).await;
    assert_eq!(done.status.as_u16(), 200);
    let revoked = "SELECT COUNT(*) FROM queue_sessions WHERE revoked_at IS NOT NULL";
    assert_eq!(database.number(revoked).await, 2);
}

async fn revocation_of_other_tokens(database: Database) {
    let issuer = Issuer::start(&database).await;
    let (_, secret) = make(&issuer, "velour", &["customers:read"]).await;
    let short = access(&issuer, &basic("velour", &secret), &[]).await;
    let customer = issuer.customer("ada@example.com").await;
    let session = issuer.mint(&customer).await.expect(201);
    let session = session["access_token"].as_str().unwrap();
    let raptor = bearer(RAPTOR);
    let forged = format!("{}A", &session[..session.len() - 5]);
    for unknown in ["x", "eyJ.e30.", "qst_", &forged] {
        let done = form(&issuer, "revoke", Some(&raptor), &[("token", unknown)]).await;
        assert_eq!(done.status.as_u16(), 200, "{unknown}");
    }
    let revoked = "SELECT COUNT(*) FROM queue_sessions WHERE revoked_at IS NOT NULL";
    assert_eq!(database.number(revoked).await, 0);
    for fixed in [RAPTOR, VELVET, &short] {
        let refused = form(&issuer, "revoke", Some(&raptor), &[("token", fixed)]).await;
        expect_error(&refused, 400, "unsupported_token_type");
    }
    expect_error(
        &form(&issuer, "revoke", Some(&raptor), &[]).await,
        400,
        "invalid_request",
    );
    form(&issuer, "revoke", None, &[("token", "x")])
        .await
        .expect_problem(401, "bearer_missing");
    // A service ends its own token with that token.
    let own = bearer(&secret);
    let done = form(&issuer, "revoke", Some(&own), &[("token", &secret)]).await;
    assert_eq!(done.status.as_u16(), 200);
    for dead in [&secret, &short] {
        assert_eq!(status(&issuer, dead).await.0, 401);
    }
    let by = "SELECT COUNT(*) FROM customer_audit_events WHERE action = 'service_token.revoked'
              AND actor_kind = 'service' AND actor_id = 'velour'";
    assert_eq!(database.number(by).await, 1);
}

async fn introspect(issuer: &Issuer, caller: &str, token: &str) -> Answer {
    form(
        issuer,
        "introspect",
        Some(&bearer(caller)),
        &[("token", token)],
    )
    .await
}
