//! Status lists: a place for each session, a bit for each revocation, and news of it at once.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::time::Duration;

use ::http::Method;
use flate2::read::ZlibDecoder;
use queue_verifier::{Algorithm, CryptoBackend, JwsVerifier, KeySource};
use serde_json::{Value, json};

use crate::events::Events;
use crate::harness::{Database, FakeClock, Issuer, START, eventually, look_into, on_both_engines};
use crate::http::Answer;

on_both_engines! {
    token_names_a_place_of_a_signed_list
    places_are_random_and_never_shared
    revocation_is_published_when_it_is_answered
    bit_is_set_in_the_transaction_that_revokes
    place_and_version_are_final
    session_without_a_place_gets_one_with_its_next_token
    etag_answers_304
    status_list_not_found
    lists_are_listed
    queue_disabled_leaves_the_lists
    subscriber_is_told_at_once_and_of_each_revocation
    status_list_subscribers_full
    drain_ends_the_events
    rotation_signs_the_lists_again
    list_is_signed_again_each_hour
}

/// The path of the list a token names, and its index.
pub(crate) fn place(minted: &Value) -> (String, usize) {
    let (_, claims) = look_into(minted["access_token"].as_str().unwrap());
    let status = &claims["status"]["status_list"];
    let uri = status["uri"].as_str().unwrap();
    let path = uri.strip_prefix("http://localhost:4100").unwrap();
    let idx = usize::try_from(status["idx"].as_u64().unwrap()).unwrap();
    (path.to_owned(), idx)
}

/// The bits of a signed list, unpacked without the code that packed them.
pub(crate) fn bits(answer: &Answer) -> Vec<bool> {
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
    let (_, claims) = look_into(&answer.text());
    assert_eq!(claims["status_list"]["bits"], 1);
    let lst = claims["status_list"]["lst"].as_str().unwrap();
    let packed = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(lst).unwrap();
    let mut bytes = Vec::new();
    ZlibDecoder::new(packed.as_slice())
        .read_to_end(&mut bytes)
        .unwrap();
    let bit = |at: usize| bytes[at / 8] >> (at % 8) & 1 == 1;
    (0..bytes.len() * 8).map(bit).collect()
}

pub(crate) async fn revoke(issuer: &Issuer, minted: &Value) {
    let sid = minted["session"]["session_id"].as_str().unwrap();
    let path = format!("/api/v1/service/sessions/{sid}/revoke");
    issuer.raptor(Method::POST, &path, None).await.expect(200);
}

/// A session of a new customer.
pub(crate) async fn session(issuer: &Issuer) -> Value {
    let customer = issuer.customer("ada@example.com").await;
    issuer.mint(&customer).await.expect(201)
}

async fn token_names_a_place_of_a_signed_list(database: Database) {
    let issuer = Issuer::start(&database).await;
    let minted = session(&issuer).await;
    let (path, idx) = place(&minted);
    let answer = issuer.get(&path).await;
    assert_eq!(answer.header("content-type"), "application/statuslist+jwt");
    let (header, claims) = look_into(&answer.text());
    let kid = &issuer.published().await[0];
    assert_eq!(
        header,
        json!({ "alg": "RS256", "typ": "statuslist+jwt", "kid": kid })
    );
    let expect = json!({
        "sub": format!("http://localhost:4100{path}"), "iat": START, "exp": START + 86_400, "ttl": 5,
        "status_list": claims["status_list"],
    });
    assert_eq!(claims, expect);
    let bits = bits(&answer);
    assert_eq!(bits.len(), 1 << 20);
    assert!(!bits.contains(&true) && idx < bits.len());
    let set = issuer.get("/.well-known/jwks.json").await.text();
    let judge = JwsVerifier::new(
        &KeySource::jwk_set(set),
        &[Algorithm::RS256],
        CryptoBackend::AwsLcRs,
    );
    judge.unwrap().verify(&answer.body).unwrap();
}

