//! Which lists are asked for, for whom, and for how long.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use queue_tests::clock::NOW;
use queue_tests::forge::{jwk_set, session_claims};
use queue_tests::status_list::refer;
use queue_tests::wait::until;
use queue_tests::{FakeClock, Forge, KeyServer, ListReply, Reply, StatusListForge, StatusServer};
use queue_verifier::errors::Unavailable;
use queue_verifier::{Clock, ErrorCode, KeySource, Require, StatusSource, Verifier};

use crate::status::{World, why};

#[tokio::test]
async fn a_hundred_lists_are_bounded_and_an_idle_one_makes_room() {
    let world = World::start().await;
    world.awaited().await.expect("valid");
    let reason = |number: usize| {
        let token = world.token(&format!("n{number}"), 7);
        why(&world.verifier.validate_session(token))
    };
    for number in 0..63 {
        assert_eq!(reason(number), Unavailable::NoCopy, "{number}");
    }
    for number in 63..100 {
        assert_eq!(reason(number), Unavailable::TooMany, "{number}");
    }
    world.verdict().expect("lists in use stay");
    world.clock.advance(599);
    assert_eq!(reason(99), Unavailable::TooMany);
    world.clock.advance(1);
    assert_eq!(reason(99), Unavailable::NoCopy);
}

#[tokio::test]
async fn a_remembered_session_whose_list_was_let_go_has_it_fetched_anew() {
    let world = World::with(|builder| builder.remember(8)).await;
    world.awaited().await.expect("valid");
    world.clock.advance(600);
    until("the idle list is let go", || {
        let issuer = world.verifier.status().issuers.remove(0);
        issuer.status_lists.is_empty()
    })
    .await;
    assert_eq!(world.verdict().unwrap_err(), ErrorCode::StatusUnavailable);
    world.publish(&world.list());
    let session = world.awaited().await.expect("the list is there again");
    assert_eq!(session.freshness().status_age, Some(0));
    let (other, require) = (world.token("a", 8), Require::new());
    let verdict = world
        .verifier
        .validate_session_with_refresh(other, &require);
    verdict.await.expect("for the other sessions in it as well");
}

#[tokio::test]
async fn a_list_lies_where_the_settings_allow_and_nowhere_else() {
    let canary = StatusServer::start().await;
    canary.says("a", ListReply::Close);
    let world = World::start().await;
    let refused = |uri: String| {
        let mut claims = session_claims(world.server.origin(), "raptor", NOW);
        refer(&mut claims, &uri, 7);
        let verdict = world.verifier.validate_session(world.key.sign(&claims));
        assert_eq!(why(&verdict), Unavailable::OriginNotAllowed, "{uri}");
    };
    let port = world.server.origin().rsplit_once(':').expect("a port").1;
    refused(canary.uri("a"));
    refused("file:///etc/passwd".to_owned());
    refused("https://169.254.169.254/latest/meta-data".to_owned());
    refused(format!("http://me@127.0.0.1:{port}/status-lists/a"));
    refused(format!("http://localhost:{port}/status-lists/a"));
    refused(format!("http://127.0.0.1:{port}0/status-lists/a"));
    refused("no URL".to_owned());
    assert_eq!(canary.hits("a").all, 0);
    let allowing = Verifier::builder(world.server.origin(), "raptor")
        .keys(KeySource::jwk_set(jwk_set(&[&world.key])))
        .status_lists(StatusSource::Named)
        .status_origins([canary.origin().to_owned()])
        .clock(FakeClock::at(NOW) as Arc<_>)
        .build()
        .expect("good settings");
    let mut claims = session_claims(world.server.origin(), "raptor", NOW);
    refer(&mut claims, &canary.uri("a"), 7);
    let verdict = allowing.validate_session(world.key.sign(&claims));
    assert_eq!(why(&verdict), Unavailable::NoCopy);
    canary.hit("a", |hits| hits.all == 1).await;
}

#[tokio::test]
async fn a_token_whose_signature_or_claims_are_bad_fetches_no_list() {
    let world = World::start().await;
    let mut claims = session_claims(world.server.origin(), "raptor", NOW);
    refer(&mut claims, &world.server.uri("a"), 7);
    let forged = Forge::new("k1").sign(&claims);
    claims.insert("exp".into(), (NOW - 100).into());
    let expired = world.key.sign(&claims);
    let require = Require::new();
    for token in [forged, expired] {
        let verdict = world
            .verifier
            .validate_session_with_refresh(&token, &require);
        verdict.await.expect_err("refused");
        assert!(!world.verifier.doctor(&token).valid);
    }
    assert_eq!(world.server.hits("a").all, 0);
    assert!(world.verifier.status().issuers[0].status_lists.is_empty());
}

