//! Callers: who may introspect, by a secret each of them shows.
//!
//! **Invariant:** a file without a caller is an error, never a door without a lock (hazard S25).
//! Secrets are kept as digests and compared in constant time, against every caller.
//!
//! RFC 7662 §2.1, RFC 7617, RFC 6749 §2.3.1, RFC 6750 §2.1.

use std::fmt;
use std::path::{Path, PathBuf};

use base64_simd::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use crate::settings::read_bounded;

/// The callers of one file.
#[derive(Clone, PartialEq, Eq)]
pub struct Callers {
    file: PathBuf,
    accepted: Vec<[u8; 32]>,
}

impl Callers {
    /// Reads a file of `client_id:secret` lines; blank lines and lines that begin with `#` are
    /// none. Two lines of one client let its secret change.
    ///
    /// # Errors
    /// What was expected of the file.
    pub fn read(file: &Path) -> Result<Self, &'static str> {
        let text =
            read_bounded(file, MAX_FILE).ok_or("expected a readable file of 16 KiB at most")?;
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut accepted = Vec::new();
        for line in lines {
            let (client_id, secret) = line.split_once(':').ok_or(EXPECTED)?;
            if client_id.is_empty() || secret.len() < MIN_SECRET {
                return Err(EXPECTED);
            }
            if !client_id.bytes().chain(secret.bytes()).all(is_plain) {
                return Err(EXPECTED);
            }
            accepted.push(digest(b"Basic ", line.as_bytes()));
            accepted.push(digest(b"Bearer ", secret.as_bytes()));
        }
        if accepted.is_empty() {
            return Err(EXPECTED);
        }
        let file = file.to_owned();
        Ok(Self { file, accepted })
    }

    /// Where they are written down.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Whether one of them sent `headers`: `Basic` with id and secret, or the secret as `Bearer`.
    pub(crate) fn know(&self, headers: &HeaderMap) -> bool {
        let Some(shown) = shown(headers) else {
            return false;
        };
        let is_known = |known: &[u8; 32]| known.ct_eq(&shown);
        let none = Choice::from(0);
        let mut callers = self.accepted.iter().map(is_known);
        callers.by_ref().fold(none, |one, other| one | other).into()
    }
}

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callers")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

fn shown(headers: &HeaderMap) -> Option<[u8; 32]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(only), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, credentials) = only.to_str().ok()?.split_once(' ')?;
    let credentials = credentials.trim_matches(' ').as_bytes();
    if scheme.eq_ignore_ascii_case("Basic") {
        let pair = STANDARD.decode_to_vec(credentials).ok()?;
        return Some(digest(b"Basic ", &pair));
    }
    let is_bearer = scheme.eq_ignore_ascii_case("Bearer");
    is_bearer.then(|| digest(b"Bearer ", credentials))
}

fn digest(scheme: &[u8], credentials: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(scheme)
        .chain_update(credentials)
        .finalize()
        .into()
}

/// What form encoding leaves as it is: clients differ on whether they encode before `Basic`.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._".contains(&byte)
}

const EXPECTED: &str = "expected lines of `client_id:secret`, letters, digits and `-._` in both, 16 or more in the secret";
const MIN_SECRET: usize = 16;
/// Bytes.
const MAX_FILE: u64 = 16 * 1024;