async fn places_are_random_and_never_shared(database: Database) {
    let more = [("QUEUE_ISSUER_STATUS_LIST_SIZE", "1024")];
    let issuer = Issuer::start_with(&database, &more, FakeClock::new()).await;
    let customer = issuer.customer("ada@example.com").await;
    let mut places = Vec::new();
    for _ in 0..40 {
        let minted = issuer.mint(&customer).await.expect(201);
        places.push(place(&minted).1);
    }
    let different: BTreeSet<_> = places.iter().collect();
    assert_eq!(different.len(), places.len());
    let follows = places.windows(2).filter(|pair| pair[1] == pair[0] + 1);
    assert!(follows.count() < 8, "{places:?}");
    assert!(!places.is_sorted());
}

async fn revocation_is_published_when_it_is_answered(database: Database) {
    let issuer = Issuer::start(&database).await;
    let (first, second) = (session(&issuer).await, {
        let customer = issuer.customer("bob@example.com").await;
        issuer.mint(&customer).await.expect(201)
    });
    let (path, idx) = place(&first);
    let before = issuer.get(&path).await;
    assert!(before.header("etag").starts_with("\"0-"));
    revoke(&issuer, &first).await;
    let after = issuer.get(&path).await;
    assert!(after.header("etag").starts_with("\"1-"));
    let set: Vec<usize> = bits(&after)
        .iter()
        .enumerate()
        .filter_map(|(at, bit)| bit.then_some(at))
        .collect();
    assert_eq!(set, [idx]);
    revoke(&issuer, &first).await;
    assert_eq!(issuer.get(&path).await.header("etag"), after.header("etag"));
    revoke(&issuer, &second).await;
    let last = bits(&issuer.get(&path).await);
    assert!(last[idx] && last[place(&second).1]);
    let metrics = issuer.get("/metrics").await.text();
    assert!(metrics.contains("queue_issuer_status_lists_signed_total{outcome=\"published\"}"));
}

async fn bit_is_set_in_the_transaction_that_revokes(database: Database) {
    let issuer = Issuer::start(&database).await;
    let minted = session(&issuer).await;
    let (path, idx) = place(&minted);
    let update = "UPDATE queue_sessions SET revoked_at = created_at, revoked_by = 'test', revoke_reason = 'test'";
    let version = "SELECT SUM(version) FROM queue_status_lists".to_owned();
    let version = if database.is_postgres() {
        version.replace("SUM(version)", "SUM(version)::BIGINT")
    } else {
        version
    };
    let marked = "SELECT COUNT(*) FROM queue_session_statuses WHERE revoked_version = 1";
    database
        .execute(&format!("BEGIN; {update}; ROLLBACK"))
        .await
        .unwrap();
    assert_eq!(
        (
            database.number(&version).await,
            database.number(marked).await
        ),
        (0, 0)
    );
    // Past every route: the database itself knows what a revocation is.
    database
        .execute(&format!("BEGIN; {update}; COMMIT"))
        .await
        .unwrap();
    assert_eq!(
        (
            database.number(&version).await,
            database.number(marked).await
        ),
        (1, 1)
    );
    eventually("the list says so", async || {
        bits(&issuer.get(&path).await)[idx]
    })
    .await;
}

async fn place_and_version_are_final(database: Database) {
    let issuer = Issuer::start(&database).await;
    revoke(&issuer, &session(&issuer).await).await;
    for sql in [
        "UPDATE queue_session_statuses SET idx = idx + 1",
        "UPDATE queue_session_statuses SET revoked_version = NULL",
        "DELETE FROM queue_session_statuses",
        "UPDATE queue_status_lists SET version = version - 1",
        "UPDATE queue_status_lists SET size = size * 2",
        "UPDATE queue_status_lists SET retired_at = created_at",
        "DELETE FROM queue_status_lists",
        "INSERT INTO queue_status_lists SELECT '00000000-0000-7000-8000-0000000000ff', tenant_id, size, 0,
             created_at, updated_at, NULL, NULL, NULL FROM queue_status_lists",
    ] {
        assert!(database.execute(sql).await.is_err(), "{sql}");
    }
}

