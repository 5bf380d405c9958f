//! OAuth for services: client credentials, introspection, revocation.

use std::time::Duration;

use ::http::Method;
use queue_issuer::settings::SCOPE_NAMES;
use serde_json::json;

use crate::harness::{
    Database, FakeClock, Issuer, OPS, RAPTOR, START, VELVET, bearer, look_into, on_both_engines,
};
use crate::http::{Answer, request, send};
use crate::service_clients::{make, revoke, status};

on_both_engines! {
    access_token_is_issued
    access_token_calls_with_its_scope
    access_token_ends_with_its_credential
    access_token_ends_with_a_token_removed_from_the_environment
    refusals_have_the_shape_of_the_rfc
    queue_disabled_hides_the_endpoints
}

async fn access_token_is_issued(database: Database) {
    let issuer = Issuer::start(&database).await;
    let (id, secret) = make(&issuer, "velour", &["rbac:read", "customers:read"]).await;
    let basic = basic("velour", &secret);
    let answer = token(&issuer, Some(&basic), &[]).await;
    let issued = answer.expect(200);
    assert_eq!(
        (answer.header("cache-control"), answer.header("pragma")),
        ("no-store", "no-cache")
    );
    assert_eq!(issued["token_type"], "Bearer");
    assert_eq!(issued["scope"], "customers:read rbac:read");
    let (header, claims) = look_into(issued["access_token"].as_str().unwrap());
    let kid = &issuer.published().await[0];
    assert_eq!(
        header,
        json!({ "alg": "RS256", "typ": "at+jwt", "kid": kid })
    );
    let expect = json!({
        "iss": "http://localhost:4100", "aud": "http://localhost:4100", "sub": "velour", "client_id": "velour",
        "iat": START, "exp": claims["exp"], "jti": claims["jti"], "scope": "customers:read rbac:read",
        "tenant_id": "00000000-0000-7000-8000-000000000001", "credential_id": id,
    });
    assert_eq!(claims, expect);
    let life = claims["exp"].as_i64().unwrap() - START;
    assert!((285..=300).contains(&life), "{life}");
    assert_eq!(issued["expires_in"], life);
    let events = "SELECT COUNT(*) FROM customer_audit_events WHERE action = 'service.token_issued'
                  AND actor_id = 'velour' AND target_id = 'velour'";
    assert_eq!(database.number(events).await, 1);
    // By the environment's secret, in the body, for a part, for another audience.
    let asked = [
        ("client_id", "raptor"),
        ("client_secret", RAPTOR),
        ("scope", "customers:read"),
        ("audience", "raptor"),
        ("unknown", "ignored"),
        ("resource", "raptor"),
    ];
    let issued = token(&issuer, None, &asked).await.expect(200);
    let (_, claims) = look_into(issued["access_token"].as_str().unwrap());
    assert_eq!(
        (&claims["aud"], &claims["scope"]),
        (&json!("raptor"), &json!("customers:read"))
    );
    assert_eq!(claims.get("credential_id"), None);
    assert!(
        !SCOPE_NAMES.contains(&"customer"),
        "no service can have a customer's scope"
    );
}

async fn access_token_calls_with_its_scope(database: Database) {
    let issuer = Issuer::start(&database).await;
    let (_, secret) = make(&issuer, "velour", &["customers:read", "customers:write"]).await;
    let basic = basic("velour", &secret);
    let read = access(&issuer, &basic, &[("scope", "customers:read")]).await;
    assert_eq!(
        status(&issuer, &read).await,
        (404, "customer_not_found".to_owned())
    );
    let write = async |token: &str| {
        let body = json!({ "email": "ada@example.com" });
        let headers = [("authorization", &*bearer(token))];
        issuer
            .call(Method::POST, "/api/v1/customers", &headers, Some(body))
            .await
    };
    write(&read).await.expect_problem(403, "insufficient_scope");
    write(&access(&issuer, &basic, &[]).await).await.expect(201);
    let by = "SELECT COUNT(*) FROM customer_audit_events WHERE action = 'customer.created' AND actor_id = 'velour'";
    assert_eq!(database.number(by).await, 1);
    // For another service it is none for us.
    let foreign = access(&issuer, &basic, &[("audience", "raptor")]).await;
    assert_eq!(
        status(&issuer, &foreign).await,
        (401, "service_token_invalid".to_owned())
    );
    // It cannot renew itself.
    let own = [("client_id", "velour"), ("client_secret", &*read)];
    expect_error(&token(&issuer, None, &own).await, 401, "invalid_client");
    // Operators' scopes work on their listener.
    let ops = access(
        &issuer,
        &crate::oauth::basic("ops", OPS),
        &[("scope", "ops:keys")],
    )
    .await;
    let list = async |path: &str| {
        let headers = [("authorization", &*bearer(&ops))];
        send(issuer.ops, request(Method::GET, path, &headers, None)).await
    };
    list("/api/v1/keys").await.expect(200);
    list("/api/v1/service-tokens")
        .await
        .expect_problem(403, "insufficient_scope");
    // It ends.
    issuer.clock.advance(Duration::from_secs(331));
    assert_eq!(status(&issuer, &read).await.0, 401);
}

