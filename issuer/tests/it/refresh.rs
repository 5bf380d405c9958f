//! Refresh tokens: rotation that no retry can trip over, and that ends a stolen session.

use std::time::Duration;

use ::http::Method;
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::hmac;
use serde_json::Value;

use crate::harness::{Database, FakeClock, Issuer, KEK, START, bearer, look_into, on_both_engines};
use crate::http::Answer;
use crate::status_list::{bits, place};

on_both_engines! {
    rotation_gives_a_new_token_and_the_same_session
    fifty_at_once_get_one_successor
    lost_answer_is_given_again
    sixth_retry_ends_the_session
    late_retry_ends_the_session
    copied_token_ends_the_session_for_both
    counter_ahead_of_the_database_ends_nothing
    refresh_token_invalid
    who_only_knows_a_session_spends_nothing_of_its_owners
    foreign_pages_are_refused
    ended_sessions_and_customers_cannot_refresh
    three_replicas_rotate_once
    sign_in_not_configured
    a_generation_never_goes_back
}

/// A session of a browser, put into the database as signing in does: the formats are written here a second
/// time, so that a change of one is noticed.
pub(crate) struct Seeded {
    pub(crate) customer: String,
    pub(crate) session: String,
    key: hmac::Key,
    id: [u8; 16],
}

impl Seeded {
    pub(crate) async fn new(issuer: &Issuer, database: &Database, email: &str) -> Self {
        let customer = issuer.customer(email).await;
        let minted = issuer.mint(&customer).await.expect(201);
        let session = minted["session"]["session_id"].as_str().unwrap().to_owned();
        let salt = [7_u8; 32];
        let sql = if database.is_postgres() {
            format!(
                "INSERT INTO queue_session_refreshes (tenant_id, session_id, salt, rotated_at, replayed_at, last_used_at, device)
                 SELECT tenant_id, id, decode('{}', 'hex'), created_at, created_at, created_at, 'Firefox on Linux'
                 FROM queue_sessions WHERE id = '{session}'",
                "07".repeat(32)
            )
        } else {
            format!(
                "INSERT INTO queue_session_refreshes (tenant_id, session_id, salt, rotated_at, replayed_at, last_used_at, device)
                 SELECT tenant_id, id, X'{}', created_at, created_at, created_at, 'Firefox on Linux'
                 FROM queue_sessions WHERE id = '{session}'",
                "07".repeat(32)
            )
        };
        database.execute(&sql).await.unwrap();
        let id = *uuid::Uuid::parse_str(&session).unwrap().as_bytes();
        let kek = base64_simd::STANDARD.decode_to_vec(KEK).unwrap();
        let prk = Salt::new(HKDF_SHA256, b"queue derived keys").extract(&kek);
        let info = [b"queue refresh tokens v1".as_slice()];
        let master = hmac::Key::from(prk.expand(&info, hmac::HMAC_SHA256).unwrap());
        let own = hmac::sign(&master, &[id.as_slice(), &salt].concat());
        Self {
            customer,
            session,
            key: hmac::Key::new(hmac::HMAC_SHA256, own.as_ref()),
            id,
        }
    }

    /// The refresh token of `generation`.
    pub(crate) fn token(&self, generation: i64) -> String {
        self.token_in(1, generation)
    }

    /// The same, in a format of another number.
    pub(crate) fn token_in(&self, format: u8, generation: i64) -> String {
        let head = [
            [format].as_slice(),
            &self.id,
            generation.to_be_bytes().as_slice(),
        ]
        .concat();
        let tag = hmac::sign(&self.key, &head);
        base64_simd::URL_SAFE_NO_PAD.encode_to_string([head.as_slice(), tag.as_ref()].concat())
    }

    async fn refresh(&self, issuer: &Issuer, generation: i64) -> Answer {
        refresh(issuer, &self.token(generation)).await
    }
}

pub(crate) const ORIGIN: (&str, &str) = ("origin", "http://localhost:4100");
pub(crate) const CSRF: (&str, &str) = ("x-queue-csrf", "1");

