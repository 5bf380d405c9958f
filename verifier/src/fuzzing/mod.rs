//! Fuzzing: any bytes → one room each, and what must hold of whatever the room lets through.
//!
//! **Invariant:** compiled for tests and fuzz targets alone; no caller of the crate can reach it.

mod list;
mod plain;
mod walk;

use base64_simd::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::algorithm::Algorithm;
use crate::header::ProtectedHeader;
use crate::json;
use crate::key::{JwkSet, MAX_JWK_SET, MAX_KEYS, PublicKey, VerificationKey, jwk};
use crate::policy::{HeaderPolicy, MAX_HEADER, MAX_JSON_DEPTH, MAX_KID, MAX_TOKEN, TypRule};
use crate::signature::CryptoBackend;
use crate::token::{CompactJws, TokenError};
pub use list::status_list;
pub use walk::{claims, validate_session};

/// A target: its name and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target, in the order of the walk.
pub const TARGETS: [Target; 6] = [
    ("compact_jws", compact_jws),
    ("protected_header", protected_header),
    ("jwk_set", jwk_set),
    ("claims", claims),
    ("status_list", status_list),
    ("validate_session", validate_session),
];

/// The backends compiled in.
fn backends() -> Vec<CryptoBackend> {
    vec![
        #[cfg(feature = "ring")]
        CryptoBackend::Ring,
        #[cfg(feature = "aws-lc-rs")]
        CryptoBackend::AwsLcRs,
    ]
}

/// A token parses if and only if it is strict by the letter, and encodes to its own bytes.
pub fn compact_jws(token: &[u8]) {
    let parsed = CompactJws::parse(token);
    let is_too_large = matches!(parsed, Err(TokenError::TooLarge { .. }));
    assert_eq!(is_too_large, token.len() > MAX_TOKEN);
    assert_eq!(parsed.is_ok(), !is_too_large && is_compact(token));
    let Ok(jws) = parsed else {
        return;
    };
    let encode = |part: &[u8]| URL_SAFE_NO_PAD.encode_to_string(part);
    let parts = [jws.header(), jws.unverified_payload(), jws.signature()].map(encode);
    assert_eq!(parts.join(".").as_bytes(), token, "one byte form");
    assert_eq!(jws.signing_input(), parts[..2].join(".").as_bytes());
}

/// RFC 7515 §3.1 with RFC 4648 §3.5 and §5, by the letter.
fn is_compact(token: &[u8]) -> bool {
    let segments: Vec<&[u8]> = token.split(|byte| *byte == b'.').collect();
    segments.len() == 3 && !segments[0].is_empty() && segments.into_iter().all(is_base64url)
}

fn is_base64url(segment: &[u8]) -> bool {
    let value = |byte: &u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    };
    let unused = match segment.len() % 4 {
        0 => 0,
        2 => 0b1111,
        3 => 0b0011,
        _ => return false,
    };
    let last = segment.last().and_then(value).unwrap_or(0);
    segment.iter().all(|byte| value(byte).is_some()) && last & unused == 0
}

/// A header that parses is within its bounds, means what a plain JSON parser reads in it, and
/// is all there is to it: written down with its three members alone, it parses to the same.
pub fn protected_header(header: &[u8]) {
    plain::agrees(header);
    for typ in [TypRule::AccessToken, TypRule::Jwt, TypRule::Any] {
        let policy = |algorithms: &[Algorithm]| HeaderPolicy {
            algorithms: algorithms.to_vec(),
            typ,
        };
        let Some((own, kid)) = header_of(header, &policy(&Algorithm::ALL)) else {
            continue;
        };
        assert!(header.len() <= MAX_HEADER);
        let members: Value = serde_json::from_slice(header).expect("JSON is JSON to everybody");
        assert!(depth(&members) <= MAX_JSON_DEPTH);
        assert_eq!(members["alg"], own.as_str());
        assert_eq!(members["kid"].as_str(), kid.as_deref());
        assert!(kid.iter().all(|kid| kid.len() <= MAX_KID));
        assert!(members.get("crit").is_none() && members.get("b64").is_none());
        let mut bare = json!({"alg": members["alg"]});
        for name in ["typ", "kid"] {
            if let Some(member) = members.get(name) {
                bare[name] = member.clone();
            }
        }
        let bare = header_of(bare.to_string().as_bytes(), &policy(&Algorithm::ALL));
        assert_eq!(bare, Some((own, kid)));
        for algorithm in Algorithm::ALL {
            let alone = header_of(header, &policy(&[algorithm]));
            assert_eq!(alone.is_some(), algorithm == own);
        }
    }
}

/// The algorithm and `kid` of a header that parses.
fn header_of(header: &[u8], policy: &HeaderPolicy) -> Option<(Algorithm, Option<String>)> {
    let token = format!("{}..", URL_SAFE_NO_PAD.encode_to_string(header));
    let jws = CompactJws::parse(token.as_bytes()).ok()?;
    let header = ProtectedHeader::parse(&jws, policy).ok()?;
    Some((header.algorithm, header.kid().map(str::to_owned)))
}

