//! Signing keys: generated once, rotated without a gap, revoked at once.

use std::time::Duration;

use ::http::Method;
use serde_json::{Value, json};

use crate::harness::{Database, FakeClock, Issuer, START, look_into, on_both_engines};

on_both_engines! {
    first_key_is_active_at_once
    key_is_sealed_at_rest
    private_members_are_never_published
    too_early
    rotation_keeps_every_needed_key
    key_still_needed
    revoked_key_leaves_the_set_at_once
    pending_key_is_not_published
    key_not_found
    generated_key_is_repeated_by_its_idempotency_key
    database_refuses_what_the_rules_refuse
    configured_key_signs
    configured_key_replaces_a_key_only_in_time
    weak_or_absent_kek_refuses_the_start
}

async fn first_key_is_active_at_once(database: Database) {
    let issuer = Issuer::start(&database).await;
    let keys = issuer
        .operator(Method::GET, "/api/v1/keys", None)
        .await
        .expect(200);
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    let key = &keys["keys"][0];
    assert_eq!(
        (&key["state"], &key["activated_at"], &key["source"]),
        (&json!("active"), &json!(START), &json!("generated"))
    );
    assert_eq!(issuer.published().await, [key["kid"].as_str().unwrap()]);
    issuer.stop().await.unwrap();
    let again = Issuer::start(&database).await;
    assert_eq!(again.published().await, [key["kid"].as_str().unwrap()]);
}

async fn key_is_sealed_at_rest(database: Database) {
    let issuer = Issuer::start(&database).await;
    let customer = issuer.customer("ada@example.com").await;
    issuer.mint(&customer).await.expect(201);
    // PKCS#8 of an RSA key carries the object identifier 1.2.840.113549.1.1.1 in the clear.
    let oid = "2a864886f70d010101";
    let hex = if database.is_postgres() {
        "encode(sealed_private, 'hex')"
    } else {
        "lower(hex(sealed_private))"
    };
    let plain = format!("SELECT COUNT(*) FROM queue_signing_keys WHERE {hex} LIKE '%{oid}%'");
    assert_eq!(database.number(&plain).await, 0);
    let sealed = "SELECT COUNT(*) FROM queue_signing_keys WHERE length(sealed_private) > 1000";
    assert_eq!(database.number(sealed).await, 1);
}

