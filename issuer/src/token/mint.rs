//! Mint: takes claims and a private key, gives the compact JWS. Pure: no clock, no randomness, no I/O.
//!
//! **Invariant:** the header is `{typ, alg, kid}` and nothing else; the token is at most 1.5 KB.
//!
//! RFC 7515 §5.1 and §7.1; RFC 9068 §2.1.

use std::time::Duration;

use serde::Serialize;

use crate::key::material::{Kind, MaterialError, SigningKey};

/// Why a token cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MintError {
    #[error("the claims cannot be written")]
    Claims(#[from] serde_json::Error),
    #[error(transparent)]
    Key(#[from] MaterialError),
    #[error("expected a token of at most {MAX_BYTES} bytes, not {0}")]
    TooLarge(usize),
}

/// Signs `claims` with `key`.
pub(crate) fn mint(claims: &impl Serialize, key: &SigningKey) -> Result<String, MintError> {
    let jws = key.jws(Kind::AccessToken, &serde_json::to_vec(claims)?)?;
    if jws.len() > MAX_BYTES {
        return Err(MintError::TooLarge(jws.len()));
    }
    Ok(jws)
}

/// The part of `life`, from nothing to 5 %, that `random` takes away.
pub(crate) fn jitter(life: Duration, random: u32) -> Duration {
    let most = life.as_secs() / 20;
    Duration::from_secs(u64::from(random) % (most + 1))
}

/// What fits beside cookies and tracing headers in an 8 KiB header block of a proxy, with room.
pub(crate) const MAX_BYTES: usize = 1_536;

#[cfg(test)]
mod tests;
