//! One JWK → a key bound to one allowed algorithm, or the reason it is refused.
//!
//! RFC 7517 §4, RFC 7518 §6, RFC 8037 §2.

use std::fmt;

use base64_simd::URL_SAFE_NO_PAD;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{JwkSet, MAX_JWK_SET, MAX_KEYS, PublicKey, VerificationKey};
use crate::algorithm::Algorithm;
use crate::signature::CryptoBackend;

/// Reads a JWK Set document; keys that cannot be used are kept as refusals.
///
/// # Errors
/// When the document is too large, is no JWK Set, holds too many keys, or not one usable key.
pub(crate) fn parse_set(
    document: &[u8],
    allowed: &[Algorithm],
    backend: CryptoBackend,
) -> Result<JwkSet, JwkSetError> {
    if document.len() > MAX_JWK_SET {
        return Err(JwkSetError::TooLarge);
    }
    let raw: RawSet<'_> = serde_json::from_slice(document).map_err(|_| JwkSetError::Malformed)?;
    if raw.keys.len() > MAX_KEYS {
        return Err(JwkSetError::TooManyKeys {
            count: raw.keys.len(),
        });
    }
    let mut set = JwkSet::default();
    let (mut is_leaky, mut leaked) = (false, Vec::new());
    for entry in raw.keys {
        if let Some(material) = leaked_material(entry) {
            is_leaky = true;
            leaked.extend(material);
        }
        let Ok(jwk) = serde_json::from_str::<RawJwk>(entry.get()) else {
            let kid = serde_json::from_str::<KidOnly>(entry.get())
                .ok()
                .and_then(|only| only.kid);
            set.refuse(kid, JwkRefused::Malformed);
            continue;
        };
        let kid = jwk.kid.clone();
        match jwk.bind(allowed, backend) {
            Ok(key) => set.admit(key),
            Err(reason) => set.refuse(kid, reason),
        }
    }
    // Whoever reads the set can sign with a leaked key, under whatever entry it is listed.
    if is_leaky {
        tracing::error!("key_set_publishes_a_private_key");
        set.leaks(&leaked);
    }
    if set.is_empty() {
        let reason = set.refused().next().map(|(_, reason)| reason.clone());
        return Err(JwkSetError::NoUsableKey { reason });
    }
    Ok(set)
}

#[derive(Deserialize)]
struct RawSet<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct KidOnly {
    kid: Option<String>,
}

/// `n` and `x` of an entry with a private member, however malformed the rest of it is.
fn leaked_material(entry: &RawValue) -> Option<Vec<Vec<u8>>> {
    let Members(members) = serde_json::from_str(entry.get()).ok()?;
    let is_private = |(name, value): &(String, &RawValue)| {
        PRIVATE_MEMBERS.contains(&name.as_str()) && value.get() != "null"
    };
    if !members.iter().any(is_private) {
        return None;
    }
    let public = members
        .iter()
        .filter(|(name, _)| name == "n" || name == "x");
    let readable = public
        .filter_map(|(_, value)| serde_json::from_str::<String>(value.get()).ok())
        .filter_map(|text| lenient_bytes(&text));
    Some(readable.collect())
}

/// What a careless reader would take `text` for: padded, or of the other alphabet, or with
/// leading zeros.
fn lenient_bytes(text: &str) -> Option<Vec<u8>> {
    let text = text
        .trim_end_matches('=')
        .replace('+', "-")
        .replace('/', "_");
    let bytes = URL_SAFE_NO_PAD.decode_to_vec(text).ok()?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Some(bytes[zeros..].to_vec())
}

/// Every member of an object, repeated ones too.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

#[derive(Deserialize)]
struct RawJwk {
    kty: String,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    #[serde(flatten)]
    private: PrivateMembers,
}

/// Members only a private or symmetric key has (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Those of [`PRIVATE_MEMBERS`] that an entry has.
#[derive(Deserialize)]
struct PrivateMembers {
    d: Option<IgnoredAny>,
    p: Option<IgnoredAny>,
    q: Option<IgnoredAny>,
    dp: Option<IgnoredAny>,
    dq: Option<IgnoredAny>,
    qi: Option<IgnoredAny>,
    oth: Option<IgnoredAny>,
    k: Option<IgnoredAny>,
}

impl PrivateMembers {
    fn is_empty(&self) -> bool {
        let Self {
            d,
            p,
            q,
            dp,
            dq,
            qi,
            oth,
            k,
        } = self;
        [d, p, q, dp, dq, qi, oth, k]
            .iter()
            .all(|member| member.is_none())
    }
}

