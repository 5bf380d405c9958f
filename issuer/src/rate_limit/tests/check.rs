//! The three buckets of a class, charged by a clock that stands still.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::response::IntoResponse as _;
use http::Response;
use http::header::RETRY_AFTER;

use crate::clock::{Clock, Timestamp};
use crate::rate_limit::{Class, ClassRates, ClientAddress, Limits, Rates};
use crate::telemetry::Metrics;

#[derive(Debug, Default)]
struct StillClock(AtomicU64);

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(0)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

struct World {
    clock: Arc<StillClock>,
    metrics: Arc<Metrics>,
    limits: Limits,
}

fn world() -> World {
    let class = |address: &str, account: &str, pair: Option<&str>| ClassRates {
        address: address.parse().unwrap(),
        account: account.parse().unwrap(),
        pair: pair.map(|rate| rate.parse().unwrap()),
    };
    let rates = Rates {
        auth: class("4/m", "3/m", Some("2/m")),
        refresh: class("4/m", "6/m", Some("5/m")),
        service: class("4/s", "2/s", None),
    };
    let clock = Arc::new(StillClock::default());
    let metrics = Arc::new(Metrics::new());
    let limits = Limits::new(
        &rates,
        Arc::clone(&clock) as Arc<dyn Clock>,
        Arc::clone(&metrics),
    );
    World {
        clock,
        metrics,
        limits,
    }
}

fn at(text: &str) -> ClientAddress {
    ClientAddress::from(text.parse::<IpAddr>().unwrap())
}

impl World {
    #[track_caller]
    fn taken(&self, class: Class, address: &str, account: Option<&str>) {
        let checked = self.limits.check(class, &at(address), account);
        assert!(checked.is_ok(), "{class:?} {address}");
    }

    /// The headers of the refusal.
    #[track_caller]
    fn refused(
        &self,
        class: Class,
        address: &str,
        account: Option<&str>,
    ) -> HashMap<String, String> {
        let checked = self.limits.check(class, &at(address), account);
        let response: Response<_> = checked.expect_err("refused").into_response();
        assert_eq!(response.status(), 429);
        let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
        let headers = response.headers();
        assert!(headers.contains_key(RETRY_AFTER));
        headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect()
    }
}

#[test]
fn pair_bounds_what_one_address_takes_of_an_account() {
    let world = world();
    let account = Some("someone@example.com");
    world.taken(Class::Auth, "192.0.2.1", account);
    world.taken(Class::Auth, "192.0.2.1", account);
    for _ in 0..10 {
        let headers = world.refused(Class::Auth, "192.0.2.1", account);
        assert_eq!(headers["ratelimit-policy"], "\"auth-pair\";q=2;w=60");
        assert_eq!(headers["ratelimit"], "\"auth-pair\";r=0;t=30");
        assert_eq!(headers["retry-after"], "30");
    }
    // Ten refusals took nothing of the account: its owner gets in from elsewhere.
    world.taken(Class::Auth, "2001:db8::1", account);
    let headers = world.refused(Class::Auth, "198.51.100.1", account);
    assert_eq!(headers["ratelimit-policy"], "\"auth-account\";q=3;w=60");
    assert_eq!(headers["retry-after"], "20");
    world.taken(Class::Auth, "192.0.2.1", Some("other@example.com"));
    let text = world.metrics.render();
    for line in [
        "queue_issuer_rate_limited_total{class=\"auth\",key_kind=\"pair\"} 10",
        "queue_issuer_rate_limited_total{class=\"auth\",key_kind=\"account\"} 1",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    assert!(!text.contains("example.com") && !text.contains("192.0.2"));
}

#[test]
fn classes_and_kinds_have_buckets_of_their_own() {
    let world = world();
    for _ in 0..4 {
        world.taken(Class::Auth, "192.0.2.1", None);
        world.taken(Class::Refresh, "::ffff:192.0.2.1", None);
        world.taken(Class::Service, "192.0.2.1", None);
    }
    for (class, retry_after) in [
        (Class::Auth, "15"),
        (Class::Refresh, "15"),
        (Class::Service, "1"),
    ] {
        let headers = world.refused(class, "192.0.2.1", None);
        assert_eq!(headers["retry-after"], retry_after, "{class:?}");
        world.taken(class, "192.0.2.2", None);
    }
    world.taken(
        Class::Auth,
        "192.0.2.1",
        Some("an account is another bucket"),
    );
    for _ in 0..5 {
        world.taken(Class::Refresh, "192.0.2.1", Some("session"));
    }
    let headers = world.refused(Class::Refresh, "192.0.2.1", Some("session"));
    assert_eq!(headers["ratelimit"], "\"refresh-pair\";r=0;t=12");
}

#[test]
fn service_is_bounded_wherever_it_calls_from() {
    let world = world();
    world.taken(Class::Service, "192.0.2.1", Some("raptor"));
    world.taken(Class::Service, "192.0.2.2", Some("raptor"));
    let headers = world.refused(Class::Service, "192.0.2.3", Some("raptor"));
    assert_eq!(headers["ratelimit"], "\"service-account\";r=0;t=1");
    world.taken(Class::Service, "192.0.2.3", Some("velvet"));
    world.clock.0.store(500, Ordering::SeqCst);
    world.taken(Class::Service, "192.0.2.3", Some("raptor"));
    world.refused(Class::Service, "192.0.2.3", Some("raptor"));
}
