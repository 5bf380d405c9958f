//! What is timed: the walk on each backend, the bare verification under it, jsonwebtoken.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use base64_simd::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, Validation};
use queue_verifier::{CryptoBackend, KeySource, Verifier};
use serde::Deserialize;

use crate::fixture::{AUDIENCE, Fixture, ISSUER};

/// One thing to time; `call` panics unless the token is accepted.
pub(crate) struct Subject {
    /// Stable; other programs ask for a round by it.
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) threads: u32,
    call: Box<dyn Fn() + Send + Sync>,
}

impl Subject {
    /// Time a call took, on average of `calls` calls; of several threads, each makes as many.
    #[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
    pub(crate) fn round(&self, calls: u32) -> Duration {
        if self.threads == 1 {
            let start = Instant::now();
            (0..calls).for_each(|_| (self.call)());
            return start.elapsed() / calls;
        }
        // Each thread looks at the clock itself: a third, which waits for a CPU, would look late.
        let ready = Barrier::new(self.threads as usize);
        let work = || {
            ready.wait();
            let start = Instant::now();
            (0..calls).for_each(|_| (self.call)());
            (start, Instant::now())
        };
        let spans: Vec<(Instant, Instant)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads).map(|_| scope.spawn(work)).collect();
            let spans = threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"));
            spans.collect()
        });
        let first = spans
            .iter()
            .map(|(start, _)| start)
            .min()
            .expect("a thread");
        let last = spans.iter().map(|(_, end)| end).max().expect("a thread");
        last.duration_since(*first) / (calls * self.threads)
    }
}

pub(crate) fn all(fixture: &Fixture) -> Vec<Subject> {
    let subject = |id, name, threads, call| Subject {
        id,
        name,
        threads,
        call,
    };
    let (ring, aws) = (CryptoBackend::Ring, CryptoBackend::AwsLcRs);
    vec![
        subject("ring_bare", "ring, bare", 1, bare_ring(fixture)),
        subject("ring_walk", "walk on ring", 1, walk(fixture, ring, 0)),
        subject("aws_bare", "aws-lc-rs, bare", 1, bare_aws(fixture)),
        subject("aws_walk", "walk on aws-lc-rs", 1, walk(fixture, aws, 0)),
        subject(
            "jsonwebtoken",
            "jsonwebtoken on aws-lc-rs",
            1,
            peer(fixture),
        ),
        subject(
            "aws_bare_2",
            "aws-lc-rs, bare, 2 threads",
            2,
            bare_aws(fixture),
        ),
        subject(
            "aws_walk_2",
            "walk on aws-lc-rs, 2 threads",
            2,
            walk(fixture, aws, 0),
        ),
        subject("remembered", "remembered", 1, walk(fixture, aws, 10_000)),
        subject(
            "remembered_2",
            "remembered, 2 threads",
            2,
            walk(fixture, aws, 10_000),
        ),
    ]
}

/// A verifier that remembers up to `tokens` tokens, so that every call but the first recalls.
fn walk(fixture: &Fixture, backend: CryptoBackend, tokens: usize) -> Box<dyn Fn() + Send + Sync> {
    let verifier = Verifier::builder(ISSUER, AUDIENCE)
        .keys(KeySource::jwk_set(fixture.jwk_set().to_string()))
        .backend(backend)
        .remember(tokens)
        .build()
        .expect("good settings");
    let token = fixture.token.clone();
    Box::new(move || {
        black_box(verifier.validate_session(black_box(&token))).expect("a good token");
    })
}

fn bare_ring(fixture: &Fixture) -> Box<dyn Fn() + Send + Sync> {
    let (n, e) = (fixture.n.clone(), fixture.e.clone());
    let key = ring::signature::RsaPublicKeyComponents { n, e };
    let (signing_input, signature) = halves(fixture);
    Box::new(move || {
        let parameters = &ring::signature::RSA_PKCS1_2048_8192_SHA256;
        black_box(key.verify(parameters, black_box(&signing_input), &signature))
            .expect("a good signature");
    })
}

fn bare_aws(fixture: &Fixture) -> Box<dyn Fn() + Send + Sync> {
    let (n, e) = (fixture.n.as_slice(), fixture.e.as_slice());
    let key = aws_lc_rs::signature::RsaPublicKeyComponents { n, e }
        .to_parsed_public_key(&aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256)
        .expect("a good key");
    let (signing_input, signature) = halves(fixture);
    Box::new(move || {
        black_box(key.verify_sig(black_box(&signing_input), &signature)).expect("a good signature");
    })
}

fn halves(fixture: &Fixture) -> (Vec<u8>, Vec<u8>) {
    let (signing_input, signature) = fixture.token.rsplit_once('.').expect("three segments");
    let signature = URL_SAFE_NO_PAD.decode_to_vec(signature).expect("base64url");
    (signing_input.as_bytes().to_vec(), signature)
}

/// jsonwebtoken as its manual shows it, into a typed claims set.
fn peer(fixture: &Fixture) -> Box<dyn Fn() + Send + Sync> {
    let key = DecodingKey::from_rsa_raw_components(&fixture.n, &fixture.e);
    let mut rules = Validation::new(jsonwebtoken::Algorithm::RS256);
    rules.set_issuer(&[ISSUER]);
    rules.set_audience(&[AUDIENCE]);
    let token = fixture.token.clone();
    Box::new(move || {
        let decoded = jsonwebtoken::decode::<PeerClaims>(black_box(&token), &key, &rules);
        black_box(decoded).expect("a good token");
    })
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "read by nobody: a caller would")]
struct PeerClaims {
    iss: String,
    aud: String,
    sub: String,
    client_id: String,
    iat: u64,
    exp: u64,
    auth_time: u64,
    jti: String,
    sid: String,
    scope: String,
    roles: Vec<String>,
    authz_ver: u64,
}
