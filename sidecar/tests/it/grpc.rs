//! gRPC: Envoy's Authorization/Check and the health service, spoken byte by byte.

use std::collections::BTreeMap;

use serde_json::json;

use crate::support::{
    CHECK, Decision, Field, GrpcClient, Issuer, NOW, TestApp, bearing, check, claims, decision,
    forge, message, number_of, request, settings, wait_until,
};

const HEALTH: &str = "/grpc.health.v1.Health/Check";

fn good() -> String {
    forge().sign(&claims(json!({})))
}

fn client(app: &TestApp) -> GrpcClient {
    GrpcClient { port: app.port }
}

#[track_caller]
fn is_denied(decision: &Decision, rpc: u64, http: u64, code: &str) {
    assert_eq!(decision.body["code"], code);
    assert_eq!((decision.kind, decision.rpc, decision.http), (2, rpc, http));
    assert_eq!(decision.headers["content-type"], "application/problem+json");
}

#[test]
fn a_session_goes_into_headers_and_other_spellings_go() {
    let app = TestApp::start();
    let decision = check(&app, &bearing(&good()));
    assert_eq!((decision.rpc, decision.kind), (0, 3));
    let expected = [
        ("x-queue-client", "antlers"),
        ("x-queue-roles", "antlers-user,billing"),
        ("x-queue-scope", "openid profile"),
        ("x-queue-session", "0190c8a4-5b7e-7cc3-8f2a-4d1f6b1c9e57"),
        ("x-queue-subject", "0190c8a4-5b7e-7cc3-8f2a-4d1f6b1c9e55"),
        ("x-queue-tenant", "00000000-0000-7000-8000-000000000001"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(decision.headers, BTreeMap::from(expected));
    for name in [
        "x_queue_subject",
        "x.queue.roles",
        "x-queue_scope",
        "x_queue.tenant",
    ] {
        assert!(
            decision.removed.iter().any(|removed| removed == name),
            "{name}"
        );
    }
    assert!(
        !decision
            .removed
            .iter()
            .any(|name| decision.headers.contains_key(name))
    );
}

#[test]
fn a_claim_that_is_absent_overwrites_with_nothing() {
    let app = TestApp::start();
    let token = forge().sign(&claims(json!({"roles": null, "scope": "a\u{e9}\r\nb"})));
    let decision = check(&app, &bearing(&token));
    assert_eq!(decision.headers["x-queue-roles"], "");
    assert_eq!(decision.headers["x-queue-scope"], "a%C3%A9%0D%0Ab");
}

#[test]
fn raw_headers_are_read_as_well() {
    let app = TestApp::start();
    let value = format!("Bearer {}", good());
    let raw: (&[u8], &[u8]) = (b"Authorization", value.as_bytes());
    assert_eq!(check(&app, &request(&[], &[raw], &[])).kind, 3);
    let noise: (&[u8], &[u8]) = (b"x-noise", b"\xff\x00");
    assert_eq!(check(&app, &request(&[noise], &[raw, noise], &[])).kind, 3);
}

#[test]
fn what_the_client_can_break_is_denied_not_failed() {
    let app = TestApp::start();
    let good = format!("Bearer {}", good());
    let one: (&[u8], &[u8]) = (b"authorization", good.as_bytes());
    let comma = format!("{good},{good}");
    for (request, code) in [
        (request(&[one, one], &[], &[]), "bearer_malformed"),
        (request(&[one], &[one], &[]), "bearer_malformed"),
        (request(&[], &[one, one], &[]), "bearer_malformed"),
        (
            request(&[one, (b"AUTHORIZATION", b"")], &[], &[]),
            "bearer_malformed",
        ),
        (
            request(&[(b"authorization", comma.as_bytes())], &[], &[]),
            "bearer_malformed",
        ),
        (
            request(&[(b"authorization", b"Bearer a\r\nb")], &[], &[]),
            "bearer_malformed",
        ),
        (
            request(&[], &[(b"authorization", b"Bearer a\0b")], &[]),
            "bearer_malformed",
        ),
        (b"\xff".to_vec(), "request_malformed"),
    ] {
        is_denied(&check(&app, &request), 3, 400, code);
    }
    for request in [
        request(&[], &[], &[]),
        request(&[(b"\xff", b"\xff")], &[], &[]),
        Vec::new(),
    ] {
        is_denied(&check(&app, &request), 16, 401, "bearer_missing");
    }
    let obs_text = request(&[(b"authorization", b"Bearer \xff")], &[], &[]);
    is_denied(&check(&app, &obs_text), 16, 401, "token_malformed");
}

#[test]
fn a_refusal_has_its_status_challenge_and_problem() {
    let app = TestApp::start();
    let expired = forge().sign(&claims(json!({"exp": NOW - 31})));
    let decision = check(&app, &bearing(&expired));
    is_denied(&decision, 16, 401, "claims_expired");
    let challenge = &decision.headers["www-authenticate"];
    assert!(challenge.starts_with("Bearer error=\"invalid_token\""));
    assert!(decision.removed.is_empty());
    let too_large = forge().sign(&claims(json!({"sub": "s".repeat(8 * 1024)})));
    is_denied(
        &check(&app, &bearing(&too_large)),
        7,
        403,
        "session_too_large",
    );
}

#[test]
fn the_routes_configuration_may_ask_for_more() {
    let app = TestApp::start();
    let value = format!("Bearer {}", good());
    let header: (&[u8], &[u8]) = (b"authorization", value.as_bytes());
    let ask = |extensions: &[(&str, &str)]| check(&app, &request(&[header], &[], extensions));
    for extensions in [
        [
            ("scope", "openid profile"),
            ("role", "billing, antlers-user"),
        ],
        [("acr", "urn:queue:acr:passkey-uv"), ("max_auth_age", "100")],
        [
            ("tenant", "00000000-0000-7000-8000-000000000001"),
            ("scope", "openid"),
        ],
    ] {
        assert_eq!(ask(&extensions).kind, 3, "{extensions:?}");
    }
    is_denied(&ask(&[("scope", "admin")]), 7, 403, "claims_scope_missing");
    is_denied(
        &ask(&[("role", "billing,root")]),
        7,
        403,
        "claims_role_missing",
    );
    is_denied(
        &ask(&[("tenant", "other")]),
        7,
        403,
        "claims_tenant_mismatch",
    );
    is_denied(
        &ask(&[("max_auth_age", "60")]),
        16,
        401,
        "claims_auth_too_old",
    );
    // Freshness was asked and there is no list: it cannot be decided.
    assert_eq!(ask(&[("fresh", "true")]).kind, 5);
    for extensions in [
        ("scopes", "openid"),
        ("Scope", "openid"),
        ("scope", ""),
        ("role", ""),
        ("role", "billing,"),
        ("max_auth_age", "-1"),
        ("fresh", "no"),
        ("", ""),
    ] {
        is_denied(&ask(&[extensions]), 3, 400, "request_malformed");
    }
}

#[test]
fn what_the_settings_ask_holds_for_every_route() {
    let mut strict = settings();
    strict.envoy_require = Some("tenant=other".to_owned());
    let app = TestApp::with(&strict);
    is_denied(
        &check(&app, &bearing(&good())),
        7,
        403,
        "claims_tenant_mismatch",
    );
    let value = format!("Bearer {}", good());
    let header: (&[u8], &[u8]) = (b"authorization", value.as_bytes());
    let own = "00000000-0000-7000-8000-000000000001";
    let softer = check(&app, &request(&[header], &[], &[("tenant", own)]));
    is_denied(&softer, 3, 400, "request_malformed");
}

#[test]
fn what_cannot_be_decided_is_an_error_and_never_ok() {
    let issuer = Issuer::failing();
    let mut fetching = settings();
    fetching.issuer.keys = issuer.keys();
    let app = TestApp::with(&fetching);
    let decision = check(&app, &bearing(&good()));
    assert_eq!((decision.kind, decision.rpc, decision.http), (5, 14, 503));
    assert_eq!(decision.body["code"], "key_set_unavailable");
    assert_eq!(decision.headers["retry-after"], "1");
}

#[test]
fn overloaded_is_an_error_too() {
    let mut narrow = settings();
    narrow.max_in_flight = 1;
    let app = TestApp::with(&narrow);
    let mut slow = app.connect();
    slow.write(
        "POST /v1/validate HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\n\r\n",
    );
    wait_until("the place is taken", || {
        app.metric("queue_sidecar_in_flight") == 1
    });
    let decision = check(&app, &bearing(&good()));
    assert_eq!((decision.kind, decision.http), (5, 503));
    assert_eq!(decision.body["code"], "overloaded");
}

#[test]
fn a_frame_that_is_none_is_denied() {
    let app = TestApp::start();
    let good = bearing(&good());
    let length = u32::try_from(good.len())
        .expect("a small message")
        .to_be_bytes();
    let framed = |flag: u8, length: [u8; 4]| [&[flag], length.as_slice(), &good].concat();
    let send = |content_type, body| decision(&client(&app).send(CHECK, content_type, body));
    assert_eq!(send("application/grpc+proto", framed(0, length)).kind, 3);
    for body in [
        Vec::new(),
        vec![0; 4],
        framed(1, length),
        framed(0, [0; 4]),
        framed(0, [0xff; 4]),
        framed(0, length).repeat(2),
    ] {
        is_denied(&send("application/grpc", body), 3, 400, "request_malformed");
    }
    let large = vec![0; 1024 * 1024 + 1];
    is_denied(
        &send("application/grpc", large),
        3,
        413,
        "request_too_large",
    );
    let other = send("application/grpc+json", framed(0, length));
    is_denied(&other, 3, 415, "request_unsupported_media_type");
}

#[test]
fn a_page_does_not_reach_it() {
    let app = TestApp::start();
    for path in [CHECK, HEALTH] {
        let ask = |host: &str| {
            app.send(format!(
                "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/grpc\r\n\
                 Content-Length: 5\r\n\r\n\0\0\0\0\0"
            ))
        };
        ask("evil.example").problem(421, "host_not_allowed");
        ask("{HOST}").problem(404, "route_not_found");
    }
    // What is no method of ours is behind the guard.
    let answer = client(&app).call("/envoy.service.auth.v3.Authorization/Other", &[]);
    assert_eq!(answer.http_status, 421);
}

#[test]
fn health() {
    let app = TestApp::start();
    let ask = |app: &TestApp, service: &str| {
        let request = message(&[Field::Bytes(1, service.as_bytes().to_vec())]);
        client(app).call(HEALTH, &request)
    };
    for service in ["", "envoy.service.auth.v3.Authorization"] {
        let answer = ask(&app, service);
        assert_eq!(number_of(answer.message(), 1), 1, "it serves");
    }
    assert_eq!(ask(&app, "other").status.as_deref(), Some("5"));
    assert_eq!(
        client(&app).call(HEALTH, b"\xff").status.as_deref(),
        Some("3")
    );
    let issuer = Issuer::failing();
    let mut fetching = settings();
    fetching.issuer.keys = issuer.keys();
    let app = TestApp::with(&fetching);
    assert_eq!(
        number_of(ask(&app, "").message(), 1),
        2,
        "it does not serve"
    );
}

#[test]
fn in_shadow_mode_who_would_be_denied_passes_as_nobody() {
    let mut shadow = settings();
    shadow.shadow = true;
    let app = TestApp::with(&shadow);
    let decision = check(&app, &request(&[], &[], &[]));
    assert_eq!((decision.rpc, decision.kind), (0, 3));
    assert_eq!(decision.headers.len(), 6);
    assert!(decision.headers.values().all(String::is_empty));
    assert!(decision.removed.contains(&"x_queue_subject".to_owned()));
    let counted = "queue_sidecar_shadowed_total{code=\"bearer_missing\"}";
    assert_eq!(app.metric(counted), 1);
    let decision = check(&app, &bearing(&good()));
    assert_ne!(decision.headers["x-queue-subject"], "");
}