#[tokio::test]
async fn two_issuers_share_no_list() {
    let (ours, theirs) = (Forge::new("k1"), Forge::new("k1"));
    let (server, other) = (StatusServer::start().await, StatusServer::start().await);
    // Both sign a list under one URI, which both may use; only one revokes.
    let uri = server.uri("a");
    let list = StatusListForge::new(server.origin(), &uri, NOW)
        .claim("iss", ())
        .set(7, 1);
    server.says("a", ListReply::List(list.sign(&ours)));
    let clock = FakeClock::at(NOW);
    let builder = |issuer: &str, key: &Forge| {
        Verifier::builder(issuer, "raptor")
            .keys(KeySource::jwk_set(jwk_set(&[key])))
            .status_lists(StatusSource::Named)
            .status_origins([server.origin().to_owned()])
            .clock(Arc::clone(&clock) as Arc<_>)
    };
    let verifier = builder(server.origin(), &ours)
        .also(builder(other.origin(), &theirs))
        .build()
        .expect("good settings");
    let require = Require::new();
    let verdict = async |issuer: &str, key: &Forge| {
        let mut claims = session_claims(issuer, "raptor", NOW);
        refer(&mut claims, &uri, 7);
        verifier
            .validate_session_with_refresh(key.sign(&claims), &require)
            .await
    };
    let revoked = verdict(server.origin(), &ours).await;
    assert_eq!(revoked.unwrap_err().code(), ErrorCode::StatusRevoked);
    // The other issuer did not sign that list.
    assert_eq!(
        why(&verdict(other.origin(), &theirs).await),
        Unavailable::NoCopy
    );
}

#[tokio::test]
async fn a_list_signed_by_a_key_that_is_new_brings_the_key() {
    let (old, new) = (Forge::new("k1"), Forge::new("k2"));
    let keys = KeyServer::start(Reply::set(jwk_set(&[&old]))).await;
    let server = StatusServer::start().await;
    let list = StatusListForge::new(server.origin(), &server.uri("a"), NOW);
    server.says("a", ListReply::List(list.sign(&new)));
    let verifier = Verifier::builder(server.origin(), "raptor")
        .keys(KeySource::jwks_uri(keys.url()))
        .clock(FakeClock::at(NOW) as Arc<_>)
        .build()
        .expect("good settings");
    verifier.ready().await;
    keys.says(Reply::set(jwk_set(&[&old, &new])));
    let mut claims = session_claims(server.origin(), "raptor", NOW);
    refer(&mut claims, &server.uri("a"), 7);
    let require = Require::new();
    let verdict = verifier.validate_session_with_refresh(old.sign(&claims), &require);
    verdict.await.expect("the list says valid");
    assert_eq!(keys.hits(), 2);
}

#[tokio::test]
async fn dropping_the_verifier_ends_the_work_on_its_lists() {
    let world = World::start().await;
    world.server.offer_events();
    world.awaited().await.expect("valid");
    world.server.listened("a", 1).await;
    world.server.says("hanging", ListReply::Hang);
    let _ = world.verifier.validate_session(world.token("hanging", 7));
    world.server.hit("hanging", |hits| hits.all == 1).await;
    let clock = Arc::downgrade(&world.clock);
    let World {
        verifier,
        clock: own,
        ..
    } = world;
    drop((verifier, own));
    // The thread held the last clock.
    while clock.upgrade().is_some() {
        tokio::task::yield_now().await;
    }
}

/// A clock that fails whoever keeps a list: their tasks, and nobody else's calls.
#[derive(Debug)]
struct Tripwire {
    clock: Arc<FakeClock>,
    is_armed: AtomicBool,
}

impl Clock for Tripwire {
    fn now(&self) -> u64 {
        self.clock.now()
    }

    fn monotonic(&self) -> Duration {
        if tokio::task::try_id().is_some() && self.is_armed.load(Ordering::SeqCst) {
            panic!("the test asked for it");
        }
        self.clock.monotonic()
    }

    fn sleep_until(&self, moment: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.clock.sleep_until(moment)
    }
}

#[tokio::test]
async fn a_task_that_panics_lets_its_list_go_and_the_next_caller_gets_a_new_one() {
    let tripwire = Arc::new(Tripwire {
        clock: FakeClock::at(NOW),
        is_armed: AtomicBool::new(false),
    });
    let clock = Arc::clone(&tripwire);
    let world = World::with(|builder| builder.clock(clock)).await;
    world.awaited().await.expect("valid");
    tripwire.is_armed.store(true, Ordering::SeqCst);
    // Asks for a fetch, which the task does not live to begin.
    let beyond = world.verifier.validate_session(world.token("a", 1_500));
    assert_eq!(why(&beyond), Unavailable::OutOfRange);
    until("the list is let go", || {
        let issuer = world.verifier.status().issuers.remove(0);
        issuer.status_lists.is_empty()
    })
    .await;
    tripwire.is_armed.store(false, Ordering::SeqCst);
    world.publish(&world.list().set(7, 1));
    let verdict = world.awaited().await.map_err(|error| error.code());
    assert_eq!(verdict.unwrap_err(), ErrorCode::StatusRevoked);
}
