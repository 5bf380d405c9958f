//! The body of `POST /v1/validate`: what it may be, and what it may ask.

use serde_json::{Value, json};

use crate::support::{Response, TestApp, claims, forge};

fn good() -> String {
    forge().sign(&claims(json!({})))
}

fn challenge(response: &Response) -> &str {
    response.header("www-authenticate").expect("a challenge")
}

#[test]
fn requirements_go_with_a_token_in_the_header() {
    let app = TestApp::start();
    let body = r#"{"require":{"scope":"admin"}}"#;
    let response = app.send(format!(
        "POST /v1/validate HTTP/1.1\r\nHost: {{HOST}}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json; charset=UTF-8\r\nContent-Length: {}\r\n\r\n{body}",
        good(),
        body.len()
    ));
    response.problem(403, "claims_scope_missing");
}

#[test]
fn requirements_that_are_met_pass() {
    let app = TestApp::start();
    for require in [
        json!({}),
        json!({"scope": "profile openid"}),
        json!({"scope": ["openid", "profile"]}),
        json!({"scope": []}),
        json!({"roles": ["billing"]}),
        json!({"tenant": "00000000-0000-7000-8000-000000000001"}),
        json!({"acr": "urn:queue:acr:passkey-uv"}),
        json!({"acr": ["urn:other", "urn:queue:acr:passkey-uv"]}),
        json!({"max_auth_age": 100}),
    ] {
        let response = app.post(json!({"token": good(), "require": require}).to_string());
        assert_eq!(response.status, 200, "{require}");
    }
}

#[test]
fn requirements_that_are_not_met_get_their_challenge() {
    let app = TestApp::start();
    let check = |require: Value, status, code, expected: &str| {
        let response = app.post(json!({"token": good(), "require": require}).to_string());
        let response = response.problem(status, code);
        assert!(challenge(&response).starts_with("Bearer error=\""));
        assert!(
            challenge(&response).contains(expected),
            "{}",
            challenge(&response)
        );
    };
    let scope = r#"error="insufficient_scope", error_description="A required scope value is not granted.", scope="admin openid""#;
    check(
        json!({"scope": "admin openid"}),
        403,
        "claims_scope_missing",
        scope,
    );
    check(
        json!({"roles": ["root"]}),
        403,
        "claims_role_missing",
        r#"error="insufficient_scope""#,
    );
    let role = r#", scope="openid""#;
    check(
        json!({"scope": "openid", "roles": ["root"]}),
        403,
        "claims_role_missing",
        role,
    );
    check(
        json!({"tenant": "other"}),
        403,
        "claims_tenant_mismatch",
        r#"error="insufficient_scope""#,
    );
    let age = r#"error="insufficient_user_authentication""#;
    check(json!({"max_auth_age": 60}), 401, "claims_auth_too_old", age);
    check(
        json!({"max_auth_age": 60}),
        401,
        "claims_auth_too_old",
        r#", max_age="60""#,
    );
    let acr = r#", acr_values="urn:a urn:b""#;
    check(
        json!({"acr": ["urn:a", "urn:b"]}),
        401,
        "claims_acr_insufficient",
        acr,
    );
}

#[test]
fn a_requirement_cannot_write_into_the_challenge() {
    let app = TestApp::start();
    for scope in ["a\",x=\"y", "a\\", "a\u{e9}", "a\u{7}"] {
        let body = json!({"token": good(), "require": {"scope": [scope]}});
        let response = app
            .post(body.to_string())
            .problem(403, "claims_scope_missing");
        assert!(
            !challenge(&response).contains("scope=\""),
            "{}",
            challenge(&response)
        );
        assert_eq!(response.header("x-queue-subject"), None);
    }
}

