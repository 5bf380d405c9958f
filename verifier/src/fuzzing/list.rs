//! Status lists: what is let through is held against a plain inflation and plain arithmetic.

use std::io::Read as _;

use base64_simd::URL_SAFE_NO_PAD;
use flate2::read::ZlibDecoder;
use serde_json::Value;

use super::plain;
use crate::status::list::{MAX_INFLATED, StatusList};
use crate::status::token::ListToken;

const ISSUER: &str = "https://issuer.queue.test";

/// The claims of a list mean what a plain JSON parser reads in them, and a list inflates if and
/// only if it is one whole zlib stream within its bound; the same bytes are taken as the one and as
/// the other.
pub fn status_list(bytes: &[u8]) {
    plain::agrees(bytes);
    if let Ok(token) = ListToken::parse(bytes, ISSUER) {
        let members: Value = serde_json::from_slice(bytes).expect("JSON is JSON to everybody");
        agrees(&token, &members);
    }
    let lst = URL_SAFE_NO_PAD.encode_to_string(bytes);
    let inflated = inflate(bytes);
    for bits in [1, 2, 4, 8] {
        let list = StatusList::parse(bits, &lst);
        assert_eq!(list.is_some(), inflated.is_some(), "{bits} bits");
        if let (Some(list), Some(bytes)) = (list, &inflated) {
            statuses(&list, bits, bytes);
        }
    }
    for bits in [i64::MIN, -1, 0, 3, 5, 16, 257] {
        assert_eq!(StatusList::parse(bits, &lst), None, "{bits} bits");
    }
}

fn agrees(token: &ListToken, members: &Value) {
    assert!(members.get("iss").is_none_or(|iss| iss == ISSUER));
    assert_eq!(members["sub"], *token.sub);
    for (name, time) in [("iat", Some(token.issued_at)), ("exp", token.expires_at)] {
        let read = members.get(name).map(|time| time.as_f64().expect(name));
        assert_eq!(read.is_some(), time.is_some(), "{name}");
        // What a double cannot hold exactly is told apart by `claims`.
        let is_close = |(read, time): (f64, i64)| (read - time as f64).abs() <= 1.0;
        let both = read.zip(time.map(|time| time.seconds()));
        assert!(both.is_none_or(is_close), "{name}");
    }
    assert_eq!(members.get("ttl").is_some(), token.ttl.is_some());
    assert!(token.ttl.is_none_or(|ttl| ttl > 0.0 && ttl.is_finite()));
    let bits = members["status_list"]["bits"].as_i64().expect("a number");
    let lst = members["status_list"]["lst"].as_str().expect("a text");
    let zlib = URL_SAFE_NO_PAD
        .decode_to_vec(lst)
        .expect("strict base64url");
    statuses(&token.list, bits, &inflate(&zlib).expect("a whole stream"));
}

/// All of `zlib`, if it is one stream and no more.
fn inflate(zlib: &[u8]) -> Option<Vec<u8>> {
    let mut decoder = ZlibDecoder::new(zlib);
    let mut bytes = Vec::new();
    let bound = u64::try_from(MAX_INFLATED).expect("the bound is small") + 1;
    (&mut decoder).take(bound).read_to_end(&mut bytes).ok()?;
    let is_whole = decoder.total_in() == u64::try_from(zlib.len()).ok()?;
    (is_whole && bytes.len() <= MAX_INFLATED).then_some(bytes)
}

/// Every status is that of §4.1 of Token Status List, by arithmetic.
fn statuses(list: &StatusList, bits: i64, bytes: &[u8]) {
    let bits = usize::try_from(bits).expect("a good size");
    let per_byte = 8 / bits;
    assert_eq!(list.len(), bytes.len() * per_byte);
    let size = u32::try_from(list.len()).expect("within its bound");
    // Both ends of a long list, all of a short one.
    let ends = (0..size.min(4096)).chain(size.saturating_sub(64)..size);
    for idx in ends {
        let at = usize::try_from(idx).expect("32 bits");
        let values = 1_u32 << bits;
        let below = values.pow(u32::try_from(at % per_byte).expect("less than 8"));
        let expected = u32::from(bytes[at / per_byte]) / below % values;
        assert_eq!(list.status(idx).map(u32::from), Some(expected), "{idx}");
    }
    for beyond in [size, size.saturating_add(1), u32::MAX] {
        assert_eq!(list.status(beyond), None);
    }
}
