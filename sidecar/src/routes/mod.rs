//! Routes: one file per resource, handlers of a few lines; no policy in any of them.

pub(crate) mod auth;
pub(crate) mod batch;
pub(crate) mod body;
pub(crate) mod envoy;
pub(crate) mod health;
pub(crate) mod introspect;
pub(crate) mod metrics;
pub(crate) mod openapi;
pub(crate) mod page;
pub(crate) mod tokenreviews;
pub(crate) mod validate;

use axum::body::Body;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Response};

use crate::problem::{EdgeCode, Problem};

/// A good answer, never to be kept by a cache.
fn ok(content_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A route that takes a body takes no query: what stands there would ask nothing.
fn without_query(head: &Parts) -> Result<(), Problem> {
    if head.uri.query().is_none() {
        return Ok(());
    }
    let problem = Problem::from(EdgeCode::RequestMalformed);
    Err(problem.because("expected no query: requirements go into the body"))
}

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
