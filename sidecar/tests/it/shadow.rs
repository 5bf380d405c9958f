//! Shadow mode: forward-auth refuses nobody, says so, and counts.

use serde_json::json;

use crate::support::{Issuer, NOW, TestApp, claims, forge, settings};

fn shadow() -> queue_sidecar::Settings {
    let mut settings = settings();
    settings.shadow = true;
    settings
}

fn bearer(changes: serde_json::Value) -> String {
    format!(
        "Authorization: Bearer {}\r\n",
        forge().sign(&claims(changes))
    )
}

#[test]
fn who_would_be_refused_passes_as_nobody() {
    let app = TestApp::with(&shadow());
    let expired = bearer(json!({"exp": NOW - 31}));
    for (path, header, code) in [
        ("/v1/auth", expired.as_str(), "claims_expired"),
        ("/v1/auth", "", "bearer_missing"),
        ("/v1/auth?scope=", "", "request_malformed"),
        ("/envoy/a", "Authorization: Basic a\r\n", "bearer_malformed"),
        (
            "/v1/auth",
            "Origin: https://a.example\r\n",
            "origin_not_allowed",
        ),
    ] {
        let response = app.get(path, header);
        assert_eq!((response.status, response.text()), (200, String::new()));
        assert_eq!(response.header("x-queue-shadow"), Some(code));
        for name in ["subject", "session", "tenant", "roles", "scope", "client"] {
            assert_eq!(response.header(&format!("x-queue-{name}")), Some(""));
        }
        assert_eq!(response.header("www-authenticate"), None);
        let removed = response.header("x-envoy-auth-headers-to-remove");
        assert_eq!(removed.is_some(), path.starts_with("/envoy/"));
        let counted = format!("queue_sidecar_shadowed_total{{code=\"{code}\"}}");
        assert_eq!(app.metric(&counted), 1);
    }
    assert_eq!(app.metric("queue_sidecar_shadow"), 1);
    let page = app.get("/", "");
    assert!(page.text().contains("Shadow mode: nobody is refused"));
    let status = app.get("/v1/status", "").json();
    assert_eq!(status["shadow"], true);
    // Judged and counted as ever.
    let judged = "queue_sidecar_validations_total{code=\"claims_expired\"}";
    assert_eq!(app.metric(judged), 1);
}

#[test]
fn who_is_let_in_is_named() {
    let app = TestApp::with(&shadow());
    let response = app.get("/v1/auth", &bearer(json!({})));
    assert_eq!(response.status, 200);
    assert_eq!(response.header("x-queue-shadow"), Some("pass"));
    let subject = Some("0190c8a4-5b7e-7cc3-8f2a-4d1f6b1c9e55");
    assert_eq!(response.header("x-queue-subject"), subject);
}

#[test]
fn whoever_asks_for_a_verdict_gets_it() {
    let issuer = Issuer::failing();
    let mut fetching = shadow();
    fetching.issuer.keys = issuer.keys();
    let app = TestApp::with(&fetching);
    let token = forge().sign(&claims(json!({})));
    let response = app.validate(&token).problem(503, "key_set_unavailable");
    assert_eq!(response.header("x-queue-shadow"), Some("not-applied"));
    app.get("/readyz", "").problem(503, "not_ready");
    app.get("/nothing", "").problem(404, "route_not_found");
    let response = app.get("/v1/auth", &format!("Authorization: Bearer {token}\r\n"));
    assert_eq!(response.status, 200);
    let mark = response.header("x-queue-shadow");
    assert_eq!(mark, Some("key_set_unavailable"));
}

#[test]
fn nothing_is_marked_without_it() {
    let response = TestApp::start().get("/v1/auth", "");
    let response = response.problem(401, "bearer_missing");
    assert_eq!(response.header("x-queue-shadow"), None);
}
