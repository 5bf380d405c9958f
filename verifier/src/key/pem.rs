//! PEM → a public key: `PUBLIC KEY` (RFC 5280 §4.1, RFC 7468 §13) or `RSA PUBLIC KEY` (RFC 8017 A.1.1).

use pkcs1::RsaPublicKeyRef;
use spki::der::{Decode as _, pem};
use spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};

use super::{JwkRefused, JwkSet, PublicKey, VerificationKey, jwk};
use crate::algorithm::Algorithm;
use crate::signature::CryptoBackend;

/// Reads the key and binds it to the one allowed algorithm that fits it.
///
/// # Errors
/// When the text is no public key, or not one algorithm fits.
pub(crate) fn parse(
    text: &str,
    allowed: &[Algorithm],
    backend: CryptoBackend,
) -> Result<JwkSet, PemError> {
    let public = public_key(text)?;
    let algorithm = public
        .only_algorithm(allowed.iter().copied())
        .map_err(PemError::Unusable)?;
    VerificationKey::bind(None, algorithm, public, backend)
        .map(JwkSet::only)
        .ok_or(PemError::Unusable(JwkRefused::Material))
}

fn public_key(text: &str) -> Result<PublicKey, PemError> {
    // A PEM carried in an environment variable often has its line ends written as `\n`.
    let text = text.trim().replace("\\n", "\n");
    let (label, der) = pem::decode_vec(text.as_bytes()).map_err(|_| PemError::Malformed)?;
    match label {
        "PUBLIC KEY" => subject_public_key(&der),
        "RSA PUBLIC KEY" => rsa(&der),
        _ => Err(PemError::Malformed),
    }
}

fn subject_public_key(der: &[u8]) -> Result<PublicKey, PemError> {
    let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| PemError::Malformed)?;
    let key = info
        .subject_public_key
        .as_bytes()
        .ok_or(PemError::Malformed)?;
    let curve = || {
        info.algorithm
            .parameters_oid()
            .map_err(|_| PemError::Malformed)
    };
    match info.algorithm.oid {
        RSA_ENCRYPTION => rsa(key),
        EC_PUBLIC_KEY => match curve()? {
            P256 => point(Algorithm::ES256, key, 65),
            P384 => point(Algorithm::ES384, key, 97),
            _ => Err(PemError::Unusable(JwkRefused::UnsupportedKeyType)),
        },
        ED25519 => jwk::ed25519(key.to_vec()).map_err(PemError::Unusable),
        _ => Err(PemError::Unusable(JwkRefused::UnsupportedKeyType)),
    }
}

fn rsa(der: &[u8]) -> Result<PublicKey, PemError> {
    let key = RsaPublicKeyRef::from_der(der).map_err(|_| PemError::Malformed)?;
    let (n, e) = (key.modulus.as_bytes(), key.public_exponent.as_bytes());
    jwk::rsa(n.to_vec(), e.to_vec()).map_err(PemError::Unusable)
}

fn point(algorithm: Algorithm, point: &[u8], length: usize) -> Result<PublicKey, PemError> {
    if point.len() != length || point[0] != 0x04 {
        return Err(PemError::Unusable(JwkRefused::Material));
    }
    Ok(PublicKey::Ec {
        algorithm,
        point: point.to_vec(),
    })
}

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// The text is no public key we can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PemError {
    /// Not PEM, or not of a public key.
    #[error("expected a PEM block `PUBLIC KEY` or `RSA PUBLIC KEY`")]
    Malformed,
    /// A public key out of our bounds.
    #[error("expected a usable public key: {0}")]
    Unusable(JwkRefused),
}
