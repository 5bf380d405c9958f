//! The life of a status list: full, followed, retired, restored.

use std::time::Duration;

use crate::events::Events;
use crate::harness::{Database, FakeClock, Issuer, eventually, on_both_engines};
use crate::status_list::{bits, place, revoke, session};

on_both_engines! {
    full_list_is_followed_by_the_next_and_retired_with_its_last_session
    list_longer_than_a_token_is_published
    restored_list_is_read_again
}

async fn full_list_is_followed_by_the_next_and_retired_with_its_last_session(database: Database) {
    let more = [
        ("QUEUE_ISSUER_STATUS_LIST_SIZE", "1024"),
        ("QUEUE_ISSUER_SESSION_LIFE", "1h"),
    ];
    let issuer = Issuer::start_with(&database, &more, FakeClock::new()).await;
    let customer = issuer.customer("ada@example.com").await;
    let first = issuer.mint(&customer).await.expect(201);
    let (old, taken) = place(&first);
    database.execute(&fill(&database, taken)).await.unwrap();
    issuer.clock.advance(Duration::from_secs(1_800));
    let second = issuer.mint(&customer).await.expect(201);
    let (new, _) = place(&second);
    assert_ne!(new, old);
    assert_eq!(issuer.get(&new).await.status.as_u16(), 200);
    revoke(&issuer, &first).await;
    assert!(
        bits(&issuer.get(&old).await)[taken],
        "a closed list goes on"
    );
    let mut events = Events::open(issuer.public, &format!("{old}/events"), &[]).await;
    events.next().await.unwrap();
    // Closed at 1800 s, so its last session could live until 5400 s, and 30 s of leeway.
    issuer.clock.advance(Duration::from_secs(3_629));
    assert_eq!(issuer.get(&old).await.status.as_u16(), 200);
    issuer.clock.advance(Duration::from_secs(1));
    eventually("the dead list is gone", async || {
        issuer.get(&old).await.status == 404
    })
    .await;
    while events.next().await.is_some() {}
    assert_eq!(issuer.get(&new).await.status.as_u16(), 200);
    let places = "SELECT COUNT(*) FROM queue_session_statuses";
    assert_eq!(database.number(places).await, 1);
}

async fn restored_list_is_read_again(database: Database) {
    let issuer = Issuer::start(&database).await;
    let (first, second) = (session(&issuer).await, {
        let customer = issuer.customer("bob@example.com").await;
        issuer.mint(&customer).await.expect(201)
    });
    let (path, idx) = place(&first);
    revoke(&issuer, &first).await;
    let on = |table: &str| match database.is_postgres() {
        true => format!(" ON {table}"),
        false => String::new(),
    };
    let restore = format!(
        "DROP TRIGGER queue_status_lists_walk_forward{}; DROP TRIGGER queue_session_statuses_are_final{};
         UPDATE queue_session_statuses SET revoked_version = NULL; UPDATE queue_status_lists SET version = 0",
        on("queue_status_lists"),
        on("queue_session_statuses"),
    );
    database.execute(&restore).await.unwrap();
    eventually(
        "the revocation is forgotten, like in the database",
        async || !bits(&issuer.get(&path).await)[idx],
    )
    .await;
    revoke(&issuer, &second).await;
    let last = bits(&issuer.get(&path).await);
    assert!(last[place(&second).1] && !last[idx]);
}

async fn list_longer_than_a_token_is_published(database: Database) {
    let more = [("QUEUE_ISSUER_STATUS_LIST_SIZE", "131072")];
    let issuer = Issuer::start_with(&database, &more, FakeClock::new()).await;
    let (path, taken) = place(&session(&issuer).await);
    database.execute(&scatter(&database, taken)).await.unwrap();
    let update = "UPDATE queue_sessions SET revoked_at = created_at, revoked_by = 'test', revoke_reason = 'test'";
    database.execute(update).await.unwrap();
    eventually("every bit", async || {
        let answer = issuer.get(&path).await;
        let set = bits(&answer).iter().filter(|bit| **bit).count();
        set >= 24_001 && answer.body.len() > 16 * 1024
    })
    .await;
}

/// Takes every place but `taken`.
fn fill(database: &Database, taken: usize) -> String {
    give(database, 1_024, taken, "n")
}

/// Takes 24000 places, strewn so that they do not pack well.
fn scatter(database: &Database, taken: usize) -> String {
    // Multiplying by an odd number keeps the places apart from each other.
    give(database, 24_001, taken, "(n * 30637 + n * n * 2) % 131072")
}

/// Sessions like the one there is, for n from 0 to `count`, at `place` unless that is `taken`.
fn give(database: &Database, count: usize, taken: usize, place: &str) -> String {
    let id = if database.is_postgres() {
        "('00000000-0000-7000-8000-' || lpad(n::TEXT, 12, '0'))::UUID"
    } else {
        "printf('00000000-0000-7000-8000-%012d', n)"
    };
    let numbers = format!(
        "WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {count})"
    );
    format!(
        "{numbers} INSERT INTO queue_sessions (id, tenant_id, customer_id, audience, client_id, acr, auth_time,
                                               created_at, expires_at)
         SELECT {id}, tenant_id, customer_id, audience, client_id, acr, auth_time, created_at, expires_at
         FROM queue_sessions, numbers WHERE {place} <> {taken};
         {numbers} INSERT INTO queue_session_statuses (tenant_id, session_id, list_id, idx)
         SELECT tenant_id, {id}, list_id, {place} FROM queue_session_statuses, numbers WHERE {place} <> {taken}"
    )
}