async fn access_token_ends_with_its_credential(database: Database) {
    let clock = FakeClock::new();
    let issuer = Issuer::start_with(&database, &[], clock.clone()).await;
    let other = Issuer::start_with(&database, &[], clock).await;
    let (old, secret) = make(&issuer, "velour", &["customers:read"]).await;
    let (_, new) = make(&issuer, "velour", &["customers:read"]).await;
    let stolen = access(&issuer, &basic("velour", &secret), &[]).await;
    let kept = access(&issuer, &basic("velour", &new), &[]).await;
    assert_eq!(status(&other, &stolen).await.0, 404);
    revoke(&issuer, &old).await.expect(200);
    assert_eq!(status(&other, &stolen).await.0, 401);
    assert_eq!(status(&issuer, &stolen).await.0, 401);
    assert_eq!(status(&other, &kept).await.0, 404);
    let suspend = "UPDATE queue_service_clients SET state = 'suspended'";
    database.execute(suspend).await.unwrap();
    assert_eq!(status(&issuer, &kept).await.0, 401);
    database
        .execute("UPDATE queue_service_clients SET state = 'active', scopes = 'rbac:read'")
        .await
        .unwrap();
    // A scope the client has lost is lost to its tokens.
    assert_eq!(
        status(&issuer, &kept).await,
        (403, "insufficient_scope".to_owned())
    );
    // It never outlives the credential.
    let body = json!({ "client_id": "brief", "scopes": ["customers:read"], "expires_in": 60 });
    let brief = issuer
        .operator(Method::POST, "/api/v1/service-tokens", Some(body))
        .await
        .expect(201);
    let brief = access(
        &issuer,
        &basic("brief", brief["token"].as_str().unwrap()),
        &[],
    )
    .await;
    assert_eq!(look_into(&brief).1["exp"], START + 60);
}

async fn access_token_ends_with_a_token_removed_from_the_environment(database: Database) {
    let clock = FakeClock::new();
    let issuer = Issuer::start_with(&database, &[], clock.clone()).await;
    let read = access(&issuer, &basic("velvet", VELVET), &[]).await;
    assert_eq!(status(&issuer, &read).await.0, 404);
    issuer.stop().await.unwrap();
    let more = [("QUEUE_SERVICE_SCOPES_VELVET", "rbac:read")];
    let issuer = Issuer::start_with(&database, &more, clock.clone()).await;
    assert_eq!(status(&issuer, &read).await.0, 403);
    issuer.stop().await.unwrap();
    let env = database.env(&[]);
    let without = env
        .into_iter()
        .filter(|(name, _)| name != "QUEUE_SERVICE_TOKEN_VELVET");
    let issuer = Issuer::start_in(without.collect(), clock).await;
    assert_eq!(status(&issuer, &read).await.0, 401);
}

