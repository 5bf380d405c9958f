//! `GET /openapi.json`: the description of these routes.

use axum::body::Body;
use http::Response;

use super::{JSON, ok};

pub(crate) async fn openapi() -> Response<Body> {
    ok(JSON, crate::openapi::openapi())
}
