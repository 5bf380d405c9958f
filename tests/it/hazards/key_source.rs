//! What the network can do to keys, beyond `keys.rs`: where they may come from, what a bad answer
//! costs, who may make us ask.

use std::sync::Arc;
use std::time::Duration;

use base64_simd::STANDARD;
use queue_tests::clock::NOW;
use queue_tests::forge::{jwk_set, session_claims};
use queue_tests::{FakeClock, Forge, KeyServer, Reply};
use queue_verifier::errors::{FetchError, JwkSetError, RefreshError};
use queue_verifier::{ErrorCode, KeySource, Require, Verifier};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::read;

const ISSUER: &str = "https://auth.example.com";

/// A verifier with the keys of a server that does as it is told.
struct World {
    key: Forge,
    server: KeyServer,
    clock: Arc<FakeClock>,
    verifier: Verifier,
}

impl World {
    async fn start() -> Self {
        let key = Forge::new("k1");
        let server = KeyServer::start(Reply::set(jwk_set(&[&key]))).await;
        let clock = FakeClock::at(NOW);
        let verifier = fetching(server.url(), &clock);
        verifier.ready().await;
        Self {
            key,
            server,
            clock,
            verifier,
        }
    }

    fn accepts(&self, key: &Forge) -> bool {
        let token = key.sign(&session_claims(ISSUER, "raptor", NOW));
        self.verifier.validate_session(token).is_ok()
    }

    async fn refuses(&self, token: String) -> ErrorCode {
        let require = Require::new();
        let verdict = self
            .verifier
            .validate_session_with_refresh(token, &require)
            .await;
        verdict.expect_err("a bad token").code()
    }
}

fn fetching(url: &str, clock: &Arc<FakeClock>) -> Verifier {
    Verifier::builder(ISSUER, "raptor")
        .keys(KeySource::jwks_uri(url))
        .clock(Arc::clone(clock) as Arc<_>)
        .build()
        .expect("a loopback URL is a good setting")
}

fn forged(kid: &str) -> String {
    let header = json!({"alg": "RS256", "typ": "at+jwt", "kid": kid});
    Forge::forged(&header, &session_claims(ISSUER, "raptor", NOW))
}

#[tokio::test]
async fn a_redirect_is_followed_nowhere() {
    let world = World::start().await;
    let thief = Forge::new("k1");
    let elsewhere = KeyServer::start(Reply::set(jwk_set(&[&thief]))).await;
    let location = format!("Location: {}\r\n", elsewhere.url());
    for (status, code) in [
        ("301 Moved", 301),
        ("302 Found", 302),
        ("303 See Other", 303),
        ("307 T", 307),
        ("308 P", 308),
    ] {
        world.server.says(Reply::status(status, &location, ""));
        let refused = world.verifier.refresh().await.unwrap_err();
        assert_eq!(refused, FetchError::Status { status: code }.into());
    }
    assert_eq!(elsewhere.hits(), 0);
    assert!(world.accepts(&world.key) && !world.accepts(&thief));
}

#[tokio::test]
async fn a_discovered_jwks_uri_must_be_safe_too() {
    let issuer = KeyServer::start(Reply::Close).await;
    let name = issuer.url().replace("/jwks.json", "");
    let verifier = Verifier::builder(name.as_str(), "raptor")
        .clock(FakeClock::at(NOW) as Arc<_>)
        .build()
        .expect("a loopback issuer is a good setting");
    for uri in [
        "file:///etc/passwd",
        "ftp://127.0.0.1/jwks.json",
        "data:application/json,{}",
        "http://169.254.169.254/latest",
        "http://10.0.0.1/jwks.json",
        "https://user:secret@auth.example.com/jwks.json",
        "/jwks.json",
    ] {
        let document = json!({"issuer": name, "jwks_uri": uri});
        issuer.says(Reply::set(document.to_string()));
        let refused = verifier.refresh().await.unwrap_err();
        assert_eq!(refused, FetchError::UnsafeUrl.into(), "{uri}");
    }
}

#[tokio::test]
async fn two_issuers_that_share_a_kid_share_no_key() {
    let (ours, theirs) = (World::start().await, World::start().await);
    assert!(ours.accepts(&ours.key) && theirs.accepts(&theirs.key));
    assert!(!ours.accepts(&theirs.key) && !theirs.accepts(&ours.key));
}

/// `verifier/tests/fixtures/jwk_set.json`, a good set, in gzip.
const GZIPPED_SET: &str = "\
    H4sIAAAAAAACA03RTW+qQBQG4H1/BWFdE2CESncDggoURcSCNzcGYUAYEHD4bvrfq97c2M2bk+dNzuKcrxeKojEa\
    CP1O/bnNFPX1yJv6WXxDemtzvEC//ld0N2hB6Uk4Ce+I2UkQgJA5CeBXVw//lsCnXe5yNg4IDgU0SiN3210WnXCm\
    RuneBtDcGktrYDHGfCKrahrZJz4nempXMGc5Byjs1v3clyzb6FER4a5eZrPp9W0ey7tCEHizCj7IBTVKUR7hUeJ8\
    TZfZzdUXxdXK1REAe4J5bmpzhxhXK0eAohbz/s6LG9WSfeYSMCpkl6Nk6+MG4/4kSFV1LIzmcm0Dlzix6Wm13nvq\
    wXa82d5vA3WDakOURUAKkvChEFaicUar1tQmTMKMn2l34FHomsAdvZAHXT23uy5yBI+crWjSjnrZp4viOtY7pj9P\
    izlS0gXQ1qWav9lruRubqFYKYaJ6ri+7LdMwvf8RKAozs6T1WkImF5aDM+aLILOeR27I41MkiekHfd/y78v3D5Xb\
    5DPwAQAA";

