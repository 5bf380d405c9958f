//! Revocation seen offline: polled, pushed, and how sure it is, by a clock set by hand.

use std::sync::Arc;

use queue_tests::clock::NOW;
use queue_tests::forge::{jwk_set, session_claims};
use queue_tests::status_list::refer;
use queue_tests::{FakeClock, Forge, KeyServer, ListReply, Reply, StatusListForge, StatusServer};
use queue_verifier::errors::Unavailable;
use queue_verifier::report::{StatusListStatus, StatusState};
use queue_verifier::{
    Builder, Error, ErrorCode, KeySource, Require, Session, StatusSource, Verifier, WhenStale,
};

pub(crate) struct World {
    pub(crate) key: Forge,
    pub(crate) server: StatusServer,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) verifier: Verifier,
}

impl World {
    /// One list, `a`, of valid sessions, and a verifier that never looked into it.
    pub(crate) async fn start() -> Self {
        Self::with(|builder| builder).await
    }

    pub(crate) async fn with(set_up: impl FnOnce(Builder) -> Builder) -> Self {
        let key = Forge::new("k1");
        let server = StatusServer::start().await;
        let clock = FakeClock::at(NOW);
        let builder = Verifier::builder(server.origin(), "raptor")
            .keys(KeySource::jwk_set(jwk_set(&[&key])))
            .status_lists(StatusSource::Named)
            .clock(Arc::clone(&clock) as Arc<_>);
        let verifier = set_up(builder).build().expect("good settings");
        let world = Self {
            key,
            server,
            clock,
            verifier,
        };
        world.publish(&world.list());
        world
    }

    /// A list of valid sessions of this moment.
    pub(crate) fn list(&self) -> StatusListForge {
        use queue_verifier::Clock as _;
        StatusListForge::new(
            self.server.origin(),
            &self.server.uri("a"),
            self.clock.now(),
        )
    }

    pub(crate) fn publish(&self, list: &StatusListForge) {
        self.server.says("a", ListReply::List(list.sign(&self.key)));
    }

    pub(crate) fn token(&self, list: &str, idx: usize) -> String {
        let mut claims = session_claims(self.server.origin(), "raptor", NOW);
        claims.insert("exp".into(), (NOW + 100_000).into());
        refer(&mut claims, &self.server.uri(list), idx);
        self.key.sign(&claims)
    }

    /// The verdict on the session at index 7 of list `a`, as it is known now.
    pub(crate) fn verdict(&self) -> Result<Session, ErrorCode> {
        let verdict = self.verifier.validate_session(self.token("a", 7));
        verdict.map_err(|error| error.code())
    }

    /// The same, waiting for the list where it is missing.
    pub(crate) async fn awaited(&self) -> Result<Session, Error> {
        let require = Require::new();
        let token = self.token("a", 7);
        let verdict = self.verifier.validate_session_with_refresh(token, &require);
        verdict.await
    }

    pub(crate) fn status(&self) -> StatusListStatus {
        let issuer = self.verifier.status().issuers.remove(0);
        let mut lists = issuer.status_lists.into_iter();
        lists.next().expect("a list was named")
    }

    /// Waits until `is_so` of the list's status.
    pub(crate) async fn until(&self, is_so: impl Fn(&StatusListStatus) -> bool) {
        while !is_so(&self.status()) {
            tokio::task::yield_now().await;
        }
    }
}

#[track_caller]
pub(crate) fn why(verdict: &Result<Session, Error>) -> Unavailable {
    match verdict {
        Err(Error::Status(queue_verifier::errors::StatusError::Unavailable { reason, .. })) => {
            *reason
        }
        other => panic!("expected status_unavailable, found {other:?}"),
    }
}

#[tokio::test]
async fn the_first_token_waits_for_its_list_once_and_later_ones_for_nothing() {
    let world = World::start().await;
    let session = world.awaited().await.expect("the list says valid");
    assert_eq!(session.freshness().status, StatusState::Fresh);
    assert_eq!(session.freshness().status_age, Some(0));
    for _ in 0..1000 {
        world.verdict().expect("in memory");
    }
    assert_eq!(world.server.hits("a").all, 1);
}

#[tokio::test]
async fn without_waiting_the_first_token_is_a_fault_and_the_list_is_fetched() {
    let world = World::start().await;
    assert_eq!(world.verdict().unwrap_err(), ErrorCode::StatusUnavailable);
    world.until(|list| list.attempts == 1).await;
    world.verdict().expect("the list is there");
}

