//! `GET /livez /readyz /startupz /v1/status`: whether the sidecar lives, can judge, ever could.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::body::Body;
use axum::extract::State;
use http::Response;

use super::{JSON, ok};
use crate::problem::EdgeCode;
use crate::report::Report;
use crate::shared::Shared;

/// The process answers.
pub(crate) async fn livez() -> Response<Body> {
    ok(TEXT, "ok\n")
}

/// A token could be judged now; stays so through an outage of the issuer until the stale bound.
pub(crate) async fn readyz(State(shared): State<Arc<Shared>>) -> Response<Body> {
    if shared.is_draining.load(Relaxed) {
        shared.refuse(EdgeCode::Draining)
    } else if shared.is_ready() {
        ok(TEXT, "ok\n")
    } else {
        shared.refuse(EdgeCode::NotReady)
    }
}

/// A token could be judged once.
pub(crate) async fn startupz(State(shared): State<Arc<Shared>>) -> Response<Body> {
    if shared.is_ready() || shared.has_been_ready.load(Relaxed) {
        ok(TEXT, "ok\n")
    } else {
        shared.refuse(EdgeCode::NotReady)
    }
}

/// What the sidecar knows: keys, lists, verdicts, latencies.
pub(crate) async fn status(State(shared): State<Arc<Shared>>) -> Response<Body> {
    match serde_json::to_vec(&Report::of(&shared)) {
        Ok(status) => ok(JSON, status),
        Err(_) => shared.refuse(EdgeCode::Internal),
    }
}

const TEXT: &str = "text/plain; charset=utf-8";
