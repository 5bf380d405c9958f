//! Cookies: the two that Queue sets, and how they are read back.
//!
//! **Invariant:** both have the prefix `__Host-`: a browser takes them from this host alone, over a
//! trustworthy connection, so no sibling domain can put its own in their place.
//! **Invariant:** a cookie that comes twice is no cookie.
//!
//! RFC 6265bis §4.1.3.2.

use std::time::Duration;

use aws_lc_rs::digest;
use cookie::{Cookie, SameSite};
use http::header::{COOKIE, SET_COOKIE};
use http::request::Parts;
use http::{HeaderName, HeaderValue};

use crate::extract::sha256;
use crate::problem::Problem;
use crate::secret::random;

/// What is bound to the browser that began to sign in, from its first question to its session.
///
/// Without it, a ceremony begun by one person could be finished by another (login fixation).
#[derive(Debug)]
pub(crate) struct LoginTransaction {
    value: String,
}

impl LoginTransaction {
    /// The transaction the request belongs to.
    pub(crate) fn of(parts: &Parts) -> Option<Self> {
        let value = read(parts, LOGIN_TRANSACTION)?;
        let sound = value.len() == 43
            && base64_simd::URL_SAFE_NO_PAD
                .decode_to_vec(&value)
                .is_ok_and(|bytes| bytes.len() == 32);
        sound.then_some(Self { value })
    }

    /// A new one.
    pub(crate) fn begin() -> Result<Self, Problem> {
        let value = base64_simd::URL_SAFE_NO_PAD.encode_to_string(random::<32>()?);
        Ok(Self { value })
    }

    /// What the database keeps of it.
    pub(crate) fn binding(&self) -> [u8; digest::SHA256_OUTPUT_LEN] {
        sha256(self.value.as_bytes())
    }

    /// The header that keeps it in the browser for ten minutes.
    pub(crate) fn set(&self) -> (HeaderName, HeaderValue) {
        set(LOGIN_TRANSACTION, &self.value, LOGIN_TRANSACTION_LIFE)
    }

    /// The header that ends it.
    pub(crate) fn clear() -> (HeaderName, HeaderValue) {
        set(LOGIN_TRANSACTION, "", Duration::ZERO)
    }
}

/// The refresh token the request carries.
pub(crate) fn refresh_token(parts: &Parts) -> Option<String> {
    read(parts, REFRESH_TOKEN)
}

/// The header that keeps `token` in the browser for `life`.
pub(crate) fn set_refresh_token(token: &str, life: Duration) -> (HeaderName, HeaderValue) {
    set(REFRESH_TOKEN, token, life)
}

/// The header that takes the refresh token from the browser.
pub(crate) fn clear_refresh_token() -> (HeaderName, HeaderValue) {
    set(REFRESH_TOKEN, "", Duration::ZERO)
}

fn read(parts: &Parts, name: &str) -> Option<String> {
    let headers = parts.headers.get_all(COOKIE).iter();
    let mut found = headers
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| Cookie::split_parse(header.to_owned()))
        .filter_map(Result::ok)
        .filter(|cookie| cookie.name() == name);
    match (found.next(), found.next()) {
        (Some(cookie), None) if cookie.value().len() <= MAX_VALUE => {
            Some(cookie.value().to_owned())
        }
        _ => None,
    }
}

fn set(name: &'static str, value: &str, life: Duration) -> (HeaderName, HeaderValue) {
    let seconds = i64::try_from(life.as_secs()).unwrap_or(i64::MAX);
    let cookie = Cookie::build((name, value))
        .http_only(true)
        .secure(true)
        .same_site(SameSite::Strict)
        .path("/")
        .max_age(cookie::time::Duration::seconds(seconds));
    let text = cookie.to_string();
    let header = HeaderValue::from_str(&text).expect("a base64url value is visible ASCII");
    (SET_COOKIE, header)
}

/// How long a customer may take to sign in.
pub(crate) const LOGIN_TRANSACTION_LIFE: Duration = Duration::from_secs(600);
const LOGIN_TRANSACTION: &str = "__Host-queue_lt";
const REFRESH_TOKEN: &str = "__Host-queue_rt";
const MAX_VALUE: usize = 256;
