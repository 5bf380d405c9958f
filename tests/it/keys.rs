//! Keys from the network: refresh, outage, rotation, floods; by a clock set by hand.

use std::sync::Arc;

use queue_tests::clock::NOW;
use queue_tests::forge::{jwk_set, session_claims};
use queue_tests::{FakeClock, Forge, KeyServer, Reply};
use queue_verifier::report::KeySetState;
use queue_verifier::{Error, ErrorCode, KeySource, Require, Session, Verifier};

pub(crate) const ISSUER: &str = "https://auth.example.com";

pub(crate) struct World {
    pub(crate) key: Forge,
    pub(crate) server: KeyServer,
    clock: Arc<FakeClock>,
    pub(crate) verifier: Verifier,
}

impl World {
    pub(crate) async fn start() -> Self {
        let key = Forge::new("k1");
        let server = KeyServer::start(Reply::set(jwk_set(&[&key]))).await;
        let clock = FakeClock::at(NOW);
        let verifier = verifier(&server, &clock);
        verifier.ready().await;
        Self {
            key,
            server,
            clock,
            verifier,
        }
    }

    fn token(&self, key: &Forge) -> String {
        use queue_verifier::Clock as _;
        key.sign(&session_claims(ISSUER, "raptor", self.clock.now()))
    }

    pub(crate) fn validate(&self, key: &Forge) -> Result<Session, ErrorCode> {
        self.verifier
            .validate_session(self.token(key))
            .map_err(|error| error.code())
    }

    async fn validate_with_refresh(&self, key: &Forge) -> Result<Session, Error> {
        self.verifier
            .validate_session_with_refresh(self.token(key), &Require::new())
            .await
    }
}

fn verifier(server: &KeyServer, clock: &Arc<FakeClock>) -> Verifier {
    Verifier::builder(ISSUER, "raptor")
        .keys(KeySource::jwks_uri(server.url()))
        .clock(Arc::clone(clock) as Arc<_>)
        .build()
        .expect("a loopback URL is a good setting")
}

#[tokio::test]
async fn a_session_is_validated_by_fetched_keys_without_asking_again() {
    let world = World::start().await;
    let token = world.token(&world.key);
    for _ in 0..1000 {
        world
            .verifier
            .validate_session(&token)
            .expect("a good token");
        world
            .verifier
            .validate_session("a.b.c")
            .expect_err("no token");
    }
    assert_eq!(world.server.hits(), 1);
}

#[tokio::test]
async fn a_header_that_names_keys_elsewhere_causes_no_request() {
    let world = World::start().await;
    let canary = KeyServer::start(Reply::Close).await;
    let thief = Forge::new("k1");
    for member in ["jku", "x5u"] {
        let header = serde_json::json!({
            "alg": "RS256", "typ": "at+jwt", "kid": "k1", member: canary.url(), "jwk": thief.jwk(),
        });
        let token = thief.sign_as(&header, &session_claims(ISSUER, "raptor", NOW));
        let refused = world.verifier.validate_session(token).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::SignatureInvalid);
    }
    assert_eq!((canary.hits(), world.server.hits()), (0, 1));
}

#[tokio::test]
async fn the_set_is_refreshed_before_its_lifetime_ends() {
    let world = World::start().await;
    let next = Forge::new("k2");
    world.server.says(Reply::set(jwk_set(&[&world.key, &next])));
    world.clock.advance(256); // max-age=300; the fetch is due at 75–85 % of it
    world.server.hit(2).await;
    assert!(world.validate_with_refresh(&next).await.is_ok());
    assert_eq!(world.server.hits(), 2);
}

#[tokio::test]
async fn a_rotation_is_followed_in_the_request_that_meets_it() {
    let world = World::start().await;
    let next = Forge::new("k2");
    world.server.says(Reply::set(jwk_set(&[&world.key, &next])));
    assert_eq!(world.validate(&next).unwrap_err(), ErrorCode::KeyNotFound);
    assert!(world.validate_with_refresh(&next).await.is_ok());
    assert!(world.validate(&world.key).is_ok());
}

#[tokio::test]
async fn a_removed_key_is_dead_after_the_next_refresh() {
    let world = World::start().await;
    let next = Forge::new("k2");
    world.server.says(Reply::set(jwk_set(&[&next])));
    assert!(world.validate(&world.key).is_ok());
    world.verifier.refresh().await.expect("the server answers");
    assert_eq!(
        world.validate(&world.key).unwrap_err(),
        ErrorCode::KeyNotFound
    );
}

