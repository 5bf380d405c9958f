//! Router: the route table, and what every request passes on its way in and out.
//!
//! **Invariant:** the flag is asked before the caller is: a dark Queue tells nobody that it exists.

use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use http::header::{CACHE_CONTROL, LOCATION};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::Shared;
use crate::problem::{self, Problem, ProblemCode};
use crate::route_table::{Listener, Route, RouteTable, routing};
use crate::{
    audit, customers, discovery, health, key, request_id, session, status_list, telemetry,
};

/// Every route an issuer serves, on both listeners.
#[must_use]
pub fn routes() -> Vec<Route> {
    let mut all = public_tables().listing(Listener::Public);
    all.extend(operators_tables().listing(Listener::Operators));
    all
}

/// The public listener.
pub(crate) fn public(shared: &Shared) -> Router {
    let Tables { api, rooted } = public_tables();
    let api = guarded(api).layer(middleware::from_fn_with_state(shared.clone(), flag));
    finish(api, rooted, shared)
}

/// The operators' listener.
pub(crate) fn operators(shared: &Shared) -> Router {
    let Tables { api, rooted } = operators_tables();
    finish(guarded(api), rooted, shared)
}

/// What a listener serves: under [`API`], and at the root.
struct Tables {
    api: RouteTable,
    rooted: RouteTable,
}

impl Tables {
    fn listing(&self, listener: Listener) -> Vec<Route> {
        let mut all = self.api.listing(listener, API);
        all.extend(self.rooted.listing(listener, ""));
        all
    }
}

fn public_tables() -> Tables {
    let api = RouteTable::new()
        .merge(audit::routes::routes())
        .merge(customers::routes::routes())
        .merge(session::routes::routes());
    let rooted = RouteTable::new()
        .route("/.well-known/jwks.json", routing::get(key::routes::jwk_set))
        .route(
            "/.well-known/openid-configuration",
            routing::get(discovery::metadata),
        )
        .route(
            "/.well-known/oauth-authorization-server",
            routing::get(discovery::metadata),
        )
        .merge(status_list::routes::routes())
        .route("/", routing::get(health::page))
        .merge(probes());
    Tables { api, rooted }
}

fn operators_tables() -> Tables {
    let api = RouteTable::new()
        .merge(audit::operators::routes())
        .merge(key::routes::routes());
    let rooted = probes();
    Tables { api, rooted }
}

/// What every route under [`API`] has in common.
fn guarded(api: RouteTable) -> Router<Shared> {
    api.into_router()
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn(no_store))
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

fn probes() -> RouteTable {
    RouteTable::new()
        .route("/livez", routing::get(health::live))
        .route("/readyz", routing::get(health::ready))
        .route("/metrics", routing::get(health::metrics))
}

/// From the outside in: name the request, measure it, write its problem, bound its time, survive it.
fn finish(api: Router<Shared>, rooted: RouteTable, shared: &Shared) -> Router {
    Router::new()
        .nest(API, api)
        .merge(rooted.into_router())
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

/// Where the interface is.
const API: &str = "/api/v1";
const BODY_LIMIT: usize = 64 * 1024;
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
