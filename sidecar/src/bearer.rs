//! Bearer: request headers → the one token they carry, as bytes.
//!
//! **Invariant:** more than one token is an error, never a choice (hazard S7). The bytes are not
//! judged here: whatever follows the scheme goes to the verifier.
//!
//! RFC 6750 §2.1, RFC 9110 §11.4, RFC 6265 §5.4.

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};

use crate::problem::EdgeCode;

/// The token of the `Authorization` header; `None` when there is no such header.
///
/// # Errors
/// `bearer_malformed`: two headers, another scheme, no token, or white space in it.
pub(crate) fn authorization(headers: &HeaderMap) -> Result<Option<&[u8]>, EdgeCode> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(EdgeCode::BearerMalformed);
    }
    let value = value.as_bytes().trim_ascii();
    let Some((scheme, rest)) = value.split_at_checked(SCHEME.len()) else {
        return Err(EdgeCode::BearerMalformed);
    };
    let token = rest.trim_ascii_start();
    let is_separated = rest.len() > token.len();
    if !scheme.eq_ignore_ascii_case(SCHEME)
        || !is_separated
        || token.contains(&b' ')
        || token.contains(&b'\t')
    {
        return Err(EdgeCode::BearerMalformed);
    }
    Ok(Some(token))
}

/// The token of the cookie called `name`; `None` when it is absent or empty.
///
/// # Errors
/// `bearer_malformed` when there are several: one may have been tossed in by a sibling domain.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a [u8]>, EdgeCode> {
    let mut found = None;
    let pairs = headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    for pair in pairs {
        let Some(at) = pair.iter().position(|byte| *byte == b'=') else {
            continue;
        };
        if pair[..at].trim_ascii() != name.as_bytes() {
            continue;
        }
        if found.replace(pair[at + 1..].trim_ascii()).is_some() {
            return Err(EdgeCode::BearerMalformed);
        }
    }
    Ok(found.filter(|token| !token.is_empty()))
}

/// The one token of a request whose carriers are the header and, where it has a name, a cookie.
///
/// # Errors
/// `bearer_missing`, `bearer_malformed`.
pub(crate) fn only<'a>(
    headers: &'a HeaderMap,
    cookie_name: Option<&str>,
) -> Result<&'a [u8], EdgeCode> {
    let in_cookie = match cookie_name {
        Some(name) => cookie(headers, name)?,
        None => None,
    };
    match (authorization(headers)?, in_cookie) {
        (Some(token), None) | (None, Some(token)) => Ok(token),
        (None, None) => Err(EdgeCode::BearerMissing),
        (Some(_), Some(_)) => Err(EdgeCode::BearerMalformed),
    }
}

const SCHEME: &[u8] = b"Bearer";
