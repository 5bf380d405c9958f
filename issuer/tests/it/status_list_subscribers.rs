//! Who is told of new versions: each address its share, each stream for a while, and nothing is missed.

use std::time::Duration;

use crate::events::Events;
use crate::harness::{Database, FakeClock, Issuer, eventually, on_both_engines};
use crate::http::Answer;
use crate::status_list::{bits, place, revoke, session};

on_both_engines! {
    status_list_address_full
    every_address_of_an_untrusted_peer_is_the_peer
    place_is_free_however_its_stream_ends
    old_stream_ends_and_the_next_one_tells_what_was_missed
}

const SHARE: &str = "QUEUE_ISSUER_STATUS_LIST_ADDRESS_SUBSCRIBERS";
const TRUSTED: (&str, &str) = ("QUEUE_ISSUER_TRUSTED_PROXIES", "127.0.0.1");
/// How old a stream may grow.
const AGE: Duration = Duration::from_secs(900);

/// An issuer whose list somebody wants to hear of.
struct Told {
    issuer: Issuer,
    minted: serde_json::Value,
    path: String,
}

impl Told {
    async fn start(database: &Database, more: &[(&str, &str)]) -> Self {
        let issuer = Issuer::start_with(database, more, FakeClock::new()).await;
        let minted = session(&issuer).await;
        let (path, _) = place(&minted);
        Self {
            issuer,
            minted,
            path: format!("{path}/events"),
        }
    }

    /// A stream for whom the proxy names, which has told its first event.
    async fn open(&self, client: &str) -> Events {
        let headers = [("x-forwarded-for", client)];
        let mut events = Events::open(self.issuer.public, &self.path, &headers).await;
        assert_eq!(events.status, 200, "{client}");
        events.next().await.expect("the present version");
        events
    }

    async fn refused(&self, client: &str) -> Answer {
        let headers = [("x-forwarded-for", client)];
        let get = ::http::Method::GET;
        self.issuer.call(get, &self.path, &headers, None).await
    }

    /// Waits until whom the proxy names has a place again.
    async fn free_again(&self, client: &str) {
        let headers = [("x-forwarded-for", client)];
        eventually("the place is free again", async || {
            let events = Events::open(self.issuer.public, &self.path, &headers);
            events.await.status == 200
        })
        .await;
    }
}

async fn status_list_address_full(database: Database) {
    let told = Told::start(&database, &[TRUSTED, (SHARE, "2")]).await;
    let _one = told.open("2001:db8::1").await;
    let _two = told.open("2001:db8::2").await;
    for same in ["2001:db8::1", "2001:db8:0:0:ffff::3"] {
        let refused = told.refused(same).await;
        refused.expect_problem(429, "status_list_address_full");
        assert_eq!(refused.header("retry-after"), "30");
    }
    // Who is refused polls, and others are told.
    let list = told.path.trim_end_matches("/events");
    assert_eq!(told.issuer.get(list).await.status, 200);
    for other in ["2001:db8:0:1::1", "192.0.2.1"] {
        told.open(other).await;
    }
}

async fn every_address_of_an_untrusted_peer_is_the_peer(database: Database) {
    let told = Told::start(&database, &[]).await;
    let mut streams = Vec::new();
    for number in 0..16 {
        streams.push(told.open(&format!("192.0.2.{number}")).await);
    }
    told.refused("198.51.100.1")
        .await
        .expect_problem(429, "status_list_address_full");
}

async fn place_is_free_however_its_stream_ends(database: Database) {
    let told = Told::start(&database, &[TRUSTED, (SHARE, "1")]).await;
    let full = async |client: &str| {
        let refused = told.refused(client).await;
        refused.expect_problem(429, "status_list_address_full");
    };
    let left = told.open("192.0.2.1").await;
    full("192.0.2.1").await;
    drop(left);
    told.free_again("192.0.2.1").await;
    let mut old = told.open("192.0.2.2").await;
    full("192.0.2.2").await;
    told.issuer.clock.advance(AGE);
    assert!(old.next().await.is_none());
    told.free_again("192.0.2.2").await;
    // Who asks for nothing but the head takes no place.
    for _ in 0..2 {
        let head = ::http::Method::HEAD;
        let headers = [("x-forwarded-for", "192.0.2.3")];
        let answer = told.issuer.call(head, &told.path, &headers, None).await;
        assert_eq!(answer.status, 200);
    }
}

async fn old_stream_ends_and_the_next_one_tells_what_was_missed(database: Database) {
    let told = Told::start(&database, &[]).await;
    let (list, idx) = place(&told.minted);
    let mut first = told.open("").await;
    told.issuer.clock.advance(AGE - Duration::from_millis(1));
    // It lasts to its age.
    let customer = told.issuer.customer("bob@example.com").await;
    let other = told.issuer.mint(&customer).await.expect(201);
    revoke(&told.issuer, &other).await;
    assert_eq!(first.next().await.unwrap().id, "1");
    told.issuer.clock.advance(Duration::from_millis(1));
    assert!(first.next().await.is_none(), "it is old");
    revoke(&told.issuer, &told.minted).await;
    let mut second = Events::open(told.issuer.public, &told.path, &[]).await;
    assert_eq!(second.next().await.unwrap().id, "2");
    assert!(bits(&told.issuer.get(&list).await)[idx]);
}
