//! What a token costs beyond its signature: claims, JSON, base64url and the self-check, on one thread.
//!
//!     cargo bench -p queue-issuer --bench mint [-- ROUNDS]
//!
//! Prints one line of JSON: nanoseconds a call took in every round, and the medians of the ratios taken
//! within a round.

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use queue_issuer::bench::Minting;
use serde_json::json;

fn main() {
    let rounds = std::env::args().find_map(|argument| argument.parse().ok());
    let rounds: usize = rounds.unwrap_or(ROUNDS);
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let pkcs8: Pkcs8V1Der<'_> = pair.as_der().expect("PKCS#8");
    let minting = Minting::new(pkcs8.as_ref()).expect("a key that signs");
    let random = SystemRandom::new();
    let mut signature = vec![0; pair.public_modulus_len()];
    let mut bare = || {
        pair.sign(&RSA_PKCS1_SHA256, &random, &[7; MESSAGE], &mut signature)
            .expect("signed");
        black_box(&signature);
    };
    let mut unchecked = || drop(black_box(minting.unchecked().expect("signed")));
    let mut token = || drop(black_box(minting.token().expect("a token that passes")));
    let mut took = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..=rounds {
        let found = [time(&mut bare), time(&mut unchecked), time(&mut token)];
        if round == 0 {
            // The first warms up.
            continue;
        }
        for (all, one) in took.iter_mut().zip(found) {
            all.push(one);
        }
    }
    let [bare, unchecked, token] = took;
    report(&json!({
        "message_bytes": MESSAGE,
        "token_bytes": minting.token().map(|token| token.len()),
        "unchecked_share": share(&bare, &unchecked),
        "token_share": share(&bare, &token),
        "rounds": { "mint_bare": bare, "mint_unchecked": unchecked, "mint": token },
    }));
}

/// Nanoseconds one of [`CALLS`] calls took.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn time(call: &mut dyn FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..CALLS {
        call();
    }
    start.elapsed().max(Duration::from_nanos(1)).as_nanos() as f64 / f64::from(CALLS)
}

/// The median over the rounds of `bare` ÷ `whole`: the share of the signing rate that is reached.
fn share(bare: &[f64], whole: &[f64]) -> f64 {
    let mut shares: Vec<f64> = bare.iter().zip(whole).map(|(a, b)| a / b).collect();
    shares.sort_by(f64::total_cmp);
    shares[shares.len() / 2]
}

#[expect(clippy::print_stdout, reason = "the report")]
fn report(report: &serde_json::Value) {
    println!("{report}");
}

const ROUNDS: usize = 201;
/// A call takes some 0.4 ms.
const CALLS: u32 = 10;
/// A token without its signature is about as long.
const MESSAGE: usize = 900;
