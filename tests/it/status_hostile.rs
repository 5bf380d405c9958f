//! Lists that are not the issuer's word, or not its latest, and what they cannot do.

use std::sync::Arc;

use queue_tests::clock::NOW;
use queue_tests::forge::jwk_set;
use queue_tests::{Forge, ListReply, StatusListForge};
use queue_verifier::errors::Unavailable;
use queue_verifier::{ErrorCode, KeySource, Require, StatusSource, Verifier};

use crate::status::{World, why};

/// Every way in which a server fails to give the list, and the words the failure is known by.
fn bad_answers(world: &World) -> Vec<(&'static str, ListReply, &'static str)> {
    let good = world.list();
    let stranger = Forge::new("k1");
    let signed = |list: StatusListForge| ListReply::List(list.sign(&world.key));
    let raw = |text: &str| ListReply::Raw(text.as_bytes().to_vec());
    let large = format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}",
        "x".repeat(2 * 1024 * 1024 + 1)
    );
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
        world.server.uri("elsewhere")
    );
    let not_modified = raw("HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n");
    // 16 MiB and one byte of zeros in a few kilobytes.
    let bomb = good.clone().sized((16 * 1024 * 1024 + 1) * 4);
    let answers = [
        (
            "another key",
            ListReply::List(good.sign(&stranger)),
            "signature",
        ),
        (
            "an unknown kid",
            signed(good.clone().header("kid", "k9")),
            "key",
        ),
        (
            "typ of a token",
            signed(good.clone().header("typ", "at+jwt")),
            "typ",
        ),
        ("typ JWT", signed(good.clone().header("typ", "JWT")), "typ"),
        (
            "another issuer",
            signed(good.clone().claim("iss", "https://other")),
            "issuer",
        ),
        (
            "another list",
            signed(good.clone().claim("sub", world.server.uri("b"))),
            "sub",
        ),
        (
            "no sub",
            signed(good.clone().claim("sub", ())),
            "status list",
        ),
        (
            "no iat",
            signed(good.clone().claim("iat", ())),
            "status list",
        ),
        (
            "made in the future",
            signed(good.clone().claim("iat", NOW + 31)),
            "iat",
        ),
        (
            "expired",
            signed(good.clone().claim("exp", NOW - 30)),
            "exp",
        ),
        (
            "exp a string",
            signed(good.clone().claim("exp", "never")),
            "status list",
        ),
        ("ttl 0", signed(good.clone().claim("ttl", 0)), "status list"),
        (
            "no list",
            signed(good.clone().claim("status_list", 7)),
            "status list",
        ),
        ("a bomb", signed(bomb), "inflating"),
        (
            "an access token",
            ListReply::List(world.token("a", 7)),
            "typ",
        ),
        (
            "HTML",
            ListReply::List("<html>sign in, please</html>".to_owned()),
            "signed",
        ),
        ("too large", ListReply::Raw(large.into_bytes()), "2097152"),
        ("a redirect", raw(&redirect), "302"),
        ("304 to nobody's question", not_modified, "304"),
        (
            "gone",
            raw("HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"),
            "410",
        ),
        (
            "cut short",
            raw("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\ney"),
            "connection",
        ),
        ("no HTTP", raw("SSH-2.0-x\r\n\r\n"), "connection"),
        ("closed", ListReply::Close, "connection"),
    ];
    answers.into()
}

#[tokio::test]
async fn no_bad_answer_is_ever_used() {
    let world = World::start().await;
    for (name, reply, words) in bad_answers(&world) {
        let fresh = Verifier::builder(world.server.origin(), "raptor")
            .keys(KeySource::jwk_set(jwk_set(&[&world.key])))
            .status_lists(StatusSource::Named)
            .clock(Arc::clone(&world.clock) as Arc<_>)
            .build()
            .expect("good settings");
        world.server.says("a", reply);
        let require = Require::new();
        let verdict = fresh.validate_session_with_refresh(world.token("a", 7), &require);
        assert_eq!(why(&verdict.await), Unavailable::NoCopy, "{name}");
        let lists = &fresh.status().issuers[0].status_lists;
        let error = lists[0].last_error.as_deref().unwrap_or_default();
        assert!(error.contains(words), "{name}: {error}");
    }
    assert_eq!(world.server.hits("elsewhere").all, 0);
}