#[tokio::test]
async fn keys_serve_through_an_outage_up_to_the_stale_limit_and_not_a_second_longer() {
    let world = World::start().await;
    world.server.says(Reply::status("500 Oops", "", ""));
    let state = |world: &World| {
        world
            .validate(&world.key)
            .map(|session| session.freshness().key_set)
    };
    world.clock.advance(300);
    assert_eq!(state(&world), Ok(KeySetState::Fresh));
    world.clock.advance(1);
    assert_eq!(state(&world), Ok(KeySetState::Stale));
    world.clock.advance(3599);
    assert_eq!(state(&world), Ok(KeySetState::Stale));
    assert!(world.verifier.is_ready());
    world.clock.advance(1);
    assert_eq!(state(&world), Err(ErrorCode::KeySetUnavailable));
    assert!(!world.verifier.is_ready());
    world.server.says(Reply::set(jwk_set(&[&world.key])));
    world.verifier.refresh().await.expect("the server is back");
    assert_eq!(state(&world), Ok(KeySetState::Fresh));
}

#[tokio::test]
async fn a_wall_clock_jump_ages_no_key_set() {
    let world = World::start().await;
    world.clock.jump_to(NOW + 10_000_000);
    assert_eq!(
        world.validate(&world.key).unwrap().freshness().key_set_age,
        0
    );
    world.clock.jump_to(NOW - 10_000_000);
    assert_eq!(
        world.validate(&world.key).unwrap().freshness().key_set_age,
        0
    );
}

