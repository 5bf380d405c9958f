//! Sessions: minted for customers, signed by the active key, refused to those who may not have one.

use std::time::Duration;

use ::http::Method;
use serde_json::{Value, json};

use crate::harness::{
    Database, FakeClock, Issuer, RAPTOR, START, bearer, look_into, on_both_engines,
};

on_both_engines! {
    session_is_minted
    session_names_the_issuer_of_the_settings_only
    session_audience_not_allowed
    session_of_a_suspended_customer_is_refused
    session_is_revoked_once
    session_not_found
    idempotency_key_gives_the_same_session
    idempotency_key_of_a_revoked_session_is_refused
    token_that_fails_the_self_check_never_leaves
    token_never_outlives_its_session
    queue_disabled_hides_the_routes
    queue_share_decides_by_customer
}

async fn session_is_minted(database: Database) {
    let issuer = Issuer::start(&database).await;
    let customer = issuer.customer("ada@example.com").await;
    let answer = issuer.mint(&customer).await;
    let minted = answer.expect(201);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(minted["token_type"], "Bearer");
    let token = minted["access_token"].as_str().unwrap();
    assert!(token.len() <= 1_536);
    let (header, claims) = look_into(token);
    let kid = &issuer.published().await[0];
    assert_eq!(
        header,
        json!({ "alg": "RS256", "typ": "at+jwt", "kid": kid })
    );
    let session = &minted["session"];
    let expect = json!({
        "iss": "http://localhost:4100", "aud": "raptor", "sub": customer, "client_id": "raptor",
        "iat": START, "exp": claims["exp"], "jti": claims["jti"], "sid": session["session_id"], "auth_time": START,
        "acr": "urn:queue:acr:legacy", "amr": [], "tenant_id": "00000000-0000-7000-8000-000000000001",
        "scope": "customer", "roles": ["antlers-user"], "authz_ver": 2, "status": claims["status"],
    });
    assert_eq!(claims, expect);
    let life = claims["exp"].as_i64().unwrap() - START;
    assert!((285..=300).contains(&life), "{life}");
    assert_eq!(minted["expires_in"], life);
    assert_eq!(session["expires_at"], START + 12 * 3_600);
    let kept =
        "SELECT COUNT(*) FROM queue_sessions WHERE client_id = 'raptor' AND revoked_at IS NULL";
    assert_eq!(database.number(kept).await, 1);
    let events = "SELECT COUNT(*) FROM customer_audit_events WHERE action = 'session.minted' AND target_kind = 'session'";
    assert_eq!(database.number(events).await, 1);
}

/// Hazard I1.
async fn session_names_the_issuer_of_the_settings_only(database: Database) {
    let issuer = Issuer::start(&database).await;
    let customer = issuer.customer("ada@example.com").await;
    let bearer = bearer(RAPTOR);
    let forged = [
        ("authorization", bearer.as_str()),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "host=evil.example;proto=https"),
        ("x-original-host", "evil.example"),
    ];
    let body = json!({ "customer_id": customer });
    let answer = issuer
        .call(
            Method::POST,
            "/api/v1/service/sessions",
            &forged,
            Some(body),
        )
        .await;
    let (_, claims) = look_into(answer.expect(201)["access_token"].as_str().unwrap());
    assert_eq!(claims["iss"], "http://localhost:4100");
    assert!(!answer.text().contains("evil"));
    assert!(!answer.header("location").contains("evil"));
    for path in [
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
        "/",
    ] {
        let document = issuer.call(Method::GET, path, &forged[1..], None).await;
        assert!(
            !document.text().contains("evil") && !document.text().contains("issuer.test"),
            "{path}"
        );
    }
}

