//! Limits over HTTP: who is told to wait, how long, and who cannot help it by any spelling.

use std::time::Duration;

use ::http::Method;
use serde_json::json;

use crate::harness::{Database, FakeClock, Issuer, RAPTOR, VELVET, bearer, on_both_engines};
use crate::http::Answer;

on_both_engines! {
    rate_limited
    service_is_bounded_and_others_are_not
    what_an_untrusted_peer_says_moves_no_bucket
    what_a_trusted_proxy_says_does
    other_header_of_a_trusted_proxy_is_not_read
    every_spelling_of_an_address_shares_a_bucket
    no_spelling_of_a_path_passes_the_limit
    dark_queue_and_public_documents_have_no_limit
}

const PATH: &str = "/api/v1/customers?email=nobody@example.com";

async fn start(database: &Database, more: &[(&str, &str)]) -> Issuer {
    Issuer::start_with(database, more, FakeClock::new()).await
}

impl Issuer {
    async fn from(&self, header: &str, value: &str) -> Answer {
        let bearer = bearer(RAPTOR);
        let headers = [("authorization", bearer.as_str()), (header, value)];
        self.call(Method::GET, PATH, &headers, None).await
    }

    #[track_caller]
    fn metrics_have(text: &str, line: &str) {
        assert!(text.lines().any(|shown| shown == line), "{line} in\n{text}");
    }
}

async fn rate_limited(database: Database) {
    let issuer = start(&database, &[("QUEUE_ISSUER_LIMIT_SERVICE_ADDRESS", "3/m")]).await;
    for (remaining, whole) in [(2, 20), (1, 40), (0, 60)] {
        let answer = issuer.raptor(Method::GET, PATH, None).await;
        answer.expect_problem(404, "customer_not_found");
        let policy = "\"service-address\";q=3;w=60";
        assert_eq!(answer.header("ratelimit-policy"), policy);
        let state = format!("\"service-address\";r={remaining};t={whole}");
        assert_eq!(answer.header("ratelimit"), state);
        assert_eq!(answer.header("retry-after"), "");
    }
    for (waited, left) in [(0, 20), (1, 19), (18, 1)] {
        issuer.clock.advance(Duration::from_secs(waited));
        // Nobody needs a token to be told to wait.
        let answer = issuer.get(PATH).await;
        answer.expect_problem(429, "rate_limited");
        assert_eq!(answer.header("retry-after"), left.to_string());
        let state = format!("\"service-address\";r=0;t={left}");
        assert_eq!(answer.header("ratelimit"), state);
        let policy = "\"service-address\";q=3;w=60";
        assert_eq!(answer.header("ratelimit-policy"), policy);
    }
    issuer.clock.advance(Duration::from_millis(999));
    let answer = issuer.raptor(Method::GET, PATH, None).await;
    answer.expect_problem(429, "rate_limited");
    assert_eq!(answer.header("retry-after"), "1");
    issuer.clock.advance(Duration::from_millis(1));
    let made = issuer.customer("customer@example.com").await;
    assert!(!made.is_empty());
    issuer
        .raptor(Method::GET, PATH, None)
        .await
        .expect_problem(429, "rate_limited");
    let metrics = issuer.get("/metrics").await.text();
    let line = "queue_issuer_rate_limited_total{class=\"service\",key_kind=\"address\"} 5";
    Issuer::metrics_have(&metrics, line);
    issuer.stop().await.unwrap();
}

async fn service_is_bounded_and_others_are_not(database: Database) {
    let issuer = start(&database, &[("QUEUE_ISSUER_LIMIT_SERVICE_CLIENT", "2/m")]).await;
    for _ in 0..2 {
        let answer = issuer.raptor(Method::GET, PATH, None).await;
        answer.expect_problem(404, "customer_not_found");
    }
    let body = json!({ "email": "customer@example.com" });
    let answer = issuer
        .raptor(Method::POST, "/api/v1/customers", Some(body))
        .await;
    answer.expect_problem(429, "rate_limited");
    assert_eq!(answer.header("ratelimit"), "\"service-account\";r=0;t=30");
    assert_eq!(answer.header("retry-after"), "30");
    let customers = database
        .number("SELECT COUNT(*) FROM queue_customers")
        .await;
    assert_eq!(customers, 0);
    let velvet = bearer(VELVET);
    issuer
        .call(Method::GET, PATH, &[("authorization", &velvet)], None)
        .await
        .expect_problem(404, "customer_not_found");
    // Whoever holds no token spends nothing of a service's bucket.
    issuer.clock.advance(Duration::from_secs(60));
    for _ in 0..3 {
        issuer
            .call(
                Method::GET,
                PATH,
                &[("authorization", "Bearer guess")],
                None,
            )
            .await
            .expect_problem(401, "service_token_invalid");
    }
    issuer
        .raptor(Method::GET, PATH, None)
        .await
        .expect_problem(404, "customer_not_found");
    issuer.stop().await.unwrap();
}