/// How deep arrays and objects nest.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// A set that parses is within its bounds; each of its keys is of sound material, serves one
/// algorithm and no other, and has no private half in the document.
pub fn jwk_set(document: &[u8]) {
    let allowed = [
        Algorithm::RS256,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
    ];
    for backend in backends() {
        let Ok(set) = jwk::parse_set(document, &allowed, backend) else {
            continue;
        };
        assert!(document.len() <= MAX_JWK_SET && !set.is_empty());
        assert!(set.usable().count() <= MAX_KEYS);
        let leaked = leaked(document);
        for (kid, own) in set.usable() {
            assert!(allowed.contains(&own));
            for algorithm in Algorithm::ALL {
                with_key(&set, algorithm, kid, |key| {
                    assert_eq!(key.algorithm(), algorithm);
                    assert!(is_sound(key.public(), algorithm));
                    assert!(!leaked.contains(&material(key.public())));
                });
            }
        }
        unknown_kid(&set);
    }
}

/// Shows `judge` the key that a header of `algorithm` and `kid` picks.
fn with_key(
    set: &JwkSet,
    algorithm: Algorithm,
    kid: Option<&str>,
    judge: impl FnOnce(&VerificationKey),
) {
    let mut header = json!({"alg": algorithm.as_str()});
    if let Some(kid) = kid {
        header["kid"] = kid.into();
    }
    let policy = HeaderPolicy {
        algorithms: vec![algorithm],
        typ: TypRule::Any,
    };
    let token = format!("{}..", URL_SAFE_NO_PAD.encode_to_string(header.to_string()));
    let jws = CompactJws::parse(token.as_bytes());
    let header = jws.as_ref().map(|jws| ProtectedHeader::parse(jws, &policy));
    // A set may have a `kid` that is too long for a header.
    let Ok(Ok(header)) = header else {
        return;
    };
    if let Ok(key) = set.select(&header) {
        judge(key);
    }
}

/// A `kid` that is not in the set picks nothing.
fn unknown_kid(set: &JwkSet) {
    let named = set.usable().filter_map(|(kid, _)| kid);
    let refused = set.refused().filter_map(|(kid, _)| kid);
    let longest = named.chain(refused).map(str::len).max().unwrap_or(0);
    for algorithm in Algorithm::ALL {
        let kid = "k".repeat(longest + 1);
        with_key(set, algorithm, Some(&kid), |_| {
            panic!("nobody has this kid")
        });
    }
}

/// The bounds of contract §2 and RFC 7518 §6, by the letter.
fn is_sound(public: &PublicKey, algorithm: Algorithm) -> bool {
    match public {
        PublicKey::Rsa { n, e } => {
            let bits = n.len() * 8 - n.first().map_or(8, |byte| byte.leading_zeros() as usize);
            let exponent = e
                .iter()
                .fold(0_u128, |value, byte| value << 8 | u128::from(*byte));
            algorithm == Algorithm::RS256
                && (2048..=8192).contains(&bits)
                && (4..=1 << 32).contains(&exponent)
                && e.len() <= 8
                && [n, e]
                    .iter()
                    .all(|number| number.last().is_some_and(|byte| byte % 2 == 1))
        }
        PublicKey::Ec { point, .. } => matches!(
            (algorithm, point.len(), point.first()),
            (Algorithm::ES256, 65, Some(4)) | (Algorithm::ES384, 97, Some(4))
        ),
        PublicKey::Ed25519 { x } => algorithm == Algorithm::EdDSA && x.len() == 32,
    }
}

/// The members of a JWK that make its public half, in a fixed order.
type Material = [Option<String>; 4];

fn material(public: &PublicKey) -> Material {
    let encode = |bytes: &[u8]| Some(URL_SAFE_NO_PAD.encode_to_string(bytes));
    match public {
        PublicKey::Rsa { n, e } => [encode(n), encode(e), None, None],
        PublicKey::Ec { point, .. } => {
            let (x, y) = point[1..].split_at((point.len() - 1) / 2);
            [None, None, encode(x), encode(y)]
        }
        PublicKey::Ed25519 { x } => [None, None, encode(x), None],
    }
}

/// The public halves of the document's entries that are well-formed and not only public.
fn leaked(document: &[u8]) -> Vec<Material> {
    let Ok(set) = serde_json::from_slice::<Value>(document) else {
        return Vec::new();
    };
    if json::object(document, |reader, _| reader.skip()).is_err() {
        // A member twice: which one counts is not ours to say here.
        return Vec::new();
    }
    let entries = set["keys"].as_array().cloned().unwrap_or_default();
    entries.iter().filter_map(leaked_entry).collect()
}

fn leaked_entry(jwk: &Value) -> Option<Material> {
    let private = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
    let is_private = private.iter().any(|name| !jwk[name].is_null());
    let is_text = |name: &&str| jwk[name].is_null() || jwk[name].is_string();
    let is_well_formed = ["use", "alg", "kid", "crv", "n", "e", "x", "y"]
        .iter()
        .all(is_text)
        && (jwk["key_ops"].is_null() || jwk["key_ops"].as_array()?.iter().all(Value::is_string));
    let member = |name: &str| jwk[name].as_str().map(str::to_owned);
    let found = match jwk["kty"].as_str()? {
        "RSA" => [member("n"), member("e"), None, None],
        "EC" => [None, None, member("x"), member("y")],
        "OKP" => [None, None, member("x"), None],
        _ => return None,
    };
    (is_private && is_well_formed).then_some(found)
}

#[cfg(test)]
mod tests;
