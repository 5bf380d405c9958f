//! The signature layer alone: any compact JWS against a JWK Set, for tools and tests.
//!
//! It says nothing about a session: use [`Verifier`](crate::Verifier) to let somebody in.

#[cfg(feature = "fetch")]
use std::time::Duration;

use crate::algorithm::Algorithm;
use crate::builder::{self, ConfigError};
use crate::error::Error;
#[cfg(feature = "fetch")]
use crate::fetch::FetchError;
use crate::header::ProtectedHeader;
#[cfg(feature = "fetch")]
use crate::key::fetch::{Ask, Fetched, Fetcher};
use crate::key::{JwkSet, KeySource};
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
    /// Reads the keys of `source`; from a URL they are fetched once, and the calling thread waits
    /// for it, so this is no call for asynchronous code.
    ///
    /// # Errors
    /// When the source holds no usable key, or is [`KeySource::Discovery`], which needs an issuer.
    pub fn new(
        source: &KeySource,
        algorithms: &[Algorithm],
        backend: CryptoBackend,
    ) -> Result<Self, ConfigError> {
        let keys = match builder::given_set(source, algorithms, backend)? {
            Some(keys) => keys,
            None => fetch_once(source, algorithms, backend)?,
        };
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

#[cfg(feature = "fetch")]
fn fetch_once(
    source: &KeySource,
    algorithms: &[Algorithm],
    backend: CryptoBackend,
) -> Result<JwkSet, ConfigError> {
    let KeySource::JwksUri(uri) = source else {
        return Err(ConfigError::NoIssuer);
    };
    let mut fetcher = Fetcher::jwks_uri(uri, algorithms.to_vec(), backend)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|_| ConfigError::Thread)?;
    match runtime.block_on(fetcher.fetch(Ask::default(), Duration::ZERO))? {
        Fetched::Set(offer) => Ok(offer.set),
        Fetched::NotModified(_) => Err(FetchError::Status { status: 304 }.into()),
    }
}

#[cfg(not(feature = "fetch"))]
fn fetch_once(_: &KeySource, _: &[Algorithm], _: CryptoBackend) -> Result<JwkSet, ConfigError> {
    Err(ConfigError::NoNetwork)
}
