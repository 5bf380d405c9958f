//! `POST /v1/validate/batch`: many tokens, each with its own answer.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    FakeClock, Issuer, NOW, Response, TestApp, claims, forge, jwk_set, other_forge, settings,
    wait_until,
};

fn good() -> String {
    forge().sign(&claims(json!({})))
}

fn ask(app: &TestApp, body: &Value) -> Response {
    app.connect()
        .post_to("/v1/validate/batch", &body.to_string())
}

fn codes(response: &Response) -> Vec<String> {
    assert_eq!(response.status, 200);
    let answer = response.json();
    let results = answer["results"].as_array().expect("a list").iter();
    results
        .map(|result| match &result["problem"] {
            Value::Null => result["session"]["token_id"].is_string().to_string(),
            problem => problem["code"].as_str().expect("a code").to_owned(),
        })
        .collect()
}

#[test]
fn each_token_gets_what_it_would_get_alone() {
    let app = TestApp::start();
    let expired = forge().sign(&claims(json!({"exp": NOW - 31})));
    let tokens = [good(), expired, "x".to_owned(), String::new(), good()];
    let response = ask(&app, &json!({ "tokens": tokens }));
    let results = response.json()["results"].clone();
    for (token, result) in tokens.iter().zip(results.as_array().expect("a list")) {
        let alone = app.post(json!({ "token": token }).to_string());
        let name = if alone.status == 200 {
            "session"
        } else {
            "problem"
        };
        assert_eq!(*result, json!({ name: alone.json() }), "{token}");
    }
    assert_eq!(
        codes(&response),
        [
            "true",
            "claims_expired",
            "token_malformed",
            "token_malformed",
            "true"
        ]
    );
}

#[test]
fn a_requirement_is_asked_of_each() {
    let app = TestApp::start();
    let other = forge().sign(&claims(json!({"scope": "other"})));
    let body = json!({"tokens": [good(), other], "require": {"scope": "openid"}});
    assert_eq!(codes(&ask(&app, &body)), ["true", "claims_scope_missing"]);
}

#[test]
fn at_most_256_tokens() {
    let app = TestApp::start();
    let most = vec!["x"; 256];
    assert_eq!(codes(&ask(&app, &json!({ "tokens": most }))).len(), 256);
    assert_eq!(codes(&ask(&app, &json!({ "tokens": [] }))).len(), 0);
    let more = vec!["x"; 257];
    ask(&app, &json!({ "tokens": more })).problem(400, "request_malformed");
    let large = json!({ "tokens": ["A".repeat(1024 * 1024)] });
    ask(&app, &large).problem(413, "request_too_large");
}

#[test]
fn request_malformed() {
    let app = TestApp::start();
    for body in [
        json!({}),
        json!([["x"]]),
        json!({"tokens": null}),
        json!({"tokens": "x"}),
        json!({"tokens": [null]}),
        json!({"tokens": [["x"]]}),
        json!({"tokens": [], "token": "x"}),
        json!({"tokens": [], "require": {"scopes": "x"}}),
        json!({"tokens": [], "require": null}),
    ] {
        assert_eq!(ask(&app, &body).status, 400, "{body}");
    }
    let twice = r#"{"tokens":[],"tokens":[]}"#;
    app.connect()
        .post_to("/v1/validate/batch", twice)
        .problem(400, "request_malformed");
    app.connect()
        .post_to("/v1/validate/batch?scope=a", r#"{"tokens":[]}"#)
        .problem(400, "request_malformed");
    let in_header = format!(
        "POST /v1/validate/batch HTTP/1.1\r\nHost: {{HOST}}\r\nAuthorization: Bearer {}\r\n\r\n",
        good()
    );
    app.send(in_header).problem(400, "bearer_malformed");
}

#[test]
fn a_token_that_waits_holds_up_no_other() {
    let issuer = Issuer::publishing(jwk_set(&[forge()]));
    let (clock, mut fetching) = (FakeClock::at(NOW), settings());
    fetching.issuer.keys = issuer.keys();
    let app = TestApp::at(&fetching, clock.clone());
    assert_eq!(app.validate(&good()).status, 200);
    issuer.hang();
    let unknown = other_forge().sign(&claims(json!({})));
    let mut client = app.connect();
    client.begin_post_to(
        "/v1/validate/batch",
        &json!({ "tokens": [unknown, good()] }).to_string(),
    );
    wait_until("the unknown key is asked for", || issuer.fetches() == 2);
    let reader = std::thread::spawn(move || client.read());
    wait_until("the deadline passes", || {
        clock.advance(Duration::from_secs(1));
        reader.is_finished()
    });
    let response = reader.join().expect("the reader ends");
    let codes = codes(&response.expect("an answer comes"));
    assert_eq!(codes[1], "true");
    // The fetch and the request end at the same bound: whichever is first says so.
    assert!(["deadline_exceeded", "key_not_found"].contains(&codes[0].as_str()));
}

#[test]
fn a_batch_takes_one_place_and_lets_others_go_between_its_tokens() {
    let mut narrow = settings();
    narrow.max_in_flight = 2;
    let app = TestApp::with(&narrow);
    let tokens = vec![good(); 256];
    let mut batch = app.connect();
    batch.begin_post_to(
        "/v1/validate/batch",
        &json!({ "tokens": tokens }).to_string(),
    );
    let judged = "queue_sidecar_validations_total{code=\"valid\"}";
    wait_until("the batch has begun", || app.metric(judged) > 0);
    // One thread serves this sidecar, so an answer now comes from between two tokens.
    let before = app.metric(judged);
    assert_eq!(app.validate(&good()).status, 200);
    assert!(before < 256, "the page was rendered between two tokens");
    let response = batch.read().expect("the batch is answered");
    assert!(codes(&response).iter().all(|code| code == "true"));
}