async fn refresh(issuer: &Issuer, token: &str) -> Answer {
    let cookie = format!("__Host-queue_rt={token}");
    let headers = [ORIGIN, CSRF, ("cookie", cookie.as_str())];
    issuer
        .call(Method::POST, "/api/v1/auth/token/refresh", &headers, None)
        .await
}

/// The refresh token an answer sets.
#[track_caller]
fn given(answer: &Answer) -> String {
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
    let cookie = answer.header("set-cookie");
    let (pair, rest) = cookie.split_once("; ").unwrap();
    for attribute in ["HttpOnly", "Secure", "SameSite=Strict", "Path=/"] {
        assert!(rest.contains(attribute), "{cookie}");
    }
    pair.strip_prefix("__Host-queue_rt=").unwrap().to_owned()
}

fn refused(answer: &Answer) {
    answer.expect_problem(401, "refresh_token_invalid");
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("__Host-queue_rt=; "), "{cookie}");
    assert!(cookie.contains("Max-Age=0"), "{cookie}");
}

async fn started(database: &Database) -> (Issuer, Seeded) {
    let issuer = Issuer::start(database).await;
    let seeded = Seeded::new(&issuer, database, "ada@example.com").await;
    (issuer, seeded)
}

async fn rotation_gives_a_new_token_and_the_same_session(database: Database) {
    let (issuer, seeded) = started(&database).await;
    issuer.clock.advance(Duration::from_secs(100));
    let answer = seeded.refresh(&issuer, 1).await;
    assert_eq!(given(&answer), seeded.token(2));
    assert!(answer.header("set-cookie").contains("Max-Age=43100"));
    assert_eq!(answer.header("cache-control"), "no-store");
    let body = answer.json();
    let (_, claims) = look_into(body["access_token"].as_str().unwrap());
    assert_eq!(claims["sid"], seeded.session.as_str());
    assert_eq!(claims["auth_time"], START);
    assert_eq!(body["session"]["session_id"], seeded.session.as_str());
    assert!(!answer.text().contains(&seeded.token(2)));
    assert_eq!(given(&seeded.refresh(&issuer, 2).await), seeded.token(3));
    let events = "SELECT COUNT(*) FROM customer_audit_events WHERE action = 'session.refreshed'";
    assert_eq!(database.number(events).await, 2);
}

async fn fifty_at_once_get_one_successor(database: Database) {
    let (issuer, seeded) = started(&database).await;
    let all = (0..50).map(|_| seeded.refresh(&issuer, 1));
    for answer in futures_util::future::join_all(all).await {
        assert_eq!(given(&answer), seeded.token(2));
    }
    let generation = "SELECT generation FROM queue_session_refreshes";
    assert_eq!(database.number(generation).await, 2);
    assert_eq!(given(&seeded.refresh(&issuer, 2).await), seeded.token(3));
}

async fn lost_answer_is_given_again(database: Database) {
    let (issuer, seeded) = started(&database).await;
    for _ in 0..6 {
        assert_eq!(given(&seeded.refresh(&issuer, 1).await), seeded.token(2));
        issuer.clock.advance(Duration::from_secs(10));
    }
}

async fn ends(issuer: &Issuer, seeded: &Seeded, database: &Database) {
    for generation in 1..5 {
        refused(&seeded.refresh(issuer, generation).await);
    }
    let ended = "SELECT COUNT(*) FROM customer_audit_events WHERE action = 'session.revoked'";
    assert_eq!(database.number(ended).await, 1);
    let minted = issuer.mint(&seeded.customer).await.expect(201);
    let set = bits(&issuer.get(&place(&minted).0).await);
    assert_eq!(set.iter().filter(|bit| **bit).count(), 1);
}

async fn sixth_retry_ends_the_session(database: Database) {
    let (issuer, seeded) = started(&database).await;
    for _ in 0..6 {
        given(&seeded.refresh(&issuer, 1).await);
        issuer.clock.advance(Duration::from_secs(5));
    }
    refused(&seeded.refresh(&issuer, 1).await);
    ends(&issuer, &seeded, &database).await;
}

