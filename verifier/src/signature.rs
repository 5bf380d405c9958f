//! Signature: [`CompactJws`] + [`VerificationKey`] → [`VerifiedPayload`].
//!
//! **Invariant:** [`VerifiedPayload`] has one constructor, below, and claims can be read from
//! nothing else. The algorithm is a property of the key; nothing here looks at the header.
//!
//! RFC 7515 §5.2, RFC 7518 §3, RFC 8037 §3.1.

#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
#[cfg(feature = "ring")]
mod ring;

use std::fmt::Debug;
use std::ops::Range;

use crate::algorithm::Algorithm;
use crate::key::{PublicKey, VerificationKey};
use crate::token::CompactJws;

/// A payload whose signature is good; what it says is not yet judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VerifiedPayload {
    decoded: Vec<u8>,
    payload: Range<usize>,
}

impl VerifiedPayload {
    /// The payload's bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.decoded[self.payload.clone()]
    }
}

/// Verifies the signature of `jws` with `key`.
///
/// # Errors
/// `signature_invalid`.
pub(crate) fn verify(
    jws: CompactJws<'_>,
    key: &VerificationKey,
) -> Result<VerifiedPayload, SignatureError> {
    if !key.verify(jws.signing_input(), jws.signature()) {
        return Err(SignatureError::Invalid);
    }
    let (decoded, payload) = jws.into_payload();
    Ok(VerifiedPayload { decoded, payload })
}

/// The signature is not one the key made over these bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The one way to fail: no detail helps an honest caller.
    #[error("expected a signature made by the key that `kid` names")]
    Invalid,
}

/// The library that does the arithmetic; chosen when a verifier is built, never process-wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CryptoBackend {
    /// ring: a small build.
    #[cfg(feature = "ring")]
    Ring,
    /// AWS-LC: about a third faster at RSA verification.
    #[cfg(feature = "aws-lc-rs")]
    AwsLcRs,
}

impl Default for CryptoBackend {
    /// ring where it is compiled in, so that turning another feature on changes nothing.
    fn default() -> Self {
        #[cfg(feature = "ring")]
        return Self::Ring;
        #[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
        return Self::AwsLcRs;
        #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
        compile_error!("queue-verifier needs the feature `ring` or `aws-lc-rs`");
    }
}

/// One public key, ready to verify with one algorithm.
pub(crate) trait SignatureVerifier: Debug + Send + Sync {
    /// Whether `signature` is over exactly `signing_input`.
    fn verify(&self, signing_input: &[u8], signature: &[u8]) -> bool;
}

impl CryptoBackend {
    /// Prepares `key` for `algorithm`; `None` when the library refuses the key.
    pub(crate) fn prepare(
        self,
        algorithm: Algorithm,
        key: &PublicKey,
    ) -> Option<Box<dyn SignatureVerifier>> {
        match self {
            #[cfg(feature = "ring")]
            Self::Ring => ring::prepare(algorithm, key),
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLcRs => aws_lc::prepare(algorithm, key),
        }
    }
}

#[cfg(feature = "fetch")]
impl CryptoBackend {
    /// SHA-256 (FIPS 180-4) of `bytes`.
    pub(crate) fn sha256(self, bytes: &[u8]) -> [u8; 32] {
        match self {
            #[cfg(feature = "ring")]
            Self::Ring => ring::sha256(bytes),
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLcRs => aws_lc::sha256(bytes),
        }
    }

    /// Sixteen bytes that nobody can guess; `None` when the system has none to give.
    pub(crate) fn random(self) -> Option<[u8; 16]> {
        match self {
            #[cfg(feature = "ring")]
            Self::Ring => ring::random(),
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLcRs => aws_lc::random(),
        }
    }
}

#[cfg(test)]
mod tests;
