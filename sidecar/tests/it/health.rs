//! `/livez /readyz /startupz /metrics`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use queue_verifier::Clock;
use serde_json::json;

use crate::support::{
    FakeClock, Issuer, NOW, TestApp, claims, forge, jwk_set, settings, wait_until,
};

#[test]
fn ready_with_keys_given_as_settings() {
    let app = TestApp::start();
    for path in ["/livez", "/readyz", "/startupz"] {
        let response = app.get(path, "");
        assert_eq!(
            (response.status, response.text().as_str()),
            (200, "ok\n"),
            "{path}"
        );
    }
}

#[test]
fn not_ready_without_keys() {
    let issuer = Issuer::failing();
    let mut fetching = settings();
    fetching.issuer.keys = issuer.keys();
    let app = TestApp::with(&fetching);
    assert_eq!(app.get("/livez", "").status, 200);
    let response = app.get("/readyz", "").problem(503, "not_ready");
    assert_eq!(response.header("retry-after"), Some("1"));
    app.get("/startupz", "").problem(503, "not_ready");
    assert_eq!(app.metric("queue_sidecar_ready"), 0);
}

#[test]
fn ready_through_an_outage_until_the_stale_bound() {
    let issuer = Issuer::publishing(jwk_set(&[forge()]));
    let (clock, mut fetching) = (FakeClock::at(NOW), settings());
    fetching.issuer.keys = issuer.keys();
    fetching.issuer.stale_limit = Duration::from_secs(3600);
    let app = TestApp::at(&fetching, clock.clone());
    wait_until("the first fetch", || app.get("/readyz", "").status == 200);
    issuer.fail();
    // Lifetime 600 s, then 3600 s stale.
    clock.advance(Duration::from_secs(4200));
    wait_until("a fetch failed", || {
        app.metric("queue_sidecar_key_set_refresh_failures") > 0
    });
    assert_eq!(app.get("/readyz", "").status, 200);
    assert_eq!(app.metric("queue_sidecar_key_set_stale"), 1);
    assert_eq!(app.metric("queue_sidecar_key_set_age_seconds"), 4200);
    clock.advance(Duration::from_secs(1));
    app.get("/readyz", "").problem(503, "not_ready");
    assert_eq!(app.get("/startupz", "").status, 200);
    assert_eq!(app.get("/livez", "").status, 200);
}

#[test]
fn startupz_remembers_a_readiness_nobody_asked_about() {
    let issuer = Issuer::publishing(jwk_set(&[forge()]));
    let (clock, mut fetching) = (FakeClock::at(NOW), settings());
    fetching.issuer.keys = issuer.keys();
    fetching.issuer.stale_limit = Duration::ZERO;
    let app = TestApp::at(&fetching, clock.clone());
    wait_until("the first fetch", || app.metric("queue_sidecar_ready") == 1);
    issuer.fail();
    clock.advance(Duration::from_secs(601));
    assert_eq!(app.get("/startupz", "").status, 200);
    app.get("/readyz", "").problem(503, "not_ready");
}

#[test]
fn verdicts_are_counted_by_code() {
    let app = TestApp::start();
    let good = forge().sign(&claims(json!({})));
    app.validate(&good);
    app.get("/v1/auth", &format!("Authorization: Bearer {good}\r\n"));
    app.validate(&forge().sign(&claims(json!({"exp": NOW - 31}))));
    app.get("/nothing", "");
    let count = |code| {
        app.metric(&format!(
            "queue_sidecar_validations_total{{code=\"{code}\"}}"
        ))
    };
    assert_eq!(
        (
            count("valid"),
            count("claims_expired"),
            count("token_malformed")
        ),
        (2, 1, 0)
    );
    assert_eq!(
        app.metric("queue_sidecar_refusals_total{code=\"route_not_found\"}"),
        1
    );
    assert_eq!(
        app.metric("queue_sidecar_validation_duration_seconds_count"),
        3
    );
    let last = "queue_sidecar_validation_duration_seconds_bucket{le=\"+Inf\"}";
    assert_eq!(app.metric(last), 3);
    let page = app.get("/metrics", "");
    assert_eq!(
        page.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    assert!(!page.text().contains("0190c8a4"), "a label names a subject");
}

#[test]
fn every_family_of_the_page_is_declared_once() {
    let page = TestApp::start().get("/metrics", "").text();
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    for sample in samples {
        let family = sample
            .split(['{', ' '])
            .next()
            .expect("a sample has a name");
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| family.strip_suffix(end))
            .unwrap_or(family);
        let declared = format!("# TYPE {family} ");
        assert_eq!(page.matches(&declared).count(), 1, "{sample}");
    }
}

/// A clock that fails as no clock should.
#[derive(Debug)]
struct Broken(AtomicBool);

impl Clock for Broken {
    fn now(&self) -> u64 {
        assert!(!self.0.load(Ordering::Relaxed), "this clock is broken");
        NOW
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep_until(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::pending())
    }
}

#[test]
fn a_panic_is_no_verdict() {
    let clock = Arc::new(Broken(AtomicBool::new(false)));
    let app = TestApp::at(&settings(), Arc::clone(&clock) as Arc<_>);
    clock.0.store(true, Ordering::Relaxed);
    let mut client = app.connect();
    let good = forge().sign(&claims(json!({})));
    let request =
        format!("GET /v1/auth HTTP/1.1\r\nHost: {{HOST}}\r\nAuthorization: Bearer {good}\r\n\r\n");
    let response = client.send(&request).problem(503, "internal_error");
    assert_eq!(response.header("x-queue-subject"), Some(""));
    assert_eq!(client.send(&request).status, 503);
    clock.0.store(false, Ordering::Relaxed);
    assert_eq!(app.metric("queue_sidecar_in_flight"), 0);
}
