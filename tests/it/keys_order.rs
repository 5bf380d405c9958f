//! Which set follows which: copies of a CDN, an issuer that changes its mind, one kid for two keys.

use std::sync::Arc;

use queue_tests::clock::NOW;
use queue_tests::forge::{jwk_set, session_claims};
use queue_tests::wait::until;
use queue_tests::{FakeClock, FakeIssuer, Forge, Reply};
use queue_verifier::errors::{FetchError, RefreshError};
use queue_verifier::report::RefreshStatus;
use queue_verifier::{Clock as _, ErrorCode, KeySource, Require, Verifier};

/// A verifier that holds what `FakeIssuer` published first.
pub(crate) struct World {
    pub(crate) issuer: FakeIssuer,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) verifier: Verifier,
}

impl World {
    async fn start(first: Reply) -> Self {
        let issuer = FakeIssuer::start().await;
        issuer.says(FakeIssuer::JWKS, first);
        Self::of(issuer).await
    }

    pub(crate) async fn of(issuer: FakeIssuer) -> Self {
        let clock = FakeClock::at(NOW);
        let verifier = Verifier::builder(issuer.name(), "raptor")
            .keys(KeySource::jwks_uri(issuer.jwks_uri()))
            .clock(Arc::clone(&clock) as Arc<_>)
            .build()
            .expect("a loopback URL is a good setting");
        verifier.ready().await;
        Self {
            issuer,
            clock,
            verifier,
        }
    }

    pub(crate) fn validate(&self, key: &Forge) -> Result<(), ErrorCode> {
        let claims = session_claims(self.issuer.name(), "raptor", self.clock.now());
        let verdict = self.verifier.validate_session(key.sign(&claims));
        verdict.map(|_| ()).map_err(|error| error.code())
    }

    pub(crate) async fn offer(&self, reply: Reply) -> Result<(), RefreshError> {
        self.issuer.says(FakeIssuer::JWKS, reply);
        self.verifier.refresh().await
    }

    pub(crate) fn status(&self) -> RefreshStatus {
        let mut status = self.verifier.status();
        status.issuers.remove(0).refresh.expect("fetched keys")
    }
}

#[tokio::test]
async fn an_older_generation_neither_replaces_nor_refreshes_a_newer() {
    let (old, new) = (Forge::new("k1"), Forge::new("k2"));
    let first = Reply::generation(1, jwk_set(&[&old]));
    let second = Reply::generation(2, jwk_set(&[&new]));
    let world = World::start(second.clone()).await;
    world.clock.advance(100);
    assert_eq!(world.offer(first).await, Err(RefreshError::Superseded));
    assert_eq!(world.validate(&old), Err(ErrorCode::KeyNotFound));
    assert_eq!(world.validate(&new), Ok(()));
    let issuer = &world.verifier.status().issuers[0];
    assert_eq!(issuer.key_set_age, Some(100), "a copy vouches for nothing");
    let status = world.status();
    assert_eq!((status.superseded, status.generation), (1, Some(2)));
    assert!(status.etag.expect("shown").starts_with("\"2-"));
    assert_eq!(world.offer(second).await, Ok(()));
    assert_eq!(world.status().superseded, 1);
}

#[tokio::test]
async fn an_etag_that_proves_no_generation_orders_nothing() {
    let (old, new) = (Forge::new("k1"), Forge::new("k2"));
    // nginx: hexadecimal time and length, here of digits alone.
    let world = World::start(Reply::set(jwk_set(&[&old])).tagged("\"65123456-1234\"")).await;
    let later = Reply::set(jwk_set(&[&old, &new])).tagged("\"65123455-1236\"");
    assert_eq!(world.offer(later).await, Ok(()));
    assert_eq!(
        (world.validate(&new), world.status().generation),
        (Ok(()), None)
    );
}

#[tokio::test]
async fn a_flip_flop_between_copies_keeps_the_newer_set_alive() {
    let (old, new) = (Forge::new("k1"), Forge::new("k2"));
    let stale = Reply::generation(1, jwk_set(&[&old]));
    let present = Reply::generation(2, jwk_set(&[&old, &new]));
    let world = World::start(Reply::Turns(vec![present, stale])).await;
    for _ in 0..20 {
        let _ = world.verifier.refresh().await;
        assert_eq!(world.validate(&new), Ok(()));
    }
    assert_eq!(world.status().superseded, 10);
}

