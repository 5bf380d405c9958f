//! When a token cannot be judged at once: keys that change, that are late, that never come.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::support::{
    Client, FakeClock, Issuer, NOW, Response, TestApp, claims, directory, forge, jwk_set,
    other_forge, settings, wait_until,
};

fn good() -> String {
    forge().sign(&claims(json!({})))
}

#[test]
fn a_rotation_is_followed_within_the_request() {
    let issuer = Issuer::publishing(jwk_set(&[forge()]));
    let mut fetching = settings();
    fetching.issuer.keys = issuer.keys();
    let app = TestApp::with(&fetching);
    assert_eq!(app.validate(&good()).status, 200);
    issuer.publish(jwk_set(&[other_forge()]));
    assert_eq!(
        app.validate(&other_forge().sign(&claims(json!({})))).status,
        200
    );
    app.validate(&good()).problem(401, "key_not_found");
    // A token that is bad anyway is not worth a fetch.
    let fetches = issuer.fetches();
    let expired = forge().sign(&claims(json!({"exp": NOW - 31})));
    app.validate(&expired).problem(401, "key_not_found");
    assert_eq!(issuer.fetches(), fetches);
}

#[test]
fn key_set_unavailable() {
    let issuer = Issuer::failing();
    let mut fetching = settings();
    fetching.issuer.keys = issuer.keys();
    let app = TestApp::with(&fetching);
    let response = app.validate(&good()).problem(503, "key_set_unavailable");
    assert_eq!(response.header("retry-after"), Some("1"));
    assert_eq!(response.header("www-authenticate"), None);
}

#[test]
fn a_valid_snapshot_makes_a_start_without_the_issuer() {
    let issuer = Issuer::publishing(jwk_set(&[forge()]));
    let mut fetching = settings();
    fetching.issuer.keys = issuer.keys();
    fetching.issuer.snapshot = Some(directory("snapshot").join("keys.json"));
    let first = TestApp::with(&fetching);
    wait_until("the keys are kept", || {
        first.get("/readyz", "").status == 200
            && fetching
                .issuer
                .snapshot
                .as_ref()
                .is_some_and(|path| path.exists())
    });
    first.join();
    issuer.fail();
    let second = TestApp::with(&fetching);
    wait_until("it is ready", || second.get("/readyz", "").status == 200);
    assert_eq!(second.validate(&good()).status, 200);
    second.join();
    // Too old to be believed.
    let day = fetching.issuer.snapshot_max_age.as_secs();
    let third = TestApp::at(&fetching, FakeClock::at(NOW + day + 1));
    wait_until("it asks in vain", || {
        third.metric("queue_sidecar_key_set_refresh_failures") > 0
    });
    third.get("/readyz", "").problem(503, "not_ready");
}

/// Lets time pass until `client` has its answer: the moment at which the request begins to wait
/// cannot be seen from here.
fn answer_after(clock: &Arc<FakeClock>, step: Duration, mut client: Client) -> Response {
    let reader = std::thread::spawn(move || client.read());
    wait_until("the deadline passes", || {
        clock.advance(step);
        reader.is_finished()
    });
    let answer = reader.join().expect("the reader ends");
    answer.expect("an answer comes")
}

#[test]
fn deadline_exceeded() {
    let issuer = Issuer::hanging();
    let (clock, mut fetching) = (FakeClock::at(NOW), settings());
    fetching.issuer.keys = issuer.keys();
    let app = TestApp::at(&fetching, clock.clone());
    let mut client = app.connect();
    client.write(format!(
        "POST /v1/validate HTTP/1.1\r\nHost: {{HOST}}\r\nAuthorization: Bearer {}\r\n\r\n",
        good()
    ));
    wait_until("the request waits", || {
        app.metric("queue_sidecar_in_flight") == 1
    });
    let response = answer_after(&clock, Duration::from_secs(5), client);
    let response = response.problem(503, "deadline_exceeded");
    assert_eq!(response.header("retry-after"), Some("1"));
    assert_eq!(app.metric("queue_sidecar_in_flight"), 0);
}

#[test]
fn request_timeout() {
    let clock = FakeClock::at(NOW);
    let app = TestApp::at(&settings(), clock.clone());
    let mut client = app.connect();
    client.write(
        "POST /v1/validate HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\n\r\n{",
    );
    wait_until("the body is waited for", || {
        app.metric("queue_sidecar_in_flight") == 1
    });
    answer_after(&clock, Duration::from_secs(5), client).problem(408, "request_timeout");
}
