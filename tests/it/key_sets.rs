//! What a fetched set says, and where it came from.

use std::sync::Arc;

use queue_tests::clock::NOW;
use queue_tests::forge::{jwk_set, session_claims};
use queue_tests::{FakeClock, Forge, KeyServer, Reply};
use queue_verifier::{ErrorCode, Verifier};

use crate::keys::World;

#[tokio::test]
async fn a_leaked_key_is_dead_under_every_entry() {
    let world = World::start().await;
    let good = Forge::new("k9");
    let mut leak = world.key.jwk();
    leak["d"] = "AQAB".into();
    let mut elsewhere = leak.clone();
    elsewhere["kid"] = "backup".into();
    for leak in [leak, elsewhere] {
        for keys in [
            [world.key.jwk(), leak.clone(), good.jwk()],
            [leak.clone(), good.jwk(), world.key.jwk()],
        ] {
            let set = serde_json::json!({ "keys": keys }).to_string();
            world.server.says(Reply::set(set));
            world.verifier.refresh().await.expect("one key is good");
            assert_eq!(
                world.validate(&world.key).unwrap_err(),
                ErrorCode::KeyUnusable
            );
            assert!(world.validate(&good).is_ok());
        }
    }
}

#[tokio::test]
async fn an_etag_counts_only_where_it_came_from() {
    let (old, new) = (Forge::new("k1"), Forge::new("k2"));
    let tagged = |key: &Forge| Reply::set(jwk_set(&[key])).tagged("\"g1\"");
    let (first, second) = (
        KeyServer::start(tagged(&old)).await,
        KeyServer::start(tagged(&new)).await,
    );
    let issuer = KeyServer::start(Reply::Close).await;
    let name = issuer.url().replace("/jwks.json", "");
    let metadata = |keys: &KeyServer| {
        Reply::set(serde_json::json!({"issuer": name, "jwks_uri": keys.url()}).to_string())
    };
    issuer.says(metadata(&first));
    let verifier = Verifier::builder(name.as_str(), "raptor")
        .clock(FakeClock::at(NOW) as Arc<_>)
        .build()
        .expect("good settings");
    verifier.ready().await;
    issuer.says(metadata(&second));
    verifier.refresh().await.expect("a set, not 304");
    let token = new.sign(&session_claims(&name, "raptor", NOW));
    assert!(verifier.validate_session(token).is_ok());
}

#[tokio::test]
async fn callers_who_refresh_together_share_a_fetch() {
    let world = World::start().await;
    world.server.says(Reply::Hang);
    let mut callers: tokio::task::JoinSet<_> = (0..50)
        .map(|_| {
            let verifier = world.verifier.clone();
            async move { verifier.refresh().await }
        })
        .collect();
    world.server.hit(2).await;
    world.server.says(Reply::set(jwk_set(&[&world.key])));
    world.server.release();
    while let Some(outcome) = callers.join_next().await {
        outcome.expect("no caller panics").ok();
    }
    // The first of them hung; those who asked while it did share another.
    let hits = world.server.hits();
    assert!((2..=3).contains(&hits), "{hits} fetches for 50 callers");
    assert!(world.verifier.refresh().await.is_ok());
    assert_eq!(world.server.hits(), hits + 1);
}

/// Whatever else is wrong with the entry, whoever reads the set can sign with the key.
#[tokio::test]
async fn a_leak_in_a_malformed_entry_kills_its_twin() {
    let good = Forge::new("k9");
    for (name, spoil) in [
        ("kty", serde_json::json!({"kty": 7, "d": "AQAB"})),
        ("no e", serde_json::json!({"e": null, "d": "AQAB"})),
        (
            "d no text",
            serde_json::json!({"use": [], "d": {"deep": [[]]}}),
        ),
        (
            "a kid of another type",
            serde_json::json!({"kid": 1, "p": "AQAB"}),
        ),
    ] {
        let world = World::start().await;
        let mut leak = world.key.jwk();
        for (member, value) in spoil.as_object().expect("an object") {
            leak[member] = value.clone();
        }
        let set = serde_json::json!({"keys": [world.key.jwk(), leak, good.jwk()]});
        world.server.says(Reply::set(set.to_string()));
        world.verifier.refresh().await.expect("one key is good");
        let refused = world.validate(&world.key).unwrap_err();
        assert_eq!(refused, ErrorCode::KeyUnusable, "{name}");
        assert!(world.validate(&good).is_ok(), "{name}");
    }
}

#[tokio::test]
async fn a_leak_under_a_repeated_or_padded_modulus_kills_its_twin() {
    let (world, good) = (World::start().await, Forge::new("k9"));
    let n = world.key.jwk()["n"].as_str().expect("text").to_owned();
    for leak in [
        format!(r#"{{"kty":"RSA","n":"{n}","n":"AQAB","e":"AQAB","d":"AQAB"}}"#),
        format!(r#"{{"kty":"RSA","n":"{n}==","e":"AQAB","d":"AQAB"}}"#),
    ] {
        let set = format!(r#"{{"keys":[{},{leak},{}]}}"#, world.key.jwk(), good.jwk());
        world.server.says(Reply::set(set));
        world.verifier.refresh().await.expect("one key is good");
        let refused = world.validate(&world.key).unwrap_err();
        assert_eq!(refused, ErrorCode::KeyUnusable);
    }
}