#[tokio::test]
async fn no_bad_answer_replaces_a_good_set() {
    let world = World::start().await;
    let big = format!(r#"{{"keys":[],"x":"{}"}}"#, "x".repeat(300 * 1024));
    let endless = [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &[b' '; 300 * 1024]].concat();
    let many = format!(
        r#"{{"keys":[{}]}}"#,
        vec![world.key.jwk().to_string(); 101].join(",")
    );
    for (name, reply) in [
        ("a server error", Reply::status("500 Oops", "", "")),
        (
            "a redirect",
            Reply::status("302 Found", "Location: http://127.0.0.1:1/\r\n", ""),
        ),
        (
            "304 to nobody's question",
            Reply::status("304 Not Modified", "", ""),
        ),
        ("HTML", Reply::set("<html>sign in</html>")),
        ("an empty object", Reply::set("{}")),
        ("an empty set", Reply::set(r#"{"keys":[]}"#)),
        (
            "a set of unusable keys",
            Reply::set(r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#),
        ),
        ("too many keys", Reply::set(many)),
        ("a large body", Reply::set(big)),
        ("a large body of no stated length", Reply::Raw(endless)),
        (
            "a body cut short",
            Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{".to_vec()),
        ),
        ("a closed connection", Reply::Close),
        ("no HTTP", Reply::Raw(b"SSH-2.0-x\r\n\r\n".to_vec())),
    ] {
        world.server.says(reply);
        assert!(world.verifier.refresh().await.is_err(), "{name}");
        assert!(world.validate(&world.key).is_ok(), "{name}");
        assert!(
            world.verifier.status().issuers[0]
                .refresh
                .as_ref()
                .expect("fetched keys")
                .last_error
                .is_some(),
            "{name}"
        );
    }
}

#[tokio::test]
async fn one_bad_key_is_skipped_and_named() {
    let world = World::start().await;
    let mut leaked = Forge::new("k2").jwk();
    leaked["d"] = "AQAB".into();
    let set = serde_json::json!({"keys": [world.key.jwk(), leaked, 7]});
    world.server.says(Reply::set(set.to_string()));
    world.verifier.refresh().await.expect("one key is good");
    let status = &world.verifier.status().issuers[0];
    assert_eq!((status.keys.len(), status.refused.len()), (1, 2));
    let named = status
        .refused
        .iter()
        .find(|key| key.kid.as_deref() == Some("k2"))
        .expect("named");
    assert!(named.reason.contains("private half"), "{}", named.reason);
}

#[tokio::test]
async fn an_unchanged_set_is_confirmed_by_its_etag() {
    let key = Forge::new("k1");
    let set = Reply::set(jwk_set(&[&key])).tagged("\"g1\"");
    let server = KeyServer::start(set).await;
    let clock = FakeClock::at(NOW);
    let verifier = verifier(&server, &clock);
    verifier.ready().await;
    server.says(Reply::set("not read").tagged("\"g1\""));
    clock.advance(100);
    verifier.refresh().await.expect("304");
    assert_eq!(
        (
            verifier.status().issuers[0].key_set_age,
            verifier.status().issuers[0].keys.len()
        ),
        (Some(0), 1)
    );
}

#[tokio::test]
async fn a_flood_of_unknown_kids_costs_the_budget_and_refuses_no_good_token() {
    let world = World::start().await;
    let claims = session_claims(ISSUER, "raptor", NOW);
    for number in 0..200 {
        let header =
            serde_json::json!({"alg": "RS256", "typ": "at+jwt", "kid": format!("x{number}")});
        let token = Forge::forged(&header, &claims);
        let verdict = world
            .verifier
            .validate_session_with_refresh(token, &Require::new())
            .await;
        assert_eq!(verdict.unwrap_err().code(), ErrorCode::KeyNotFound);
        assert!(world.validate(&world.key).is_ok());
    }
    assert_eq!(world.server.hits(), 3); // the first fetch, and two attempts in 30 s
    let next = Forge::new("k2");
    world.server.says(Reply::set(jwk_set(&[&world.key, &next])));
    world.clock.advance(30);
    assert!(world.validate_with_refresh(&next).await.is_ok());
}

#[tokio::test]
async fn junk_spends_no_budget() {
    let world = World::start().await;
    for (name, value) in [("iss", "https://other"), ("aud", "other")] {
        let mut claims = session_claims(ISSUER, "raptor", NOW);
        claims.insert(name.into(), value.into());
        let token = Forge::forged(
            &serde_json::json!({"alg": "RS256", "typ": "at+jwt", "kid": "x"}),
            &claims,
        );
        world
            .verifier
            .validate_session_with_refresh(token, &Require::new())
            .await
            .unwrap_err();
    }
    let bad_signature = Forge::new("k1").sign(&session_claims(ISSUER, "raptor", NOW));
    let verdict = world
        .verifier
        .validate_session_with_refresh(bad_signature, &Require::new())
        .await;
    assert_eq!(verdict.unwrap_err().code(), ErrorCode::SignatureInvalid);
    assert_eq!(world.server.hits(), 1);
}

#[tokio::test]
async fn a_hanging_fetch_delays_no_validation_and_its_caller_may_leave() {
    let world = World::start().await;
    world.server.says(Reply::Hang);
    let stranger = Forge::new("k2");
    let waiting = tokio::time::timeout(
        std::time::Duration::ZERO,
        world.validate_with_refresh(&stranger),
    );
    assert!(waiting.await.is_err(), "the caller gives up at once");
    world.server.hit(2).await;
    for _ in 0..100 {
        assert!(world.validate(&world.key).is_ok());
    }
    world
        .server
        .says(Reply::set(jwk_set(&[&world.key, &stranger])));
    world.server.release();
    assert!(world.validate_with_refresh(&stranger).await.is_ok());
}

#[tokio::test]
async fn a_cold_start_without_issuer_is_a_fault_and_heals() {
    let key = Forge::new("k1");
    let server = KeyServer::start(Reply::Close).await;
    let clock = FakeClock::at(NOW);
    let verifier = verifier(&server, &clock);
    let token = key.sign(&session_claims(ISSUER, "raptor", NOW));
    server.hit(1).await;
    let fault = verifier
        .validate_session_with_refresh(&token, &Require::new())
        .await
        .unwrap_err();
    assert_eq!(fault.code(), ErrorCode::KeySetUnavailable);
    assert_eq!(fault.kind(), queue_verifier::ErrorKind::Fault);
    server.says(Reply::set(jwk_set(&[&key])));
    clock.advance(1);
    verifier.ready().await;
    assert!(verifier.validate_session(&token).is_ok());
}

#[tokio::test]
async fn discovery_binds_the_keys_to_the_issuer() {
    let key = Forge::new("k1");
    let keys = KeyServer::start(Reply::set(jwk_set(&[&key]))).await;
    let issuer = KeyServer::start(Reply::Close).await;
    let name = issuer.url().replace("/jwks.json", "");
    let metadata =
        |issuer: &str| serde_json::json!({"issuer": issuer, "jwks_uri": keys.url()}).to_string();
    issuer.says(Reply::set(metadata("https://other.example.com")));
    let clock = FakeClock::at(NOW);
    let verifier = Verifier::builder(name.as_str(), "raptor")
        .clock(Arc::clone(&clock) as Arc<_>)
        .build()
        .unwrap();
    let token = key.sign(&session_claims(&name, "raptor", NOW));
    assert!(verifier.refresh().await.is_err());
    assert_eq!(keys.hits(), 0);
    issuer.says(Reply::set(metadata(&name)));
    verifier.refresh().await.expect("its own document");
    assert!(verifier.validate_session(token).is_ok());
}

#[tokio::test]
async fn dropping_the_verifier_ends_its_thread_even_in_a_fetch() {
    let world = World::start().await;
    world.server.says(Reply::Hang);
    let (verifier, clock) = (world.verifier, Arc::downgrade(&world.clock));
    let refreshing = verifier.clone();
    let fetch =
        tokio::task::JoinSet::from_iter([async move { refreshing.refresh().await.is_ok() }]);
    world.server.hit(2).await;
    drop((fetch, verifier, world.clock));
    // The thread held the last clock.
    while clock.upgrade().is_some() {
        tokio::task::yield_now().await;
    }
}
