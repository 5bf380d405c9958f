//! Tokens as bytes, and the self-check that stands behind them.

use std::sync::Arc;
use std::time::Duration;

use super::{MAX_BYTES, MintError, jitter, mint};
use crate::clock::{Clock, Timestamp};
use crate::db::{DEFAULT_TENANT, Id};
use crate::key::jwk_set::PublishedSet;
use crate::key::material::{MaterialError, SigningKey};
use crate::token::claims::{Claims, Grant, StatusReference};
use crate::token::selfcheck::SelfCheck;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_478_400);

#[derive(Debug)]
struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

fn key() -> SigningKey {
    SigningKey::generate(2048).unwrap().0
}

fn claims(roles: usize) -> Claims {
    let grant = Grant {
        issuer: "https://id.example.com".to_owned(),
        audience: "raptor".to_owned(),
        client_id: "raptor".to_owned(),
        customer: Id::new(NOW),
        session: Id::new(NOW),
        tenant: DEFAULT_TENANT,
        auth_time: NOW,
        acr: "urn:queue:acr:legacy".to_owned(),
        amr: Vec::new(),
        roles: (0..roles).map(|n| format!("role-{n:03}")).collect(),
        authz_ver: 1,
        status: StatusReference {
            idx: 1_048_575,
            uri: format!("https://id.example.com/status-lists/{}", Id::new(NOW)),
        },
        session_expires_at: NOW.plus(Duration::from_secs(3_600)),
    };
    Claims::new(&grant, NOW, Duration::from_secs(300))
}

fn check_by(key: &SigningKey) -> SelfCheck {
    let set = PublishedSet::render(1, std::slice::from_ref(&key.public)).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(Standing);
    SelfCheck::new(
        "https://id.example.com",
        &["raptor".to_owned()],
        set.as_str(),
        &clock,
    )
    .unwrap()
}

#[test]
fn minted_token_passes_its_own_check_and_no_other() {
    let (ours, other) = (key(), key());
    let claims = claims(1);
    let token = mint(&claims, &ours).unwrap();
    check_by(&ours).check(&token, &claims).unwrap();
    assert!(
        check_by(&other).check(&token, &claims).is_err(),
        "a set without the key"
    );
    let mut changed = claims.clone();
    changed.sub = Id::new(NOW).to_string();
    assert!(
        check_by(&ours).check(&token, &changed).is_err(),
        "another subject than was asked for"
    );
    changed.iss = "https://evil.example".to_owned();
    let foreign = mint(&changed, &ours).unwrap();
    assert!(
        check_by(&ours).check(&foreign, &changed).is_err(),
        "another issuer"
    );
    let mut long_ago = claims;
    long_ago.exp = NOW.unix_seconds() - 31;
    let dead = mint(&long_ago, &ours).unwrap();
    assert!(
        check_by(&ours).check(&dead, &long_ago).is_err(),
        "an expired token"
    );
}

#[test]
fn token_too_large_is_not_minted() {
    let key = key();
    assert!(mint(&claims(20), &key).unwrap().len() <= MAX_BYTES);
    assert!(matches!(mint(&claims(100), &key), Err(MintError::TooLarge(size)) if size > MAX_BYTES));
}

#[test]
fn life_is_shortened_by_five_percent_at_most() {
    let life = Duration::from_secs(300);
    let cuts: std::collections::BTreeSet<u64> = (0..1_000)
        .map(|random| jitter(life, random).as_secs())
        .collect();
    assert_eq!(cuts, (0..=15).collect());
    assert_eq!(jitter(Duration::from_secs(19), u32::MAX), Duration::ZERO);
}

#[test]
fn pem_text_is_read_whole_or_refused() {
    let block = |label: &str, body: &str| {
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
    };
    let (generated, pkcs8) = SigningKey::generate(2048).unwrap();
    let body = base64_simd::STANDARD.encode_to_string(pkcs8.as_slice());
    let pem = block("PRIVATE KEY", &body);
    let read = SigningKey::from_pem(&format!("  \n{pem}\r\n{pem}")).unwrap();
    assert_eq!(
        read.iter().map(SigningKey::kid).collect::<Vec<_>>(),
        [generated.kid(), generated.kid()]
    );
    for text in [
        String::new(),
        "not pem".to_owned(),
        body.clone(),
        format!("{pem}trailing"),
        block("PUBLIC KEY", &body),
        block("EC PRIVATE KEY", &body),
        block("ENCRYPTED PRIVATE KEY", &body),
        block("RSA PRIVATE KEY", &body),
        block("PRIVATE KEY", "AAAA"),
        pem.replace("END PRIVATE", "END OTHER"),
    ] {
        let refused = SigningKey::from_pem(&text).err();
        assert!(
            matches!(refused, Some(MaterialError::Pem | MaterialError::Rsa)),
            "{}",
            text.len()
        );
    }
}