#[tokio::test]
async fn no_bad_answer_replaces_a_good_list_nor_makes_it_younger() {
    let world = World::start().await;
    world.publish(&world.list().set(8, 1));
    world.awaited().await.expect("valid");
    let mut age = 0;
    for (name, reply, _) in bad_answers(&world) {
        if name == "304 to nobody's question" {
            continue; // It is somebody's question here.
        }
        if age >= 45 {
            // The bound would come in the middle.
            world.publish(&world.list().set(8, 1));
            world.clock.advance(15);
            world
                .until(|list| list.age == Some(0) && list.last_error.is_none())
                .await;
            age = 0;
        }
        world.server.says("a", reply);
        let attempts = world.status().attempts;
        world.clock.advance(15);
        age += 15;
        world.until(|list| list.attempts > attempts).await;
        let session = world
            .verdict()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(session.freshness().status_age, Some(age), "{name}");
        let revoked = world.verifier.validate_session(world.token("a", 8));
        assert_eq!(
            revoked.unwrap_err().code(),
            ErrorCode::StatusRevoked,
            "{name}"
        );
        assert!(world.status().last_error.is_some(), "{name}");
    }
}

#[tokio::test]
async fn an_older_copy_takes_no_revocation_back() {
    let world = World::start().await;
    let older = world.list();
    world.clock.advance(10);
    world.publish(&world.list().set(7, 1));
    let verdict = world.awaited().await.map_err(|error| error.code());
    assert_eq!(verdict.unwrap_err(), ErrorCode::StatusRevoked);
    world.publish(&older);
    world.clock.advance(5);
    world.until(|list| list.attempts == 2).await;
    assert_eq!(world.verdict().unwrap_err(), ErrorCode::StatusRevoked);
    let status = world.status();
    assert_eq!(status.age, Some(5));
    let error = status.last_error.unwrap_or_default();
    assert!(error.contains("no older"), "{error}");
}

#[tokio::test]
async fn a_copy_past_its_exp_is_not_used_and_fetched_whole() {
    let world = World::start().await;
    let expiring = ListReply::List(world.list().claim("exp", NOW + 3).sign(&world.key));
    world.server.says("a", expiring.clone());
    world.awaited().await.expect("valid");
    world.server.says("a", ListReply::Close);
    world.clock.advance(32);
    world
        .verdict()
        .expect("the leeway of 30 s holds for lists too");
    world.clock.advance(1);
    let verdict = world.verifier.validate_session(world.token("a", 7));
    assert_eq!(why(&verdict), Unavailable::Expired);
    // The same copy again, under the same ETag, is read and refused, not confirmed.
    world.server.says("a", expiring);
    world.clock.advance(15);
    let is_expired = |error: &String| error.contains("`exp`");
    world
        .until(|list| list.last_error.as_ref().is_some_and(is_expired))
        .await;
    world.publish(&world.list().claim("exp", NOW + 300));
    world.clock.advance(15);
    world
        .until(|list| list.age == Some(0) && list.last_error.is_none())
        .await;
    world.verdict().expect("the new copy");
}

#[tokio::test]
async fn a_list_of_any_age_is_too_old_and_a_new_one_takes_its_place() {
    let world = World::start().await;
    let list = world.list().sign(&world.key);
    let oldest = format!(
        "HTTP/1.1 200 OK\r\nAge: {}\r\nContent-Length: {}\r\n\r\n{list}",
        u64::MAX,
        list.len()
    );
    world.server.says("a", ListReply::Raw(oldest.into_bytes()));
    assert_eq!(why(&world.awaited().await), Unavailable::TooOld);
    world.clock.advance(1);
    let verdict = world.verifier.validate_session(world.token("a", 7));
    assert_eq!(why(&verdict), Unavailable::TooOld);
    world.publish(&world.list());
    world.clock.advance(15);
    world.until(|list| list.age == Some(0)).await;
    world.verdict().expect("the new copy");
}

