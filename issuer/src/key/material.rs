//! Key material: takes PKCS#8, PKCS#1 or randomness, gives a parsed private key that signs.
//!
//! **Invariant:** a private key is parsed once and then held; signing never parses.

use std::fmt;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use jsonwebtoken::{Algorithm, Header};
use zeroize::Zeroizing;

use super::jwk_set::{PublicKey, base64url};

/// A private key, ready to sign.
pub(crate) struct SigningKey {
    pub(crate) public: PublicKey,
    /// The encoded JOSE header, the same for every token of this key.
    pub(crate) header: String,
    pair: RsaKeyPair,
}

/// Why key material is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MaterialError {
    #[error("expected PEM blocks PRIVATE KEY or RSA PRIVATE KEY")]
    Pem,
    #[error("expected RSA private keys of 2048 to 4096 bits with public exponent 65537")]
    Rsa,
    #[error("expected the key to sign")]
    Sign,
}

impl SigningKey {
    /// A new key of `bits`, and its PKCS#8 form to be sealed.
    pub(crate) fn generate(bits: u32) -> Result<(Self, Zeroizing<Vec<u8>>), MaterialError> {
        let size = match bits {
            2048 => KeySize::Rsa2048,
            3072 => KeySize::Rsa3072,
            4096 => KeySize::Rsa4096,
            _ => return Err(MaterialError::Rsa),
        };
        let pair = RsaKeyPair::generate(size).map_err(|_| MaterialError::Rsa)?;
        let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| MaterialError::Rsa)?;
        let pkcs8 = Zeroizing::new(der.as_ref().to_vec());
        Ok((Self::new(pair)?, pkcs8))
    }

    /// The key in PKCS#8 DER.
    pub(crate) fn from_pkcs8(der: &[u8]) -> Result<Self, MaterialError> {
        Self::new(RsaKeyPair::from_pkcs8(der).map_err(|_| MaterialError::Rsa)?)
    }

    /// Every key of a PEM text, in its order; at least one.
    pub(crate) fn from_pem(text: &str) -> Result<Vec<Self>, MaterialError> {
        let mut keys = Vec::new();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (label, body, after) = pem_block(rest).ok_or(MaterialError::Pem)?;
            let compact: String = body.split_ascii_whitespace().collect();
            let compact = Zeroizing::new(compact);
            let der = base64_simd::STANDARD
                .decode_to_vec(compact.as_bytes())
                .map_err(|_| MaterialError::Pem)?;
            let der = Zeroizing::new(der);
            let pair = match label {
                "PRIVATE KEY" => RsaKeyPair::from_pkcs8(&der),
                "RSA PRIVATE KEY" => RsaKeyPair::from_der(&der),
                _ => return Err(MaterialError::Pem),
            };
            keys.push(Self::new(pair.map_err(|_| MaterialError::Rsa)?)?);
            rest = after.trim_start();
        }
        if keys.is_empty() {
            Err(MaterialError::Pem)
        } else {
            Ok(keys)
        }
    }

    pub(crate) fn kid(&self) -> &str {
        &self.public.kid
    }

    /// The RSASSA-PKCS1-v1_5 SHA-256 signature over `input` (RFC 7518 §3.3).
    pub(crate) fn sign(&self, input: &[u8]) -> Result<Vec<u8>, MaterialError> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                input,
                &mut signature,
            )
            .map_err(|_| MaterialError::Sign)?;
        Ok(signature)
    }

    fn new(pair: RsaKeyPair) -> Result<Self, MaterialError> {
        use aws_lc_rs::signature::KeyPair as _;

        let exponent = pair
            .public_key()
            .exponent()
            .big_endian_without_leading_zero();
        if !(256..=512).contains(&pair.public_modulus_len()) || exponent != [1, 0, 1] {
            return Err(MaterialError::Rsa);
        }
        let public = PublicKey::of(&pair);
        let mut header = Header::new(Algorithm::RS256);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(public.kid.clone());
        let header = serde_json::to_vec(&header).map_err(|_| MaterialError::Sign)?;
        Ok(Self {
            public,
            header: base64url(&header),
            pair,
        })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.public.kid).finish()
    }
}

/// Splits the PEM block `text` begins with: label, body, what follows (RFC 7468 §2).
fn pem_block(text: &str) -> Option<(&str, &str, &str)> {
    let (label, rest) = text.strip_prefix("-----BEGIN ")?.split_once("-----")?;
    let (body, rest) = rest.split_once("-----END ")?;
    let rest = rest.strip_prefix(label)?.strip_prefix("-----")?;
    Some((label, body, rest))
}
