//! The floor: what the RSA-2048 signature of a token takes on one core, and nothing else.

use std::hint::black_box;
use std::time::Instant;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};

pub(crate) struct Floor(RsaKeyPair);

impl Floor {
    pub(crate) fn new() -> Self {
        Self(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"))
    }

    /// Nanoseconds of one signature: the median of [`CALLS`].
    #[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(crate) fn sign(&self) -> f64 {
        let random = SystemRandom::new();
        let mut signature = vec![0; self.0.public_modulus_len()];
        let mut took = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            let start = Instant::now();
            self.0
                .sign(&RSA_PKCS1_SHA256, &random, &[7; 900], &mut signature)
                .expect("signed");
            black_box(&signature);
            took.push(start.elapsed().as_nanos());
        }
        took.sort_unstable();
        took[CALLS / 2] as f64
    }
}

const CALLS: usize = 1_001;
