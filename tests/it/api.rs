//! The crate's API: settings, requirements, clones, threads.

use std::sync::Arc;
use std::time::Duration;

use queue_tests::clock::NOW;
use queue_tests::forge::{jwk_set, session_claims};
use queue_tests::{FakeClock, Forge};
use queue_verifier::{
    Algorithm, Audiences, CryptoBackend, ErrorCode, ErrorKind, KeySource, Profile, Require,
    Verifier,
};

const ISSUER: &str = "https://auth.example.com";

fn verifier(key: &Forge) -> Verifier {
    Verifier::builder(ISSUER, "raptor")
        .keys(KeySource::jwk_set(jwk_set(&[key])))
        .clock(FakeClock::at(NOW) as Arc<_>)
        .build()
        .expect("good settings")
}

#[test]
fn a_session_is_accepted_on_every_clone_and_thread() {
    let key = Forge::new("k1");
    let verifier = verifier(&key);
    let token = key.sign(&session_claims(ISSUER, "raptor", NOW));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (verifier, token) = (verifier.clone(), &token);
            scope.spawn(move || {
                let session = verifier.validate_session(token).expect("a good token");
                assert_eq!(session.client_id(), Some("raptor"));
                assert_eq!(session.claim::<u64>("authz_ver"), Some(1));
                assert_eq!(session.freshness().key_set_age, 0);
            });
        }
    });
}

#[test]
fn requirements_of_a_call_come_beside_those_of_the_builder() {
    let key = Forge::new("k1");
    let token = key.sign(&session_claims(ISSUER, "raptor", NOW));
    let verifier = |scope| {
        Verifier::builder(ISSUER, "raptor")
            .keys(KeySource::jwk_set(jwk_set(&[&key])))
            .require(Require::new().scope(scope))
            .clock(FakeClock::at(NOW) as Arc<_>)
            .build()
            .expect("good settings")
    };
    let refused = |verifier: &Verifier, require| {
        let verdict = verifier.validate_session_requiring(&token, &require);
        verdict.err().map(|error| error.code())
    };
    let (lax, strict) = (verifier("openid"), verifier("admin"));
    let missing = Some(ErrorCode::ClaimsScopeMissing);
    assert_eq!(refused(&lax, Require::new().scope("profile")), None);
    assert_eq!(refused(&lax, Require::new().scope("admin")), missing);
    assert_eq!(refused(&strict, Require::new().scope("openid")), missing);
    assert_eq!(refused(&strict, Require::new()), missing);
}

#[test]
fn several_audiences_are_accepted() {
    let key = Forge::new("k1");
    let audiences = Audiences::from(["raptor", "velvet"]);
    let verifier = Verifier::builder(ISSUER, audiences)
        .keys(KeySource::jwk_set(jwk_set(&[&key])))
        .clock(FakeClock::at(NOW) as Arc<_>)
        .build()
        .expect("good settings");
    for (audience, is_ours) in [("raptor", true), ("velvet", true), ("console", false)] {
        let token = key.sign(&session_claims(ISSUER, audience, NOW));
        assert_eq!(
            verifier.validate_session(token).is_ok(),
            is_ours,
            "{audience}"
        );
    }
}

#[track_caller]
fn refuses(code: &str, builder: queue_verifier::Builder) {
    let error = builder.build().expect_err("a bad setting");
    assert_eq!(error.code(), code, "{error}");
}

