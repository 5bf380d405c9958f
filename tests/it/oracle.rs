//! A second opinion: whatever we accept, `jsonwebtoken` must accept too.

use jsonwebtoken::{DecodingKey, Validation, decode, decode_header, jwk::Jwk};
use queue_tests::vectors::{Case, jwt_cases};
use queue_verifier::CryptoBackend;

/// Accepted by us, refused there; the reason each.
const DIFFERENCES: [(&str, &str); 1] = [(
    "queue/header/ignored_all_wrong_typed",
    "it reads `jku`, `x5u` and `x5c`; we never look at them, whatever their type",
)];

fn accepts(case: &Case) -> Result<(), String> {
    let text = std::str::from_utf8(&case.token).map_err(|error| error.to_string())?;
    let header = decode_header(text).map_err(|error| error.to_string())?;
    // It refuses a set for one odd entry; asked here is what it thinks of the tokens.
    let set: serde_json::Value =
        serde_json::from_str(&case.setup.jwk_set).map_err(|error| error.to_string())?;
    let entries = set["keys"].as_array().cloned().unwrap_or_default();
    let keys: Vec<Jwk> = entries
        .into_iter()
        .flat_map(serde_json::from_value)
        .collect();
    let mut validation = Validation::new(header.alg);
    validation.set_issuer(&[&case.setup.issuer]);
    validation.set_audience(&[&case.setup.audience]);
    // It cannot be told what time it is.
    validation.validate_exp = false;
    let candidates = keys
        .iter()
        .filter(|jwk| jwk.common.key_id == header.kid || header.kid.is_none());
    let mut last = "no key".to_owned();
    for jwk in candidates {
        let key = DecodingKey::from_jwk(jwk).map_err(|error| error.to_string())?;
        match decode::<serde_json::Value>(text, &key, &validation) {
            Ok(_) => return Ok(()),
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}

#[test]
fn jsonwebtoken_accepts_what_we_accept() {
    let mut asked = 0;
    let mut failures = Vec::new();
    for case in jwt_cases() {
        let Ok(verifier) = case.setup.verifier(CryptoBackend::Ring) else {
            continue;
        };
        if verifier
            .validate_session_requiring(&case.token, &case.require)
            .is_ok()
        {
            asked += 1;
            let is_known = DIFFERENCES.iter().any(|(id, _)| *id == case.id);
            if let (Err(error), false) = (accepts(&case), is_known) {
                failures.push(format!("{}: {error}", case.id));
            }
        }
    }
    assert!(asked > 100, "asked about {asked} tokens only");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
