//! Shadow: forward-auth that refuses nobody yet, for the days before it shall.
//!
//! **Invariant:** only answers of forward-auth change, where the proxy looks at nothing but the
//! status; whoever asks for a verdict (validation, introspection) gets the verdict. An answer that
//! would have been a refusal identifies nobody. Every answer of a sidecar in this mode says so.

use axum::body::Body;
use http::header::CACHE_CONTROL;
use http::{HeaderName, HeaderValue, Response};

use crate::problem::Refused;
use crate::shared::Shared;

/// `response` as it leaves a sidecar in shadow mode; `is_forward_auth` says whose answer it is.
pub(crate) fn cast(
    shared: &Shared,
    response: Response<Body>,
    is_forward_auth: bool,
) -> Response<Body> {
    let refused = response.extensions().get::<Refused>().copied();
    let (mut response, mark) = match refused {
        _ if !is_forward_auth => (response, HeaderValue::from_static("not-applied")),
        Some(Refused(code)) => {
            shared.metrics.shadowed.count(code);
            (passed(), HeaderValue::from_static(code))
        }
        None => (response, HeaderValue::from_static("pass")),
    };
    response.headers_mut().insert(MARK, mark);
    response
}

fn passed() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    response
}

/// `pass`, the code it would have been refused with, or `not-applied`.
const MARK: HeaderName = HeaderName::from_static("x-queue-shadow");
