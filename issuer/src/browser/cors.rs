//! CORS: which pages may read an answer.
//!
//! **Invariant:** origins are compared whole, against the settings' list; none is reflected, none matches by
//! pattern. Cookies go along on the routes that take them, and on no other.

use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method};
use tower_http::cors::CorsLayer;

use super::CSRF;
use crate::app::Shared;

/// For routes that cookies speak for.
pub(crate) fn with_cookies(shared: &Shared) -> CorsLayer {
    without_cookies(shared).allow_credentials(true)
}

/// For routes a bearer token speaks for.
pub(crate) fn without_cookies(shared: &Shared) -> CorsLayer {
    let origins = shared.settings.origins.iter();
    let origins: Vec<HeaderValue> = origins.filter_map(|origin| origin.parse().ok()).collect();
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, CSRF, IDEMPOTENCY_KEY])
        .expose_headers([ETAG, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE, REQUEST_ID])
        .max_age(PREFLIGHT)
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PREFLIGHT: Duration = Duration::from_secs(600);