async fn what_an_untrusted_peer_says_moves_no_bucket(database: Database) {
    let more = [
        ("QUEUE_ISSUER_LIMIT_SERVICE_ADDRESS", "2/m"),
        ("QUEUE_ISSUER_TRUSTED_PROXIES", "192.0.2.0/24 ::1"),
    ];
    let issuer = start(&database, &more).await;
    for name in ["x-forwarded-for", "forwarded"] {
        issuer
            .from(name, "for=198.51.100.1")
            .await
            .expect_problem(404, "customer_not_found");
    }
    for (name, value) in [
        ("x-forwarded-for", "198.51.100.2"),
        ("x-forwarded-for", "198.51.100.3, 192.0.2.1"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-real-ip", "198.51.100.4"),
        ("forwarded", "for=198.51.100.5"),
        ("cf-connecting-ip", "198.51.100.6"),
        ("true-client-ip", "198.51.100.7"),
    ] {
        issuer
            .from(name, value)
            .await
            .expect_problem(429, "rate_limited");
    }
    issuer.stop().await.unwrap();
}

async fn what_a_trusted_proxy_says_does(database: Database) {
    let more = [
        ("QUEUE_ISSUER_LIMIT_SERVICE_ADDRESS", "2/m"),
        ("QUEUE_ISSUER_TRUSTED_PROXIES", "127.0.0.0/8, 10.0.0.0/8"),
    ];
    let issuer = start(&database, &more).await;
    let name = "x-forwarded-for";
    for chain in ["198.51.100.1", "203.0.113.9, 198.51.100.1, 10.0.0.7"] {
        issuer
            .from(name, chain)
            .await
            .expect_problem(404, "customer_not_found");
    }
    // Whatever the client writes before what the proxies append.
    for chain in [
        "198.51.100.1",
        "203.0.113.10, 198.51.100.1",
        "10.1.1.1, 198.51.100.1, 10.0.0.7",
        "127.0.0.1,198.51.100.1:55555",
        ", ,unknown,198.51.100.1",
    ] {
        issuer
            .from(name, chain)
            .await
            .expect_problem(429, "rate_limited");
    }
    issuer
        .from(name, "198.51.100.2")
        .await
        .expect_problem(404, "customer_not_found");
    // What cannot be read is the proxy's own, in one bucket.
    issuer
        .from(name, "nonsense")
        .await
        .expect_problem(404, "customer_not_found");
    issuer
        .from("x-real-ip", "198.51.100.3")
        .await
        .expect_problem(404, "customer_not_found");
    issuer
        .from(name, "198.51.100.9, ???")
        .await
        .expect_problem(429, "rate_limited");
    issuer.stop().await.unwrap();
}

async fn other_header_of_a_trusted_proxy_is_not_read(database: Database) {
    for (header, other) in [
        ("x-forwarded-for", "forwarded"),
        ("forwarded", "x-forwarded-for"),
    ] {
        let more = [
            ("QUEUE_ISSUER_LIMIT_SERVICE_ADDRESS", "1/m"),
            ("QUEUE_ISSUER_TRUSTED_PROXIES", "127.0.0.1"),
            ("QUEUE_ISSUER_FORWARDED_HEADER", header),
        ];
        let value = |header: &str, host: u8| match header {
            "forwarded" => format!("for=198.51.100.{host};proto=https"),
            _ => format!("198.51.100.{host}"),
        };
        let issuer = start(&database, &more).await;
        issuer
            .from(header, &value(header, 1))
            .await
            .expect_problem(404, "customer_not_found");
        issuer
            .from(header, &value(header, 2))
            .await
            .expect_problem(404, "customer_not_found");
        issuer
            .from(other, &value(other, 3))
            .await
            .expect_problem(404, "customer_not_found");
        issuer
            .from(other, &value(other, 4))
            .await
            .expect_problem(429, "rate_limited");
        issuer.stop().await.unwrap();
    }
}

async fn every_spelling_of_an_address_shares_a_bucket(database: Database) {
    let more = [
        ("QUEUE_ISSUER_LIMIT_SERVICE_ADDRESS", "1/m"),
        ("QUEUE_ISSUER_TRUSTED_PROXIES", "127.0.0.1"),
    ];
    let issuer = start(&database, &more).await;
    for spellings in [
        &[
            "192.0.2.1",
            "::ffff:192.0.2.1",
            "::FFFF:C000:0201",
            "[::ffff:c000:201]:9",
            "192.0.2.1:80",
        ][..],
        &[
            "2001:db8::1",
            "2001:DB8::1",
            "2001:0db8:0000:0000:0000:0000:0000:0001",
            "2001:db8::2",
            "2001:db8:0:0:ffff:ffff:ffff:ffff",
            "[2001:db8::9]:443",
        ],
    ] {
        for (place, spelling) in spellings.iter().enumerate() {
            let answer = issuer.from("x-forwarded-for", spelling).await;
            if place == 0 {
                answer.expect_problem(404, "customer_not_found");
            } else {
                answer.expect_problem(429, "rate_limited");
            }
        }
    }
    // The next /64 is somebody else.
    issuer
        .from("x-forwarded-for", "2001:db8:0:1::1")
        .await
        .expect_problem(404, "customer_not_found");
    issuer.stop().await.unwrap();
}

async fn no_spelling_of_a_path_passes_the_limit(database: Database) {
    let issuer = start(&database, &[("QUEUE_ISSUER_LIMIT_SERVICE_ADDRESS", "1/m")]).await;
    issuer.customer("first@example.com").await;
    let post = async |path: &str| {
        let body = json!({ "email": "second@example.com" });
        issuer.raptor(Method::POST, path, Some(body)).await
    };
    for path in [
        "/api/v1/customers",
        "/api/v1/customers?x=1",
        "/api/v1//customers",
        "/api/v1/./customers",
        "/api/v1/%2e/customers",
        "/api/v1/x/../customers",
        "/api/v1/x/%2e%2e/customers",
        "/api/v1/customers/",
        "/api/v1/customers/.",
        "/api/v1/customers/%2e",
        "/api/v1/customers//",
        "/api/v1/%63ustomers",
        "/api/v1/CUSTOMERS",
        "/api/v1/customers%2f",
        "/api/v1/customers;x",
        "/api/v1/unknown",
    ] {
        post(path).await.expect_problem(429, "rate_limited");
    }
    // These are no routes of the interface at all.
    for path in [
        "//api/v1/customers",
        "/./api/v1/customers",
        "/api//v1/customers",
        "/api/%761/customers",
        "/%2e/api/v1/customers",
        "/API/v1/customers",
        "/x/../api/v1/customers",
    ] {
        post(path).await.expect_problem(404, "route_not_found");
    }
    let customers = database
        .number("SELECT COUNT(*) FROM queue_customers")
        .await;
    assert_eq!(customers, 1);
    // What is unknown counts too.
    issuer.clock.advance(Duration::from_secs(60));
    post("/api/v1/%2e/customers")
        .await
        .expect_problem(404, "route_not_found");
    post("/api/v1/customers")
        .await
        .expect_problem(429, "rate_limited");
    issuer.clock.advance(Duration::from_secs(60));
    issuer
        .raptor(Method::PUT, "/api/v1/customers", None)
        .await
        .expect_problem(405, "route_method_not_allowed");
    post("/api/v1/customers")
        .await
        .expect_problem(429, "rate_limited");
    issuer.stop().await.unwrap();
}

async fn dark_queue_and_public_documents_have_no_limit(database: Database) {
    let more = [
        ("QUEUE_ISSUER_LIMIT_SERVICE_ADDRESS", "1/h"),
        ("FLAG_QUEUE_V1", "off"),
    ];
    let issuer = start(&database, &more).await;
    for _ in 0..3 {
        let answer = issuer.raptor(Method::GET, PATH, None).await;
        answer.expect_problem(404, "queue_disabled");
        assert_eq!(answer.header("ratelimit"), "");
        for path in ["/.well-known/jwks.json", "/livez", "/readyz"] {
            let answer = issuer.get(path).await;
            answer.expect(200);
            assert_eq!(answer.header("ratelimit"), "", "{path}");
        }
    }
    issuer.stop().await.unwrap();
}