async fn session_audience_not_allowed(database: Database) {
    let more = [("QUEUE_ISSUER_AUDIENCES", "raptor velvet")];
    let issuer = Issuer::start_with(&database, &more, FakeClock::new()).await;
    let customer = issuer.customer("ada@example.com").await;
    let mint = |audience: Value| {
        let body = json!({ "customer_id": customer, "audience": audience });
        issuer.raptor(Method::POST, "/api/v1/service/sessions", Some(body))
    };
    for (audience, expect) in [(json!("velvet"), "velvet"), (Value::Null, "raptor")] {
        let (_, claims) = look_into(
            mint(audience).await.expect(201)["access_token"]
                .as_str()
                .unwrap(),
        );
        assert_eq!(claims["aud"], expect);
    }
    for audience in ["", "Raptor", "raptor ", "console"] {
        mint(json!(audience))
            .await
            .expect_problem(422, "session_audience_not_allowed");
    }
    mint(json!(["raptor"]))
        .await
        .expect_problem(400, "request_malformed");
}

async fn session_of_a_suspended_customer_is_refused(database: Database) {
    let issuer = Issuer::start(&database).await;
    let customer = issuer.customer("ada@example.com").await;
    issuer
        .mint("01a20b00-94db-741f-9219-ec14c43ddf3b")
        .await
        .expect_problem(404, "customer_not_found");
    let now = if database.is_postgres() {
        "now()"
    } else {
        "unixepoch() * 1000000"
    };
    let suspend = format!("UPDATE queue_customers SET state = 'suspended', suspended_at = {now}");
    database.execute(&suspend).await.unwrap();
    issuer
        .mint(&customer)
        .await
        .expect_problem(409, "customer_suspended");
    let erase = format!(
        "UPDATE queue_customers SET state = 'erased', erased_at = {now}, display_name = NULL"
    );
    database.execute(&erase).await.unwrap();
    issuer
        .mint(&customer)
        .await
        .expect_problem(409, "customer_erased");
    assert_eq!(
        database.number("SELECT COUNT(*) FROM queue_sessions").await,
        0
    );
}

async fn session_is_revoked_once(database: Database) {
    let issuer = Issuer::start(&database).await;
    let customer = issuer.customer("ada@example.com").await;
    let minted = issuer.mint(&customer).await.expect(201);
    let path = format!(
        "/api/v1/service/sessions/{}/revoke",
        minted["session"]["session_id"].as_str().unwrap()
    );
    issuer.clock.advance(Duration::from_secs(5));
    let revoked = issuer.raptor(Method::POST, &path, None).await.expect(200);
    assert_eq!(revoked["revoked_at"], START + 5);
    issuer.clock.advance(Duration::from_secs(5));
    assert_eq!(
        issuer.raptor(Method::POST, &path, None).await.expect(200),
        revoked
    );
    let events = "SELECT COUNT(*) FROM customer_audit_events WHERE action = 'session.revoked'";
    assert_eq!(database.number(events).await, 1);
}

async fn session_not_found(database: Database) {
    let issuer = Issuer::start(&database).await;
    let path = "/api/v1/service/sessions/01a20b00-94db-741f-9219-ec14c43ddf3b/revoke";
    issuer
        .raptor(Method::POST, path, None)
        .await
        .expect_problem(404, "session_not_found");
}

async fn idempotency_key_gives_the_same_session(database: Database) {
    let issuer = Issuer::start(&database).await;
    let customer = issuer.customer("ada@example.com").await;
    let first = mint_with_key(&issuer, &customer).await;
    issuer.clock.advance(Duration::from_secs(600));
    let second = mint_with_key(&issuer, &customer).await;
    assert_eq!(first.expect(201)["session"], second.expect(201)["session"]);
    assert_eq!(second.header("idempotency-replayed"), "true");
    let (_, claims) = look_into(second.expect(201)["access_token"].as_str().unwrap());
    assert_eq!(claims["iat"], START + 600);
    assert_eq!(claims["auth_time"], START);
    assert_eq!(
        database.number("SELECT COUNT(*) FROM queue_sessions").await,
        1
    );
    let leaked = "SELECT COUNT(*) FROM queue_idempotency_keys WHERE resource_id LIKE 'eyJ%'";
    assert_eq!(database.number(leaked).await, 0);
}

async fn idempotency_key_of_a_revoked_session_is_refused(database: Database) {
    let issuer = Issuer::start(&database).await;
    let customer = issuer.customer("ada@example.com").await;
    let minted = mint_with_key(&issuer, &customer).await.expect(201);
    let path = format!(
        "/api/v1/service/sessions/{}/revoke",
        minted["session"]["session_id"].as_str().unwrap()
    );
    issuer.raptor(Method::POST, &path, None).await.expect(200);
    mint_with_key(&issuer, &customer)
        .await
        .expect_problem(409, "session_ended");
}

