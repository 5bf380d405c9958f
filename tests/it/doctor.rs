//! The doctor explains; the walk decides.

use std::sync::Arc;

use queue_tests::clock::NOW;
use queue_tests::forge::{jwk_set, session_claims};
use queue_tests::{FakeClock, Forge};
use queue_verifier::report::{Outcome, Report};
use queue_verifier::{CryptoBackend, KeySource, Require, Verifier};

const ISSUER: &str = "https://auth.example.com";

fn examine(key: &Forge, token: &str) -> Report {
    Verifier::builder(ISSUER, "raptor")
        .keys(KeySource::jwk_set(jwk_set(&[key])))
        .clock(FakeClock::at(NOW) as Arc<_>)
        .build()
        .expect("good settings")
        .doctor(token)
}

#[track_caller]
fn detail<'a>(report: &'a Report, check: &str) -> (Outcome, &'a str) {
    let found = report
        .checks
        .iter()
        .find(|found| found.check == check)
        .expect("the check is listed");
    (found.outcome, found.detail.as_deref().unwrap_or_default())
}

#[test]
fn a_good_token_passes_every_check() {
    let key = Forge::new("k1");
    let report = examine(&key, &key.sign(&session_claims(ISSUER, "raptor", NOW)));
    assert!(report.valid && report.code.is_none());
    assert!(
        report
            .checks
            .iter()
            .all(|check| check.outcome == Outcome::Pass),
        "{report:#?}"
    );
    assert_eq!(report.checks.len(), 21);
}

#[test]
fn several_faults_are_all_shown_and_near_misses_explained() {
    let key = Forge::new("k1");
    let mut claims = session_claims("https://auth.example.com/", "velvet", NOW);
    claims.insert("exp".into(), (NOW - 90).into());
    let report = examine(&key, &key.sign(&claims));
    assert_eq!(report.code, Some("claims_iss_mismatch"));
    let (outcome, iss) = detail(&report, "iss");
    assert!(
        outcome == Outcome::Fail && iss.contains("trailing slash"),
        "{iss}"
    );
    let (outcome, aud) = detail(&report, "aud");
    assert!(
        outcome == Outcome::Fail && aud.contains("`velvet`"),
        "{aud}"
    );
    let (outcome, exp) = detail(&report, "exp");
    assert!(
        outcome == Outcome::Fail && exp.contains("expired 90 s ago"),
        "{exp}"
    );
}

#[test]
fn claims_behind_a_bad_signature_are_marked_unverified() {
    let (key, other) = (Forge::new("k1"), Forge::new("k1"));
    let report = examine(&key, &other.sign(&session_claims(ISSUER, "raptor", NOW)));
    assert_eq!(report.code, Some("signature_invalid"));
    assert_eq!(detail(&report, "signature").0, Outcome::Fail);
    assert_eq!(detail(&report, "exp").0, Outcome::UnverifiedPass);
}

#[test]
fn the_verdict_is_the_walks_on_every_vector() {
    for case in queue_tests::vectors::jwt_cases() {
        let Ok(verifier) = case.setup.verifier(CryptoBackend::AwsLcRs) else {
            continue;
        };
        let verdict = verifier
            .validate_session(&case.token)
            .err()
            .map(|error| error.code().as_str());
        let report = verifier.doctor(&case.token);
        assert_eq!(report.code, verdict, "{}", case.id);
        let first = report.checks.iter().find_map(|check| check.code);
        assert_eq!(first, verdict, "first failed check of {}", case.id);
    }
}

#[test]
fn fresh_knowledge_that_is_required_and_missing_is_a_check_that_fails() {
    let key = Forge::new("k1");
    let verifier = Verifier::builder(ISSUER, "raptor")
        .keys(KeySource::jwk_set(jwk_set(&[&key])))
        .require(Require::new().fresh())
        .clock(FakeClock::at(NOW) as Arc<_>)
        .build()
        .expect("good settings");
    let report = verifier.doctor(key.sign(&session_claims(ISSUER, "raptor", NOW)));
    assert_eq!(
        (report.valid, report.code),
        (false, Some("status_unavailable"))
    );
    let failed: Vec<_> = report
        .checks
        .iter()
        .filter(|check| check.outcome != Outcome::Pass)
        .map(|check| (check.room, check.check, check.code))
        .collect();
    assert_eq!(
        failed,
        [("status", "freshness", Some("status_unavailable"))]
    );
}
