//! Key: [`ProtectedHeader`] → the one [`VerificationKey`] that may verify the token.
//!
//! **Invariant:** a key is bound to one algorithm when the set is read; a token's header picks
//! among keys, never among algorithms of a key (hazards V3–V6). A key that was refused is
//! remembered by its `kid`, so that its tokens get the reason instead of "not found".
//!
//! RFC 7517 §4, §5.

pub(crate) mod cache;
#[cfg(feature = "fetch")]
pub(crate) mod fetch;
pub(crate) mod jwk;
#[cfg(feature = "fetch")]
mod keeper;
pub(crate) mod pem;
#[cfg(feature = "fetch")]
pub(crate) mod refresh;
#[cfg(feature = "fetch")]
pub(crate) mod snapshot;
pub(crate) mod source;
#[cfg(feature = "fetch")]
pub(crate) mod succession;
#[cfg(feature = "fetch")]
pub(crate) mod unknown;
#[cfg(feature = "fetch")]
mod worker;

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::algorithm::Algorithm;
use crate::error::Error;
use crate::header::{HeaderError, ProtectedHeader};
use crate::signature::{CryptoBackend, SignatureVerifier};
pub use jwk::JwkRefused;
pub use source::KeySource;

/// Largest JWK Set read, in bytes.
pub(crate) const MAX_JWK_SET: usize = 256 * 1024;
/// Most keys in a set.
pub(crate) const MAX_KEYS: usize = 100;

/// Public key material, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PublicKey {
    /// Big-endian, without leading zeros.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// Uncompressed point (SEC 1 §2.3.3) on the curve of the one algorithm it serves.
    Ec {
        algorithm: Algorithm,
        point: Vec<u8>,
    },
    /// RFC 8032 §5.1.5.
    Ed25519 { x: Vec<u8> },
}

impl PublicKey {
    /// The one algorithm of `candidates` that fits: a key that fits several is bound to none.
    pub(crate) fn only_algorithm(
        &self,
        candidates: impl Iterator<Item = Algorithm>,
    ) -> Result<Algorithm, JwkRefused> {
        let mut fitting = candidates.filter(|algorithm| self.fits(*algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(algorithm), None) => Ok(algorithm),
            (Some(_), Some(_)) => Err(JwkRefused::NoAlgorithm),
            (None, _) => Err(JwkRefused::OtherAlgorithm),
        }
    }

    /// Whether one of `materials` is this key's: its modulus, or the x of its point.
    fn is_any_of(&self, materials: &[Vec<u8>]) -> bool {
        let ours = match self {
            Self::Rsa { n, .. } => n.as_slice(),
            // The tag, then both coordinates, of equal length.
            Self::Ec { point, .. } => &point[1..point.len().div_ceil(2)],
            Self::Ed25519 { x } => x.as_slice(),
        };
        let zeros = ours.iter().take_while(|byte| **byte == 0).count();
        materials.iter().any(|material| *material == ours[zeros..])
    }

    /// Whether `algorithm` can be done with this kind of key (RFC 7518 §3.1).
    pub(crate) fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
        match self {
            Self::Rsa { .. } => matches!(algorithm, RS256 | RS384 | RS512 | PS256 | PS384 | PS512),
            Self::Ec { algorithm: own, .. } => {
                matches!(algorithm, ES256 | ES384) && *own == algorithm
            }
            Self::Ed25519 { .. } => algorithm == EdDSA,
        }
    }
}

/// A public key bound to one algorithm.
#[derive(Debug)]
pub(crate) struct VerificationKey {
    kid: Option<String>,
    algorithm: Algorithm,
    public: PublicKey,
    verifier: Box<dyn SignatureVerifier>,
    /// The header of a token this key was selected for, as it was written.
    header_seen: OnceLock<Box<[u8]>>,
}

impl VerificationKey {
    /// Binds `public` to `algorithm`; `None` when `backend` refuses the material.
    pub(crate) fn bind(
        kid: Option<String>,
        algorithm: Algorithm,
        public: PublicKey,
        backend: CryptoBackend,
    ) -> Option<Self> {
        let verifier = backend.prepare(algorithm, &public)?;
        Some(Self {
            kid,
            algorithm,
            public,
            verifier,
            header_seen: OnceLock::new(),
        })
    }

