//! `GET /metrics`: Prometheus text.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::Response;

use super::ok;
use crate::report::Report;
use crate::shared::Shared;

pub(crate) async fn metrics(State(shared): State<Arc<Shared>>) -> Response<Body> {
    ok(PROMETHEUS, shared.metrics.render(&Report::of(&shared)))
}

const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