async fn late_retry_ends_the_session(database: Database) {
    let (issuer, seeded) = started(&database).await;
    given(&seeded.refresh(&issuer, 1).await);
    issuer.clock.advance(Duration::from_secs(61));
    refused(&seeded.refresh(&issuer, 1).await);
    ends(&issuer, &seeded, &database).await;
}

async fn copied_token_ends_the_session_for_both(database: Database) {
    let (issuer, seeded) = started(&database).await;
    given(&seeded.refresh(&issuer, 1).await);
    given(&seeded.refresh(&issuer, 2).await);
    refused(&seeded.refresh(&issuer, 1).await);
    ends(&issuer, &seeded, &database).await;
}

async fn counter_ahead_of_the_database_ends_nothing(database: Database) {
    let (issuer, seeded) = started(&database).await;
    refused(&seeded.refresh(&issuer, 2).await);
    refused(&seeded.refresh(&issuer, i64::MAX).await);
    given(&seeded.refresh(&issuer, 1).await);
}

async fn refresh_token_invalid(database: Database) {
    let (issuer, seeded) = started(&database).await;
    let good = seeded.token(1);
    let other = Seeded::new(&issuer, &database, "bob@example.com").await;
    let forged = {
        let mut bytes = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(&good).unwrap();
        bytes[1..17].copy_from_slice(&other.id);
        base64_simd::URL_SAFE_NO_PAD.encode_to_string(&bytes)
    };
    let access = issuer.mint(&seeded.customer).await.expect(201);
    let long = "A".repeat(10_000);
    let twice = format!("{good}; __Host-queue_rt={good}");
    for text in [
        "",
        "A",
        &good[1..],
        &format!("{good}A"),
        &format!("{good}="),
        &forged,
        &long,
        &twice,
        access["access_token"].as_str().unwrap(),
    ] {
        refused(&refresh(&issuer, text).await);
    }
    let without = issuer
        .call(
            Method::POST,
            "/api/v1/auth/token/refresh",
            &[ORIGIN, CSRF],
            None,
        )
        .await;
    refused(&without);
    given(&refresh(&issuer, &good).await);
}

async fn who_only_knows_a_session_spends_nothing_of_its_owners(database: Database) {
    let more = [("QUEUE_ISSUER_LIMIT_REFRESH_PAIR", "2/m")];
    let issuer = Issuer::start_with(&database, &more, FakeClock::new()).await;
    let seeded = Seeded::new(&issuer, &database, "ada@example.com").await;
    let mut forged = base64_simd::URL_SAFE_NO_PAD
        .decode_to_vec(seeded.token(1))
        .unwrap();
    forged[56] ^= 1;
    let forged = base64_simd::URL_SAFE_NO_PAD.encode_to_string(&forged);
    for _ in 0..5 {
        refused(&refresh(&issuer, &forged).await);
    }
    given(&seeded.refresh(&issuer, 1).await);
    given(&seeded.refresh(&issuer, 2).await);
    let limited = seeded.refresh(&issuer, 3).await;
    limited.expect_problem(429, "rate_limited");
}

async fn foreign_pages_are_refused(database: Database) {
    let (issuer, seeded) = started(&database).await;
    let cookie = format!("__Host-queue_rt={}", seeded.token(1));
    let cookie = ("cookie", cookie.as_str());
    let path = "/api/v1/auth/token/refresh";
    for headers in [
        vec![cookie],
        vec![cookie, CSRF],
        vec![cookie, ORIGIN],
        vec![cookie, ORIGIN, ("x-queue-csrf", "0")],
        vec![cookie, ORIGIN, ORIGIN, CSRF],
        vec![cookie, ("origin", "null"), CSRF],
        vec![cookie, ("origin", "https://localhost:4100"), CSRF],
        vec![
            cookie,
            ("origin", "http://localhost:4100.evil.example"),
            CSRF,
        ],
        vec![cookie, ("origin", "http://evil.example"), CSRF],
        vec![cookie, ORIGIN, CSRF, ("sec-fetch-site", "cross-site")],
        vec![cookie, ORIGIN, CSRF, ("sec-fetch-site", "none")],
    ] {
        let answer = issuer.call(Method::POST, path, &headers, None).await;
        answer.expect_problem(403, "origin_refused");
    }
    let preflight = |origin: &'static str| {
        let issuer = &issuer;
        async move {
            let headers = [
                ("origin", origin),
                ("access-control-request-method", "POST"),
                ("access-control-request-headers", "x-queue-csrf"),
            ];
            issuer.call(Method::OPTIONS, path, &headers, None).await
        }
    };
    let known = preflight(ORIGIN.1).await;
    assert_eq!(known.header("access-control-allow-origin"), ORIGIN.1);
    assert_eq!(known.header("access-control-allow-credentials"), "true");
    let foreign = preflight("http://evil.example").await;
    assert_eq!(foreign.header("access-control-allow-origin"), "");
    given(&seeded.refresh(&issuer, 1).await);
}