#[tokio::test]
async fn a_copy_that_lay_longer_in_a_cache_is_the_older_one() {
    let (old, new) = (Forge::new("k1"), Forge::new("k2"));
    let world = World::start(Reply::set(jwk_set(&[&new])).aged(20)).await;
    let copy = |age| Reply::set(jwk_set(&[&old])).aged(age);
    assert_eq!(world.offer(copy(120)).await, Err(RefreshError::Superseded));
    assert_eq!(world.validate(&old), Err(ErrorCode::KeyNotFound));
    assert_eq!(world.offer(copy(10)).await, Ok(()), "made after the other");
    assert_eq!(world.validate(&old), Ok(()));
}

#[tokio::test]
async fn a_set_comes_back_only_with_proof_that_it_was_made_later() {
    let (old, new) = (Forge::new("k1"), Forge::new("k2"));
    let at = |second: &str, key: &Forge| {
        Reply::set(jwk_set(&[key])).dated(&format!("Fri, 15 Jan 2027 08:00:{second} GMT"))
    };
    let world = World::start(at("00", &old)).await;
    assert_eq!(world.offer(at("10", &new)).await, Ok(()));
    for (name, stale) in [
        ("earlier", at("05", &old)),
        ("at once", at("10", &old)),
        ("without a date", Reply::set(jwk_set(&[&old]))),
    ] {
        let refused = world.offer(stale).await;
        assert_eq!(refused, Err(RefreshError::Superseded), "{name}");
        assert_eq!(world.validate(&old), Err(ErrorCode::KeyNotFound), "{name}");
    }
    assert_eq!(world.offer(at("20", &old)).await, Ok(()));
    assert_eq!(world.validate(&new), Err(ErrorCode::KeyNotFound), "revoked");
}

#[tokio::test]
async fn a_refused_copy_is_asked_for_again_past_the_caches() {
    let (old, new) = (Forge::new("k1"), Forge::new("k2"));
    let world = World::start(Reply::generation(2, jwk_set(&[&new]))).await;
    let stale = Reply::generation(1, jwk_set(&[&old]));
    world.issuer.says(FakeIssuer::JWKS, stale);
    world.clock.advance(256); // due at 75–85 % of 300 s
    world.issuer.hit_at(FakeIssuer::JWKS, 2).await;
    until("the copy is refused", || world.status().superseded > 0).await;
    world.clock.advance(1);
    world.issuer.hit_at(FakeIssuer::JWKS, 3).await;
    let asked = world.issuer.requests(FakeIssuer::JWKS);
    let directives: Vec<_> = asked
        .iter()
        .map(|seen| seen.header("cache-control"))
        .collect();
    assert_eq!(directives, [None, None, Some("no-cache")]);
}

#[tokio::test]
async fn an_issuer_restored_from_a_copy_is_believed_once_the_newer_set_is_past_its_bound() {
    let (old, new) = (Forge::new("k1"), Forge::new("k2"));
    let world = World::start(Reply::generation(7, jwk_set(&[&new]))).await;
    let restored = || Reply::generation(3, jwk_set(&[&old]));
    world.clock.advance(300 + 3600);
    assert_eq!(world.offer(restored()).await, Err(RefreshError::Superseded));
    assert_eq!(world.validate(&new), Ok(()));
    world.clock.advance(1);
    assert_eq!(world.validate(&new), Err(ErrorCode::KeySetUnavailable));
    assert_eq!(world.offer(restored()).await, Ok(()));
    assert_eq!(world.validate(&old), Ok(()));
}