    /// Whether `signature` is this key's over `signing_input`.
    pub(crate) fn verify(&self, signing_input: &[u8], signature: &[u8]) -> bool {
        self.verifier.verify(signing_input, signature)
    }

    /// Remembers, once, that a token with this header selected this key and was signed by it: an
    /// issuer writes one header for all tokens of a key. Nobody else can make us remember one.
    pub(crate) fn saw_header(&self, segment: &[u8]) {
        if self.header_seen.get().is_none() {
            let _ = self.header_seen.set(segment.into());
        }
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    fn is_same_as(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && self.public == other.public
    }
}

/// Names one reading of a key set in this process: keys that were read again have another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SetId(u64);

impl Default for SetId {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The keys of one issuer at one moment.
#[derive(Debug, Default)]
pub(crate) struct JwkSet {
    id: SetId,
    keys: Vec<VerificationKey>,
    /// Positions in `keys`, for keys with a `kid`.
    by_kid: HashMap<String, Vec<usize>>,
    /// The first reason for each refused `kid`.
    refused: HashMap<String, JwkRefused>,
    /// Refused keys without a `kid`, and entries that are no key at all.
    refused_without_kid: Vec<JwkRefused>,
    /// An entry has a private member: the document is no longer public.
    is_leaky: bool,
    /// A bare public key: it was given as *the* key, so a `kid` says nothing about it.
    serves_any_kid: bool,
}

impl JwkSet {
    /// A set of one key that was given as such, PEM.
    pub(crate) fn only(key: VerificationKey) -> Self {
        Self {
            keys: vec![key],
            serves_any_kid: true,
            ..Self::default()
        }
    }

    /// Which reading this is.
    pub(crate) fn id(&self) -> SetId {
        self.id
    }

    /// Adds a good key; a copy of one already there counts once.
    pub(crate) fn admit(&mut self, key: VerificationKey) {
        if let Some(kid) = &key.kid {
            let same_kid = self.by_kid.entry(kid.clone()).or_default();
            if same_kid.iter().any(|&at| self.keys[at].is_same_as(&key)) {
                return;
            }
            same_kid.push(self.keys.len());
        }
        self.keys.push(key);
    }

    /// Remembers why a key is not used.
    pub(crate) fn refuse(&mut self, kid: Option<String>, reason: JwkRefused) {
        match kid {
            Some(kid) => {
                self.refused.entry(kid).or_insert(reason);
            }
            None => self.refused_without_kid.push(reason),
        }
    }

    /// What each `kid` stands for.
    #[cfg(feature = "fetch")]
    fn material(&self) -> Vec<(String, Vec<PublicKey>)> {
        let public = |places: &Vec<usize>| {
            let keys = places.iter().map(|&at| self.keys[at].public.clone());
            keys.collect()
        };
        let named = self.by_kid.iter();
        named
            .map(|(kid, places)| (kid.clone(), public(places)))
            .collect()
    }

    /// Refuses every key under `kid`.
    #[cfg(feature = "fetch")]
    fn kill(&mut self, kid: &str, reason: &JwkRefused) {
        self.refuse_where(|key| key.kid.as_deref() == Some(kid), reason);
    }

    /// The document published the private half of the keys made of `materials`.
    pub(crate) fn leaks(&mut self, materials: &[Vec<u8>]) {
        self.is_leaky = true;
        self.refuse_where(
            |key| key.public.is_any_of(materials),
            &JwkRefused::PrivateMembers,
        );
    }

    /// Refuses the keys that `is_refused` names.
    fn refuse_where(&mut self, is_refused: impl Fn(&VerificationKey) -> bool, reason: &JwkRefused) {
        let kept = std::mem::take(&mut self.keys);
        self.by_kid.clear();
        for key in kept {
            if is_refused(&key) {
                self.refuse(key.kid, reason.clone());
            } else {
                self.admit(key);
            }
        }
    }

