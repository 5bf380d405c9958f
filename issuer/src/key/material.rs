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
    /// The encoded JOSE headers, the same for everything of a kind this key signs.
    access_token_header: String,
    status_list_header: String,
    checkpoint_header: String,
    pair: RsaKeyPair,
}

/// What is signed; each kind has a `typ` of its own, so that none passes for another.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// RFC 9068 §2.1.
    AccessToken,
    /// Token Status List §5.1.
    StatusList,
    /// How far the audit chain has come.
    AuditCheckpoint,
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

    /// The compact JWS of `payload` (RFC 7515 §7.1).
    pub(crate) fn jws(&self, kind: Kind, payload: &[u8]) -> Result<String, MaterialError> {
        let header = match kind {
            Kind::AccessToken => &self.access_token_header,
            Kind::StatusList => &self.status_list_header,
            Kind::AuditCheckpoint => &self.checkpoint_header,
        };
        let mut jws = format!("{header}.{}", base64url(payload));
        let signature = self.sign(jws.as_bytes())?;
        jws.push('.');
        jws.push_str(&base64url(&signature));
        Ok(jws)
    }

    /// The RSASSA-PKCS1-v1_5 SHA-256 signature over `input` (RFC 7518 §3.3).
    fn sign(&self, input: &[u8]) -> Result<Vec<u8>, MaterialError> {
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
        Ok(Self {
            access_token_header: header("at+jwt", &public.kid)?,
            status_list_header: header("statuslist+jwt", &public.kid)?,
            checkpoint_header: header(CHECKPOINT_TYP, &public.kid)?,
            public,
            pair,
        })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.public.kid).finish()
    }
}

/// The encoded header `{typ, alg, kid}`.
fn header(typ: &str, kid: &str) -> Result<String, MaterialError> {
    let mut header = Header::new(Algorithm::RS256);
    header.typ = Some(typ.to_owned());
    header.kid = Some(kid.to_owned());
    let header = serde_json::to_vec(&header).map_err(|_| MaterialError::Sign)?;
    Ok(base64url(&header))
}

/// Splits the PEM block `text` begins with: label, body, what follows (RFC 7468 §2).
fn pem_block(text: &str) -> Option<(&str, &str, &str)> {
    let (label, rest) = text.strip_prefix("-----BEGIN ")?.split_once("-----")?;
    let (body, rest) = rest.split_once("-----END ")?;
    let rest = rest.strip_prefix(label)?.strip_prefix("-----")?;
    Some((label, body, rest))
}

/// `typ` of a signed checkpoint of the audit chain.
pub(crate) const CHECKPOINT_TYP: &str = "queue-audit-checkpoint+jwt";
