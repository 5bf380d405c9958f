//! Wycheproof's raw RSASSA-PKCS1-v1_5 cases, on every backend compiled in.

use serde::Deserialize;
use serde_json::Value;

use super::CryptoBackend;
use crate::algorithm::Algorithm;
use crate::key::{JwkRefused, PublicKey, jwk};

#[derive(Deserialize)]
struct Case {
    id: String,
    key: String,
    msg_hex: String,
    sig_b64u: String,
    expected: String,
    why: String,
}

fn backends() -> Vec<CryptoBackend> {
    vec![
        #[cfg(feature = "ring")]
        CryptoBackend::Ring,
        #[cfg(feature = "aws-lc-rs")]
        CryptoBackend::AwsLcRs,
    ]
}

fn hex(text: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digits).collect()
}

#[test]
fn rsa_pkcs1_2048_sha256() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/vectors/shared/rsa/rsa_pkcs1_2048_sha256.jsonl"
    );
    let text = std::fs::read_to_string(file).unwrap();
    let mut lines = text.lines();
    let meta: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    let mut judged = 0;
    for line in lines {
        let case: Case = serde_json::from_str(line).unwrap();
        let key = &meta["meta"]["keys"][&case.key];
        let number = |name: &str| {
            let bytes = hex(key[name].as_str().unwrap());
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            bytes[zeros..].to_vec()
        };
        let (n, e) = (number("n_hex"), number("e_hex"));
        // A set with such a key is refused; the arithmetic is judged all the same.
        if e == [3] {
            assert_eq!(jwk::rsa(n.clone(), e.clone()), Err(JwkRefused::Material));
        }
        let key = PublicKey::Rsa { n, e };
        let signature = base64_simd::URL_SAFE_NO_PAD
            .decode_to_vec(&case.sig_b64u)
            .unwrap();
        for backend in backends() {
            let verifier = backend.prepare(Algorithm::RS256, &key).unwrap();
            let is_valid = verifier.verify(&hex(&case.msg_hex), &signature);
            let is_expected = case.expected == "policy" || is_valid == (case.expected == "valid");
            assert!(is_expected, "{} on {backend:?}: {}", case.id, case.why);
        }
        judged += 1;
    }
    assert_eq!(judged, 259);
}

#[test]
fn no_backend_prepares_a_key_for_another_family() {
    let rsa = PublicKey::Rsa {
        n: vec![0xff; 256],
        e: vec![1, 0, 1],
    };
    let edwards = PublicKey::Ed25519 { x: vec![9; 32] };
    for backend in backends() {
        assert!(backend.prepare(Algorithm::ES256, &rsa).is_none());
        assert!(backend.prepare(Algorithm::EdDSA, &rsa).is_none());
        assert!(!edwards.fits(Algorithm::RS256));
    }
}