    /// The key a header selects that is, byte for byte, one that selected it before: within one set
    /// and one policy the same header reads the same.
    pub(crate) fn select_again(&self, segment: &[u8]) -> Option<&VerificationKey> {
        let is_it =
            |key: &&VerificationKey| key.header_seen.get().is_some_and(|seen| **seen == *segment);
        self.keys.iter().find(is_it)
    }

    /// The one key that may verify a token with this header.
    ///
    /// # Errors
    /// `key_not_found`, `key_unusable`, `header_kid_missing`.
    pub(crate) fn select(&self, header: &ProtectedHeader<'_>) -> Result<&VerificationKey, Error> {
        if self.serves_any_kid {
            return self.exactly_one(header, self.keys.iter());
        }
        let Some(kid) = header.kid() else {
            return self.without_kid(header.algorithm);
        };
        match self.by_kid.get(kid) {
            Some(places) => self.exactly_one(header, places.iter().map(|&at| &self.keys[at])),
            None => match self.refused.get(kid) {
                Some(reason) => Err(KeyError::unusable(Some(kid), reason.clone()).into()),
                None => Err(KeyError::NotFound { kid: Kid::new(kid) }.into()),
            },
        }
    }

    fn exactly_one<'a>(
        &'a self,
        header: &ProtectedHeader<'_>,
        candidates: impl Iterator<Item = &'a VerificationKey>,
    ) -> Result<&'a VerificationKey, Error> {
        let mut fitting = candidates.filter(|key| key.algorithm == header.algorithm);
        let kid = header.kid();
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key),
            (Some(_), Some(_)) => Err(KeyError::unusable(kid, JwkRefused::Ambiguous).into()),
            (None, _) => Err(KeyError::unusable(kid, JwkRefused::OtherAlgorithm).into()),
        }
    }

    fn without_kid(&self, algorithm: Algorithm) -> Result<&VerificationKey, Error> {
        let mut fitting = self.keys.iter().filter(|key| key.algorithm == algorithm);
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key),
            _ => Err(HeaderError::KidMissing.into()),
        }
    }

    /// Whether `kid` is in the set, usable or not.
    #[cfg(feature = "fetch")]
    pub(crate) fn knows(&self, kid: &str) -> bool {
        self.serves_any_kid || self.by_kid.contains_key(kid) || self.refused.contains_key(kid)
    }

    /// Whether no key of the set can verify anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// `kid` and algorithm of each usable key, in the set's order.
    pub(crate) fn usable(&self) -> impl Iterator<Item = (Option<&str>, Algorithm)> {
        self.keys
            .iter()
            .map(|key| (key.kid.as_deref(), key.algorithm))
    }

    /// `kid` and reason of each refused key.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (Option<&str>, &JwkRefused)> {
        let named = self
            .refused
            .iter()
            .map(|(kid, reason)| (Some(kid.as_str()), reason));
        let nameless = self.refused_without_kid.iter().map(|reason| (None, reason));
        named.chain(nameless)
    }
}

/// A `kid` cut to 64 characters and escaped, fit for a log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kid(String);

impl Kid {
    pub(crate) fn new(kid: &str) -> Self {
        Self(
            kid.chars()
                .take(64)
                .flat_map(char::escape_default)
                .collect(),
        )
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// No key can be used for the token, or none is at hand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The set holds no key of this `kid`.
    #[error("expected a key of the issuer's set, found kid `{kid}`")]
    NotFound {
        /// The token's `kid`.
        kid: Kid,
    },
    /// The set holds the key, but it must not verify this token.
    #[error("expected a usable key{}: {reason}", kid.as_ref().map_or_else(String::new, |kid| format!(" under kid `{kid}`")))]
    Unusable {
        /// The token's `kid`.
        kid: Option<Kid>,
        /// What is wrong with the key.
        reason: JwkRefused,
    },
    /// A fault, no verdict: there are no keys young enough to judge by.
    #[error("expected a key set no older than its bound, found none")]
    SetUnavailable,
}

impl KeyError {
    fn unusable(kid: Option<&str>, reason: JwkRefused) -> Self {
        Self::Unusable {
            kid: kid.map(Kid::new),
            reason,
        }
    }
}
