//! Signed list: takes a list, its stamp and a key, gives the token that is published, checked.
//!
//! **Invariant:** the bytes follow from the stamp alone: replicas that hold the same version publish the
//! same bytes under the same ETag, so a verifier behind a load balancer does not fetch a list again
//! because another replica answers.
//!
//! Token Status List §5.1.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use serde::Serialize;

use super::list::{Encoded, StatusList};
use crate::clock::Timestamp;
use crate::extract::sha256;
use crate::key::KeySnapshot;
use crate::key::material::{Kind, MaterialError};
use crate::token::selfcheck::TokenRefused;

/// What the bytes of a signed list follow from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) uri: String,
    pub(super) version: i64,
    pub(super) kid: String,
    pub(super) iat: i64,
    pub(super) ttl: Duration,
}

/// A list as it is published.
#[derive(Debug)]
pub(super) struct SignedList {
    pub(super) stamp: Stamp,
    pub(super) etag: HeaderValue,
    pub(super) bytes: Bytes,
}

/// Why a list is not published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    #[error("expected an active signing key")]
    NoKey,
    #[error("the list cannot be packed")]
    Pack(#[from] std::io::Error),
    #[error("the claims cannot be written")]
    Claims(#[from] serde_json::Error),
    #[error(transparent)]
    Key(#[from] MaterialError),
    #[error("the signed list did not pass the self-check")]
    SelfCheck(#[from] TokenRefused),
}

/// The payload.
#[derive(Debug, Serialize)]
struct Claims<'a> {
    sub: &'a str,
    iat: i64,
    exp: i64,
    ttl: u64,
    status_list: Encoded,
}

impl Stamp {
    /// When a list changed last at `updated_at` counts as issued: then, or at the last full hour, so that
    /// a list nobody revokes in is signed again long before it expires.
    pub(super) fn issued_at(updated_at: Timestamp, now: Timestamp) -> i64 {
        let hour = now.unix_seconds().div_euclid(RENEWAL) * RENEWAL;
        updated_at.unix_seconds().max(hour)
    }
}

impl SignedList {
    /// Packs and signs `list`, which takes milliseconds: call it off the reactor.
    pub(super) fn sign(
        stamp: Stamp,
        list: &StatusList,
        keys: &KeySnapshot,
    ) -> Result<Self, SignError> {
        let (Some(key), Some(check)) = (&keys.active, &keys.check) else {
            return Err(SignError::NoKey);
        };
        let claims = Claims {
            sub: &stamp.uri,
            iat: stamp.iat,
            exp: stamp.iat + LIFE,
            ttl: stamp.ttl.as_secs(),
            status_list: list.encode()?,
        };
        let payload = serde_json::to_vec(&claims)?;
        let jws = key.jws(Kind::StatusList, &payload)?;
        check.check_jws(&jws, &payload)?;
        // A version is signed anew by another key or in another hour; the digest tells those apart.
        let digest: String = sha256(jws.as_bytes())
            .iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let etag = format!("\"{}-{digest}\"", stamp.version);
        Ok(Self {
            // Digits, hexadecimal digits and a hyphen.
            etag: HeaderValue::from_str(&etag).unwrap_or(HeaderValue::from_static("\"\"")),
            stamp,
            bytes: jws.into(),
        })
    }
}

/// A list is signed again at each full hour, in seconds.
const RENEWAL: i64 = 3_600;
/// How long a signed list is good, in seconds: an older copy is no proof of anything. Verifiers ask every
/// few seconds; only one that accepts old lists while the issuer cannot be reached comes near it.
const LIFE: i64 = 24 * 3_600;
