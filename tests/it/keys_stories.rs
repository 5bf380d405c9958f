//! The stories of a key source, at full length by a clock set by hand: an outage, rotation under
//! load, a flood with a rotation inside it, callers who must not wait.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use queue_tests::clock::NOW;
use queue_tests::forge::session_claims;
use queue_tests::wait::until;
use queue_tests::{FakeClock, FakeIssuer, Forge, Reply};
use queue_verifier::report::KeySetState;
use queue_verifier::{Clock as _, ErrorCode, ErrorKind, Require, Verifier};
use serde_json::json;
use tokio::task::JoinSet;

use crate::keys_order::World;

async fn world(keys: &[&Forge]) -> World {
    let issuer = FakeIssuer::start().await;
    issuer.publish(keys);
    World::of(issuer).await
}

fn unknown(world: &World, number: usize) -> String {
    let header = json!({"alg": "RS256", "typ": "at+jwt", "kid": format!("x{number}")});
    let claims = session_claims(world.issuer.name(), "raptor", world.clock.now());
    Forge::forged(&header, &claims)
}

async fn ask(verifier: &Verifier, token: String) -> Result<(), ErrorCode> {
    let verdict = verifier
        .validate_session_with_refresh(token, &Require::new())
        .await;
    verdict.map(|_| ()).map_err(|error| error.code())
}

/// Whether `future` is done the first time it is looked at.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

