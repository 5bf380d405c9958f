//! Signatures by AWS-LC.

#[cfg(feature = "fetch")]
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm,
};

use super::SignatureVerifier;
use crate::algorithm::Algorithm;
use crate::key::PublicKey;

pub(super) fn prepare(algorithm: Algorithm, key: &PublicKey) -> Option<Box<dyn SignatureVerifier>> {
    let parsed = match key {
        PublicKey::Rsa { n, e } => {
            RsaPublicKeyComponents { n, e }.to_parsed_public_key(rsa_parameters(algorithm)?)
        }
        PublicKey::Ec { point, .. } => ParsedPublicKey::new(ec_parameters(algorithm)?, point),
        PublicKey::Ed25519 { x } => ParsedPublicKey::new(&signature::ED25519, x),
    };
    Some(Box::new(parsed.ok()?))
}

impl SignatureVerifier for ParsedPublicKey {
    fn verify(&self, signing_input: &[u8], signature: &[u8]) -> bool {
        self.verify_sig(signing_input, signature).is_ok()
    }
}

fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        Algorithm::RS256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
        Algorithm::ES256 | Algorithm::ES384 | Algorithm::EdDSA => None,
    }
}

fn ec_parameters(algorithm: Algorithm) -> Option<&'static dyn VerificationAlgorithm> {
    match algorithm {
        Algorithm::ES256 => Some(&signature::ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Some(&signature::ECDSA_P384_SHA384_FIXED),
        _ => None,
    }
}

#[cfg(feature = "fetch")]
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    digest
}

#[cfg(feature = "fetch")]
pub(super) fn random() -> Option<[u8; 16]> {
    let random = aws_lc_rs::rand::generate(&SystemRandom::new()).ok()?;
    Some(random.expose())
}