#[tokio::test]
async fn a_revocation_is_seen_after_one_poll_and_stays() {
    let world = World::start().await;
    world.awaited().await.expect("valid");
    world.publish(&world.list().set(7, 1));
    world.verdict().expect("nobody said so yet");
    world.clock.advance(5);
    world.until(|list| list.attempts == 2).await;
    assert_eq!(world.verdict().unwrap_err(), ErrorCode::StatusRevoked);
    let other = world.verifier.validate_session(world.token("a", 8));
    other.expect("another session of the same list");
    world.server.says("a", ListReply::Close);
    world.clock.advance(500);
    assert_eq!(world.verdict().unwrap_err(), ErrorCode::StatusRevoked);
}

#[tokio::test]
async fn only_status_0_lets_a_session_through() {
    let world = World::start().await;
    world.publish(&world.list().set(7, 2));
    let verdict = world.awaited().await.map_err(|error| error.code());
    assert_eq!(verdict.unwrap_err(), ErrorCode::StatusSuspended);
    for (status, code) in [
        (3, Some(ErrorCode::StatusRevoked)),
        (1, Some(ErrorCode::StatusRevoked)),
        (2, Some(ErrorCode::StatusSuspended)),
        (0, None),
    ] {
        let attempts = world.status().attempts;
        world.clock.advance(5);
        world.publish(&world.list().set(7, status));
        world.until(|list| list.attempts > attempts).await;
        world.clock.advance(5);
        world.until(|list| list.attempts > attempts + 1).await;
        assert_eq!(world.verdict().err(), code, "status {status}");
    }
}

#[tokio::test]
async fn a_pushed_revocation_is_seen_while_no_time_passes() {
    let world = World::start().await;
    world.server.offer_events();
    world.awaited().await.expect("valid");
    world.until(|list| list.push == "connected").await;
    // Opening the stream asks once for what happened before.
    world.until(|list| list.attempts == 2).await;
    world.publish(&world.list().set(7, 1));
    world.server.push();
    world.until(|list| list.attempts == 3).await;
    assert_eq!(world.verdict().unwrap_err(), ErrorCode::StatusRevoked);
    assert_eq!(world.server.streams("a"), 1);
}

#[tokio::test]
async fn a_revocation_between_two_streams_is_seen_when_the_second_opens() {
    let world = World::start().await;
    world.server.offer_events();
    world.awaited().await.expect("valid");
    world
        .until(|list| list.push == "connected" && list.attempts == 2)
        .await;
    world.server.end_streams();
    world.until(|list| list.push == "polling").await;
    // Nobody is told, and no poll is due in this second.
    world.publish(&world.list().set(7, 1));
    world.verdict().expect("not seen yet");
    world.clock.advance(1);
    world.server.listened("a", 2).await;
    world
        .until(|list| list.push == "connected" && list.attempts == 3)
        .await;
    assert_eq!(world.verdict().unwrap_err(), ErrorCode::StatusRevoked);
}

#[tokio::test]
async fn when_push_is_cut_a_revocation_is_seen_within_the_ttl() {
    let world = World::start().await;
    world.server.offer_events();
    world.awaited().await.expect("valid");
    world
        .until(|list| list.push == "connected" && list.attempts == 2)
        .await;
    world.server.cut();
    world.until(|list| list.push == "polling").await;
    world.publish(&world.list().set(7, 1));
    world.server.push();
    world.clock.advance(5);
    world.until(|list| list.attempts >= 3).await;
    assert_eq!(world.verdict().unwrap_err(), ErrorCode::StatusRevoked);
}

#[tokio::test]
async fn a_stream_that_falls_silent_is_opened_again() {
    let world = World::start().await;
    world.server.offer_events();
    world.awaited().await.expect("valid");
    world.server.listened("a", 1).await;
    world.until(|list| list.push == "connected").await;
    world.clock.advance(45);
    world.until(|list| list.push == "polling").await;
    world.clock.advance(1);
    world.server.listened("a", 2).await;
}

#[tokio::test]
async fn pushes_cause_no_more_fetches_than_their_bound() {
    let world = World::start().await;
    world.server.offer_events();
    world.awaited().await.expect("valid");
    world.until(|list| list.attempts == 2).await;
    for pushed in 3..=11 {
        world.server.push();
        world.until(|list| list.attempts == pushed).await;
    }
    world.publish(&world.list().set(7, 1));
    world.server.push();
    world.server.push();
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.server.hits("a").all, 11);
    world.clock.advance(1);
    world.until(|list| list.attempts == 12).await;
    assert_eq!(world.verdict().unwrap_err(), ErrorCode::StatusRevoked);
    // The one that was put off is one of this second's.
    for pushed in 13..=21 {
        world.server.push();
        world.until(|list| list.attempts == pushed).await;
    }
    world.server.push();
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.server.hits("a").all, 21);
}