impl RawJwk {
    fn bind(
        self,
        allowed: &[Algorithm],
        backend: CryptoBackend,
    ) -> Result<VerificationKey, JwkRefused> {
        if self.kty == "oct" {
            return Err(JwkRefused::UnsupportedKeyType);
        }
        if !self.private.is_empty() {
            return Err(JwkRefused::PrivateMembers);
        }
        if self.r#use.as_deref().is_some_and(|r#use| r#use != "sig") {
            return Err(JwkRefused::OtherUse);
        }
        if let Some(operations) = &self.key_ops
            && !operations.iter().any(|operation| operation == "verify")
        {
            return Err(JwkRefused::OtherUse);
        }
        let public = self.public_key()?;
        let algorithm = self.algorithm(&public, allowed)?;
        VerificationKey::bind(self.kid, algorithm, public, backend).ok_or(JwkRefused::Material)
    }

    /// The one algorithm this key serves: its own `alg`, else the one allowed algorithm that fits.
    fn algorithm(
        &self,
        public: &PublicKey,
        allowed: &[Algorithm],
    ) -> Result<Algorithm, JwkRefused> {
        public.only_algorithm(allowed.iter().copied().filter(|algorithm| {
            self.alg
                .as_deref()
                .is_none_or(|alg| alg == algorithm.as_str())
        }))
    }

    fn public_key(&self) -> Result<PublicKey, JwkRefused> {
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => rsa(unsigned(self.n.as_ref())?, unsigned(self.e.as_ref())?),
            ("EC", Some("P-256")) => self.point(Algorithm::ES256, 32),
            ("EC", Some("P-384")) => self.point(Algorithm::ES384, 48),
            ("OKP", Some("Ed25519")) => ed25519(bytes(self.x.as_ref())?),
            _ => Err(JwkRefused::UnsupportedKeyType),
        }
    }

    /// RFC 7518 §6.2.1: coordinates are of the full length of the field.
    fn point(&self, algorithm: Algorithm, length: usize) -> Result<PublicKey, JwkRefused> {
        let (x, y) = (bytes(self.x.as_ref())?, bytes(self.y.as_ref())?);
        if x.len() != length || y.len() != length {
            return Err(JwkRefused::Material);
        }
        let point = [&[0x04], x.as_slice(), y.as_slice()].concat();
        Ok(PublicKey::Ec { algorithm, point })
    }
}

/// An RSA public key within our bounds: 2048–8192 bits, odd modulus, odd 3 < e ≤ 2^32.
pub(crate) fn rsa(n: Vec<u8>, e: Vec<u8>) -> Result<PublicKey, JwkRefused> {
    let bits = n.len() * 8 - n.first().map_or(0, |byte| byte.leading_zeros() as usize);
    if !(2048..=8192).contains(&bits) {
        return Err(JwkRefused::ModulusSize { bits });
    }
    let exponent = (e.len() <= 8).then(|| {
        e.iter()
            .fold(0_u64, |value, byte| value << 8 | u64::from(*byte))
    });
    let is_odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
    match exponent {
        Some(4..=0x1_0000_0000) if is_odd(&e) && is_odd(&n) => Ok(PublicKey::Rsa { n, e }),
        _ => Err(JwkRefused::Material),
    }
}

pub(crate) fn ed25519(x: Vec<u8>) -> Result<PublicKey, JwkRefused> {
    match x.len() {
        32 => Ok(PublicKey::Ed25519 { x }),
        _ => Err(JwkRefused::Material),
    }
}

fn bytes(member: Option<&String>) -> Result<Vec<u8>, JwkRefused> {
    let text = member.ok_or(JwkRefused::Malformed)?;
    URL_SAFE_NO_PAD
        .decode_to_vec(text)
        .map_err(|_| JwkRefused::Malformed)
}

/// `Base64urlUInt`: big-endian, minimal, not empty (RFC 7518 §2).
fn unsigned(member: Option<&String>) -> Result<Vec<u8>, JwkRefused> {
    let number = bytes(member)?;
    match number.first() {
        None | Some(0) => Err(JwkRefused::Malformed),
        Some(_) => Ok(number),
    }
}

/// Why a key of a set is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwkRefused {
    /// Not a JWK, or a member of the wrong form.
    #[error("not a well-formed JWK")]
    Malformed,
    /// `kty` or `crv` is none that signs, or symmetric.
    #[error("`kty` or `crv` is not supported")]
    UnsupportedKeyType,
    /// The publisher leaked the private half: the key must be treated as stolen.
    #[error("the set publishes the private half of this key")]
    PrivateMembers,
    /// `use` is not `sig`, or `key_ops` lacks `verify`.
    #[error("`use` or `key_ops` does not allow verifying")]
    OtherUse,
    /// RSA modulus out of 2048–8192 bits.
    #[error("the RSA modulus has {bits} bits, expected 2048 to 8192")]
    ModulusSize {
        /// Bits found.
        bits: usize,
    },
    /// The numbers are out of bounds, or not a point of the curve.
    #[error("the key material is out of bounds")]
    Material,
    /// `alg`, or every algorithm of this key type, is not allowed for this token.
    #[error("the key is not for the token's algorithm")]
    OtherAlgorithm,
    /// No `alg`, and several allowed algorithms would fit.
    #[error("the key has no `alg` and several allowed algorithms fit")]
    NoAlgorithm,
    /// The `kid` was published with other material before: which of the two is the issuer's
    /// cannot be told.
    #[error("the kid was published with other key material before")]
    MaterialChanged,
    /// Several different keys share the `kid`.
    #[error("several keys share the kid")]
    Ambiguous,
}

/// A JWK Set document cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwkSetError {
    /// More bytes than the limit.
    #[error("expected a JWK Set of at most {MAX_JWK_SET} bytes")]
    TooLarge,
    /// Not `{"keys": [...]}`.
    #[error("expected a JSON object with an array `keys`")]
    Malformed,
    /// More keys than the limit.
    #[error("expected at most {MAX_KEYS} keys, found {count}")]
    TooManyKeys {
        /// Keys found.
        count: usize,
    },
    /// No key of the set can be used.
    #[error("expected at least one usable key{}", reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}")))]
    NoUsableKey {
        /// Why the first of them is refused; none in an empty set.
        reason: Option<JwkRefused>,
    },
}