#[test]
fn request_too_large() {
    let app = TestApp::start();
    let more = "A".repeat(64 * 1024 - r#"{"token":""}"#.len() + 1);
    app.post(json!({ "token": more }).to_string())
        .problem(413, "request_too_large");
    // Declared only: it is refused before it arrives.
    let declared = "POST /v1/validate HTTP/1.1\r\nHost: {HOST}\r\n\
        Content-Type: application/json\r\nContent-Length: 65537\r\n\r\n";
    app.send(declared).problem(413, "request_too_large");
    let mut chunked = app.connect();
    chunked.write(
        "POST /v1/validate HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
    );
    for _ in 0..17 {
        chunked.write([b"1000\r\n".as_slice(), &[b' '; 4096], b"\r\n"].concat());
    }
    let response = chunked.read().expect("it is refused while it arrives");
    response.problem(413, "request_too_large");
}

#[test]
fn request_malformed() {
    let app = TestApp::start();
    let token = good();
    for body in [
        "{".to_owned(),
        format!("\"{token}\""),
        format!("[\"{token}\"]"),
        format!(r#"{{"token":["{token}"]}}"#),
        format!(r#"{{"token":"{token}","token":"{token}"}}"#),
        format!(r#"{{"token":"x","token":"{token}"}}"#),
        format!(r#"{{"token":"{token}","alg":"none"}}"#),
        format!(r#"{{"token":"{token}"}} x"#),
        format!("\u{feff}{{\"token\":\"{token}\"}}"),
        r#"{"token":null}"#.to_owned(),
        r#"{"token":"\ud800"}"#.to_owned(),
        format!(r#"{{"token":"{token}","require":null}}"#),
        format!(r#"{{"token":"{token}","require":[]}}"#),
        format!(r#"{{"token":"{token}","require":[["openid"]]}}"#),
        format!(r#"{{"token":"{token}","require":{{"scopes":"a"}}}}"#),
        format!(r#"{{"token":"{token}","require":{{"scope":""}}}}"#),
        format!(r#"{{"token":"{token}","require":{{"scope":" "}}}}"#),
        format!(r#"{{"token":"{token}","require":{{"scope":["a",""]}}}}"#),
        format!(r#"{{"token":"{token}","require":{{"roles":"billing"}}}}"#),
        format!(r#"{{"token":"{token}","require":{{"tenant":null}}}}"#),
        format!(r#"{{"token":"{token}","require":{{"acr":""}}}}"#),
        format!(r#"{{"token":"{token}","require":{{"max_auth_age":-1}}}}"#),
        format!(r#"{{"token":"{token}","require":{{"max_auth_age":"60"}}}}"#),
        format!(r#"{{"token":"{token}","require":{{"max_auth_age":1.5}}}}"#),
        format!(r#"{{"token":{}"#, "[".repeat(5000)),
    ] {
        let response = app.post(&body);
        assert_eq!(response.status, 400, "{body}");
        response.problem(400, "request_malformed");
    }
    app.post(b"{\"token\":\"\xff\"}")
        .problem(400, "request_malformed");
    app.post(b"{\"\xff\":1}").problem(400, "request_malformed");
}

#[test]
fn a_query_is_refused_where_it_would_ask_nothing() {
    let app = TestApp::start();
    let request = format!(
        "POST /v1/validate?scope=admin HTTP/1.1\r\nHost: {{HOST}}\r\nAuthorization: Bearer {}\r\n\r\n",
        good()
    );
    app.send(request).problem(400, "request_malformed");
}

#[test]
fn request_unsupported_media_type() {
    let app = TestApp::start();
    let body = json!({ "token": good() }).to_string();
    let send = |content_type: &str| {
        app.send(format!(
            "POST /v1/validate HTTP/1.1\r\nHost: {{HOST}}\r\n{content_type}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    };
    for content_type in [
        "",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: text/json\r\n",
        "Content-Type: application/json; charset=utf-16\r\n",
        "Content-Type: application/json\r\nContent-Type: text/plain\r\n",
    ] {
        send(content_type).problem(415, "request_unsupported_media_type");
    }
    for content_type in [
        "Content-Type: Application/JSON\r\n",
        "Content-Type: application/json;charset=\"UTF-8\"\r\n",
    ] {
        assert_eq!(send(content_type).status, 200, "{content_type}");
    }
}
