//! Problem: a code → status, `WWW-Authenticate` and RFC 9457 body; the only such table here.
//!
//! **Invariant:** every refusal of the listener is `application/problem+json`, says why in a
//! stable `code`, and repeats no byte of a token.
//!
//! RFC 6750 §3, RFC 9457, RFC 9470 §3.

use std::borrow::Cow;

use axum::body::Body;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use queue_verifier::{Error, ErrorCode, ErrorKind};
use serde::Serialize;

use crate::traces::Code;
use crate::wire::Requirement;

macro_rules! codes {
    ($($variant:ident $text:literal $status:ident $title:literal;)*) => {
        /// A code of the edge: what is wrong with a request before or besides its token.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum EdgeCode {
            $(#[doc = $title] $variant,)*
        }

        impl EdgeCode {
            /// Every code, in the order a request meets them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code as it appears on the wire; never renamed.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The HTTP status it travels with.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            /// One sentence on what it means.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

codes! {
    HttpMalformed "http_malformed" BAD_REQUEST "The bytes are no HTTP request.";
    UriTooLong "uri_too_long" URI_TOO_LONG "The request target is too long.";
    HeadersTooLarge "headers_too_large" REQUEST_HEADER_FIELDS_TOO_LARGE "The head of the request is larger than 64 KiB or has more than 100 fields.";
    HostNotAllowed "host_not_allowed" MISDIRECTED_REQUEST "`Host` is none of the names this listener answers to.";
    OriginNotAllowed "origin_not_allowed" FORBIDDEN "The request comes from a web page, or a proxy passed on `Origin` or `Sec-Fetch-Site`.";
    RouteNotFound "route_not_found" NOT_FOUND "There is nothing at this path.";
    MethodNotAllowed "method_not_allowed" METHOD_NOT_ALLOWED "The path exists, the method does not.";
    Overloaded "overloaded" SERVICE_UNAVAILABLE "Too many requests are under way.";
    RequestMalformed "request_malformed" BAD_REQUEST "The body or the query is not what the route takes.";
    RequestTooLarge "request_too_large" PAYLOAD_TOO_LARGE "The body is larger than 64 KiB.";
    RequestUnsupportedMediaType "request_unsupported_media_type" UNSUPPORTED_MEDIA_TYPE "The body is not labelled as JSON in UTF-8.";
    RequestTimeout "request_timeout" REQUEST_TIMEOUT "The body did not arrive in time.";
    BearerMissing "bearer_missing" UNAUTHORIZED "The request carries no token.";
    BearerMalformed "bearer_malformed" BAD_REQUEST "The request does not carry exactly one bearer token.";
    DeadlineExceeded "deadline_exceeded" SERVICE_UNAVAILABLE "The token could not be judged in time.";
    SessionTooLarge "session_too_large" FORBIDDEN "The session does not fit into response headers.";
    NotReady "not_ready" SERVICE_UNAVAILABLE "There is no key set young enough to judge by.";
    Draining "draining" SERVICE_UNAVAILABLE "The sidecar is shutting down.";
    Internal "internal_error" SERVICE_UNAVAILABLE "The sidecar failed; the token was not judged.";
}

/// A refusal on its way out.
#[derive(Debug)]
pub(crate) struct Problem {
    code: &'static str,
    /// The same, where it is one of the edge's own.
    pub(crate) edge: Option<EdgeCode>,
    status: StatusCode,
    title: &'static str,
    detail: Cow<'static, str>,
    challenge: Option<HeaderValue>,
}

impl From<EdgeCode> for Problem {
    fn from(code: EdgeCode) -> Self {
        let challenge = match code {
            EdgeCode::BearerMissing => Some(HeaderValue::from_static("Bearer")),
            EdgeCode::BearerMalformed => challenge("invalid_request", code.meaning(), None),
            _ => None,
        };
        Self {
            code: code.as_str(),
            edge: Some(code),
            status: code.status(),
            title: code.meaning(),
            detail: Cow::Borrowed(code.meaning()),
            challenge,
        }
    }
}

impl Problem {
    /// What the walk said of a token that was held against `requirement`.
    pub(crate) fn verdict(error: &Error, requirement: &Requirement) -> Self {
        let code = error.code();
        let meaning = code.meaning();
        let (status, challenge) = match code {
            _ if code.kind() == ErrorKind::Fault => (StatusCode::SERVICE_UNAVAILABLE, None),
            ErrorCode::ClaimsScopeMissing
            | ErrorCode::ClaimsRoleMissing
            | ErrorCode::ClaimsTenantMismatch => {
                let scope = requirement.scope_attribute();
                let scope = scope.as_deref().map(|scope| ("scope", scope));
                (
                    StatusCode::FORBIDDEN,
                    challenge("insufficient_scope", meaning, scope),
                )
            }
            ErrorCode::ClaimsAuthTooOld => {
                let age = requirement.max_age_attribute();
                let age = age.as_deref().map(|age| ("max_age", age));
                (StatusCode::UNAUTHORIZED, challenge(STEP_UP, meaning, age))
            }
            ErrorCode::ClaimsAcrInsufficient => {
                let acr = requirement.acr_attribute();
                let acr = acr.as_deref().map(|acr| ("acr_values", acr));
                (StatusCode::UNAUTHORIZED, challenge(STEP_UP, meaning, acr))
            }
            _ => (
                StatusCode::UNAUTHORIZED,
                challenge("invalid_token", meaning, None),
            ),
        };
        Self {
            code: code.as_str(),
            edge: None,
            status,
            title: meaning,
            detail: Cow::Owned(error.to_string()),
            challenge,
        }
    }

    /// Says more than the code does.
    pub(crate) fn because(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = detail.into();
        self
    }

    /// The body (RFC 9457 §3.1).
    pub(crate) fn body(&self) -> Vec<u8> {
        let body = Body9457 {
            r#type: format_args!("urn:queue:problem:{}", self.code),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
        };
        serde_json::to_vec(&body).unwrap_or_default()
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body()));
        *response.status_mut() = self.status;
        response.extensions_mut().insert(Code(self.code));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = self.challenge {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// `Bearer error="…", error_description="…"` and at most one attribute more; an attribute that
/// would need escaping is left out.
fn challenge(error: &str, description: &str, more: Option<(&str, &str)>) -> Option<HeaderValue> {
    let mut text = format!("Bearer error=\"{error}\", error_description=\"{description}\"");
    if let Some((name, value)) = more.filter(|(_, value)| is_quotable(value)) {
        text.push_str(&format!(", {name}=\"{value}\""));
    }
    HeaderValue::try_from(text).ok()
}

/// %x20-21 / %x23-5B / %x5D-7E (RFC 6750 §3), and short.
fn is_quotable(value: &str) -> bool {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    value.len() <= 1024 && value.bytes().all(is_plain)
}

#[derive(Serialize)]
struct Body9457<'a> {
    r#type: std::fmt::Arguments<'a>,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
}

/// Media type of a refusal.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";
/// RFC 9470 §3.
const STEP_UP: &str = "insufficient_user_authentication";