async fn session_without_a_place_gets_one_with_its_next_token(database: Database) {
    let issuer = Issuer::start(&database).await;
    let customer = issuer.customer("ada@example.com").await;
    let mint = || crate::session::mint_with_key(&issuer, &customer);
    mint().await.expect(201);
    let trigger = "DROP TRIGGER queue_session_statuses_are_kept";
    let on = if database.is_postgres() {
        " ON queue_session_statuses"
    } else {
        ""
    };
    database.execute(&format!("{trigger}{on}")).await.unwrap();
    database
        .execute("DELETE FROM queue_session_statuses")
        .await
        .unwrap();
    let minted = mint().await.expect(201);
    let (path, idx) = place(&minted);
    assert_eq!(place(&mint().await.expect(201)), (path.clone(), idx));
    revoke(&issuer, &minted).await;
    assert!(bits(&issuer.get(&path).await)[idx]);
}

async fn etag_answers_304(database: Database) {
    let more = [("QUEUE_ISSUER_STATUS_LIST_TTL", "7s")];
    let issuer = Issuer::start_with(&database, &more, FakeClock::new()).await;
    let minted = session(&issuer).await;
    let (path, _) = place(&minted);
    let whole = issuer.get(&path).await;
    let etag = whole.header("etag").to_owned();
    let ask = |method: Method, tag: String| {
        let (issuer, path) = (&issuer, &path);
        async move {
            let headers = [("if-none-match", tag.as_str())];
            issuer.call(method, path, &headers, None).await
        }
    };
    let head = ask(Method::HEAD, "\"other\"".to_owned()).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    let same = ask(Method::GET, etag.clone()).await;
    assert_eq!((same.status.as_u16(), same.body.len()), (304, 0));
    for answer in [&whole, &head, &same] {
        assert_eq!(answer.header("etag"), etag);
        assert_eq!(
            answer.header("cache-control"),
            "public, max-age=7, s-maxage=1"
        );
        assert_eq!(answer.header("access-control-allow-origin"), "*");
    }
    assert_eq!(look_into(&whole.text()).1["ttl"], 7);
    revoke(&issuer, &minted).await;
    // The answer to a revocation waits for the list to be signed, but not for ever.
    eventually("the list is another", async || {
        ask(Method::GET, etag.clone()).await.status == 200
    })
    .await;
}

async fn status_list_not_found(database: Database) {
    let issuer = Issuer::start(&database).await;
    let unknown = "/status-lists/01a20b00-94db-741f-9219-ec14c43ddf3b";
    for path in [unknown.to_owned(), format!("{unknown}/events")] {
        issuer
            .get(&path)
            .await
            .expect_problem(404, "status_list_not_found");
    }
    issuer
        .get("/status-lists/1")
        .await
        .expect_problem(400, "request_path_malformed");
}

async fn lists_are_listed(database: Database) {
    let issuer = Issuer::start(&database).await;
    let none = issuer.get("/status-lists").await;
    assert_eq!(none.expect(200), json!({ "status_lists": [] }));
    let (path, _) = place(&session(&issuer).await);
    let listed = issuer.get("/status-lists").await;
    let uri = format!("http://localhost:4100{path}");
    assert_eq!(listed.expect(200), json!({ "status_lists": [uri] }));
    assert_ne!(listed.header("etag"), none.header("etag"));
    let metadata = issuer.get("/.well-known/openid-configuration").await;
    assert_eq!(
        metadata.expect(200)["status_list_aggregation_endpoint"],
        "http://localhost:4100/status-lists"
    );
}

async fn queue_disabled_leaves_the_lists(database: Database) {
    let clock = FakeClock::new();
    let on = Issuer::start_with(&database, &[], clock.clone()).await;
    let (path, _) = place(&session(&on).await);
    on.stop().await.unwrap();
    let off = Issuer::start_with(&database, &[("FLAG_QUEUE_V1", "off")], clock).await;
    assert_eq!(off.get(&path).await.status.as_u16(), 200);
    off.get("/status-lists").await.expect(200);
}

