//! `ANY /envoy/{*rest}`: Envoy's ext_authz over HTTP.

use serde_json::json;

use crate::support::{Issuer, NOW, Response, TestApp, claims, forge, settings};

fn good() -> String {
    forge().sign(&claims(json!({})))
}

/// As Envoy asks: original method, path and `Host`, no body.
fn ask(app: &TestApp, method: &str, path: &str, headers: &str) -> Response {
    app.send(format!(
        "{method} /envoy{path} HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 0\r\n{headers}\r\n"
    ))
}

fn bearer() -> String {
    format!("Authorization: Bearer {}\r\n", good())
}

#[test]
fn a_session_goes_into_headers_and_other_spellings_go() {
    let app = TestApp::start();
    let response = ask(&app, "GET", "/orders?id=1", &bearer());
    assert_eq!((response.status, response.text().as_str()), (200, ""));
    assert_eq!(
        response.header("x-queue-roles"),
        Some("antlers-user,billing")
    );
    assert_eq!(response.header("x-queue-scope"), Some("openid profile"));
    let removed = response.header("x-envoy-auth-headers-to-remove");
    let removed: Vec<_> = removed.expect("a list").split(", ").collect();
    for name in [
        "x_queue_subject",
        "x.queue.roles",
        "x-queue_scope",
        "x_queue.tenant",
    ] {
        assert!(removed.contains(&name), "{name}");
    }
    assert_eq!(removed.len(), 48);
    // Envoy removes last: what we set must not be among it.
    assert!(!removed.contains(&"x-queue-subject"));
}

#[test]
fn every_method_and_path_is_the_same_route() {
    let app = TestApp::start();
    for method in [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND",
    ] {
        assert_eq!(ask(&app, method, "/a", &bearer()).status, 200, "{method}");
    }
    for path in [
        "/",
        "//",
        "/a/../../v1/status",
        "/livez",
        "/%2e%2e/metrics",
        "/a;b=c",
        "/%00",
        "/%zz",
        "/a?scope=none&x=%",
        "/openapi.json",
        "/envoy/",
        "/a%2F..%5C",
    ] {
        assert_eq!(ask(&app, "GET", path, &bearer()).status, 200, "{path}");
        ask(&app, "GET", path, "").problem(401, "bearer_missing");
    }
    // Without the slash it is no path of Envoy's.
    let outside = app.send("GET /envoyx HTTP/1.1\r\nHost: shop.example.com\r\n\r\n");
    outside.problem(421, "host_not_allowed");
}

#[test]
fn whatever_refuses_is_no_200_and_clears_the_identity() {
    let app = TestApp::start();
    let expired = forge().sign(&claims(json!({"exp": NOW - 31})));
    for (headers, status, code) in [
        (String::new(), 401, "bearer_missing"),
        (
            "Authorization: Basic eA==\r\n".to_owned(),
            400,
            "bearer_malformed",
        ),
        (bearer().repeat(2), 400, "bearer_malformed"),
        (
            format!("Authorization: Bearer {expired}\r\n"),
            401,
            "claims_expired",
        ),
    ] {
        let forged = format!("{headers}X-Queue-Subject: root\r\n");
        let response = ask(&app, "GET", "/", &forged).problem(status, code);
        assert_eq!(response.header("x-queue-subject"), Some(""));
        assert_eq!(response.header("x-envoy-auth-headers-to-remove"), None);
    }
    ask(&app, "TRACE", "/", &bearer()).problem(405, "method_not_allowed");
}

#[test]
fn what_cannot_be_decided_is_a_503() {
    let issuer = Issuer::failing();
    let mut fetching = settings();
    fetching.issuer.keys = issuer.keys();
    let app = TestApp::with(&fetching);
    ask(&app, "GET", "/", &bearer()).problem(503, "key_set_unavailable");
}

#[test]
fn a_browsers_headers_pass_here_and_only_here() {
    let app = TestApp::start();
    let headers = format!(
        "{}Origin: https://shop.example.com\r\nSec-Fetch-Site: cross-site\r\n",
        bearer()
    );
    let response = ask(&app, "GET", "/", &headers);
    assert_eq!(response.status, 200);
    assert_eq!(response.header("access-control-allow-origin"), None);
    let preflight =
        "Origin: https://evil.example\r\nAccess-Control-Request-Headers: authorization\r\n";
    let response = ask(&app, "OPTIONS", "/", preflight).problem(401, "bearer_missing");
    assert_eq!(response.header("access-control-allow-headers"), None);
    app.get("/v1/auth", &headers)
        .problem(403, "origin_not_allowed");
}

#[test]
fn requirements_are_those_of_the_settings_alone() {
    let mut strict = settings();
    strict.envoy_require = Some("scope=admin&role=billing".to_owned());
    let app = TestApp::with(&strict);
    for path in ["/", "/?scope=openid", "/?scope=", "/scope=openid"] {
        ask(&app, "GET", path, &bearer()).problem(403, "claims_scope_missing");
    }
    let admin = forge().sign(&claims(json!({"scope": "admin"})));
    let header = format!("Authorization: Bearer {admin}\r\n");
    assert_eq!(ask(&app, "GET", "/", &header).status, 200);
    // They are Envoy's alone.
    assert_eq!(app.get("/v1/auth", &bearer()).status, 200);
}

#[test]
fn a_body_is_not_waited_for() {
    let app = TestApp::start();
    let response = app.send(format!(
        "POST /envoy/upload HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 100000\r\n{}\r\n",
        bearer()
    ));
    assert_eq!(response.status, 200);
}
