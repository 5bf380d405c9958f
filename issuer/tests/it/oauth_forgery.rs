//! What must not pass for a service, and what a service must not pass for (hazard I41).

use std::time::Duration;

use ::http::Method;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use queue_verifier::{KeySource, Require, Verifier};
use serde_json::{Value, json};

use crate::harness::{Database, FakeClock, Issuer, RAPTOR, START, look_into, on_both_engines};
use crate::key::pem;
use crate::oauth::{access, basic};
use crate::service_clients::status;

on_both_engines! {
    service_token_invalid_for_every_other_token_of_ours
    service_token_is_no_session
}

async fn service_token_invalid_for_every_other_token_of_ours(database: Database) {
    let key = pem();
    let more = [("QUEUE_JWT_SIGNING_KEY", key.as_str())];
    let issuer = Issuer::start_with(&database, &more, FakeClock::new()).await;
    let real = access(&issuer, &basic("raptor", RAPTOR), &[]).await;
    let (header, claims) = look_into(&real);
    let pair = pair(&key);
    let sign = |header: &Value, claims: &Value| {
        let input = input(header, claims);
        let mut signature = vec![0; pair.public_modulus_len()];
        let random = SystemRandom::new();
        pair.sign(&RSA_PKCS1_SHA256, &random, input.as_bytes(), &mut signature)
            .unwrap();
        format!("{input}.{}", base64url(&signature))
    };
    let with = |name: &str, value: Value| {
        let mut changed = claims.clone();
        changed[name] = value;
        sign(&header, &changed)
    };
    let headed = |name: &str, value: Value| {
        let mut changed = header.clone();
        changed[name] = value;
        sign(&changed, &claims)
    };
    // What is forged below differs from this one alone.
    assert_eq!(status(&issuer, &sign(&header, &claims)).await.0, 404);
    let customer = issuer.customer("ada@example.com").await;
    let minted = issuer.mint(&customer).await.expect(201);
    let session = minted["access_token"].as_str().unwrap().to_owned();
    let uuid = "01a20b00-94db-741f-9219-ec14c43ddf3b";
    let mut forged = vec![
        ("a customer's session", session),
        ("another audience", with("aud", json!("raptor"))),
        (
            "two audiences",
            with("aud", json!(["raptor", "http://localhost:4100"])),
        ),
        (
            "another issuer",
            with("iss", json!("http://localhost:4101")),
        ),
        ("expired", with("exp", json!(START - 31))),
        ("issued in the future", with("iat", json!(START + 31))),
        ("an unknown client", with("sub", json!("nobody"))),
        ("a session's claim", with("sid", json!(uuid))),
        ("roles", with("roles", json!(["antlers-admin"]))),
        (
            "an authentication",
            with("acr", json!("urn:queue:acr:legacy")),
        ),
        (
            "a customer's scope",
            with("scope", json!("customer customers:read")),
        ),
        ("a dead credential", with("credential_id", json!(uuid))),
        ("no credential", with("credential_id", json!(1))),
        ("a bound token", with("cnf", json!({ "jkt": "x" }))),
        ("another client", with("client_id", json!("velvet"))),
        ("an ID token", headed("typ", json!("JWT"))),
        ("a status list", headed("typ", json!("statuslist+jwt"))),
        ("another algorithm", headed("alg", json!("RS384"))),
        ("another key", headed("kid", json!("x"))),
    ];
    let mut unsigned = header.clone();
    unsigned["alg"] = json!("none");
    forged.push(("no signature", format!("{}.", input(&unsigned, &claims))));
    let set = issuer.get("/.well-known/jwks.json").await.expect(200);
    let modulus = set["keys"][0]["n"].as_str().unwrap();
    let mut symmetric = header.clone();
    symmetric["alg"] = json!("HS256");
    let raw = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(modulus).unwrap();
    for secret in [
        modulus.as_bytes(),
        &raw,
        set["keys"][0].to_string().as_bytes(),
    ] {
        let input = input(&symmetric, &claims);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
        forged.push((
            "a public key as secret",
            format!("{input}.{}", base64url(tag.as_ref())),
        ));
    }
    for (what, token) in &forged {
        let expect = (401, "service_token_invalid".to_owned());
        assert_eq!(status(&issuer, token).await, expect, "{what}");
    }
    // The mirror image: for the operators' listener a session is nobody either.
    let headers = [("authorization", &*crate::harness::bearer(&forged[0].1))];
    let keys = crate::http::request(Method::GET, "/api/v1/keys", &headers, None);
    crate::http::send(issuer.ops, keys)
        .await
        .expect_problem(401, "service_token_invalid");
}

async fn service_token_is_no_session(database: Database) {
    let issuer = Issuer::start(&database).await;
    let set = issuer.get("/.well-known/jwks.json").await.text();
    let verifier = Verifier::builder("http://localhost:4100", "raptor")
        .keys(KeySource::jwk_set(&set))
        .clock(std::sync::Arc::new(Standing))
        .build()
        .unwrap();
    let service = access(&issuer, &basic("raptor", RAPTOR), &[("audience", "raptor")]).await;
    let customer = issuer.customer("ada@example.com").await;
    let minted = issuer.mint(&customer).await.expect(201);
    let session = minted["access_token"].as_str().unwrap();
    let read = verifier.validate_session(&service).unwrap();
    assert_eq!((read.session_id(), read.subject()), (None, Some("raptor")));
    let day = Duration::from_secs(86_400);
    for (require, code) in [
        (Require::new().scope("customer"), "claims_scope_missing"),
        (Require::new().role("antlers-user"), "claims_role_missing"),
        (
            Require::new().acr("urn:queue:acr:legacy"),
            "claims_acr_insufficient",
        ),
        (Require::new().max_auth_age(day), "claims_auth_too_old"),
    ] {
        verifier
            .validate_session_requiring(session, &require)
            .unwrap();
        let refused = verifier
            .validate_session_requiring(&service, &require)
            .unwrap_err();
        assert_eq!(refused.code().as_str(), code);
    }
    // Our own API's tokens open no other service.
    let ours = access(&issuer, &basic("raptor", RAPTOR), &[]).await;
    let refused = verifier.validate_session(&ours).unwrap_err();
    assert_eq!(refused.code().as_str(), "claims_aud_mismatch");
}

#[derive(Debug)]
struct Standing;

impl queue_verifier::Clock for Standing {
    fn now(&self) -> u64 {
        u64::try_from(START).unwrap()
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

fn pair(pem: &str) -> RsaKeyPair {
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64_simd::STANDARD.decode_to_vec(body).unwrap();
    RsaKeyPair::from_pkcs8(&der).unwrap()
}

fn input(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| base64url(value.to_string().as_bytes());
    format!("{}.{}", part(header), part(claims))
}

fn base64url(bytes: &[u8]) -> String {
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(bytes)
}