#[tokio::test]
async fn an_unchanged_list_is_confirmed_by_its_etag() {
    let world = World::start().await;
    world.awaited().await.expect("valid");
    for polls in 1..=20 {
        world.clock.advance(5);
        world
            .server
            .hit("a", |hits| hits.not_modified >= polls)
            .await;
        world
            .until(|list| list.attempts > u64::try_from(polls).unwrap())
            .await;
    }
    let session = world.verdict().expect("confirmed 20 times in 100 s");
    assert_eq!(session.freshness().status, StatusState::Fresh);
    assert_eq!(session.freshness().status_age, Some(0));
    assert_eq!(world.server.hits("a").all, 21);
}

#[tokio::test]
async fn a_list_serves_to_its_age_bound_and_not_a_second_longer() {
    let world = World::start().await;
    world.awaited().await.expect("valid");
    world.server.says("a", ListReply::Close);
    world.clock.advance(60);
    let session = world.verdict().expect("within the bound");
    assert_eq!(session.freshness().status, StatusState::Fresh);
    assert_eq!(session.freshness().status_age, Some(60));
    world.clock.advance(1);
    let verdict = world.verifier.validate_session(world.token("a", 7));
    assert_eq!(why(&verdict), Unavailable::TooOld);
    world.publish(&world.list());
    world.clock.advance(15);
    world.until(|list| list.state == StatusState::Fresh).await;
    world.verdict().expect("the issuer is back");
}

#[tokio::test]
async fn a_list_past_its_bound_is_accepted_where_the_policy_says_so_and_shows() {
    let world = World::with(|builder| builder.when_stale(WhenStale::Accept)).await;
    world.publish(&world.list().set(8, 1));
    world.awaited().await.expect("valid");
    world.server.says("a", ListReply::Close);
    world.clock.advance(61);
    let session = world.verdict().expect("accepted");
    assert_eq!(session.freshness().status, StatusState::Stale);
    assert_eq!(session.freshness().status_age, Some(61));
    let revoked = world.verifier.validate_session(world.token("a", 8));
    assert_eq!(revoked.unwrap_err().code(), ErrorCode::StatusRevoked);
}

#[tokio::test]
async fn a_list_is_on_beside_a_jwks_uri_without_being_asked_for() {
    let key = Forge::new("k1");
    let keys = KeyServer::start(Reply::set(jwk_set(&[&key]))).await;
    let server = StatusServer::start().await;
    let list = StatusListForge::new(server.origin(), &server.uri("a"), NOW).set(7, 1);
    server.says("a", ListReply::List(list.sign(&key)));
    let verifier = Verifier::builder(server.origin(), "raptor")
        .keys(KeySource::jwks_uri(keys.url()))
        .clock(FakeClock::at(NOW) as Arc<_>)
        .build()
        .expect("good settings");
    let mut claims = session_claims(server.origin(), "raptor", NOW);
    let silent = key.sign(&claims);
    refer(&mut claims, &server.uri("a"), 7);
    // Cold: keys, then the list, are waited for in one call.
    let require = Require::new();
    let verdict = verifier.validate_session_with_refresh(key.sign(&claims), &require);
    assert_eq!(verdict.await.unwrap_err().code(), ErrorCode::StatusRevoked);
    let session = verifier.validate_session(silent).expect("it names no list");
    assert_eq!(session.freshness().status, StatusState::Absent);
}

#[tokio::test]
async fn a_list_that_grew_is_fetched_for_the_first_index_beyond_the_copy() {
    let world = World::start().await;
    world.awaited().await.expect("valid");
    world.clock.advance(1);
    world.publish(&world.list().sized(2000));
    let token = world.token("a", 1500);
    let verdict = world.verifier.validate_session(&token);
    assert_eq!(why(&verdict), Unavailable::OutOfRange);
    let require = Require::new();
    let verdict = world
        .verifier
        .validate_session_with_refresh(&token, &require);
    verdict.await.expect("the new list has it");
}

#[tokio::test]
async fn one_404_to_a_stream_that_worked_ends_push_for_moments_only() {
    let world = World::start().await;
    world.server.offer_events();
    world.awaited().await.expect("valid");
    world.until(|list| list.push == "connected").await;
    world.server.cut();
    world.until(|list| list.push == "polling").await;
    world.clock.advance(1);
    world.server.listened("a", 2).await; // 404
    world.server.offer_events();
    let mut passed = 0;
    while world.status().push != "connected" {
        let attempts = world.status().attempts;
        world.clock.advance(5);
        passed += 5;
        assert!(passed < 300, "push stays off");
        world.until(|list| list.attempts > attempts).await;
    }
    world.publish(&world.list().set(7, 1));
    let attempts = world.status().attempts;
    world.server.push();
    world.until(|list| list.attempts > attempts).await;
    world
        .until(|_| world.verdict().err() == Some(ErrorCode::StatusRevoked))
        .await;
}
