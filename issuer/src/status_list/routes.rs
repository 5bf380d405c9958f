//! The routes of status lists: `GET /status-lists`, `GET /status-lists/{id}`, `GET /status-lists/{id}/events`.
//!
//! Token Status List §8 and §9.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL};
use http::{HeaderMap, HeaderValue};
use serde::Serialize;
use utoipa::ToSchema;

use super::{events, uri};
use crate::app::Shared;
use crate::discovery::{Cacheable, cacheable};
use crate::extract::{PathId, sha256};
use crate::openapi::Operation;
use crate::problem::{Problem, ProblemCode};
use crate::rate_limit::ClientAddress;
use crate::route_table::{RouteTable, routing};

pub(crate) fn routes() -> RouteTable {
    RouteTable::new()
        .route(
            "/status-lists",
            routing::get(aggregation).says(
                Operation::new("listStatusLists", "Lists the status lists")
                    .ok::<StatusLists>()
                    .revalidated(),
            ),
        )
        .route(
            "/status-lists/{id}",
            routing::get(list).says(
                Operation::new("getStatusList", "Gives a signed status list")
                    .text("application/statuslist+jwt")
                    .revalidated()
                    .refuses(&[ProblemCode::StatusListNotFound, ProblemCode::KeyUnavailable]),
            ),
        )
        .route(
            "/status-lists/{id}/events",
            routing::get(subscribe).says(
                Operation::new(
                    "subscribeStatusList",
                    "Says when there is a newer version of a list (server-sent events)",
                )
                .text("text/event-stream")
                .refuses(&[
                    ProblemCode::StatusListNotFound,
                    ProblemCode::StatusListSubscribersFull,
                    ProblemCode::StatusListAddressFull,
                ]),
            ),
        )
}

#[derive(Debug, Serialize, ToSchema)]
struct StatusLists {
    status_lists: Vec<String>,
}

/// `GET /status-lists`: the lists there are (§9.3).
async fn aggregation(
    State(shared): State<Shared>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let ids = shared.lists.ids().into_iter();
    let lists = StatusLists {
        status_lists: ids.map(|id| uri(&shared.settings.url, id)).collect(),
    };
    let body = Bytes::from(serde_json::to_vec(&lists).map_err(Problem::fault)?);
    let digest: String = sha256(&body)
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let etag = HeaderValue::from_str(&format!("\"{digest}\"")).map_err(Problem::fault)?;
    Ok(cacheable(
        &headers,
        Cacheable {
            etag: &etag,
            content_type: "application/json",
            cache_control: cache_control(&shared),
            body,
        },
    ))
}

/// `GET /status-lists/{id}`: the signed list.
async fn list(
    State(shared): State<Shared>,
    PathId(id): PathId,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let published = shared.lists.find(id).await.ok_or_else(not_found)?;
    let signed = published.borrow().clone();
    let signed = signed.ok_or_else(|| Problem::new(ProblemCode::KeyUnavailable))?;
    Ok(cacheable(
        &headers,
        Cacheable {
            etag: &signed.etag,
            content_type: "application/statuslist+jwt",
            cache_control: cache_control(&shared),
            body: signed.bytes.clone(),
        },
    ))
}

/// `GET /status-lists/{id}/events`: says when there is a newer version.
async fn subscribe(
    State(shared): State<Shared>,
    PathId(id): PathId,
    address: ClientAddress,
) -> Result<Response, Problem> {
    let published = shared.lists.find(id).await.ok_or_else(not_found)?;
    let now = shared.clock.monotonic();
    let place = shared.lists.subscribers.take(address, now)?;
    let stream = events::stream(&shared, published, place);
    let headers = [
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
    ];
    Ok((headers, stream).into_response())
}

/// A shared cache keeps a list for one second, so that behind a CDN too a verifier that polls every `ttl`
/// sees a revocation within `ttl` + 1 s.
fn cache_control(shared: &Shared) -> String {
    let ttl = shared.settings.status_list_ttl.as_secs();
    format!("public, max-age={ttl}, s-maxage=1")
}

fn not_found() -> Problem {
    Problem::new(ProblemCode::StatusListNotFound)
}