async fn ended_sessions_and_customers_cannot_refresh(database: Database) {
    let (issuer, first) = started(&database).await;
    let second = Seeded::new(&issuer, &database, "bob@example.com").await;
    let path = format!("/api/v1/service/sessions/{}/revoke", first.session);
    issuer.raptor(Method::POST, &path, None).await.expect(200);
    refused(&first.refresh(&issuer, 1).await);
    let suspend = format!(
        "UPDATE queue_customers SET state = 'suspended', suspended_at = created_at WHERE id = '{}'",
        second.customer
    );
    database.execute(&suspend).await.unwrap();
    refused(&second.refresh(&issuer, 1).await);
    database
        .execute("UPDATE queue_customers SET state = 'active'")
        .await
        .unwrap();
    given(&second.refresh(&issuer, 1).await);
    issuer.clock.advance(Duration::from_secs(12 * 3_600));
    refused(&second.refresh(&issuer, 2).await);
}

async fn three_replicas_rotate_once(database: Database) {
    let clock = FakeClock::new();
    let (a, b, c) = tokio::join!(
        Issuer::start_with(&database, &[], clock.clone()),
        Issuer::start_with(&database, &[], clock.clone()),
        Issuer::start_with(&database, &[], clock.clone()),
    );
    let seeded = Seeded::new(&a, &database, "ada@example.com").await;
    let all = [&a, &b, &c].into_iter().cycle().take(30);
    let all = all.map(|replica| seeded.refresh(replica, 1));
    for answer in futures_util::future::join_all(all).await {
        assert_eq!(given(&answer), seeded.token(2));
    }
    let rotations = "SELECT COUNT(*) FROM customer_audit_events WHERE action = 'session.refreshed'";
    assert_eq!(database.number(rotations).await, 1);
}

async fn sign_in_not_configured(database: Database) {
    if !database.is_postgres() {
        // An embedded database has a key-encryption key of its own.
        return;
    }
    let key = signing_key();
    let more = [("QUEUE_ISSUER_KEK", ""), ("QUEUE_JWT_SIGNING_KEY", &*key)];
    let issuer = Issuer::start_with(&database, &more, FakeClock::new()).await;
    let answer = refresh(&issuer, "x").await;
    answer.expect_problem(503, "sign_in_not_configured");
    let customer = issuer.customer("ada@example.com").await;
    issuer.mint(&customer).await.expect(201);
}

fn signing_key() -> String {
    use aws_lc_rs::encoding::AsDer as _;
    let key = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der = key.as_der().unwrap();
    let body = base64_simd::STANDARD.encode_to_string(der.as_ref());
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
}

async fn a_generation_never_goes_back(database: Database) {
    let (issuer, seeded) = started(&database).await;
    given(&seeded.refresh(&issuer, 1).await);
    for change in [
        "generation = generation - 1",
        "generation = generation + 2",
        "generation = 0",
        "replays = 6",
        "replays = -1",
        "session_id = tenant_id",
    ] {
        let sql = format!("UPDATE queue_session_refreshes SET {change}");
        assert!(database.execute(&sql).await.is_err(), "{change}");
    }
}

/// A customer's own calls.
pub(crate) async fn as_customer(
    issuer: &Issuer,
    access_token: &str,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Answer {
    let headers = [("authorization", &*bearer(access_token))];
    issuer.call(method, path, &headers, body).await
}