async fn refusals_have_the_shape_of_the_rfc(database: Database) {
    let issuer = Issuer::start(&database).await;
    let (id, secret) = make(&issuer, "velour", &["customers:read"]).await;
    let good = basic("velour", &secret);
    let client = |client: &str, secret: &str| basic(client, secret);
    let junk = [
        "Basic !",
        "Basic",
        "Basic dmVsb3Vy",
        "Bearer x",
        "Basic /w==",
    ]
    .map(str::to_owned);
    let wrong = [
        client("velour", RAPTOR),
        client("raptor", &secret),
        client("velour", ""),
        client("velour", "x"),
        client("nobody", "x"),
        client("", &secret),
        bearer(&secret),
    ];
    for auth in wrong.iter().chain(&junk) {
        expect_error(
            &token(&issuer, Some(auth), &[]).await,
            401,
            "invalid_client",
        );
    }
    for body in [
        &[][..],
        &[("client_id", "velour")],
        &[("client_id", "velour"), ("client_secret", RAPTOR)],
    ] {
        expect_error(&token(&issuer, None, body).await, 401, "invalid_client");
    }
    for (body, error) in [
        (&[("client_secret", secret.as_str())][..], "invalid_request"),
        (&[("client_id", "raptor")], "invalid_request"),
        (&[("grant_type", "client_credentials")], "invalid_request"),
        (&[("scope", "customers:write")], "invalid_scope"),
        (
            &[("scope", "customers:read customers:write")],
            "invalid_scope",
        ),
        (&[("scope", "customers:*")], "invalid_scope"),
        (&[("scope", " ")], "invalid_scope"),
        (&[("audience", "console")], "invalid_target"),
        (
            &[
                ("audience", "raptor"),
                ("resource", "http://localhost:4100"),
            ],
            "invalid_target",
        ),
        (&[("resource", "http://localhost:4100/")], "invalid_target"),
    ] {
        expect_error(&token(&issuer, Some(&good), body).await, 400, error);
    }
    let raw = async |media: &str, body: &str| {
        let headers = [("content-type", media), ("authorization", good.as_str())];
        let ask = request(
            Method::POST,
            "/api/v1/oauth/token",
            &headers,
            Some(body.to_owned()),
        );
        send(issuer.public, ask).await
    };
    let form = "application/x-www-form-urlencoded";
    for (media, body, error) in [
        (
            "application/json",
            "{\"grant_type\":\"client_credentials\"}",
            "invalid_request",
        ),
        (form, "", "invalid_request"),
        (form, "grant_type=", "invalid_request"),
        (
            form,
            "grant_type=client_credentials&x=%ff",
            "invalid_request",
        ),
        (
            form,
            "grant_type=authorization_code",
            "unsupported_grant_type",
        ),
        (
            form,
            "grant_type=CLIENT_CREDENTIALS",
            "unsupported_grant_type",
        ),
        (
            form,
            &format!("grant_type=client_credentials&x={}", "a".repeat(65_536)),
            "invalid_request",
        ),
    ] {
        expect_error(&raw(media, body).await, 400, error);
    }
    raw(
        "Application/X-WWW-Form-Urlencoded; charset=utf-8",
        "grant_type=client_credentials",
    )
    .await
    .expect(200);
    revoke(&issuer, &id).await.expect(200);
    expect_error(
        &token(&issuer, Some(&good), &[]).await,
        401,
        "invalid_client",
    );
    let events = "SELECT COUNT(*) FROM customer_audit_events WHERE action = 'service.token_issued'";
    assert_eq!(database.number(events).await, 1);
}

async fn queue_disabled_hides_the_endpoints(database: Database) {
    let issuer = Issuer::start_with(&database, &[("FLAG_QUEUE_V1", "off")], FakeClock::new()).await;
    let auth = bearer(RAPTOR);
    for endpoint in ["token", "introspect", "revoke"] {
        form(&issuer, endpoint, Some(&auth), &[("token", "x")])
            .await
            .expect_problem(404, "queue_disabled");
    }
}

/// The answer to a client credentials request, which is whole but for `more`.
async fn token(issuer: &Issuer, auth: Option<&str>, more: &[(&str, &str)]) -> Answer {
    let grant = [("grant_type", "client_credentials")];
    form(issuer, "token", auth, &[&grant[..], more].concat()).await
}

/// An access token of the client that `auth` proves.
pub(crate) async fn access(issuer: &Issuer, auth: &str, more: &[(&str, &str)]) -> String {
    let issued = token(issuer, Some(auth), more).await.expect(200);
    issued["access_token"].as_str().unwrap().to_owned()
}

pub(crate) async fn form(
    issuer: &Issuer,
    endpoint: &str,
    auth: Option<&str>,
    pairs: &[(&str, &str)],
) -> Answer {
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    let mut headers = vec![("content-type", "application/x-www-form-urlencoded")];
    headers.extend(auth.map(|auth| ("authorization", auth)));
    let path = format!("/api/v1/oauth/{endpoint}");
    send(
        issuer.public,
        request(Method::POST, &path, &headers, Some(body)),
    )
    .await
}

/// `client_secret_basic` (RFC 6749 §2.3.1).
pub(crate) fn basic(client: &str, secret: &str) -> String {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encode(client), encode(secret));
    format!("Basic {}", base64_simd::STANDARD.encode_to_string(pair))
}

#[track_caller]
pub(crate) fn expect_error(answer: &Answer, status: u16, error: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["error"], error, "{body}");
    assert!(body["error_description"].is_string());
    assert_eq!(body.as_object().unwrap().len(), 2);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    let challenge = answer.header("www-authenticate");
    assert_eq!(
        challenge.starts_with("Basic "),
        status == 401,
        "{challenge}"
    );
}
