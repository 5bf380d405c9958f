//! A bare public key as the key source.

use std::sync::Arc;

use base64_simd::STANDARD;
use queue_tests::clock::NOW;
use queue_tests::forge::session_claims;
use queue_tests::{FakeClock, Forge};
use queue_verifier::{Algorithm, ConfigError, CryptoBackend, KeySource, Verifier};

const ISSUER: &str = "https://auth.example.com";

fn pem(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode_to_string(der);
    let lines: Vec<&str> = base64
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).expect("base64 is ASCII"))
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

fn verifier(
    text: &str,
    algorithm: Algorithm,
    backend: CryptoBackend,
) -> Result<Verifier, ConfigError> {
    Verifier::builder(ISSUER, "raptor")
        .keys(KeySource::public_key_pem(text))
        .algorithms([algorithm])
        .backend(backend)
        .clock(FakeClock::at(NOW) as Arc<_>)
        .build()
}

#[test]
fn a_pem_serves_tokens_of_any_kid() {
    let key = Forge::new("k1");
    let token = key.sign(&session_claims(ISSUER, "raptor", NOW));
    let text = pem("PUBLIC KEY", &key.spki());
    let one_line = text.replace('\n', "\\n");
    for text in [text.as_str(), one_line.as_str(), &format!("\n  {text}\n")] {
        for backend in [CryptoBackend::Ring, CryptoBackend::AwsLcRs] {
            let verifier = verifier(text, Algorithm::RS256, backend).expect("a good key");
            assert!(verifier.validate_session(&token).is_ok());
        }
    }
}

#[test]
fn a_pem_of_another_kind_is_refused() {
    let key = Forge::new("k1");
    for text in [
        pem("PRIVATE KEY", &key.spki()),
        pem("CERTIFICATE", &key.spki()),
        pem("PUBLIC KEY", &key.spki()[..200]),
        pem("PUBLIC KEY", b""),
        String::new(),
    ] {
        assert!(
            verifier(&text, Algorithm::RS256, CryptoBackend::Ring).is_err(),
            "{text}"
        );
    }
    let text = pem("PUBLIC KEY", &key.spki());
    assert!(verifier(&text, Algorithm::ES256, CryptoBackend::Ring).is_err());
}

#[test]
fn fixture_keys_of_every_kind_are_read() {
    let folder = queue_tests::vectors::root().join("keys");
    let mut read = 0;
    for (name, algorithm) in [
        ("ec_p256", Algorithm::ES256),
        ("ec_p384", Algorithm::ES384),
        ("ed25519", Algorithm::EdDSA),
    ] {
        let file = folder.join(format!("{name}.pub.pem"));
        let Ok(text) = std::fs::read_to_string(&file) else {
            continue;
        };
        for backend in [CryptoBackend::Ring, CryptoBackend::AwsLcRs] {
            assert!(verifier(&text, algorithm, backend).is_ok(), "{name}");
            read += 1;
        }
    }
    assert_eq!(read, 6, "no public fixture keys in {}", folder.display());
}
