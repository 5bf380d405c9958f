//! `ANY /v1/auth`: forward-auth.

use queue_verifier::Profile;
use serde_json::{Value, json};

use crate::support::{AUDIENCE, ISSUER, NOW, Response, TestApp, claims, forge, settings};

fn ask(app: &TestApp, path: &str, changes: Value) -> Response {
    let token = forge().sign(&claims(changes));
    app.get(path, &format!("Authorization: Bearer {token}\r\n"))
}

fn identity(response: &Response) -> [&str; 6] {
    ["subject", "session", "tenant", "roles", "scope", "client"].map(|name| {
        let header = response.header(&format!("x-queue-{name}"));
        header.unwrap_or_else(|| panic!("X-Queue-{name} is on every answer"))
    })
}

#[test]
fn a_session_goes_into_headers() {
    let app = TestApp::start();
    let response = ask(&app, "/v1/auth", json!({}));
    assert_eq!((response.status, response.text().as_str()), (200, ""));
    let expected = [
        "0190c8a4-5b7e-7cc3-8f2a-4d1f6b1c9e55",
        "0190c8a4-5b7e-7cc3-8f2a-4d1f6b1c9e57",
        "00000000-0000-7000-8000-000000000001",
        "antlers-user,billing",
        "openid profile",
        "antlers",
    ];
    assert_eq!(identity(&response), expected);
    assert_eq!(response.header("cache-control"), Some("no-store"));
}

#[test]
fn every_method_is_answered() {
    let app = TestApp::start();
    let token = forge().sign(&claims(json!({})));
    for method in [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND",
    ] {
        let response = app.send(format!(
            "{method} /v1/auth HTTP/1.1\r\nHost: {{HOST}}\r\nAuthorization: Bearer {token}\r\n\r\n"
        ));
        assert_eq!(response.status, 200, "{method}");
    }
}

#[test]
fn an_absent_claim_is_an_empty_header() {
    let mut foreign = settings();
    foreign.issuer.profile = Profile::Jwt;
    let app = TestApp::with(&foreign);
    let claims = json!({"iss": ISSUER, "aud": AUDIENCE, "exp": NOW + 1});
    let header = json!({"alg": "RS256", "kid": "key-1"});
    let token = forge().sign_as(&header, &claims);
    let response = app.get("/v1/auth", &format!("Authorization: Bearer {token}\r\n"));
    assert_eq!(response.status, 200);
    assert_eq!(identity(&response), [""; 6]);
}