#[tokio::test]
async fn new_material_under_an_old_kid_kills_both_and_raises_an_alarm() {
    let (first, second, other) = (Forge::new("k1"), Forge::new("k1"), Forge::new("k2"));
    let issuer = FakeIssuer::start().await;
    issuer.publish(&[&first, &other]);
    let world = World::of(issuer).await;
    assert_eq!(world.validate(&first), Ok(()));
    for keys in [[&second, &other], [&first, &other], [&other, &second]] {
        world.issuer.publish(&keys);
        world.verifier.refresh().await.expect("a good set");
        for key in [&first, &second] {
            assert_eq!(world.validate(key), Err(ErrorCode::KeyUnusable));
        }
        assert_eq!(world.validate(&other), Ok(()));
        assert_eq!(world.status().alarms, ["k1"]);
    }
    let renamed = Forge::new("k3");
    world.issuer.publish(&[&renamed]);
    world.verifier.refresh().await.expect("a good set");
    assert_eq!(
        world.validate(&renamed),
        Ok(()),
        "another kid is another key"
    );
}

#[tokio::test]
async fn a_kid_that_comes_back_with_other_material_is_dead_as_well() {
    let (first, second, other) = (Forge::new("k1"), Forge::new("k1"), Forge::new("k2"));
    let issuer = FakeIssuer::start().await;
    issuer.publish(&[&first]);
    let world = World::of(issuer).await;
    for keys in [&other, &second] {
        world.issuer.publish(&[keys]);
        world.verifier.refresh().await.expect("a good set");
    }
    assert_eq!(world.validate(&second), Err(ErrorCode::KeyUnusable));
    assert_eq!(world.status().alarms, ["k1"]);
}

#[tokio::test]
async fn a_verifier_names_itself_by_a_number_of_its_own() {
    let issuer = FakeIssuer::start().await;
    issuer.publish(&[&Forge::new("k1")]);
    let one = World::of(issuer).await;
    one.verifier.refresh().await.expect("304");
    let other = Verifier::builder(one.issuer.name(), "raptor")
        .keys(KeySource::jwks_uri(one.issuer.jwks_uri()))
        .build()
        .expect("good settings");
    other.ready().await;
    let asked = one.issuer.requests(FakeIssuer::JWKS);
    let names: Vec<_> = asked
        .iter()
        .map(|seen| seen.header("queue-verifier").expect("named"))
        .collect();
    assert_eq!(names.len(), 3);
    assert!(
        names.iter().all(|name| name.len() == 22),
        "16 bytes, base64url"
    );
    assert_eq!(names[0], names[1], "the same verifier");
    assert_ne!(names[0], names[2], "another");
}

#[tokio::test]
async fn an_unknown_kid_asks_past_the_caches() {
    let (old, new) = (Forge::new("k1"), Forge::new("k2"));
    let issuer = FakeIssuer::start().await;
    issuer.publish(&[&old]);
    let world = World::of(issuer).await;
    world.issuer.publish(&[&old, &new]);
    let claims = session_claims(world.issuer.name(), "raptor", NOW);
    let verdict = world
        .verifier
        .validate_session_with_refresh(new.sign(&claims), &Require::new())
        .await;
    assert!(verdict.is_ok());
    let asked = world.issuer.requests(FakeIssuer::JWKS);
    assert_eq!(asked[1].header("cache-control"), Some("no-cache"));
}

#[tokio::test]
async fn a_clock_that_differs_from_the_issuers_is_told_in_status_and_doctor() {
    let key = Forge::new("k1");
    let dated = |seconds: &str| {
        Reply::set(jwk_set(&[&key])).dated(&format!("Fri, 15 Jan 2027 08:{seconds} GMT"))
    };
    let world = World::start(dated("00:15")).await;
    assert_eq!(
        (world.status().clock_offset, world.status().clock_notice),
        (Some(15), None)
    );
    world.offer(dated("00:40")).await.expect("a good set");
    let notice = "this clock is about 40 s behind the issuer's";
    assert_eq!(world.status().clock_notice.as_deref(), Some(notice));
    let issued_by_their_clock = session_claims(world.issuer.name(), "raptor", NOW + 40);
    let token = key.sign(&issued_by_their_clock);
    let refused = world.verifier.validate_session(&token).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::ClaimsIssuedInFuture);
    let report = world.verifier.doctor(&token);
    let failed = report.checks.iter().find(|check| check.code.is_some());
    let detail = failed.and_then(|check| check.detail.as_deref());
    assert!(detail.expect("explained").contains(notice), "{detail:?}");
    world.offer(dated("01:00").aged(60)).await.expect("a copy");
    assert_eq!(
        world.status().clock_offset,
        Some(60),
        "of two readings the smaller"
    );
    let ahead = "Fri, 15 Jan 2027 07:59:00 GMT";
    world
        .offer(Reply::set(jwk_set(&[&key])).dated(ahead))
        .await
        .expect("a good set");
    let notice = world.status().clock_notice;
    assert_eq!(
        notice.as_deref(),
        Some("this clock is about 60 s ahead of the issuer's")
    );
}