#[test]
fn bad_settings_have_codes() {
    let key = Forge::new("k1");
    let good = || Verifier::builder(ISSUER, "raptor").keys(KeySource::jwk_set(jwk_set(&[&key])));
    assert!(good().build().is_ok());
    refuses("config_issuer_invalid", Verifier::builder("", "raptor"));
    refuses(
        "config_issuer_invalid",
        Verifier::builder("https://a b", "raptor"),
    );
    refuses(
        "config_audience_invalid",
        Verifier::builder(ISSUER, Vec::new()),
    );
    refuses("config_audience_invalid", Verifier::builder(ISSUER, ""));
    refuses("config_algorithms_empty", good().algorithms([]));
    refuses(
        "config_leeway_out_of_bounds",
        good().leeway(Duration::from_secs(301)),
    );
    refuses(
        "config_leeway_out_of_bounds",
        good().leeway(Duration::from_millis(1500)),
    );
    refuses(
        "config_stale_limit_out_of_bounds",
        good().stale_limit(Duration::from_secs(86_401)),
    );
    for age in [
        Duration::ZERO,
        Duration::from_secs(30 * 86_400 + 1),
        Duration::MAX,
    ] {
        refuses(
            "config_snapshot_max_age_out_of_bounds",
            good().snapshot_max_age(age),
        );
    }
    refuses(
        "config_key_file_unreadable",
        good().keys(KeySource::jwk_set_file("/nowhere/jwks.json")),
    );
    refuses(
        "config_key_set_unusable",
        good().keys(KeySource::jwk_set("{}")),
    );
    refuses(
        "config_public_key_unusable",
        good().keys(KeySource::public_key_pem("not a key")),
    );
    for url in [
        "http://example.com/jwks.json",
        "ftp://127.0.0.1/jwks.json",
        "file:///etc/passwd",
        "data:application/json,{}",
        "https://user:secret@example.com/jwks.json",
        "http://127.0.0.1.example.com/jwks.json",
        "not a url",
    ] {
        refuses(
            "config_jwks_uri_unusable",
            good().keys(KeySource::jwks_uri(url)),
        );
    }
    refuses(
        "config_jwks_uri_unusable",
        Verifier::builder("issuer-without-scheme", "raptor"),
    );
}

#[test]
fn a_key_set_file_is_read() {
    let key = Forge::new("k1");
    let file = std::env::temp_dir().join(format!("queue-jwks-{}.json", std::process::id()));
    std::fs::write(&file, jwk_set(&[&key])).expect("a writable temp folder");
    let verifier = Verifier::builder(ISSUER, "raptor")
        .keys(KeySource::jwk_set_file(&file))
        .clock(FakeClock::at(NOW) as Arc<_>)
        .build();
    std::fs::remove_file(&file).expect("the file was written");
    let token = key.sign(&session_claims(ISSUER, "raptor", NOW));
    assert!(
        verifier
            .expect("good settings")
            .validate_session(token)
            .is_ok()
    );
}

#[test]
fn an_error_says_what_was_expected_and_nothing_of_the_token() {
    let key = Forge::new("k1");
    let mut claims = session_claims("https://secret.example", "raptor", NOW);
    claims.insert("sub".into(), "secret-subject".into());
    let token = key.sign(&claims);
    let error = verifier(&key).validate_session(&token).unwrap_err();
    assert_eq!(
        (error.code(), error.kind()),
        (ErrorCode::ClaimsIssMismatch, ErrorKind::Verdict)
    );
    let shown = format!("{error} {error:?}");
    for segment in token.split('.').chain(["secret"]) {
        assert!(!shown.contains(segment), "{shown}");
    }
    let evil = serde_json::json!({"alg": "RS256", "typ": "at+jwt", "kid": format!("\u{1b}[2J\r\nadmin{}", "x".repeat(90))});
    let error = verifier(&key)
        .validate_session(key.sign_as(&evil, &claims))
        .unwrap_err();
    let shown = error.to_string();
    assert_eq!(error.code(), ErrorCode::KeyNotFound);
    assert!(
        shown.len() < 200 && !shown.contains(['\r', '\n', '\u{1b}']),
        "{shown}"
    );
}

#[test]
fn foreign_profiles_and_algorithms_are_settings_not_accidents() {
    let key = Forge::new("k1");
    let claims = session_claims(ISSUER, "raptor", NOW);
    let foreign = key.sign_as(&serde_json::json!({"alg": "RS256", "kid": "k1"}), &claims);
    let refused = verifier(&key).validate_session(&foreign).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::HeaderTypMismatch);
    let accepting = Verifier::builder(ISSUER, "raptor")
        .keys(KeySource::jwk_set(jwk_set(&[&key])))
        .profile(Profile::Jwt)
        .algorithms([Algorithm::RS256, Algorithm::ES256])
        .backend(CryptoBackend::AwsLcRs)
        .clock(FakeClock::at(NOW) as Arc<_>)
        .build()
        .expect("good settings");
    assert!(accepting.validate_session(&foreign).is_ok());
}

#[test]
fn a_caller_may_be_ready_to_wait_for_ever() {
    assert!(verifier(&Forge::new("k1")).wait_ready(Duration::MAX));
}
