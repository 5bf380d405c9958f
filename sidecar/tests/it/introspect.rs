//! `POST /v1/introspect`: RFC 7662, offline.

use queue_sidecar::Callers;
use serde_json::json;

use crate::support::{ISSUER, Issuer, NOW, Response, TestApp, claims, file, forge, settings};

const SECRET: &str = "s3cret-of-at-least.16_chars";

fn good() -> String {
    forge().sign(&claims(json!({})))
}

fn send(app: &TestApp, headers: &str, form: &str) -> Response {
    app.send(format!(
        "POST /v1/introspect HTTP/1.1\r\nHost: {{HOST}}\r\n{headers}\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    ))
}

#[test]
fn a_good_token_says_what_it_says() {
    let app = TestApp::start();
    let response = send(
        &app,
        "",
        &format!("token={}&token_type_hint=access_token", good()),
    );
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let mut expected = claims(json!({
        "active": true, "token_type": "Bearer",
        "freshness": {
            "key_set": "fresh", "key_set_age": 0,
            "status": "absent", "status_age": null, "cached": false,
        },
    }));
    expected["scope"] = "openid profile".into();
    assert_eq!(response.json(), expected);
    assert_eq!(response.json()["iss"], ISSUER);
}

#[test]
fn a_claim_cannot_speak_in_the_place_of_ours() {
    let app = TestApp::start();
    let lying = claims(json!({"active": false, "token_type": "none", "freshness": 1}));
    let said = send(&app, "", &format!("token={}", forge().sign(&lying))).json();
    assert_eq!(
        (&said["active"], &said["token_type"]),
        (&json!(true), &json!("Bearer"))
    );
    assert!(said["freshness"].is_object());
}

#[test]
fn a_bad_token_is_inactive_and_nothing_else() {
    let app = TestApp::start();
    let expired = forge().sign(&claims(json!({"exp": NOW - 31})));
    for token in [
        expired.as_str(),
        "x",
        "%ff",
        "%00",
        "a+b",
        &"A".repeat(17 * 1024),
    ] {
        let response = send(&app, "", &format!("token={token}"));
        assert_eq!(
            (response.status, response.text().as_str()),
            (200, "{\"active\":false}")
        );
    }
}

#[test]
fn request_malformed() {
    let app = TestApp::start();
    let token = good();
    for form in [
        String::new(),
        "token=".to_owned(),
        "token".to_owned(),
        format!("Token={token}"),
        format!("token={token}&token={token}"),
        format!("token=x&%74oken={token}"),
        "token=%zz".to_owned(),
        "token=x&other=%e".to_owned(),
        format!("token_type_hint={token}"),
    ] {
        let response = send(&app, "", &form);
        assert_eq!(response.status, 400, "{form}");
        response.problem(400, "request_malformed");
    }
    let body = json!({ "token": token }).to_string();
    app.connect()
        .post_to("/v1/introspect", &body)
        .problem(415, "request_unsupported_media_type");
    app.send(format!(
        "POST /v1/introspect?token={token} HTTP/1.1\r\nHost: {{HOST}}\r\n\r\n"
    ))
    .problem(400, "request_malformed");
}

#[test]
fn what_cannot_be_decided_is_not_inactive() {
    let issuer = Issuer::failing();
    let mut fetching = settings();
    fetching.issuer.keys = issuer.keys();
    let app = TestApp::with(&fetching);
    let response = send(&app, "", &format!("token={}", good()));
    let response = response.problem(503, "key_set_unavailable");
    assert_eq!(response.header("retry-after"), Some("1"));
}

fn guarded(name: &str) -> TestApp {
    let lines = format!("# who may ask\n\nraptor:{SECRET}\nraptor:{SECRET}2\n");
    let mut guarded = settings();
    let callers = Callers::read(file(name, &lines).as_ref());
    guarded.introspect_callers = Some(callers.expect("the file is right"));
    TestApp::with(&guarded)
}

fn basic(pair: &str) -> String {
    let pair = base64_simd::STANDARD.encode_to_string(pair);
    format!("Authorization: Basic {pair}\r\n")
}

#[test]
fn a_caller_shows_its_secret() {
    let app = guarded("callers-known");
    let form = format!("token={}", good());
    for headers in [
        basic(&format!("raptor:{SECRET}")),
        basic(&format!("raptor:{SECRET}2")),
        format!("Authorization: Bearer {SECRET}\r\n"),
        format!("authorization: bearer {SECRET}2\r\n"),
    ] {
        assert_eq!(
            send(&app, &headers, &form).json()["active"],
            true,
            "{headers}"
        );
    }
    // The other doors stay as they are.
    assert_eq!(app.validate(&good()).status, 200);
}

#[test]
fn caller_unknown() {
    let app = guarded("callers-unknown");
    let form = format!("token={}", good());
    let right = basic(&format!("raptor:{SECRET}"));
    for headers in [
        String::new(),
        basic(&format!("Raptor:{SECRET}")),
        basic(&format!("other:{SECRET}")),
        basic("raptor:"),
        basic(":"),
        basic(&format!("raptor:{}", &SECRET[1..])),
        basic(&format!("raptor:{SECRET}\n")),
        "Authorization: Basic ***\r\n".to_owned(),
        "Authorization: Basic\r\n".to_owned(),
        "Authorization: Bearer\r\n".to_owned(),
        "Authorization: Bearer \r\n".to_owned(),
        format!("Authorization: Bearer raptor:{SECRET}\r\n"),
        format!("Authorization: Bearer {}\r\n", good()),
        format!("{right}{right}"),
    ] {
        let response = send(&app, &headers, &form).problem(401, "caller_unknown");
        let challenge = response.header("www-authenticate").expect("a challenge");
        assert!(challenge.starts_with("Basic realm="));
    }
    // Who may not ask learns nothing of the request either.
    send(&app, "", "").problem(401, "caller_unknown");
}

#[test]
fn a_file_without_a_caller_is_an_error() {
    for (name, lines) in [
        ("callers-none", ""),
        ("callers-comment", "# raptor:0123456789abcdef\n\n"),
        ("callers-no-secret", "raptor:\n"),
        ("callers-short", "raptor:0123456789abcde\n"),
        ("callers-no-id", ":0123456789abcdef\n"),
        ("callers-no-colon", "0123456789abcdef\n"),
        ("callers-encoded", "raptor:0123456789abcdef+/=\n"),
        ("callers-one-bad", "raptor:0123456789abcdef\nother:\n"),
    ] {
        assert!(
            Callers::read(file(name, lines).as_ref()).is_err(),
            "{lines:?}"
        );
    }
    assert!(Callers::read("/nonexistent/callers".as_ref()).is_err());
}