#[test]
fn a_refusal_clears_every_identity_header() {
    let app = TestApp::start();
    let forged = "X-Queue-Subject: root\r\nX_Queue_Roles: admin\r\n";
    let check = |response: Response, status, code| {
        let response = response.problem(status, code);
        assert_eq!(identity(&response), [""; 6]);
    };
    check(app.get("/v1/auth", forged), 401, "bearer_missing");
    check(
        app.get("/v1/auth", "Authorization: Basic eA==\r\n"),
        400,
        "bearer_malformed",
    );
    check(
        app.get("/v1/auth?unknown=1", forged),
        400,
        "request_malformed",
    );
    check(
        ask(&app, "/v1/auth", json!({"exp": NOW - 31})),
        401,
        "claims_expired",
    );
    check(
        ask(&app, "/v1/auth?scope=admin", json!({})),
        403,
        "claims_scope_missing",
    );
    check(
        app.get("/v1/auth", "Origin: https://evil.example\r\n"),
        403,
        "origin_not_allowed",
    );
    let foreign = app.send("GET /v1/auth HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    check(foreign, 421, "host_not_allowed");
    let trace = app.send("TRACE /v1/auth HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    check(trace, 405, "method_not_allowed");
}

#[test]
fn requirements_come_as_query() {
    let app = TestApp::start();
    let check = |query: &str, expected: Result<(), (u16, &str)>| {
        let response = ask(&app, &format!("/v1/auth?{query}"), json!({}));
        match expected {
            Ok(()) => assert_eq!(response.status, 200, "{query}"),
            Err((status, code)) => {
                response.problem(status, code);
            }
        }
    };
    check("", Ok(()));
    check("scope=openid", Ok(()));
    check("scope=openid+profile&role=billing", Ok(()));
    check("scope=openid%20profile&scope=openid", Ok(()));
    check("role=billing&role=antlers-user", Ok(()));
    check("tenant=00000000-0000-7000-8000-000000000001", Ok(()));
    check("acr=urn%3aqueue:acr:passkey-uv&max_auth_age=100", Ok(()));
    check("scope=openid+admin", Err((403, "claims_scope_missing")));
    check("role=billing&role=root", Err((403, "claims_role_missing")));
    check("tenant=other", Err((403, "claims_tenant_mismatch")));
    // The leeway of 30 s is the verifier's.
    check("max_auth_age=70", Ok(()));
    check("max_auth_age=69", Err((401, "claims_auth_too_old")));
    check("acr=urn:other", Err((401, "claims_acr_insufficient")));
    for query in [
        "scope=",
        "role=",
        "tenant=",
        "acr=+",
        "max_auth_age=",
        "scope",
        "=x",
        "Scope=openid",
        "scopes=openid",
        "roles=billing",
        "access_token=x",
        "tenant=a&tenant=a",
        "max_auth_age=1&max_auth_age=1",
        "max_auth_age=-1",
        "max_auth_age=1s",
        "scope=%zz",
        "scope=%e",
        "scope=%ff",
        "scope=a;role=b&role=%",
    ] {
        check(query, Err((400, "request_malformed")));
    }
}

#[test]
fn values_that_are_no_visible_ascii_are_percent_encoded() {
    let app = TestApp::start();
    let changes = json!({
        "sub": "a\r\nX-Queue-Roles: root", "client_id": "caf\u{e9} 100%",
        "roles": ["one,two", "thr\u{0}ee"], "tenant_id": "\u{7f}\t",
    });
    let response = ask(&app, "/v1/auth", changes);
    assert_eq!(response.status, 200);
    let [subject, _, tenant, roles, _, client] = identity(&response);
    assert_eq!(subject, "a%0D%0AX-Queue-Roles:%20root");
    assert_eq!(client, "caf%C3%A9%20100%25");
    assert_eq!(roles, "one%2Ctwo,thr%00ee");
    assert_eq!(tenant, "%7F%09");
}

#[test]
fn session_too_large() {
    let app = TestApp::start();
    let response = ask(&app, "/v1/auth", json!({"sub": "s".repeat(8 * 1024)}));
    let response = response.problem(403, "session_too_large");
    assert_eq!(identity(&response), [""; 6]);
    assert_eq!(
        ask(&app, "/v1/auth", json!({"sub": "s".repeat(7 * 1024)})).status,
        200
    );
}

#[test]
fn a_named_cookie_may_carry_the_token() {
    let mut with_cookie = settings();
    with_cookie.cookie = Some("queue_at".to_owned());
    let app = TestApp::with(&with_cookie);
    let token = forge().sign(&claims(json!({})));
    let check = |headers: String, status, code| {
        let response = app.get("/v1/auth", &headers);
        match code {
            None => assert_eq!(response.status, status, "{headers}"),
            Some(code) => {
                response.problem(status, code);
            }
        }
    };
    check(format!("Cookie: queue_at={token}\r\n"), 200, None);
    check(format!("Cookie: a=b; queue_at={token}; c=d\r\n"), 200, None);
    check(
        format!("Cookie: a=b\r\nCookie: queue_at={token}\r\n"),
        200,
        None,
    );
    check(
        "Cookie: queue_at=x\r\n".to_owned(),
        401,
        Some("token_malformed"),
    );
    check(
        "Cookie: queue_at=\r\n".to_owned(),
        401,
        Some("bearer_missing"),
    );
    check(
        format!("Cookie: Queue_At={token}\r\n"),
        401,
        Some("bearer_missing"),
    );
    check(
        format!("Cookie: xqueue_at={token}\r\n"),
        401,
        Some("bearer_missing"),
    );
    let twice = format!("Cookie: queue_at={token}; queue_at=x\r\n");
    check(twice, 400, Some("bearer_malformed"));
    let both = format!("Cookie: queue_at={token}\r\nAuthorization: Bearer {token}\r\n");
    check(both, 400, Some("bearer_malformed"));
    let validate = app.send(format!(
        "POST /v1/validate HTTP/1.1\r\nHost: {{HOST}}\r\nCookie: queue_at={token}\r\n\r\n"
    ));
    validate.problem(401, "bearer_missing");
}

#[test]
fn a_cookie_is_no_carrier_unless_named() {
    let app = TestApp::start();
    let token = forge().sign(&claims(json!({})));
    let response = app.get("/v1/auth", &format!("Cookie: access_token={token}\r\n"));
    response.problem(401, "bearer_missing");
}

#[test]
fn a_declared_body_is_not_waited_for() {
    let app = TestApp::start();
    let token = forge().sign(&claims(json!({})));
    for (method, framing) in [
        ("GET", "Content-Length: 100000\r\n"),
        ("GET", "Transfer-Encoding: chunked\r\n"),
        ("POST", "Content-Length: 5\r\n"),
        ("GET", "Content-Length: 5\r\nExpect: 100-continue\r\n"),
    ] {
        let response = app.send(format!(
            "{method} /v1/auth HTTP/1.1\r\nHost: {{HOST}}\r\nAuthorization: Bearer {token}\r\n{framing}\r\n"
        ));
        assert_eq!(response.status, 200, "{method} {framing}");
    }
    for path in ["/livez", "/readyz", "/metrics", "/v1/status"] {
        assert_eq!(app.get(path, "Content-Length: 5\r\n").status, 200, "{path}");
    }
}

#[test]
fn bytes_of_an_unread_body_are_no_request() {
    let app = TestApp::start();
    let hidden = "GET /v1/status HTTP/1.1\r\nHost: {HOST}\r\n\r\n";
    let mut client = app.connect();
    // The length of what the listener's name will make of it.
    let length = hidden
        .replace("{HOST}", &format!("127.0.0.1:{}", app.port))
        .len();
    let response = client.send(format!(
        "GET /v1/auth HTTP/1.1\r\nHost: {{HOST}}\r\nContent-Length: {length}\r\n\r\n{hidden}"
    ));
    response.problem(401, "bearer_missing");
    client.finish();
    assert!(
        client.read().is_none(),
        "the body was answered as if it were a request"
    );
}
