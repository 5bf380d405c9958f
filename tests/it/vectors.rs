//! The Rust door: every vector against the crate's API, on both backends.
//!
//! Its outcomes are committed in `tests/vectors/outcomes.json`; every other door is held against
//! that file. `UPDATE_OUTCOMES=1` writes it anew, for a reader to judge the difference.

use std::collections::BTreeMap;

use queue_tests::vectors::{Case, Expected, jwt_cases, root};
use queue_verifier::{CryptoBackend, JwsVerifier, KeySource};

const BACKENDS: [CryptoBackend; 2] = [CryptoBackend::Ring, CryptoBackend::AwsLcRs];

/// Valid by the letter of an RFC, refused by our contract; the reason each.
const REFUSED_BY_CONTRACT: [(&str, &str); 1] = [(
    "control/nested_100",
    "JSON nests 16 levels at most (contract §2)",
)];

/// Refused by some products, accepted by our contract; the reason each.
const ACCEPTED_BY_CONTRACT: [(&str, &str); 1] = [(
    "wyche/json_web_key/7",
    "a ROCA modulus is a weakness of its maker; the set is the issuer's word for its keys",
)];

fn outcome(case: &Case, backend: CryptoBackend) -> String {
    match case.setup.verifier(backend) {
        Err(_) => "config_error".to_owned(),
        Ok(verifier) => match verifier.validate_session_requiring(&case.token, &case.require) {
            Ok(_) => "valid".to_owned(),
            Err(error) => error.code().as_str().to_owned(),
        },
    }
}

#[test]
fn every_case_has_its_expected_verdict() {
    let mut failures = Vec::new();
    for case in jwt_cases() {
        for backend in BACKENDS {
            let outcome = outcome(&case, backend);
            let is_expected = match (case.expected, case.layer.as_str()) {
                (Expected::Policy, _) => true,
                // A JWS that is no JWT falls for its claims, never for its signature.
                (Expected::Valid, "jws") => !outcome.starts_with("signature_"),
                (Expected::Valid, _) => {
                    outcome == "valid" || REFUSED_BY_CONTRACT.iter().any(|(id, _)| *id == case.id)
                }
                (Expected::Invalid, _) => outcome != "valid",
            };
            let is_config_error = outcome == "config_error";
            let is_exact = case.code.as_ref().is_none_or(|code| *code == outcome)
                && (!case.config_error || is_config_error);
            if !is_expected || !is_exact {
                failures.push(format!(
                    "{} on {backend:?}: expected {:?} {:?}, found {outcome}: {}",
                    case.id, case.expected, case.code, case.why
                ));
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} failures\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn ids_are_unique() {
    let mut seen = std::collections::HashSet::new();
    for case in jwt_cases() {
        assert!(seen.insert(case.id.clone()), "{} twice", case.id);
    }
}

#[test]
fn outcomes_are_those_committed() {
    let found: BTreeMap<String, String> = jwt_cases()
        .iter()
        .map(|case| (case.id.clone(), outcome(case, CryptoBackend::AwsLcRs)))
        .collect();
    let file = root().join("outcomes.json");
    if std::env::vars().any(|(name, _)| name == "UPDATE_OUTCOMES") {
        let text = serde_json::to_string_pretty(&found).expect("plain JSON") + "\n";
        std::fs::write(&file, text).expect("the checkout can be written");
    }
    let text = std::fs::read_to_string(&file).expect("outcomes.json is committed");
    let committed: BTreeMap<String, String> = serde_json::from_str(&text).expect("a JSON object");
    let differences: Vec<String> = found
        .iter()
        .filter(|(id, outcome)| committed.get(*id) != Some(outcome))
        .map(|(id, outcome)| format!("{id}: committed {:?}, found {outcome}", committed.get(id)))
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert_eq!(
        committed.len(),
        found.len(),
        "outcomes.json names cases that are gone"
    );
}

#[test]
fn sessions_have_the_members_expected() {
    let mut compared = 0;
    for case in jwt_cases() {
        let Some(expected) = &case.session else {
            continue;
        };
        let verifier = case
            .setup
            .verifier(CryptoBackend::Ring)
            .expect("a valid case has good keys");
        let session = verifier
            .validate_session_requiring(&case.token, &case.require)
            .unwrap_or_else(|error| panic!("{}: {error}", case.id));
        let found = serde_json::to_value(&session).expect("a session is plain JSON");
        for (name, value) in expected {
            assert_eq!(&found[name], value, "{name} of {}", case.id);
        }
        compared += 1;
    }
    assert!(compared > 10, "compared {compared} sessions");
}

#[test]
fn the_signature_layer_alone_agrees() {
    let mut failures = Vec::new();
    let mut accepted = 0;
    for case in jwt_cases().iter().filter(|case| case.layer == "jws") {
        for backend in BACKENDS {
            let verifier = JwsVerifier::new(
                &KeySource::jwk_set(case.setup.jwk_set.as_str()),
                &case.setup.algorithms,
                backend,
            );
            let is_valid = verifier.is_ok_and(|verifier| verifier.verify(&case.token).is_ok());
            accepted += usize::from(is_valid);
            let is_supported = !case.setup.algorithms.is_empty();
            let is_expected = match case.expected {
                Expected::Policy => true,
                Expected::Valid => is_valid || !is_supported,
                Expected::Invalid => {
                    !is_valid || ACCEPTED_BY_CONTRACT.iter().any(|(id, _)| *id == case.id)
                }
            };
            if !is_expected {
                failures.push(format!(
                    "{} on {backend:?}: {:?}: {}",
                    case.id, case.expected, case.why
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(accepted >= 20, "accepted only {accepted}");
}
