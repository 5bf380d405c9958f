//! Shapes on the wire, literally.

use serde_json::{Value, json};

use crate::support::{NOW, TestApp, claims, forge};

#[test]
fn a_session_as_json() {
    let app = TestApp::start();
    let claims = claims(json!({}));
    let session = app.validate(&forge().sign(&claims)).json();
    let expected = json!({
        "issuer": "https://auth.example.com",
        "subject": "0190c8a4-5b7e-7cc3-8f2a-4d1f6b1c9e55",
        "audience": ["raptor"],
        "client_id": "antlers",
        "session_id": "0190c8a4-5b7e-7cc3-8f2a-4d1f6b1c9e57",
        "token_id": "0190c8a4-5b7e-7cc3-8f2a-4d1f6b1c9e56",
        "tenant_id": "00000000-0000-7000-8000-000000000001",
        "roles": ["antlers-user", "billing"],
        "scope": ["openid", "profile"],
        "acr": "urn:queue:acr:passkey-uv",
        "amr": ["hwk", "user"],
        "auth_time": NOW - 100,
        "issued_at": NOW,
        "expires_at": NOW + 300,
        "authz_ver": 1,
        "claims": claims,
        "freshness": {
            "key_set": "fresh", "key_set_age": 0,
            "status": "absent", "status_age": null, "cached": false,
        },
    });
    assert_eq!(session, expected);
}

#[test]
fn a_problem_as_json() {
    let app = TestApp::start();
    let response = app.validate(&forge().sign(&claims(json!({"exp": NOW - 31}))));
    let expected: Value = json!({
        "type": "urn:queue:problem:claims_expired",
        "title": "The clock has reached `exp`.",
        "status": 401,
        "detail": response.json()["detail"],
        "code": "claims_expired",
    });
    assert_eq!(response.json(), expected);
    assert_eq!(
        response.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(response.header("cache-control"), Some("no-store"));
}

#[test]
fn the_status_as_json() {
    let app = TestApp::start();
    let expected = json!({
        "shadow": false, "state": "ready",
        "version": env!("CARGO_PKG_VERSION"),
        "started_at": NOW,
        "uptime": 0,
        "requests": [],
        "in_flight": 0,
        "connections": 1,
        "verdicts": {"last_hour": vec![[0, 0, 0]; 60], "faults": []},
        "issuers": [{
            "issuer": "https://auth.example.com",
            "key_set": "fresh", "key_set_age": 0,
            "keys": [{"kid": "key-1", "algorithm": "RS256"}],
            "refused": [], "refresh": null, "status_lists": [],
            "stale_limit": 3600, "status_max_age": 60,
        }],
        "remembered": null,
    });
    let response = app.get("/v1/status", "");
    assert_eq!(response.header("content-type"), Some("application/json"));
    let mut status = response.json();
    let members = status.as_object_mut().expect("an object");
    // What this machine makes of it is tested beside the page.
    members.remove("resident_bytes");
    let latency = members.remove("validation").expect("the latencies");
    assert_eq!(
        (&latency["count"], &latency["p50"]),
        (&json!(0), &json!(null))
    );
    assert_eq!(status, expected);
}

#[test]
fn every_verdict_has_a_challenge_that_can_be_parsed() {
    for code in queue_verifier::ErrorCode::ALL {
        let is_plain = |byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        assert!(code.meaning().bytes().all(is_plain), "{code}");
    }
}

#[test]
fn route_not_found() {
    let app = TestApp::start();
    for path in [
        "/.",
        "/v1",
        "/v1/auth/",
        "//v1/auth",
        "/v1//auth",
        "/v1/./auth",
        "/v1/../v1/auth",
        "/v1/auth%00",
        "/v1/auth%zz",
        "/v1/%61uth",
        "/v1/auth;x=1",
        "/V1/auth",
        "/v1/auth/livez",
        "/v1/auth%2f..",
        "/livez/",
        "/%",
        "/\"",
        "/v1/nothing?scope=x",
    ] {
        let header = format!(
            "Authorization: Bearer {}\r\n",
            forge().sign(&claims(json!({})))
        );
        app.get(path, &header).problem(404, "route_not_found");
    }
    app.get(&format!("/{}", "a".repeat(20_000)), "")
        .problem(404, "route_not_found");
    app.send("OPTIONS * HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
        .problem(404, "route_not_found");
}

#[test]
fn method_not_allowed() {
    let app = TestApp::start();
    let check = |method: &str, path: &str, allow: &str| {
        let response = app.send(format!(
            "{method} {path} HTTP/1.1\r\nHost: {{HOST}}\r\n\r\n"
        ));
        let response = response.problem(405, "method_not_allowed");
        assert_eq!(response.header("allow"), Some(allow));
    };
    check("GET", "/v1/validate", "POST");
    check("PUT", "/v1/validate", "POST");
    check("POST", "/livez", "GET,HEAD");
    check("DELETE", "/metrics", "GET,HEAD");
}

#[test]
fn what_is_no_http_gets_a_problem_too() {
    let app = TestApp::start();
    for bytes in [
        b"G\x01T /livez HTTP/1.1\r\nHost: {HOST}\r\n\r\n".as_slice(),
        b"GET /a b HTTP/1.1\r\nHost: {HOST}\r\n\r\n",
        b"GET /livez HTTP/3.1\r\nHost: {HOST}\r\n\r\n",
        b"GET /livez\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer\r\n x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer x\x00\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost : {HOST}\r\n\r\n",
        b"POST /v1/validate HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/validate HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /v1/validate HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        b"POST /v1/validate HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    ] {
        let mut client = app.connect();
        let response = client.send(bytes).problem(400, "http_malformed");
        assert_eq!(response.header("connection"), Some("close"));
        assert!(client.is_closed());
    }
}

#[test]
fn a_good_answer_before_what_is_no_http_arrives_whole() {
    let app = TestApp::start();
    let mut client = app.connect();
    client.write("GET /livez HTTP/1.1\r\nHost: {HOST}\r\n\r\nG\x01T / HTTP/1.1\r\n\r\n");
    assert_eq!(client.read().expect("the first is answered").text(), "ok\n");
    let second = client.read().expect("the second is refused");
    assert_eq!(second.status, 400);
}

#[test]
fn headers_too_large() {
    let app = TestApp::start();
    let field = format!("X: {}\r\n", "a".repeat(70_000));
    app.get("/livez", &field).problem(431, "headers_too_large");
    let many = "X: a\r\n".repeat(101);
    app.get("/livez", &many).problem(431, "headers_too_large");
}

#[test]
fn uri_too_long() {
    let app = TestApp::start();
    let response = app.get(&format!("/{}", "a".repeat(65_535)), "");
    assert!([414, 431].contains(&response.status));
    assert_eq!(
        response.header("content-type"),
        Some("application/problem+json")
    );
}
