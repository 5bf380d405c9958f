//! Several issuers on one database agree.

use std::time::Duration;

use ::http::Method;
use serde_json::json;

use crate::events::Events;
use crate::harness::{Database, FakeClock, Issuer, eventually, look_into, on_both_engines};
use crate::status_list::{bits, place, revoke};

on_both_engines! {
    parallel_starts_on_an_empty_database_make_one_key
    key_change_is_seen_by_the_other
    mint_never_uses_a_key_another_process_revoked
    revocation_is_seen_by_the_other_within_a_second
    list_another_process_opened_is_found_at_once
}

async fn parallel_starts_on_an_empty_database_make_one_key(database: Database) {
    let start = || Issuer::start(&database);
    let (a, b, c, d) = tokio::join!(start(), start(), start(), start());
    let published = a.published().await;
    assert_eq!(published.len(), 1);
    for other in [&b, &c, &d] {
        assert_eq!(other.published().await, published);
    }
    assert_eq!(
        database
            .number("SELECT COUNT(*) FROM queue_signing_keys")
            .await,
        1
    );
    assert_eq!(
        database
            .number("SELECT COUNT(*) FROM queue_schema_migrations")
            .await,
        6
    );
}

async fn key_change_is_seen_by_the_other(database: Database) {
    let clock = FakeClock::new();
    let a = Issuer::start_with(&database, &[], clock.clone()).await;
    let b = Issuer::start_with(&database, &[], clock).await;
    let made = a
        .operator(Method::POST, "/api/v1/keys", Some(json!({})))
        .await
        .expect(201);
    let kid = made["kid"].as_str().unwrap().to_owned();
    eventually("the other publishes the key", async || {
        b.published().await.contains(&kid)
    })
    .await;
    let etag = async |issuer: &Issuer| {
        issuer
            .get("/.well-known/jwks.json")
            .await
            .header("etag")
            .to_owned()
    };
    assert_eq!(etag(&a).await, etag(&b).await);
}

async fn mint_never_uses_a_key_another_process_revoked(database: Database) {
    let clock = FakeClock::new();
    let a = Issuer::start_with(&database, &[], clock.clone()).await;
    let b = Issuer::start_with(&database, &[], clock.clone()).await;
    let customer = a.customer("ada@example.com").await;
    b.mint(&customer).await.expect(201);
    let first = a.published().await[0].clone();
    let made = a
        .operator(Method::POST, "/api/v1/keys", Some(json!({})))
        .await
        .expect(201);
    clock.advance(Duration::from_secs(630));
    let second = made["kid"].as_str().unwrap();
    a.operator(
        Method::POST,
        &format!("/api/v1/keys/{second}/activate"),
        None,
    )
    .await
    .expect(200);
    a.operator(Method::POST, &format!("/api/v1/keys/{first}/revoke"), None)
        .await
        .expect(200);
    // At once, without waiting for the other's poll: the mint itself notices.
    let (header, _) = look_into(
        b.mint(&customer).await.expect(201)["access_token"]
            .as_str()
            .unwrap(),
    );
    assert_eq!(header["kid"], second);
}

async fn revocation_is_seen_by_the_other_within_a_second(database: Database) {
    let clock = FakeClock::new();
    let a = Issuer::start_with(&database, &[], clock.clone()).await;
    let b = Issuer::start_with(&database, &[], clock).await;
    let customer = a.customer("ada@example.com").await;
    let minted = a.mint(&customer).await.expect(201);
    let (path, idx) = place(&minted);
    let mut events = Events::open(b.public, &format!("{path}/events"), &[]).await;
    assert_eq!(events.next().await.unwrap().id, "0");
    revoke(&a, &minted).await;
    let told = tokio::time::timeout(Duration::from_secs(1), events.next());
    assert_eq!(told.await.expect("within a second").unwrap().id, "1");
    let (ours, theirs) = (a.get(&path).await, b.get(&path).await);
    assert!(bits(&theirs)[idx]);
    // The same version is the same bytes, whichever process signed it.
    assert_eq!(ours.body, theirs.body);
    assert_eq!(ours.header("etag"), theirs.header("etag"));
}

async fn list_another_process_opened_is_found_at_once(database: Database) {
    let clock = FakeClock::new();
    let a = Issuer::start_with(&database, &[], clock.clone()).await;
    let b = Issuer::start_with(&database, &[], clock).await;
    let customer = a.customer("ada@example.com").await;
    let (path, _) = place(&a.mint(&customer).await.expect(201));
    assert_eq!(b.get(&path).await.status.as_u16(), 200);
}
