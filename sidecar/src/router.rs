//! Router: the route table, and the front every request passes before it.
//!
//! **Invariant:** a route is an exact path and a method: no pattern, no normalisation, no list of
//! exceptions (hazards S10, S13, S14). A panic, too, is a refusal (hazard S29).

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::{any, get, post};
use futures_util::FutureExt as _;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, Version};
use hyper::body::Incoming;
use tower_service::Service as _;
use tracing::Instrument as _;

use crate::metrics::RouteClass;
use crate::problem::EdgeCode;
use crate::routes::{auth, health, metrics, page, validate};
use crate::shared::Shared;

/// Every route of the sidecar.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/validate", post(validate::validate))
        .route(auth::PATH, any(auth::auth))
        .route("/v1/status", get(health::status))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/startupz", get(health::startupz))
        .route("/metrics", get(metrics::metrics))
        .route("/", get(page::page))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(route_not_found)
        .with_state(shared)
}

async fn method_not_allowed(State(shared): State<Arc<Shared>>) -> Response<Body> {
    shared.refuse(EdgeCode::MethodNotAllowed)
}

async fn route_not_found(State(shared): State<Arc<Shared>>) -> Response<Body> {
    shared.refuse(EdgeCode::RouteNotFound)
}

/// Answers one request: guard, route, and what every answer must carry.
pub(crate) async fn answer(
    shared: &Shared,
    mut router: Router,
    request: Request<Incoming>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let is_auth = head.uri.path() == auth::PATH;
    let (began, route) = (shared.clock.monotonic(), RouteClass::of(head.uri.path()));
    let version = head.version;
    let request_id = shared.request_ids.next();
    let span = tracing::debug_span!("request", %request_id, route = route.as_str());
    let traces = shared.traces.as_ref();
    let trace = traces.map(|traces| traces.begin(&head, route));
    let routed = async {
        if let Err(code) = shared.guard.check(&head) {
            return shared.refuse(code);
        }
        let request = Request::from_parts(head, Body::new(body));
        let routed = AssertUnwindSafe(router.call(request)).catch_unwind();
        let Ok(Ok(response)) = routed.await else {
            tracing::error!(%request_id, route = route.as_str(), "request_failed");
            return shared.refuse(EdgeCode::Internal);
        };
        tracing::debug!(status = response.status().as_u16(), "answered");
        response
    };
    let mut response = routed.instrument(span).await;
    let took = shared.clock.monotonic().saturating_sub(began);
    shared.metrics.answered(route, took);
    if let Some(trace) = trace {
        trace.end(&response);
    }
    if is_auth {
        auth::complete(response.headers_mut());
    }
    if shared.is_draining.load(Relaxed) && version <= Version::HTTP_11 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}