/// Hazard I45.
async fn private_members_are_never_published(database: Database) {
    let issuer = Issuer::start(&database).await;
    issuer
        .operator(Method::POST, "/api/v1/keys", Some(json!({})))
        .await
        .expect(201);
    let set = issuer.get("/.well-known/jwks.json").await.expect(200);
    let keys = set["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2);
    for key in keys {
        let mut members: Vec<&str> = key
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        members.sort_unstable();
        assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"]);
    }
    for answer in [
        issuer.operator(Method::GET, "/api/v1/keys", None).await,
        issuer
            .operator(Method::POST, "/api/v1/keys", Some(json!({})))
            .await,
    ] {
        for secret in ["sealed", "private", "\"d\"", "\"p\""] {
            assert!(!answer.text().contains(secret), "{secret}");
        }
    }
}

/// Hazard I42.
async fn too_early(database: Database) {
    let issuer = Issuer::start(&database).await;
    let kid = new_key(&issuer, json!({})).await;
    // Published + max-age 300 + refresh 300 + leeway 30, to the second on both sides.
    issuer.clock.advance(Duration::from_secs(629));
    let refused = step(&issuer, &kid, "activate").await;
    let problem = refused.expect_problem(409, "too_early");
    assert_eq!(problem["activatable_at"], START + 630);
    assert_eq!(refused.header("retry-after"), "1");
    issuer.clock.advance(Duration::from_secs(1));
    assert_eq!(
        step(&issuer, &kid, "activate").await.expect(200)["state"],
        "active"
    );
    assert_eq!(
        step(&issuer, &kid, "activate").await.expect(200)["state"],
        "active"
    );
    let events = "SELECT COUNT(*) FROM customer_audit_events WHERE action = 'key.activated' AND actor_kind = 'operator'";
    assert_eq!(database.number(events).await, 1);
}

/// Hazard I43.
async fn rotation_keeps_every_needed_key(database: Database) {
    let issuer = Issuer::start(&database).await;
    let customer = issuer.customer("ada@example.com").await;
    let first = issuer.published().await[0].clone();
    let second = new_key(&issuer, json!({})).await;
    let third = new_key(&issuer, json!({})).await;
    let etag = issuer
        .get("/.well-known/jwks.json")
        .await
        .header("etag")
        .to_owned();
    issuer.clock.advance(Duration::from_secs(630));
    for (kid, expect) in [(&second, 3), (&third, 3)] {
        step(&issuer, kid, "activate").await.expect(200);
        assert_eq!(
            issuer.published().await.len(),
            expect,
            "every key of a live token stays"
        );
        let (header, _) = look_into(
            issuer.mint(&customer).await.expect(201)["access_token"]
                .as_str()
                .unwrap(),
        );
        assert_eq!(header["kid"], **kid);
    }
    assert_ne!(
        issuer.get("/.well-known/jwks.json").await.header("etag"),
        etag
    );
    // Life 300 + leeway 30: a second before, the retired keys are there; then they go by themselves.
    issuer.clock.advance(Duration::from_secs(329));
    assert!(issuer.published().await.contains(&first));
    issuer.clock.advance(Duration::from_secs(1));
    crate::harness::eventually("retired keys leave the set", async || {
        issuer.published().await == [third.as_str()]
    })
    .await;
    let sealed = "SELECT COUNT(*) FROM queue_signing_keys WHERE state = 'destroyed' AND sealed_private IS NULL";
    assert_eq!(database.number(sealed).await, 2);
}

async fn key_still_needed(database: Database) {
    let issuer = Issuer::start(&database).await;
    let first = issuer.published().await[0].clone();
    step(&issuer, &first, "retire")
        .await
        .expect_problem(409, "key_still_needed");
    let second = new_key(&issuer, json!({})).await;
    step(&issuer, &second, "retire")
        .await
        .expect_problem(409, "key_state_refused");
    issuer.clock.advance(Duration::from_secs(630));
    step(&issuer, &second, "activate").await.expect(200);
    let problem = step(&issuer, &first, "retire")
        .await
        .expect_problem(409, "key_still_needed");
    assert_eq!(problem["needed_until"], START + 630 + 330);
    issuer.clock.advance(Duration::from_secs(330));
    assert_eq!(
        step(&issuer, &first, "retire").await.expect(200)["state"],
        "destroyed"
    );
    assert_eq!(issuer.published().await, [second.as_str()]);
}

async fn revoked_key_leaves_the_set_at_once(database: Database) {
    let issuer = Issuer::start(&database).await;
    let customer = issuer.customer("ada@example.com").await;
    let first = issuer.published().await[0].clone();
    let second = new_key(&issuer, json!({})).await;
    step(&issuer, &first, "revoke").await.expect(200);
    assert_eq!(issuer.published().await, [second.as_str()]);
    issuer
        .mint(&customer)
        .await
        .expect_problem(503, "key_unavailable");
    assert_eq!(issuer.get("/readyz").await.expect(503)["keys"], false);
    // With nothing left to sign with, the successor need not wait.
    step(&issuer, &second, "activate").await.expect(200);
    issuer.mint(&customer).await.expect(201);
    step(&issuer, &first, "activate")
        .await
        .expect_problem(409, "key_state_refused");
    step(&issuer, &first, "publish")
        .await
        .expect_problem(409, "key_state_refused");
    assert_eq!(
        step(&issuer, &first, "retire").await.expect(200)["state"],
        "destroyed"
    );
}

async fn pending_key_is_not_published(database: Database) {
    let issuer = Issuer::start(&database).await;
    let kid = new_key(&issuer, json!({ "publish": false })).await;
    assert_eq!(issuer.published().await.len(), 1);
    step(&issuer, &kid, "activate")
        .await
        .expect_problem(409, "key_state_refused");
    issuer.clock.advance(Duration::from_secs(10));
    let published = step(&issuer, &kid, "publish").await.expect(200);
    assert_eq!(published["activatable_at"], START + 10 + 630);
    assert_eq!(issuer.published().await.len(), 2);
}

async fn key_not_found(database: Database) {
    let issuer = Issuer::start(&database).await;
    for verb in ["publish", "activate", "retire", "revoke"] {
        step(&issuer, "nothing", verb)
            .await
            .expect_problem(404, "key_not_found");
    }
}

async fn generated_key_is_repeated_by_its_idempotency_key(database: Database) {
    use crate::harness::{OPS, bearer};
    let issuer = Issuer::start(&database).await;
    let bearer = bearer(OPS);
    let generate = || {
        let headers = [
            ("authorization", bearer.as_str()),
            ("idempotency-key", "rotation-7"),
        ];
        crate::http::send(
            issuer.ops,
            crate::http::request(
                Method::POST,
                "/api/v1/keys",
                &headers,
                Some("{}".to_owned()),
            ),
        )
    };
    let first = generate().await.expect(201);
    assert_eq!(generate().await.expect(201)["kid"], first["kid"]);
    assert_eq!(issuer.published().await.len(), 2);
}

async fn database_refuses_what_the_rules_refuse(database: Database) {
    let issuer = Issuer::start(&database).await;
    let second = new_key(&issuer, json!({})).await;
    for sql in [
        format!("UPDATE queue_signing_keys SET state = 'active', activated_at = created_at WHERE kid = '{second}'"),
        "UPDATE queue_signing_keys SET state = 'pending' WHERE state = 'active'".to_owned(),
        "UPDATE queue_signing_keys SET state = 'destroyed', destroyed_at = created_at WHERE state = 'active'".to_owned(),
        "UPDATE queue_signing_keys SET public_jwk = '{}'".to_owned(),
        "DELETE FROM queue_signing_keys".to_owned(),
        "UPDATE customer_audit_events SET actor_id = 'nobody'".to_owned(),
        "DELETE FROM customer_audit_events".to_owned(),
    ] {
        assert!(database.execute(&sql).await.is_err(), "{sql}");
    }
}

async fn configured_key_signs(database: Database) {
    let key = pem();
    let more = [
        ("QUEUE_JWT_SIGNING_KEY", key.as_str()),
        ("QUEUE_ISSUER_KEK", ""),
    ];
    let issuer = Issuer::start_with(&database, &more, FakeClock::new()).await;
    let customer = issuer.customer("ada@example.com").await;
    issuer.mint(&customer).await.expect(201);
    let keys = issuer
        .operator(Method::GET, "/api/v1/keys", None)
        .await
        .expect(200);
    assert_eq!(keys["keys"][0]["source"], "configured");
    assert_eq!(
        database
            .number("SELECT COUNT(*) FROM queue_signing_keys WHERE sealed_private IS NOT NULL")
            .await,
        0
    );
}

async fn configured_key_replaces_a_key_only_in_time(database: Database) {
    let (old, new) = (pem(), pem());
    let clock = FakeClock::new();
    let issuer =
        Issuer::start_with(&database, &[("QUEUE_JWT_SIGNING_KEY", &old)], clock.clone()).await;
    let first = issuer.published().await[0].clone();
    issuer.stop().await.unwrap();
    let alone =
        Issuer::try_start(&database, &[("QUEUE_JWT_SIGNING_KEY", &new)], clock.clone()).await;
    let error = alone.err().expect("the active key must stay at hand");
    assert_eq!(error.exit_code(), 64);
    assert!(
        error.to_string().starts_with("QUEUE_JWT_SIGNING_KEY"),
        "{error}"
    );
    let both = format!("{new}\n{old}");
    let issuer = Issuer::start_with(
        &database,
        &[("QUEUE_JWT_SIGNING_KEY", &both)],
        clock.clone(),
    )
    .await;
    let published = issuer.published().await;
    assert_eq!(published.len(), 2);
    let second = published.iter().find(|kid| **kid != first).unwrap().clone();
    step(&issuer, &second, "activate")
        .await
        .expect_problem(409, "too_early");
    clock.advance(Duration::from_secs(630));
    step(&issuer, &second, "activate").await.expect(200);
    issuer.stop().await.unwrap();
    Issuer::start_with(&database, &[("QUEUE_JWT_SIGNING_KEY", &new)], clock).await;
}

/// Hazard I47.
async fn weak_or_absent_kek_refuses_the_start(database: Database) {
    let clock = FakeClock::new();
    let zeros = base64_simd::STANDARD.encode_to_string([0_u8; 32]);
    let words = base64_simd::STANDARD.encode_to_string(b"changeme-changeme-changeme-12345");
    for kek in [zeros.as_str(), &words, "c2hvcnQ=", "not base64!"] {
        let refused =
            Issuer::try_start(&database, &[("QUEUE_ISSUER_KEK", kek)], clock.clone()).await;
        let error = refused.err().expect("a weak key-encryption key is refused");
        assert_eq!(error.exit_code(), 64);
        assert!(!error.to_string().contains(kek), "{error}");
    }
    let absent = Issuer::try_start(&database, &[("QUEUE_ISSUER_KEK", "")], clock.clone()).await;
    if database.is_postgres() {
        let error = absent
            .err()
            .expect("a shared database needs a key-encryption key");
        assert_eq!(error.exit_code(), 64);
        assert_eq!(
            database
                .number("SELECT COUNT(*) FROM queue_signing_keys")
                .await,
            0
        );
        return;
    }
    absent
        .unwrap_or_else(|error| panic!("{error}"))
        .stop()
        .await
        .unwrap();
    use std::os::unix::fs::MetadataExt as _;
    let made = std::fs::metadata(database.dir.join("kek")).unwrap();
    assert_eq!(made.mode() & 0o777, 0o600);
    let other = Issuer::try_start(&database, &[], clock)
        .await
        .err()
        .expect("another key does not open the sealed one");
    assert_eq!(other.exit_code(), 64);
}

async fn new_key(issuer: &Issuer, body: Value) -> String {
    let made = issuer
        .operator(Method::POST, "/api/v1/keys", Some(body))
        .await
        .expect(201);
    made["kid"].as_str().unwrap().to_owned()
}

async fn step(issuer: &Issuer, kid: &str, verb: &str) -> crate::http::Answer {
    issuer
        .operator(Method::POST, &format!("/api/v1/keys/{kid}/{verb}"), None)
        .await
}

/// A new RSA-2048 key as PKCS#8 PEM.
pub(crate) fn pem() -> String {
    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
    let pair =
        aws_lc_rs::signature::RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let text = base64_simd::STANDARD.encode_to_string(der.as_ref());
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----")
}