async fn subscriber_is_told_at_once_and_of_each_revocation(database: Database) {
    let issuer = Issuer::start(&database).await;
    let minted = session(&issuer).await;
    let (path, _) = place(&minted);
    let events = format!("{path}/events");
    let mut early = Events::open(issuer.public, &events, &[]).await;
    assert_eq!(early.header("content-type"), "text/event-stream");
    assert_eq!(early.header("access-control-allow-origin"), "*");
    assert_eq!(early.header("cache-control"), "no-store");
    let etag = issuer.get(&path).await.header("etag").to_owned();
    let first = early.next().await.unwrap();
    assert_eq!((first.name.as_str(), first.id.as_str()), ("version", "0"));
    assert_eq!(first.data, json!({ "version": 0, "etag": etag }));
    revoke(&issuer, &minted).await;
    let second = early.next().await.unwrap();
    let etag = issuer.get(&path).await.header("etag").to_owned();
    assert_eq!(second.data, json!({ "version": 1, "etag": etag }));
    // Whoever comes back has missed something or nothing, and is told the present version either way.
    let back = [("last-event-id", "0")];
    let mut late = Events::open(issuer.public, &events, &back).await;
    assert_eq!(late.next().await.unwrap().id, "1");
}

async fn status_list_subscribers_full(database: Database) {
    let more = [("QUEUE_ISSUER_STATUS_LIST_SUBSCRIBERS", "1")];
    let issuer = Issuer::start_with(&database, &more, FakeClock::new()).await;
    let (path, _) = place(&session(&issuer).await);
    let events = format!("{path}/events");
    let mut one = Events::open(issuer.public, &events, &[]).await;
    one.next().await.unwrap();
    let refused = issuer.get(&events).await;
    refused.expect_problem(503, "status_list_subscribers_full");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(issuer.get(&path).await.status.as_u16(), 200);
    drop(one);
    eventually("the place is free again", async || {
        Events::open(issuer.public, &events, &[]).await.status == 200
    })
    .await;
}

async fn drain_ends_the_events(database: Database) {
    let more = [("QUEUE_ISSUER_DRAIN_TIMEOUT", "5m")];
    let issuer = Issuer::start_with(&database, &more, FakeClock::new()).await;
    let (path, _) = place(&session(&issuer).await);
    let mut events = Events::open(issuer.public, &format!("{path}/events"), &[]).await;
    events.next().await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(30), issuer.stop());
    ended.await.expect("nobody waits for it").unwrap();
    assert!(events.next().await.is_none());
}

async fn rotation_signs_the_lists_again(database: Database) {
    let issuer = Issuer::start(&database).await;
    let (path, _) = place(&session(&issuer).await);
    let mut events = Events::open(issuer.public, &format!("{path}/events"), &[]).await;
    let before = events.next().await.unwrap();
    let made = issuer
        .operator(Method::POST, "/api/v1/keys", Some(json!({})))
        .await
        .expect(201);
    let kid = made["kid"].as_str().unwrap();
    issuer.clock.advance(Duration::from_secs(630));
    issuer
        .operator(Method::POST, &format!("/api/v1/keys/{kid}/activate"), None)
        .await
        .expect(200);
    let after = events.next().await.unwrap();
    assert_eq!(after.data["version"], before.data["version"]);
    assert_ne!(after.data["etag"], before.data["etag"]);
    assert_eq!(look_into(&issuer.get(&path).await.text()).0["kid"], kid);
}

async fn list_is_signed_again_each_hour(database: Database) {
    let issuer = Issuer::start(&database).await;
    let (path, _) = place(&session(&issuer).await);
    issuer.clock.advance(Duration::from_secs(3_599));
    let iat = async || look_into(&issuer.get(&path).await.text()).1["iat"].clone();
    assert_eq!(iat().await, START);
    issuer.clock.advance(Duration::from_secs(1));
    eventually("a younger list", async || iat().await == START + 3_600).await;
}