async fn fetch_ended(world: &World, attempts: u64) {
    until("a fetch", || world.status().attempts >= attempts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_half_an_hour_refuses_nobody_and_one_past_the_bound_refuses_all() {
    let key = Forge::new("k1");
    let world = world(&[&key]).await;
    world.issuer.says(FakeIssuer::JWKS, Reply::error());
    let (mut fresh, mut stale) = (0, 0);
    let bound = 300 + 3600;
    for second in 1..=bound {
        world.clock.advance(1);
        let claims = session_claims(world.issuer.name(), "raptor", world.clock.now());
        let session = world.verifier.validate_session(key.sign(&claims));
        match session.expect("within the bound").freshness().key_set {
            KeySetState::Fresh => fresh += 1,
            _ => stale += 1,
        }
        match second {
            300 => fetch_ended(&world, 2).await,
            600 | 1200 => fetch_ended(&world, second / 300).await,
            _ => {}
        }
        if second == 1800 {
            assert_eq!((fresh, stale), (300, 1500), "half an hour, nobody refused");
        }
    }
    assert!(world.verifier.is_ready());
    for _ in 0..100 {
        world.clock.advance(1);
        assert_eq!(world.validate(&key), Err(ErrorCode::KeySetUnavailable));
    }
    assert_eq!(ErrorCode::KeySetUnavailable.kind(), ErrorKind::Fault);
    assert!(!world.verifier.is_ready());
    assert!(world.status().failures_in_a_row > 2, "asked all the while");
    world.issuer.publish(&[&key]);
    world.verifier.refresh().await.expect("the issuer is back");
    assert_eq!(world.validate(&key), Ok(()));
}

/// One of 60 rotations: the next key is published a step before it signs, the last one stays a
/// step longer than its tokens, as our issuer does it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rotation_every_second_under_load_refuses_no_good_token() {
    const ROTATIONS: usize = 60;
    let keys: Vec<Arc<Forge>> = (0..ROTATIONS + 2)
        .map(|number| Arc::new(Forge::new(&format!("k{number}"))))
        .collect();
    let world = Arc::new(world(&[&keys[0], &keys[1]]).await);
    let tokens: Vec<String> = keys
        .iter()
        .map(|key| key.sign(&session_claims(world.issuer.name(), "raptor", NOW)))
        .collect();
    let tokens = Arc::new(tokens);
    let (signing, is_over) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let mut load = JoinSet::new();
    for _ in 0..3 {
        let (world, tokens) = (Arc::clone(&world), Arc::clone(&tokens));
        let (signing, is_over) = (Arc::clone(&signing), Arc::clone(&is_over));
        load.spawn_blocking(move || {
            let mut judged = 0_u64;
            while !is_over.load(Ordering::SeqCst) {
                let now_signing = signing.load(Ordering::SeqCst);
                for age in 0..=now_signing.min(1) {
                    let number = now_signing - age;
                    let verdict = world.verifier.validate_session(&tokens[number]);
                    // A key that left the set while the token was on its way is no good key.
                    if verdict.is_err() && signing.load(Ordering::SeqCst) <= number + 1 {
                        return Err(number);
                    }
                    judged += 1;
                }
            }
            Ok(judged)
        });
    }
    for step in 1..=ROTATIONS {
        // Those whose tokens may be on their way, the one that signs now, the one that signs next.
        let oldest = step.saturating_sub(2);
        let published: Vec<&Forge> = keys[oldest..=step + 1].iter().map(|key| &**key).collect();
        world.issuer.publish(&published);
        world.verifier.refresh().await.expect("the issuer answers");
        signing.store(step, Ordering::SeqCst);
        world.clock.advance(1);
    }
    is_over.store(true, Ordering::SeqCst);
    let mut judged = 0;
    while let Some(outcome) = load.join_next().await {
        judged += outcome
            .expect("no thread panics")
            .unwrap_or_else(|number| panic!("a token of k{number} was refused"));
    }
    assert!(judged > 600, "{judged} tokens judged meanwhile");
    assert_eq!(world.validate(&keys[0]), Err(ErrorCode::KeyNotFound));
    assert_eq!(world.status().generation, Some(ROTATIONS as u64 + 1));
}

#[tokio::test]
async fn a_flood_spends_the_budget_in_every_window_and_hides_a_rotation_for_one_at_most() {
    let (key, next) = (Forge::new("k1"), Forge::new("k2"));
    let world = world(&[&key]).await;
    let token = next.sign(&session_claims(world.issuer.name(), "raptor", NOW));
    let mut landed_after = None;
    for window in 0..5 {
        let before = world.issuer.hits();
        for number in 0..2000 {
            if (window, number) == (2, 1000) {
                world.issuer.publish(&[&key, &next]);
            }
            let refused = ask(&world.verifier, unknown(&world, window * 2000 + number)).await;
            assert_eq!(refused, Err(ErrorCode::KeyNotFound));
            if number % 200 == 0 {
                assert_eq!(world.validate(&key), Ok(()));
            }
        }
        if window > 2 && landed_after.is_none() && ask(&world.verifier, token.clone()).await.is_ok()
        {
            landed_after = Some(window - 2);
        }
        assert!(world.issuer.hits() - before <= 2, "two attempts a window");
        world.clock.advance(30);
    }
    assert_eq!(
        landed_after,
        Some(1),
        "one window of 30 s after the rotation"
    );
}

#[tokio::test]
async fn who_cannot_be_helped_does_not_wait_for_a_fetch_under_way() {
    let key = Forge::new("k1");
    let world = world(&[&key]).await;
    for number in 0..2 {
        let refused = ask(&world.verifier, unknown(&world, number)).await;
        assert_eq!(refused, Err(ErrorCode::KeyNotFound));
    }
    // The budget is spent; now a scheduled fetch hangs.
    world.issuer.says(FakeIssuer::JWKS, Reply::Hang);
    world.clock.advance(29);
    let hits = world.issuer.hits();
    let refreshing = world.verifier.clone();
    let mut fetching = JoinSet::from_iter([async move { refreshing.refresh().await.is_ok() }]);
    world.issuer.hit(hits + 1).await;
    let known_unknown = at_once(ask(&world.verifier, unknown(&world, 0)));
    assert_eq!(known_unknown, Some(Err(ErrorCode::KeyNotFound)));
    let over_budget = at_once(ask(&world.verifier, unknown(&world, 2)));
    assert_eq!(over_budget, Some(Err(ErrorCode::KeyNotFound)));
    // With budget a new kid waits: it may have been published just now.
    world.clock.advance(1);
    assert_eq!(at_once(ask(&world.verifier, unknown(&world, 3))), None);
    let known_unknown = at_once(ask(&world.verifier, unknown(&world, 1)));
    assert_eq!(known_unknown, None, "forgotten after 30 s");
    world.issuer.release();
    while fetching.join_next().await.is_some() {}
}

#[tokio::test]
async fn callers_of_a_new_kid_share_the_fetch_that_brings_it() {
    let (key, next) = (Forge::new("k1"), Forge::new("k2"));
    let world = world(&[&key]).await;
    world.issuer.publish(&[&key, &next]);
    let token = next.sign(&session_claims(world.issuer.name(), "raptor", NOW));
    let mut callers: JoinSet<_> = (0..100)
        .map(|_| {
            let (verifier, token) = (world.verifier.clone(), token.clone());
            async move { ask(&verifier, token).await }
        })
        .collect();
    while let Some(verdict) = callers.join_next().await {
        assert_eq!(verdict.expect("no caller panics"), Ok(()));
    }
    assert_eq!(world.issuer.requests(FakeIssuer::JWKS).len(), 2);
}

#[tokio::test]
async fn discovery_is_asked_once_an_hour_and_when_keys_are_missed() {
    let (key, next) = (Forge::new("k1"), Forge::new("k2"));
    let issuer = FakeIssuer::start().await;
    issuer.says(FakeIssuer::JWKS, Reply::lasting(3600, jwk_set_of(&key)));
    let clock = FakeClock::at(NOW);
    let verifier = Verifier::builder(issuer.name(), "raptor")
        .clock(Arc::clone(&clock) as Arc<_>)
        .build()
        .expect("a loopback issuer is a good setting");
    verifier.ready().await;
    let world = World {
        issuer,
        clock,
        verifier,
    };
    let asked = |path: &str| world.issuer.requests(path).len();
    assert_eq!(
        (asked(FakeIssuer::DISCOVERY), asked(FakeIssuer::JWKS)),
        (1, 1)
    );
    // On schedule the keys alone are asked for, until the hour is over.
    world.clock.advance(3061);
    fetch_ended(&world, 2).await;
    assert_eq!(
        (asked(FakeIssuer::DISCOVERY), asked(FakeIssuer::JWKS)),
        (1, 2)
    );
    world.clock.advance(3061);
    fetch_ended(&world, 3).await;
    assert_eq!(
        (asked(FakeIssuer::DISCOVERY), asked(FakeIssuer::JWKS)),
        (2, 3)
    );
    // The keys move; whoever misses one finds the new place at the second look.
    let moved = json!({"issuer": world.issuer.name(), "jwks_uri": world.issuer.url("/keys")});
    world.issuer.says("/keys", Reply::set(jwk_set_of(&next)));
    world
        .issuer
        .says(FakeIssuer::DISCOVERY, Reply::set(moved.to_string()));
    let refused = ask(&world.verifier, unknown(&world, 1)).await;
    assert_eq!(refused, Err(ErrorCode::KeyNotFound));
    let claims = session_claims(world.issuer.name(), "raptor", world.clock.now());
    assert_eq!(ask(&world.verifier, next.sign(&claims)).await, Ok(()));
}

#[tokio::test]
async fn a_hung_discovery_document_leaves_time_for_the_keys() {
    let (key, next) = (Forge::new("k1"), Forge::new("k2"));
    let issuer = FakeIssuer::start().await;
    issuer.publish(&[&key]);
    let verifier = Verifier::builder(issuer.name(), "raptor")
        .clock(FakeClock::at(NOW) as Arc<_>)
        .build()
        .expect("a loopback issuer is a good setting");
    verifier.ready().await;
    issuer.publish(&[&key, &next]);
    issuer.says(FakeIssuer::DISCOVERY, Reply::Hang);
    assert_eq!(verifier.refresh().await, Ok(()));
    let token = next.sign(&session_claims(issuer.name(), "raptor", NOW));
    assert!(verifier.validate_session(token).is_ok());
}

fn jwk_set_of(key: &Forge) -> String {
    queue_tests::forge::jwk_set(&[key])
}
