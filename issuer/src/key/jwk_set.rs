//! JWK Set: takes public keys, gives the published bytes and the ETag that names their generation.
//!
//! **Invariant:** a [`PublicKey`] has no private member, so none can be published.
//! **Invariant:** one generation, one sequence of bytes: what the self-check reads is what callers get.
//!
//! RFC 7517 §5, RFC 7638, RFC 9110 §8.8.3.

use aws_lc_rs::signature::{KeyPair as _, RsaKeyPair};
use bytes::Bytes;
use http::HeaderValue;
use jsonwebtoken::jwk::{
    AlgorithmParameters, CommonParameters, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse,
    RSAKeyParameters, RSAKeyType,
};

use crate::extract::sha256;

/// The public half of a signing key, as a JWK.
#[derive(Debug, Clone)]
pub(crate) struct PublicKey {
    pub(crate) kid: String,
    jwk: Jwk,
}

impl PublicKey {
    /// The public half of `pair`.
    pub(crate) fn of(pair: &RsaKeyPair) -> Self {
        let public = pair.public_key();
        let n = base64url(public.modulus().big_endian_without_leading_zero());
        let e = base64url(public.exponent().big_endian_without_leading_zero());
        Self::from_parts(n, e)
    }

    /// The key the database keeps as `text`.
    pub(crate) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let jwk: Jwk = serde_json::from_str(text)?;
        match jwk.algorithm {
            AlgorithmParameters::RSA(rsa) => Ok(Self::from_parts(rsa.n, rsa.e)),
            _ => Err(serde::de::Error::custom("expected an RSA key")),
        }
    }

    /// The JWK as text.
    pub(crate) fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&self.jwk)
    }

    fn from_parts(n: String, e: String) -> Self {
        // RFC 7638 §3.2: the required members alone, in this order, without spaces. Both values are
        // base64url, which JSON never escapes.
        let kid = base64url(&sha256(
            format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#).as_bytes(),
        ));
        let common = CommonParameters {
            public_key_use: Some(PublicKeyUse::Signature),
            key_algorithm: Some(KeyAlgorithm::RS256),
            key_id: Some(kid.clone()),
            ..CommonParameters::default()
        };
        let algorithm = AlgorithmParameters::RSA(RSAKeyParameters {
            key_type: RSAKeyType::RSA,
            n,
            e,
        });
        Self {
            kid,
            jwk: Jwk { common, algorithm },
        }
    }
}

/// The published set.
#[derive(Debug, Clone)]
pub(crate) struct PublishedSet {
    pub(crate) bytes: Bytes,
    pub(crate) etag: HeaderValue,
}

impl PublishedSet {
    /// Renders `keys`, in their order, as generation `generation`.
    pub(crate) fn render(generation: i64, keys: &[PublicKey]) -> Result<Self, serde_json::Error> {
        let set = JwkSet {
            keys: keys.iter().map(|key| key.jwk.clone()).collect(),
        };
        let bytes = Bytes::from(serde_json::to_vec(&set)?);
        // A restored database may count the same generation again with other keys; the digest tells them apart.
        let digest: String = sha256(&bytes)
            .iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let etag = HeaderValue::from_str(&format!("\"{generation}-{digest}\""))
            .map_err(serde::ser::Error::custom)?;
        Ok(Self { bytes, etag })
    }

    /// The set as text.
    pub(crate) fn as_str(&self) -> &str {
        // `serde_json` writes UTF-8.
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }
}

/// Unpadded base64url (RFC 7515 §2).
pub(crate) fn base64url(bytes: &[u8]) -> String {
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(bytes)
}

#[cfg(test)]
mod tests {
    use super::PublicKey;

    #[test]
    fn kid_is_the_rfc_7638_thumbprint() {
        // RFC 7638 §3.1.
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs\
                 tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbI\
                 SD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let text = format!(
            r#"{{"kty":"RSA","e":"AQAB","alg":"RS256","kid":"other","d":"secret","n":"{n}"}}"#
        );
        let key = PublicKey::parse(&text).unwrap();
        assert_eq!(key.kid, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        assert!(!key.to_json().unwrap().contains("secret"));
    }
}
