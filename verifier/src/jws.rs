//! The signature layer alone: any compact JWS against a JWK Set, for tools and tests.
//!
//! It says nothing about a session: use [`Verifier`](crate::Verifier) to let somebody in.

use crate::algorithm::Algorithm;
use crate::error::Error;
use crate::header::ProtectedHeader;
use crate::key::JwkSet;
use crate::key::jwk::{JwkSetError, parse_set};
use crate::policy::{HeaderPolicy, TypRule};
use crate::signature::{self, CryptoBackend};
use crate::token::CompactJws;

/// Verifies compact JWS of any payload with the keys of one set (RFC 7515 §5.2).
#[derive(Debug)]
pub struct JwsVerifier {
    keys: JwkSet,
    header: HeaderPolicy,
}

impl JwsVerifier {
    /// Reads `jwk_set`, a JSON document.
    ///
    /// # Errors
    /// When it is no JWK Set with at least one usable key.
    pub fn new(
        jwk_set: &str,
        algorithms: &[Algorithm],
        backend: CryptoBackend,
    ) -> Result<Self, JwkSetError> {
        let keys = parse_set(jwk_set.as_bytes(), algorithms, backend)?;
        let header = HeaderPolicy {
            algorithms: algorithms.to_vec(),
            typ: TypRule::Any,
        };
        Ok(Self { keys, header })
    }

    /// The payload of `jws`, its signature verified.
    ///
    /// # Errors
    /// Every `token_`, `header_`, `key_` and `signature_` code but `header_typ_mismatch` and
    /// `key_set_unavailable`.
    pub fn verify(&self, jws: impl AsRef<[u8]>) -> Result<Vec<u8>, Error> {
        let jws = CompactJws::parse(jws.as_ref())?;
        let header = ProtectedHeader::parse(&jws, &self.header)?;
        let key = self.keys.select(&header)?;
        let payload = signature::verify(jws, key)?;
        Ok(payload.as_bytes().to_vec())
    }
}