#[tokio::test]
async fn a_list_that_hangs_or_drips_holds_up_nobody_else() {
    let world = World::start().await;
    for (name, reply) in [("hanging", ListReply::Hang), ("dripping", ListReply::Drip)] {
        world.server.says(name, reply);
        let verdict = world.verifier.validate_session(world.token(name, 7));
        assert_eq!(why(&verdict), Unavailable::NoCopy);
        world.server.hit(name, |hits| hits.all == 1).await;
    }
    world
        .awaited()
        .await
        .expect("another list of the same issuer");
    let require = Require::new();
    let token = world.token("dripping", 7);
    let waiting = world
        .verifier
        .validate_session_with_refresh(token, &require);
    assert_eq!(why(&waiting.await), Unavailable::NoCopy);
    let lists = &world.verifier.status().issuers[0].status_lists;
    let dripping = &lists[1];
    assert!(dripping.uri.ends_with("dripping"), "{dripping:?}");
    let error = dripping.last_error.as_deref().unwrap_or_default();
    assert!(error.contains("within 5 s"), "{error}");
}

#[tokio::test]
async fn a_copy_of_the_same_second_takes_no_revocation_back() {
    let world = World::start().await;
    let first = world.list().set(8, 2);
    let revoked = first.clone().set(7, 1);
    world.publish(&revoked);
    let verdict = world.awaited().await.map_err(|error| error.code());
    assert_eq!(verdict.unwrap_err(), ErrorCode::StatusRevoked);
    let suspended = first.clone().set(7, 2);
    for copy in [&first, &suspended, &first.clone().sized(4)] {
        world.publish(copy);
        let attempts = world.status().attempts;
        world.clock.advance(15);
        world.until(|list| list.attempts > attempts).await;
        assert_eq!(world.verdict().unwrap_err(), ErrorCode::StatusRevoked);
        let error = world.status().last_error.unwrap_or_default();
        assert!(error.contains("no older"), "{error}");
    }
    // What is not over may change within a second, and more may be over.
    let later = first.set(7, 3).set(8, 0).set(9, 1);
    world.publish(&later);
    world.clock.advance(15);
    world.until(|list| list.last_error.is_none()).await;
    for (idx, code) in [
        (7, Some(ErrorCode::StatusRevoked)),
        (8, None),
        (9, Some(ErrorCode::StatusRevoked)),
    ] {
        let verdict = world.verifier.validate_session(world.token("a", idx));
        assert_eq!(verdict.err().map(|error| error.code()), code, "{idx}");
    }
}

#[tokio::test]
async fn an_older_confirmation_makes_no_list_older_than_it_was_known_to_be() {
    let world = World::start().await;
    world.awaited().await.expect("valid");
    let list = world.list().sign(&world.key);
    let confirmed = |age: u64| {
        let text = format!("HTTP/1.1 304 Not Modified\r\nAge: {age}\r\nConnection: close\r\n\r\n");
        ListReply::Raw(text.into_bytes())
    };
    let length = list.len();
    let again = format!(
        "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nAge: 1000\r\nContent-Length: {length}\r\n\r\n{list}"
    );
    for (reply, age) in [
        (confirmed(1000), 5),
        (ListReply::Raw(again.into_bytes()), 10),
        (confirmed(15), 15),
        (confirmed(3), 3),
    ] {
        world.server.says("a", reply);
        let attempts = world.status().attempts;
        world.clock.advance(5);
        world.until(|list| list.attempts > attempts).await;
        assert_eq!(world.status().last_error, None);
        let session = world.verdict().expect("known to be young");
        assert_eq!(session.freshness().status_age, Some(age));
    }
}
