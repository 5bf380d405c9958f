//! Router: the route table, and what every request passes on its way in and out.
//!
//! **Invariant:** the flag is asked before the caller is: a dark Queue tells nobody that it exists.

use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use http::header::{CACHE_CONTROL, LOCATION};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::Shared;
use crate::browser::cors;
use crate::problem::{self, Problem, ProblemCode};
use crate::{
    customers, discovery, health, key, request_id, session, status_list, telemetry, webauthn,
};

/// The public listener.
pub(crate) fn public(shared: &Shared) -> Router {
    let with_cookies = Router::new()
        .merge(session::browser_routes::with_cookies())
        .merge(webauthn::with_cookies())
        .layer(cors::with_cookies(shared));
    let with_bearer = Router::new()
        .merge(session::browser_routes::with_bearer())
        .merge(customers::me::routes())
        .merge(webauthn::credential_routes::routes())
        .layer(cors::without_cookies(shared));
    let api = Router::new()
        .merge(with_cookies)
        .merge(with_bearer)
        .merge(customers::routes::routes())
        .merge(session::routes::routes())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn(no_store))
        .layer(middleware::from_fn_with_state(shared.clone(), flag));
    let routes = Router::new()
        .nest("/api/v1", api)
        .route("/.well-known/jwks.json", routing::get(key::routes::jwk_set))
        .route(
            "/.well-known/openid-configuration",
            routing::get(discovery::metadata),
        )
        .route(
            "/.well-known/oauth-authorization-server",
            routing::get(discovery::metadata),
        )
        .route(
            "/.well-known/webauthn",
            routing::get(webauthn::related_origins::show),
        )
        .merge(status_list::routes::routes())
        .route("/", routing::get(health::page))
        .merge(probes());
    finish(routes, shared)
}

/// The operators' listener.
pub(crate) fn operators(shared: &Shared) -> Router {
    let api = Router::new()
        .merge(key::routes::routes())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn(no_store));
    finish(Router::new().nest("/api/v1", api).merge(probes()), shared)
}

/// The answer to a request that made a resource.
pub(crate) fn created(location: &str, resource: &impl Serialize) -> Response {
    let location = HeaderValue::from_str(location).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::CREATED, [(LOCATION, location)], Json(resource)).into_response()
}

/// The answer to a request that was done before: the same status, and the word that it was.
pub(crate) fn replayed(location: &str, resource: &impl Serialize) -> Response {
    let mut response = created(location, resource);
    response
        .headers_mut()
        .insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

fn probes() -> Router<Shared> {
    Router::new()
        .route("/livez", routing::get(health::live))
        .route("/readyz", routing::get(health::ready))
        .route("/metrics", routing::get(health::metrics))
}

/// From the outside in: name the request, measure it, write its problem, bound its time, survive it.
fn finish(routes: Router<Shared>, shared: &Shared) -> Router {
    routes
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(CatchPanicLayer::custom(|_| {
            Problem::new(ProblemCode::InternalError).into_response()
        }))
        .layer(middleware::from_fn_with_state(shared.clone(), bound))
        .layer(middleware::from_fn(problem::render))
        .layer(middleware::from_fn_with_state(shared.clone(), measure))
        .layer(middleware::from_fn_with_state(
            shared.clone(),
            request_id::assign,
        ))
        .with_state(shared.clone())
}

async fn flag(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    if !shared.settings.flag.is_visible() {
        return Problem::new(ProblemCode::QueueDisabled).into_response();
    }
    next.run(request).await
}

async fn no_store(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Dropping a request that takes too long rolls its transaction back. Only the time to the answer's head
/// counts: a stream of events goes on.
async fn bound(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(shared.settings.request_timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(ProblemCode::RequestTimedOut).into_response(),
    }
}

async fn measure(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    // The pattern, not the path: a path has ids in it.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("none", MatchedPath::as_str)
        .to_owned();
    let method = request.method().as_str().to_owned();
    let started = shared.clock.monotonic();
    let response = next.run(request).await;
    let took = shared.clock.monotonic().saturating_sub(started);
    let status = response.status().as_u16().to_string();
    tracing::debug!(route, method, status, "request answered");
    shared.metrics.observe(
        telemetry::REQUEST_SECONDS,
        &[("route", route.clone())],
        took,
    );
    shared.metrics.count(
        telemetry::REQUESTS,
        &[("route", route), ("method", method), ("status", status)],
    );
    response
}

async fn not_found() -> Problem {
    Problem::new(ProblemCode::RouteNotFound)
}

async fn method_not_allowed() -> Problem {
    Problem::new(ProblemCode::RouteMethodNotAllowed)
}

const BODY_LIMIT: usize = 64 * 1024;
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