pub(crate) async fn mint_with_key(issuer: &Issuer, customer: &str) -> crate::http::Answer {
    let bearer = bearer(RAPTOR);
    let headers = [
        ("authorization", bearer.as_str()),
        ("idempotency-key", "login-1"),
    ];
    let body = json!({ "customer_id": customer });
    issuer
        .call(
            Method::POST,
            "/api/v1/service/sessions",
            &headers,
            Some(body),
        )
        .await
}

async fn token_that_fails_the_self_check_never_leaves(database: Database) {
    let issuer = Issuer::start(&database).await;
    let customer = issuer.customer("ada@example.com").await;
    // The published half is made to belong to another key: what is signed no longer verifies.
    let drop = if database.is_postgres() {
        "DROP TRIGGER queue_signing_keys_material_is_final ON queue_signing_keys"
    } else {
        "DROP TRIGGER queue_signing_keys_material_is_final"
    };
    database.execute(drop).await.unwrap();
    database
        .execute(&format!(
            "UPDATE queue_signing_keys SET public_jwk = '{OTHER_JWK}'"
        ))
        .await
        .unwrap();
    let answer = issuer.mint(&customer).await;
    answer.expect_problem(500, "internal_error");
    assert!(!answer.text().contains("eyJ"));
    assert_eq!(
        database.number("SELECT COUNT(*) FROM queue_sessions").await,
        0
    );
    let metrics = issuer.get("/metrics").await.text();
    assert!(
        metrics.contains("queue_issuer_selfcheck_failures_total 1"),
        "{metrics}"
    );
}

async fn token_never_outlives_its_session(database: Database) {
    let more = [("QUEUE_ISSUER_SESSION_LIFE", "300s")];
    let issuer = Issuer::start_with(&database, &more, FakeClock::new()).await;
    let customer = issuer.customer("ada@example.com").await;
    mint_with_key(&issuer, &customer).await.expect(201);
    issuer.clock.advance(Duration::from_secs(250));
    let minted = mint_with_key(&issuer, &customer).await.expect(201);
    assert_eq!(minted["expires_in"], 50);
    issuer.clock.advance(Duration::from_secs(50));
    mint_with_key(&issuer, &customer)
        .await
        .expect_problem(409, "session_ended");
}

async fn queue_disabled_hides_the_routes(database: Database) {
    let issuer = Issuer::start_with(&database, &[("FLAG_QUEUE_V1", "off")], FakeClock::new()).await;
    for path in [
        "/api/v1/customers",
        "/api/v1/service/sessions",
        "/api/v1/nothing",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            issuer
                .call(method.clone(), path, &[], None)
                .await
                .expect_problem(404, "queue_disabled");
            issuer
                .raptor(method, path, Some(json!({})))
                .await
                .expect_problem(404, "queue_disabled");
        }
    }
    for path in [
        "/.well-known/jwks.json",
        "/.well-known/openid-configuration",
        "/livez",
        "/readyz",
    ] {
        issuer.get(path).await.expect(200);
    }
    issuer
        .operator(Method::GET, "/api/v1/keys", None)
        .await
        .expect(200);
}

async fn queue_share_decides_by_customer(database: Database) {
    let issuer = Issuer::start_with(&database, &[("FLAG_QUEUE_V1", "50%")], FakeClock::new()).await;
    let mut minted = 0;
    for n in 0..24 {
        let customer = issuer.customer(&format!("c{n}@example.com")).await;
        let first = issuer.mint(&customer).await;
        assert_eq!(first.status, issuer.mint(&customer).await.status);
        match first.status.as_u16() {
            201 => minted += 1,
            _ => drop(first.expect_problem(404, "queue_disabled")),
        }
    }
    assert!((1..24).contains(&minted), "{minted}");
}

/// The key of RFC 7638 §3.1.
const OTHER_JWK: &str = r#"{"kty":"RSA","e":"AQAB","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}"#;
