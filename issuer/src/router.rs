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
use crate::browser::cors;
use crate::db::counted;
use crate::openapi::Operation;
use crate::problem::{self, Problem, ProblemCode};
use crate::rate_limit::{Class, guard};
use crate::route_table::{Described, Listener, Route, RouteTable, routing};
use crate::{
    audit, backup_codes, customers, discovery, email, health, key, mail, oauth, openapi, operators,
    rbac, request_id, service_token, session, status_list, telemetry, webauthn,
};

/// Every route an issuer serves, on both listeners.
#[must_use]
pub fn routes() -> Vec<Route> {
    let mut all = described(Listener::Public);
    all.extend(described(Listener::Operators));
    all.into_iter().map(|described| described.route).collect()
}

/// What `listener` serves, with what each route says of itself.
pub(crate) fn described(listener: Listener) -> Vec<Described> {
    match listener {
        Listener::Public => public_tables().listing(),
        Listener::Operators => operators_tables().listing(),
    }
}

/// The public listener.
pub(crate) fn public(shared: &Shared) -> Router {
    let Public {
        refreshes,
        ceremonies,
        own,
        api,
        rooted,
    } = public_tables();
    let with_cookies = guard(shared, Class::Refresh, refreshes.into_router())
        .merge(guard(shared, Class::Auth, ceremonies.into_router()))
        // Before the layer, which has to see preflights: they come as a method the route does not have.
        .method_not_allowed_fallback(method_not_allowed)
        .layer(cors::with_cookies(shared));
    let with_bearer = own
        .into_router()
        .method_not_allowed_fallback(method_not_allowed)
        .layer(cors::without_cookies(shared));
    let api = guarded(api.into_router().merge(with_cookies).merge(with_bearer));
    let api = guard(shared, Class::Service, api)
        .layer(middleware::from_fn_with_state(shared.clone(), flag));
    finish(api, rooted, shared)
}

/// The operators' listener.
pub(crate) fn operators(shared: &Shared) -> Router {
    let Operators { api, rooted } = operators_tables();
    finish(guarded(api.into_router()), rooted, shared)
}

/// What the public listener serves: under [`API`], by who speaks and how often; and at the root.
struct Public {
    /// For browsers, by the refresh token in a cookie.
    refreshes: RouteTable,
    /// For browsers whose customer signs in, or out.
    ceremonies: RouteTable,
    /// For customers, by their access token.
    own: RouteTable,
    /// For services.
    api: RouteTable,
    rooted: RouteTable,
}

impl Public {
    fn listing(&self) -> Vec<Described> {
        let under = [&self.refreshes, &self.ceremonies, &self.own, &self.api];
        let under = under.map(|table| table.listing(Listener::Public, API));
        let rooted = self.rooted.listing(Listener::Public, "");
        under.into_iter().flatten().chain(rooted).collect()
    }
}

/// What the operators' listener serves: under [`API`], and at the root.
struct Operators {
    api: RouteTable,
    rooted: RouteTable,
}

impl Operators {
    fn listing(&self) -> Vec<Described> {
        let mut all = self.api.listing(Listener::Operators, API);
        all.extend(self.rooted.listing(Listener::Operators, ""));
        all
    }
}

fn public_tables() -> Public {
    let rooted = RouteTable::new()
        .route(
            "/.well-known/jwks.json",
            routing::get(key::routes::jwk_set).says(
                Operation::new(
                    "getKeySet",
                    "Gives the JWK Set that tokens are checked against",
                )
                .gives::<key::routes::JwkSet>(200, "application/jwk-set+json")
                .revalidated()
                .refuses(&[ProblemCode::KeyUnavailable]),
            ),
        )
        .route(
            "/.well-known/openid-configuration",
            routing::get(discovery::metadata).says(metadata("getOpenidConfiguration")),
        )
        .route(
            "/.well-known/oauth-authorization-server",
            routing::get(discovery::metadata).says(metadata("getOauthConfiguration")),
        )
        .route(
            "/.well-known/webauthn",
            routing::get(webauthn::related_origins::show).says(
                Operation::new(
                    "getRelatedOrigins",
                    "Lists the pages that may use the passkeys of this domain",
                )
                .ok::<webauthn::related_origins::RelatedOrigins<'_>>()
                .revalidated()
                .refuses(&[ProblemCode::SignInNotConfigured]),
            ),
        )
        .merge(openapi::routes(Listener::Public))
        .merge(status_list::routes::routes())
        .route(
            "/",
            routing::get(health::page)
                .says(Operation::new("showPage", "Shows a person what this is").text("text/html")),
        )
        .merge(probes());
    Public {
        refreshes: session::browser_routes::refreshes(),
        ceremonies: RouteTable::new()
            .merge(session::browser_routes::with_cookies())
            .merge(webauthn::with_cookies())
            .merge(email::routes::routes())
            .merge(backup_codes::routes::with_cookies()),
        own: RouteTable::new()
            .merge(session::browser_routes::with_bearer())
            .merge(customers::me::routes())
            .merge(webauthn::credential_routes::routes())
            .merge(backup_codes::routes::with_bearer()),
        api: RouteTable::new()
            .merge(audit::routes::routes())
            .merge(customers::routes::routes())
            .merge(oauth::routes())
            .merge(rbac::routes::routes())
            .merge(session::routes::routes()),
        rooted,
    }
}

fn metadata(id: &'static str) -> Operation {
    Operation::new(id, "Says where everything is")
        .ok::<discovery::Metadata<'_>>()
        .revalidated()
        .refuses(&[ProblemCode::KeyUnavailable])
}

fn operators_tables() -> Operators {
    let api = RouteTable::new()
        .merge(audit::operators::routes())
        .merge(key::routes::routes())
        .merge(mail::routes::routes())
        .merge(service_token::routes::routes())
        .merge(session::operator_routes::routes());
    let rooted = operators::routes()
        .merge(openapi::routes(Listener::Operators))
        .merge(probes());
    Operators { api, rooted }
}

/// What every route under [`API`] has in common.
fn guarded(api: Router<Shared>) -> Router<Shared> {
    api.fallback(not_found)
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
        .route(
            "/livez",
            routing::get(health::live).says(
                Operation::new("isLive", "Says that the process answers").ok::<health::Liveness>(),
            ),
        )
        .route(
            "/readyz",
            routing::get(health::ready).says(
                Operation::new("isReady", "Says whether a mint would work")
                    .ok::<health::Readiness>()
                    .gives::<health::Readiness>(503, "application/json"),
            ),
        )
        .route(
            "/metrics",
            routing::get(health::metrics).says(
                Operation::new("getMetrics", "Gives the metrics as Prometheus text")
                    .text("text/plain"),
            ),
        )
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

/// What a route says of its own answer stands.
async fn no_store(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response
        .headers_mut()
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
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
    let (response, statements) = counted(next.run(request)).await;
    let took = shared.clock.monotonic().saturating_sub(started);
    let status = response.status().as_u16().to_string();
    tracing::debug!(route, method, status, "request answered");
    shared.metrics.observe(
        telemetry::REQUEST_SECONDS,
        &[("route", route.clone())],
        took,
    );
    let labels = [("route", route.clone())];
    shared
        .metrics
        .add(telemetry::STATEMENTS, &labels, statements);
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
pub(crate) const API: &str = "/api/v1";
const BODY_LIMIT: usize = 64 * 1024;
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
