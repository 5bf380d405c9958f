//! The hot path beside what it is made of: rounds of each subject in turn, medians, ratios.
//!
//! A benchmark runner that times one subject after the other compares two moods of the machine;
//! here every round times every subject, so a ratio is taken within one mood.

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64_simd::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, Validation};
use pkcs1::RsaPublicKeyRef;
use pkcs1::der::Decode as _;
use queue_verifier::{CryptoBackend, KeySource, Verifier};
use serde_json::json;

const ROUNDS: usize = 41;
const CALLS: u32 = 400;
const ISSUER: &str = "https://auth.example.com";

struct Subject<'a> {
    name: &'static str,
    call: Box<dyn Fn() + 'a>,
    rounds: Vec<Duration>,
}

impl<'a> Subject<'a> {
    fn new(name: &'static str, call: impl Fn() + 'a) -> Self {
        Self {
            name,
            call: Box::new(call),
            rounds: Vec::with_capacity(ROUNDS),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
    fn round(&mut self) {
        let start = Instant::now();
        for _ in 0..CALLS {
            (self.call)();
        }
        self.rounds.push(start.elapsed() / CALLS);
    }
}

fn main() {
    let pair = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).expect("a key");
    let public = RsaPublicKeyRef::from_der(pair.public_key().as_ref()).expect("RFC 8017");
    let (n, e) = (public.modulus.as_bytes(), public.public_exponent.as_bytes());
    let token = token(&pair);
    let set = json!({"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "k1",
        "n": URL_SAFE_NO_PAD.encode_to_string(n), "e": URL_SAFE_NO_PAD.encode_to_string(e)}]});
    let (signing_input, signature) = token.rsplit_once('.').expect("three segments");
    let signature = URL_SAFE_NO_PAD.decode_to_vec(signature).expect("base64url");

    let ring_key = ring::signature::RsaPublicKeyComponents { n, e };
    let aws_key = aws_lc_rs::signature::RsaPublicKeyComponents { n, e }
        .to_parsed_public_key(&aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256)
        .expect("a good key");
    let ring_walk = verifier(&set, CryptoBackend::Ring);
    let aws_walk = verifier(&set, CryptoBackend::AwsLcRs);
    let peer_key = DecodingKey::from_rsa_raw_components(n, e);
    let mut peer_rules = Validation::new(jsonwebtoken::Algorithm::RS256);
    peer_rules.set_issuer(&[ISSUER]);
    peer_rules.set_audience(&["raptor"]);

    let mut subjects = [
        Subject::new("ring: bare RSA-2048 verification", || {
            let parameters = &ring::signature::RSA_PKCS1_2048_8192_SHA256;
            black_box(ring_key.verify(parameters, black_box(signing_input.as_bytes()), &signature))
                .expect("a good signature");
        }),
        Subject::new("ring: validate_session", || {
            black_box(ring_walk.validate_session(black_box(&token))).expect("a good token");
        }),
        Subject::new("aws-lc-rs: bare RSA-2048 verification", || {
            black_box(aws_key.verify_sig(black_box(signing_input.as_bytes()), &signature))
                .expect("a good signature");
        }),
        Subject::new("aws-lc-rs: validate_session", || {
            black_box(aws_walk.validate_session(black_box(&token))).expect("a good token");
        }),
        Subject::new("aws-lc-rs: jsonwebtoken 11 decode", || {
            let decoded = jsonwebtoken::decode::<serde_json::Value>(
                black_box(&token),
                &peer_key,
                &peer_rules,
            );
            black_box(decoded).expect("a good token");
        }),
    ];
    for _ in 0..ROUNDS {
        subjects.iter_mut().for_each(Subject::round);
    }
    print(&subjects, token.len());
}

fn verifier(set: &serde_json::Value, backend: CryptoBackend) -> Verifier {
    Verifier::builder(ISSUER, "raptor")
        .keys(KeySource::jwk_set(set.to_string()))
        .backend(backend)
        .build()
        .expect("good settings")
}

/// A session's token as the issuer mints it, of now.
#[expect(
    clippy::disallowed_methods,
    reason = "jsonwebtoken's clock cannot be set"
)]
fn token(pair: &RsaKeyPair) -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    let header = json!({"alg": "RS256", "typ": "at+jwt", "kid": "k1"});
    let claims = json!({
        "iss": ISSUER, "aud": "raptor", "sub": "0190c8a4-5b7e-7cc3-8f2a-4d1f6b1c9e55",
        "client_id": "raptor", "iat": now, "exp": now + 3600, "auth_time": now,
        "jti": "0190c8a4-5b7e-7cc3-8f2a-4d1f6b1c9e56", "sid": "0190c8a4-5b7e-7cc3-8f2a-4d1f6b1c9e57",
        "acr": "urn:queue:acr:passkey-uv", "amr": ["hwk", "user"],
        "tenant_id": "00000000-0000-7000-8000-000000000001",
        "scope": "openid profile", "roles": ["antlers-user"], "authz_ver": 1,
    });
    let encode = |part: serde_json::Value| URL_SAFE_NO_PAD.encode_to_string(part.to_string());
    let signing_input = format!("{}.{}", encode(header), encode(claims));
    let mut signature = vec![0; pair.public_modulus_len()];
    let random = aws_lc_rs::rand::SystemRandom::new();
    pair.sign(
        &RSA_PKCS1_SHA256,
        &random,
        signing_input.as_bytes(),
        &mut signature,
    )
    .expect("signed");
    format!(
        "{signing_input}.{}",
        URL_SAFE_NO_PAD.encode_to_string(signature)
    )
}

#[expect(clippy::print_stdout, reason = "the report")]
fn print(subjects: &[Subject<'_>; 5], token_length: usize) {
    let [ring, _, aws, ..] = subjects;
    println!(
        "validate_session, one {token_length}-byte token, {ROUNDS} interleaved rounds of {CALLS}"
    );
    println!(
        "{:<40} {:>9} {:>9} {:>12}",
        "", "median µs", "p90 µs", "÷ bare RSA"
    );
    for subject in subjects {
        let bare = if subject.name.starts_with("ring") {
            ring
        } else {
            aws
        };
        // Ratio within each round, then the median of the ratios.
        let mut ratios: Vec<f64> = subject
            .rounds
            .iter()
            .zip(&bare.rounds)
            .map(|(round, bare)| round.as_secs_f64() / bare.as_secs_f64())
            .collect();
        ratios.sort_by(f64::total_cmp);
        let mut rounds = subject.rounds.clone();
        rounds.sort();
        let micros = |at: usize| rounds[at].as_secs_f64() * 1e6;
        println!(
            "{:<40} {:>9.2} {:>9.2} {:>12.3}",
            subject.name,
            micros(ROUNDS / 2),
            micros(ROUNDS * 9 / 10),
            ratios[ROUNDS / 2]
        );
    }
}
