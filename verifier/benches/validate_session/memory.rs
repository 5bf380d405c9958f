//! Memory of a verifier that remembers few tokens and meets ever new ones.
//!
//! Every token is signed here, judged once and dropped. They are signed with P-256, at a twentieth
//! of the price of RSA, and padded to the length of the RSA fixture.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64_simd::URL_SAFE_NO_PAD;
use queue_verifier::{Algorithm, CryptoBackend, KeySource, Verifier};
use serde_json::json;

use crate::fixture::{AUDIENCE, ISSUER, claims, compact, now};

const TOKENS: usize = 1_000_000;
const REMEMBERED: usize = 10_000;
/// Tokens after which the memory is read.
const READ_AT: [usize; 5] = [0, 1_000, 10_000, 100_000, TOKENS];

/// Judges [`TOKENS`] distinct tokens and prints the resident memory on the way, JSON.
#[expect(clippy::print_stdout, reason = "the report")]
pub(crate) fn run() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    let verifier = verifier(pair.public_key().as_ref());
    let random = SystemRandom::new();
    let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": "k1"});
    let mut claims = claims(now());
    claims["pad"] = "x".repeat(218).into();
    let (mut readings, mut length) = (Vec::new(), 0);
    for count in 0..=TOKENS {
        if READ_AT.contains(&count) {
            readings.push(json!({"tokens": count, "resident_kib": resident("VmRSS:"),
                "peak_kib": resident("VmHWM:")}));
        }
        claims["jti"] = format!("0190c8a4-5b7e-7cc3-8f2a-{count:012}").into();
        let token = compact(&header, &claims, |input| {
            pair.sign(&random, input).expect("signed").as_ref().to_vec()
        });
        length = token.len();
        verifier.validate_session(&token).expect("a good token");
    }
    println!(
        "{}",
        json!({"token_bytes": length, "remembered": REMEMBERED, "readings": readings})
    );
}

fn verifier(point: &[u8]) -> Verifier {
    let (x, y) = point[1..].split_at(32);
    let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode_to_string(bytes);
    let set = json!({"keys": [{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256",
        "kid": "k1", "x": number(x), "y": number(y)}]});
    Verifier::builder(ISSUER, AUDIENCE)
        .keys(KeySource::jwk_set(set.to_string()))
        .algorithms([Algorithm::ES256])
        .backend(CryptoBackend::AwsLcRs)
        .remember(REMEMBERED)
        .build()
        .expect("good settings")
}

/// A line of `/proc/self/status`, KiB.
fn resident(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.split_whitespace().nth(1));
    value
        .and_then(|kib| kib.parse().ok())
        .expect("a number of KiB")
}
