//! Signatures by ring.

use ring::agreement::{self, EphemeralPrivateKey};
use ring::rand::SystemRandom;
use ring::signature::{
    self, EcdsaVerificationAlgorithm, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
};

use super::SignatureVerifier;
use crate::algorithm::Algorithm;
use crate::key::PublicKey;

pub(super) fn prepare(algorithm: Algorithm, key: &PublicKey) -> Option<Box<dyn SignatureVerifier>> {
    let verifier: Box<dyn SignatureVerifier> = match key {
        PublicKey::Rsa { n, e } => Box::new(RsaKey {
            parameters: rsa_parameters(algorithm)?,
            components: RsaPublicKeyComponents {
                n: n.clone(),
                e: e.clone(),
            },
        }),
        PublicKey::Ec { point, .. } => {
            is_on_curve(algorithm, point)?;
            Box::new(UnparsedPublicKey::new(
                ec_parameters(algorithm)?,
                point.clone(),
            ))
        }
        PublicKey::Ed25519 { x } => {
            Box::new(UnparsedPublicKey::new(&signature::ED25519, x.clone()))
        }
    };
    Some(verifier)
}

/// ring has no parsed RSA key in its public interface: it reads `n` and `e` at each call.
#[derive(Debug)]
struct RsaKey {
    parameters: &'static RsaParameters,
    components: RsaPublicKeyComponents<Vec<u8>>,
}

impl SignatureVerifier for RsaKey {
    fn verify(&self, signing_input: &[u8], signature: &[u8]) -> bool {
        self.components
            .verify(self.parameters, signing_input, signature)
            .is_ok()
    }
}

impl SignatureVerifier for UnparsedPublicKey<Vec<u8>> {
    fn verify(&self, signing_input: &[u8], signature: &[u8]) -> bool {
        self.verify(signing_input, signature).is_ok()
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

fn ec_parameters(algorithm: Algorithm) -> Option<&'static EcdsaVerificationAlgorithm> {
    match algorithm {
        Algorithm::ES256 => Some(&signature::ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Some(&signature::ECDSA_P384_SHA384_FIXED),
        _ => None,
    }
}

/// ring looks at a point only when it uses it; an agreement refuses one off the curve, so that
/// such a key is refused when the set is read and not blamed on the tokens.
fn is_on_curve(algorithm: Algorithm, point: &[u8]) -> Option<()> {
    let curve = match algorithm {
        Algorithm::ES256 => &agreement::ECDH_P256,
        Algorithm::ES384 => &agreement::ECDH_P384,
        _ => return None,
    };
    let ours = EphemeralPrivateKey::generate(curve, &SystemRandom::new()).ok()?;
    let theirs = agreement::UnparsedPublicKey::new(curve, point);
    agreement::agree_ephemeral(ours, &theirs, |_| ()).ok()
}

#[cfg(feature = "fetch")]
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    digest
}

#[cfg(feature = "fetch")]
pub(super) fn random() -> Option<[u8; 16]> {
    let random = ring::rand::generate(&SystemRandom::new()).ok()?;
    Some(random.expose())
}
