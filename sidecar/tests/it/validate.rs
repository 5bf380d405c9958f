//! `POST /v1/validate`: where the token is, and what becomes of it.

use std::time::Duration;

use queue_verifier::{Algorithm, KeySource, Profile};
use serde_json::json;

use crate::support::{AUDIENCE, NOW, Response, TestApp, claims, forge, settings};

fn good() -> String {
    forge().sign(&claims(json!({})))
}

fn challenge(response: &Response) -> &str {
    response.header("www-authenticate").expect("a challenge")
}

#[test]
fn a_token_in_the_header_gets_its_session() {
    let app = TestApp::start();
    let response = app.validate(&good());
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let session = app.verifier.validate_session(good()).expect("it is valid");
    let expected = serde_json::to_string(&session).expect("a session has a wire form");
    assert_eq!(response.text(), expected);
}

#[test]
fn a_token_in_the_body_gets_the_same_session() {
    let app = TestApp::start();
    let in_body = app.post(json!({ "token": good() }).to_string());
    assert_eq!(in_body.text(), app.validate(&good()).text());
    // Escapes are part of JSON, not of the token.
    let escaped = good().replace('.', "\\u002e");
    assert_eq!(app.post(format!(r#"{{"token":"{escaped}"}}"#)).status, 200);
}

#[test]
fn bearer_missing() {
    let app = TestApp::start();
    let response = app.send("POST /v1/validate HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let response = response.problem(401, "bearer_missing");
    assert_eq!(challenge(&response), "Bearer");
    app.post("{}").problem(401, "bearer_missing");
    assert_eq!(
        app.metric("queue_sidecar_validations_total{code=\"bearer_missing\"}"),
        2
    );
}

#[test]
fn bearer_malformed() {
    let app = TestApp::start();
    let token = good();
    for headers in [
        "Authorization: Basic dTpw\r\n".to_owned(),
        "Authorization:\r\n".to_owned(),
        "Authorization: Bearer\r\n".to_owned(),
        "Authorization: Bearer \r\n".to_owned(),
        format!("Authorization: BearerX {token}\r\n"),
        format!("Authorization: Bearer: {token}\r\n"),
        format!("Authorization: Bearer{token}\r\n"),
        format!("Authorization: {token}\r\n"),
        format!("Authorization: Bearer {token} {token}\r\n"),
        format!("Authorization: Bearer {token}\tx\r\n"),
        format!("Authorization: Bearer {token}, Bearer {token}\r\n"),
        format!("Authorization: Bearer {token}\r\nAuthorization: Bearer {token}\r\n"),
        format!("Authorization: Bearer {token}\r\nAuthorization: Basic dTpw\r\n"),
    ] {
        let response = app.send(format!(
            "POST /v1/validate HTTP/1.1\r\nHost: {{HOST}}\r\n{headers}\r\n"
        ));
        let response = response.problem(400, "bearer_malformed");
        assert!(challenge(&response).starts_with("Bearer error=\"invalid_request\""));
    }
}

#[test]
fn bearer_malformed_with_a_token_in_header_and_body() {
    let app = TestApp::start();
    let body = json!({ "token": good() }).to_string();
    let response = app.send(format!(
        "POST /v1/validate HTTP/1.1\r\nHost: {{HOST}}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        good(),
        body.len()
    ));
    response.problem(400, "bearer_malformed");
}

#[test]
fn the_scheme_is_any_case_and_white_space_around_the_token_is_none_of_it() {
    let app = TestApp::start();
    for value in ["bearer {}", "BEARER {}", "Bearer  {}", "Bearer {} \t"] {
        let value = value.replace("{}", &good());
        let response = app.send(format!(
            "POST /v1/validate HTTP/1.1\r\nHost: {{HOST}}\r\nauthorization: {value}\r\n\r\n"
        ));
        assert_eq!(response.status, 200, "{value}");
    }
}

#[test]
fn a_bad_token_gets_its_code_and_challenge() {
    let app = TestApp::start();
    let expired = forge().sign(&claims(json!({"exp": NOW - 31})));
    let response = app.validate(&expired).problem(401, "claims_expired");
    let expected =
        r#"Bearer error="invalid_token", error_description="The clock has reached `exp`.""#;
    assert_eq!(challenge(&response), expected);
    let (signed, _) = expired.rsplit_once('.').expect("a token has dots");
    app.validate(&format!("{signed}.{}", "A".repeat(342)))
        .problem(401, "signature_invalid");
    app.validate("x").problem(401, "token_malformed");
    app.post(r#"{"token":""}"#).problem(401, "token_malformed");
    assert_eq!(
        app.metric("queue_sidecar_validations_total{code=\"token_malformed\"}"),
        2
    );
}

#[test]
fn obs_text_reaches_the_verifier() {
    let app = TestApp::start();
    let token = good();
    let request = [
        b"POST /v1/validate HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer ".as_slice(),
        token.as_bytes(),
        b"\xe9\r\n\r\n",
    ];
    app.send(request.concat()).problem(401, "token_malformed");
}

#[test]
fn token_too_large() {
    let app = TestApp::start();
    let token = "A".repeat(17 * 1024);
    app.validate(&token).problem(401, "token_too_large");
    app.post(json!({ "token": token }).to_string())
        .problem(401, "token_too_large");
    let most = "A".repeat(64 * 1024 - r#"{"token":""}"#.len());
    app.post(json!({ "token": most }).to_string())
        .problem(401, "token_too_large");
}

#[test]
fn the_policy_of_the_settings_is_the_verifiers() {
    let mut foreign = settings();
    foreign.issuer.profile = Profile::Jwt;
    foreign.issuer.algorithms = vec![Algorithm::RS256, Algorithm::RS512];
    foreign.issuer.leeway = Duration::ZERO;
    let app = TestApp::with(&foreign);
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": "key-1"});
    let minimal = |exp| json!({"iss": crate::support::ISSUER, "aud": AUDIENCE, "exp": exp});
    assert_eq!(
        app.validate(&forge().sign_as(&header, &minimal(NOW + 1)))
            .status,
        200
    );
    app.validate(&forge().sign_as(&header, &minimal(NOW)))
        .problem(401, "claims_expired");
    app.validate(&good()).problem(401, "header_typ_mismatch");
}

#[test]
fn a_public_key_serves_tokens_of_any_kid() {
    let mut with_pem = settings();
    with_pem.issuer.keys = KeySource::public_key_pem(forge().pem());
    assert_eq!(TestApp::with(&with_pem).validate(&good()).status, 200);
}

#[test]
fn a_connection_serves_many_requests_also_pipelined() {
    let app = TestApp::start();
    let mut client = app.connect();
    let request = format!(
        "POST /v1/validate HTTP/1.1\r\nHost: {{HOST}}\r\nAuthorization: Bearer {}\r\n\r\n",
        good()
    );
    for _ in 0..3 {
        assert_eq!(client.send(&request).status, 200);
    }
    client.write(request.repeat(50));
    for _ in 0..50 {
        assert_eq!(client.read().expect("each is answered").status, 200);
    }
    client.write(&request);
    client.finish();
    assert_eq!(
        client
            .read()
            .expect("a half-closed client is answered")
            .status,
        200
    );
}
