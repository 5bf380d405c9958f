//! `GET /` and the same as JSON.

use std::net::TcpStream;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64_simd::STANDARD;
use queue_verifier::KeySource;
use serde_json::json;

use crate::support::{FakeClock, NOW, TestApp, claims, forge, jwk_set, settings, wait_until};

#[test]
fn the_page_is_whole_in_itself_and_its_policy_allows_its_style_alone() {
    let page = TestApp::start().get("/", "Sec-Fetch-Site: none\r\n");
    assert_eq!(page.status, 200);
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(page.header(name), Some(value), "{name}");
    }
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("script-src"));
    let text = page.text();
    let (_, rest) = text.split_once("<style>").expect("a style sheet");
    let (style, rest) = rest.split_once("</style>").expect("its end");
    let hash = STANDARD.encode_to_string(digest(&SHA256, style.as_bytes()).as_ref());
    let allowed = format!("style-src 'sha256-{hash}'");
    assert!(policy.contains(&allowed), "{policy}");
    for word in ["<script", " style=", "@import", "url(", "http://www.w3.org"] {
        assert!(!rest.contains(word), "{word}");
    }
    assert!(!style.contains("url(") && !style.contains("@import"));
}

#[test]
fn a_page_from_another_site_gets_nothing() {
    let app = TestApp::start();
    app.get("/", "Sec-Fetch-Site: cross-site\r\n")
        .problem(403, "origin_not_allowed");
    app.get("/", "Origin: http://evil.example\r\n")
        .problem(403, "origin_not_allowed");
    app.send("POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n\r\n")
        .problem(405, "method_not_allowed");
}

#[test]
fn what_comes_from_outside_is_escaped() {
    let evil = r#"<script>alert("1")</script>&'"#;
    let set = jwk_set(&[forge()]);
    let mut set: serde_json::Value = serde_json::from_str(&set).expect("it is JSON");
    set["keys"][0]["kid"] = json!(evil);
    let mut refused = set["keys"][0].clone();
    refused["kid"] = json!(format!("{evil}2"));
    refused["use"] = json!("enc");
    set["keys"].as_array_mut().expect("a list").push(refused);
    let mut named = settings();
    named.issuer.issuer = format!("https://auth.example.com/{evil}");
    named.issuer.keys = KeySource::jwk_set(set.to_string());
    let text = TestApp::with(&named).get("/", "").text();
    assert!(!text.contains("<script"), "{text}");
    assert_eq!(text.matches("alert(").count(), 3, "{text}");
}

#[test]
fn the_hour_of_verdicts_is_that_of_the_clock() {
    let clock = FakeClock::at(NOW);
    let mut lasting = settings();
    lasting.idle_timeout = Duration::from_secs(100_000);
    let app = TestApp::at(&lasting, clock.clone());
    let good = forge().sign(&claims(json!({"exp": NOW + 800})));
    clock.advance(Duration::from_secs(600));
    app.validate(&good);
    app.validate(&good);
    app.validate("a.b.c");
    app.get("/v1/auth", "");
    app.get("/nothing", "");
    clock.advance(Duration::from_secs(120));
    app.validate(&good);
    let status = app.get("/v1/status", "").json();
    let hour = status["verdicts"]["last_hour"].as_array().expect("a list");
    assert_eq!(hour.len(), 60);
    assert_eq!(
        (&hour[57], &hour[58], &hour[59]),
        (&json!([2, 2, 0]), &json!([0, 0, 0]), &json!([1, 0, 0]))
    );
    let page = app.get("/", "").text();
    assert!(
        page.contains("3 tokens valid, 2 refused, 0 undecided; 4 in the busiest minute."),
        "{page}"
    );
    clock.advance(Duration::from_secs(3600));
    let status = app.get("/v1/status", "").json();
    assert_eq!(status["uptime"], 4320);
    assert_eq!(status["verdicts"]["last_hour"], json!(vec![[0, 0, 0]; 60]));
    let codes: Vec<_> = status["verdicts"]["faults"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|fault| fault["code"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert!(codes.contains(&"bearer_missing".to_owned()), "{codes:?}");
}

#[test]
fn the_json_says_what_the_page_shows() {
    let mut bounded = settings();
    bounded.issuer.stale_limit = Duration::from_secs(7200);
    bounded.remember = 5;
    let app = TestApp::with(&bounded);
    app.validate(&forge().sign(&claims(json!({}))));
    let status = app.get("/v1/status", "").json();
    assert_eq!(status["state"], "ready");
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["started_at"], NOW);
    assert_eq!(status["remembered"], json!({"tokens": 1, "capacity": 5}));
    let issuer = &status["issuers"][0];
    assert_eq!(issuer["issuer"], "https://auth.example.com");
    assert_eq!(
        (&issuer["stale_limit"], &issuer["status_max_age"]),
        (&json!(7200), &json!(60))
    );
    assert_eq!(status["validation"]["count"], 1);
    assert_eq!(
        status["validation"]["buckets"][0],
        json!({"le": 0.000_025, "count": 1})
    );
    assert_eq!(status["validation"]["buckets"][13]["le"], json!(null));
    assert_eq!(status["requests"][0]["route"], "validate");
    assert!(status["resident_bytes"].as_u64() > Some(1 << 20));
    assert_eq!(
        app.metric("queue_sidecar_request_duration_seconds_count{route=\"validate\"}"),
        1
    );
    assert_eq!(
        app.metric("queue_sidecar_key_set_stale_limit_seconds"),
        7200
    );
}

#[test]
fn the_page_says_that_the_sidecar_goes() {
    let mut app = TestApp::start();
    let mut client = app.connect();
    let request = "GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n";
    client.write(&request[..10]);
    wait_until("it is accepted", || {
        app.metric("queue_sidecar_connections") == 2
    });
    app.tell_to_stop();
    wait_until("nobody is accepted any more", || {
        TcpStream::connect(("127.0.0.1", app.port)).is_err()
    });
    let page = client.send(&request[10..]);
    assert_eq!(page.status, 200);
    assert!(page.text().contains(">Draining</h2>"), "{}", page.text());
    app.join();
}

#[test]
fn it_reloads_only_when_told_to() {
    let app = TestApp::start();
    for (target, reloads) in [("/", false), ("/?reload=10", true), ("/?reload=1", false)] {
        let has_it = app
            .get(target, "")
            .text()
            .contains("http-equiv=\"refresh\"");
        assert_eq!(has_it, reloads, "{target}");
    }
}