#[tokio::test]
async fn a_compressed_set_is_not_expanded() {
    let world = World::start().await;
    let fixture = read("verifier/tests/fixtures/jwk_set.json");
    let body = STANDARD.decode_to_vec(GZIPPED_SET).expect("base64");
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    world
        .server
        .says(Reply::Raw([head.as_bytes(), body.as_slice()].concat()));
    let refused = world.verifier.refresh().await.unwrap_err();
    assert_eq!(refused, RefreshError::Set(JwkSetError::Malformed));
    assert!(world.accepts(&world.key));
    world.server.says(Reply::set(fixture));
    assert!(
        world.verifier.refresh().await.is_ok(),
        "plain, the same set is good"
    );
}

#[tokio::test]
async fn an_answer_that_drips_ends_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/jwks.json", listener.local_addr().expect("bound"));
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let mut request = [0; 1024];
        let asked = stream.read(&mut request).await.expect("a request");
        assert!(request[..asked].ends_with(b"\r\n\r\n"));
        let mut next: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n";
        while stream.write_all(next).await.is_ok() {
            next = b" ";
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let verifier = fetching(&url, &FakeClock::at(NOW));
    serving
        .join_next()
        .await
        .expect("one task")
        .expect("it ends when the client leaves");
    // The outcome is published a moment after the connection is cut; what waits is answered then.
    let verdict = verifier
        .validate_session_with_refresh(forged("k1"), &Require::new())
        .await;
    assert_eq!(verdict.unwrap_err().code(), ErrorCode::KeySetUnavailable);
    let refresh = verifier.status().issuers[0]
        .refresh
        .clone()
        .expect("fetched keys");
    assert_eq!(refresh.last_error, Some(FetchError::Timeout.to_string()));
}

#[tokio::test]
async fn ten_thousand_unknown_kids_cost_the_budget_and_hide_no_rotation() {
    let world = World::start().await;
    let next = Forge::new("k2");
    for number in 0..10_000 {
        if number == 5000 {
            world.server.says(Reply::set(jwk_set(&[&world.key, &next])));
        }
        assert_eq!(
            world.refuses(forged(&format!("x{number}"))).await,
            ErrorCode::KeyNotFound
        );
        if number % 500 == 0 {
            assert!(world.accepts(&world.key));
        }
    }
    assert_eq!(world.server.hits(), 3); // the first fetch, and two attempts in 30 s
    let token = next.sign(&session_claims(ISSUER, "raptor", NOW));
    assert_eq!(world.refuses(token).await, ErrorCode::KeyNotFound);
    world.clock.advance(30);
    assert_eq!(world.refuses(forged("y")).await, ErrorCode::KeyNotFound);
    assert!(world.accepts(&next), "the next attempt brought the new key");
    assert_eq!(world.server.hits(), 4);
}

#[tokio::test]
async fn bad_signatures_under_a_known_kid_cause_no_fetch() {
    let world = World::start().await;
    for _ in 0..1000 {
        assert_eq!(
            world.refuses(forged("k1")).await,
            ErrorCode::SignatureInvalid
        );
    }
    assert_eq!(world.server.hits(), 1);
}

#[tokio::test]
async fn new_material_under_an_old_kid_ends_the_old() {
    let world = World::start().await;
    let replacement = Forge::new("k1");
    world.server.says(Reply::set(jwk_set(&[&replacement])));
    world.verifier.refresh().await.expect("a good set");
    assert!(!world.accepts(&world.key));
}

#[tokio::test]
async fn one_fetch_is_under_way_at_a_time() {
    let world = World::start().await;
    world.server.says(Reply::Hang);
    let mut asking = JoinSet::new();
    for number in 0..20 {
        let verifier = world.verifier.clone();
        asking.spawn(async move {
            let token = forged(&format!("x{number}"));
            let _ = verifier
                .validate_session_with_refresh(token, &Require::new())
                .await;
        });
        let verifier = world.verifier.clone();
        asking.spawn(async move {
            let _ = verifier.refresh().await;
        });
    }
    world.server.hit(2).await;
    world.server.says(Reply::set(jwk_set(&[&world.key])));
    world.server.release();
    while asking.join_next().await.is_some() {}
    assert!(world.server.hits() > 2, "the rest asked as well");
    assert_eq!(world.server.busiest(), 1, "one after the other");
    assert!(world.accepts(&world.key));
}

#[tokio::test]
async fn a_failing_fetch_starts_no_other() {
    let world = World::start().await;
    for reply in [Reply::Close, Reply::status("500 Oops", "", "")] {
        world.server.says(reply);
        for number in 0..200 {
            assert_eq!(
                world.refuses(forged(&format!("x{number}"))).await,
                ErrorCode::KeyNotFound
            );
        }
    }
    assert_eq!(
        world.server.hits(),
        3,
        "two attempts within 30 s, whatever their outcome"
    );
    let refresh = world.verifier.status().issuers[0]
        .refresh
        .clone()
        .expect("fetched keys");
    assert_eq!(refresh.failures_in_a_row, 2);
}
