//! Router: the route table, and the front every request passes before it.
//!
//! **Invariant:** a route is an exact path and a method: no pattern, no normalisation, no list of
//! exceptions (hazards S10, S13, S14); below `/envoy/` every path is the same route. A panic, too, is a refusal (hazard S29).

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::{any, get, post};
use futures_util::FutureExt as _;
use http::header::{ALLOW, CONNECTION};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use tower_service::Service as _;
use tracing::Instrument as _;

use crate::grpc;
use crate::identity;
use crate::in_force::Live;
use crate::metrics::RouteClass;
use crate::problem::EdgeCode;
use crate::routes::{
    auth, batch, envoy, health, introspect, metrics, openapi, page, tokenreviews, validate,
};
use crate::shadow;
use crate::shared::Shared;
use crate::transport::Door;

/// Every route of the sidecar.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/validate", post(validate::validate))
        .route("/v1/validate/batch", post(batch::batch))
        .route("/v1/introspect", post(introspect::introspect))
        .route("/v1/tokenreviews", post(tokenreviews::review))
        .route(auth::PATH, any(auth::auth))
        .route("/envoy/", any(envoy::envoy))
        .route("/envoy/{*rest}", any(envoy::envoy))
        .route(grpc::CHECK, post(grpc::check))
        .route(grpc::HEALTH, post(grpc::health))
        .route("/v1/status", get(health::status))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/startupz", get(health::startupz))
        .route("/metrics", get(metrics::metrics))
        .route("/openapi.json", get(openapi::openapi))
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

/// The routes of the probes' listener, which anybody may reach: two words and nothing else.
pub(crate) fn probes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(route_not_found)
        .with_state(shared)
}

/// Answers one request that came through `door`: guard, route, and what every answer must carry.
pub(crate) async fn answer(live: &Live, door: Door, request: Request<Incoming>) -> Response<Body> {
    let shared = &*live.shared;
    let mut router = match door {
        Door::Loopback | Door::Socket => live.router.clone(),
        Door::Probes => live.probes.clone(),
    };
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let is_envoy = path.starts_with(envoy::PREFIX);
    let is_auth = path == auth::PATH || is_envoy;
    let (began, route) = (shared.clock.monotonic(), RouteClass::of(path));
    let version = head.version;
    let is_echo = head.method == Method::TRACE && is_auth;
    let request_id = shared.request_ids.next();
    let span = tracing::debug_span!("request", %request_id, route = route.as_str());
    let traces = shared.traces.as_ref();
    let trace = traces.map(|traces| traces.begin(&head, route));
    let routed = async {
        if let Err(code) = shared.guard.check(&head, door) {
            return shared.refuse(code);
        }
        if is_echo {
            // Not even a route of any method.
            return shared.refuse(EdgeCode::MethodNotAllowed);
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
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        let allow = HeaderValue::from_static(if is_auth { ANY } else { "" });
        response.headers_mut().entry(ALLOW).or_insert(allow);
    }
    if shared.is_shadow && door != Door::Probes {
        response = shadow::cast(shared, response, is_auth);
        if is_envoy {
            envoy::remove_lookalikes(response.headers_mut());
        }
    }
    if is_auth {
        identity::complete(response.headers_mut());
    }
    if shared.is_draining.load(Relaxed) && version <= Version::HTTP_11 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

/// What a route of any method says when it is asked by another (RFC 9110 §10.2.1).
const ANY: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