#[tokio::test]
async fn a_wrong_date_refuses_no_new_key() {
    let (old, new) = (Forge::new("k1"), Forge::new("k2"));
    let far = "Tue, 01 Jan 2030 00:00:00 GMT";
    let world = World::start(Reply::set(jwk_set(&[&old])).dated(far)).await;
    let right = "Fri, 15 Jan 2027 08:00:00 GMT";
    let next = Reply::set(jwk_set(&[&old, &new])).dated(right);
    assert_eq!(world.offer(next).await, Ok(()));
    assert_eq!(world.validate(&new), Ok(()));
}

#[tokio::test]
async fn no_fault_of_the_list_costs_a_good_key() {
    let key = Forge::new("k1");
    let world = World::start(Reply::set(jwk_set(&[&key]))).await;
    for (name, reply) in [
        ("500", Reply::error()),
        ("oversize", Reply::oversize()),
        ("a gzip bomb", Reply::gzip_bomb()),
        ("HTML", Reply::html()),
        ("an empty set", Reply::empty_set()),
        ("a redirect", Reply::redirect(&world.issuer.jwks_uri())),
        ("a closed connection", Reply::Close),
    ] {
        assert!(world.offer(reply).await.is_err(), "{name}");
        assert_eq!(world.validate(&key), Ok(()), "{name}");
    }
    for reply in [Reply::Hang, Reply::slow_loris()] {
        assert_eq!(world.offer(reply).await, Err(FetchError::Timeout.into()));
        assert_eq!(world.validate(&key), Ok(()));
    }
}

#[tokio::test]
async fn a_set_of_any_age_is_followed_by_the_next() {
    let (old, new) = (Forge::new("k1"), Forge::new("k2"));
    for age in [u64::MAX.to_string(), "9".repeat(40)] {
        let copy = Reply::set(jwk_set(&[&old])).with(&format!("Age: {age}"));
        let world = World::start(copy.clone()).await;
        assert_eq!(world.validate(&old), Ok(()));
        assert_eq!(world.offer(Reply::set(jwk_set(&[&new]))).await, Ok(()));
        assert_eq!(world.validate(&new), Ok(()));
        assert_eq!(world.validate(&old), Err(ErrorCode::KeyNotFound));
        assert_eq!(world.offer(copy).await, Err(RefreshError::Superseded));
    }
}

#[tokio::test]
async fn a_lost_key_without_successor_serves_to_the_bound_and_dies_at_once_with_one() {
    let (lost, next) = (Forge::new("k1"), Forge::new("k2"));
    let world = World::start(Reply::set(jwk_set(&[&lost]))).await;
    let mut leak = lost.jwk();
    leak["d"] = "c2VjcmV0".into();
    let leak = serde_json::json!({ "keys": [leak] }).to_string();
    for unusable in [Reply::set(leak), Reply::empty_set()] {
        assert!(world.offer(unusable).await.is_err(), "no set");
        assert_eq!(world.validate(&lost), Ok(()));
    }
    world.clock.advance(300 + 3600); // max-age, and the stale limit
    assert_eq!(world.validate(&lost), Ok(()));
    world.clock.advance(1);
    let unavailable = Err(ErrorCode::KeySetUnavailable);
    assert_eq!(world.validate(&lost), unavailable);
    let world = World::start(Reply::set(jwk_set(&[&lost]))).await;
    let successor = Reply::set(jwk_set(&[&next]));
    assert_eq!(world.offer(successor).await, Ok(()));
    assert_eq!(world.validate(&lost), Err(ErrorCode::KeyNotFound));
    assert_eq!(world.validate(&next), Ok(()));
}
