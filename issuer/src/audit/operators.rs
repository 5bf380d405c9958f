//! The operators' routes of the audit chain: `GET /api/v1/audit/events`, `GET /api/v1/audit/export`, `GET /api/v1/audit/checkpoints`,
//! `POST /api/v1/audit/verify`.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::checkpoint::CheckpointView;
use super::routes::{self, Asked};
use super::verify::{Report, VerifyError, verify};
use super::{export, store};
use crate::app::Shared;
use crate::caller::Caller;
use crate::extract::{JsonBody, QueryOf};
use crate::openapi::Operation;
use crate::problem::{Problem, ProblemCode};
use crate::route_table::{RouteTable, routing};

pub(crate) fn routes() -> RouteTable {
    RouteTable::new()
        .route(
            "/audit/events",
            routing::get(events).says(
                Operation::new("readAuditEvents", "Lists audit events, the newest first")
                    .service(SCOPE)
                    .query::<Asked>()
                    .ok::<routes::Page<'_>>(),
            ),
        )
        .route(
            "/audit/export",
            routing::get(lines).says(
                Operation::new("exportAudit", "Gives the chain as JSON lines")
                    .service(SCOPE)
                    .query::<Rest>()
                    .text("application/jsonl"),
            ),
        )
        .route(
            "/audit/checkpoints",
            routing::get(checkpoints).says(
                Operation::new(
                    "listCheckpoints",
                    "Lists the signed checkpoints of the chain",
                )
                .service(SCOPE)
                .query::<Behind>()
                .ok::<Checkpoints>(),
            ),
        )
        .route(
            "/audit/verify",
            routing::post(check).says(
                Operation::new("verifyAudit", "Verifies the chain and its checkpoints")
                    .service(SCOPE)
                    .optional_body::<VerifyChain>()
                    .ok::<Report>(),
            ),
        )
}

/// The same pages that services read on the public listener.
async fn events(
    State(shared): State<Shared>,
    caller: Caller,
    QueryOf(asked): QueryOf<Asked>,
) -> Result<Response, Problem> {
    caller.require(SCOPE)?;
    routes::page(&shared, asked).await
}

/// An export has no limit: it is whole.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ExportQuery)]
struct Rest {
    /// Begin behind this place of the chain: how an export is taken up again.
    #[schema(minimum = 0)]
    after: Option<i64>,
}

async fn lines(
    State(shared): State<Shared>,
    caller: Caller,
    QueryOf(asked): QueryOf<Rest>,
) -> Result<Response, Problem> {
    caller.require(SCOPE)?;
    let after = place(asked.after)?;
    let body = Body::from_stream(export::pages(shared.db.clone(), after));
    let kind = HeaderValue::from_static("application/jsonl");
    Ok(([(CONTENT_TYPE, kind)], body).into_response())
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CheckpointQuery)]
struct Behind {
    /// The `next_after` of the page before.
    #[schema(minimum = 0)]
    after: Option<i64>,
    #[schema(minimum = 1, maximum = 100, default = 100)]
    limit: Option<i64>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Checkpoints {
    checkpoints: Vec<CheckpointView>,
    /// The `after` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_after: Option<i64>,
}

async fn checkpoints(
    State(shared): State<Shared>,
    caller: Caller,
    QueryOf(asked): QueryOf<Behind>,
) -> Result<Response, Problem> {
    caller.require(SCOPE)?;
    let after = place(asked.after)?;
    let limit = asked.limit.unwrap_or(MAX_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(refuse("expected a limit from 1 to 100"));
    }
    let mut rows = store::checkpoints(&shared.db, after, limit + 1).await?;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > wanted;
    rows.truncate(wanted);
    let page = Checkpoints {
        next_after: rows.last().filter(|_| has_more).map(|row| row.seq),
        checkpoints: rows.into_iter().map(CheckpointView::from).collect(),
    };
    Ok(Json(page).into_response())
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct VerifyChain {
    /// A checkpoint that was kept elsewhere, as its compact JWS.
    checkpoint: Option<String>,
}

/// Takes as long as the chain is: beyond the request's time, `queue-issuer audit verify` has none.
async fn check(
    State(shared): State<Shared>,
    caller: Caller,
    body: Option<JsonBody<VerifyChain>>,
) -> Result<Json<Report>, Problem> {
    caller.require(SCOPE)?;
    let asked = body.map(|body| body.value).unwrap_or_default();
    Ok(Json(
        verify(&shared.keys, asked.checkpoint.as_deref()).await?,
    ))
}

fn place(after: Option<i64>) -> Result<i64, Problem> {
    match after {
        Some(after) if after < 0 => Err(refuse("expected after to be a place of the chain")),
        after => Ok(after.unwrap_or(0)),
    }
}

fn refuse(what: &str) -> Problem {
    Problem::new(ProblemCode::RequestQueryMalformed).detail(what)
}

impl From<VerifyError> for Problem {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Key(error) => error.into(),
            VerifyError::Db(error) => error.into(),
        }
    }
}

const SCOPE: &str = "ops:audit";
const MAX_LIMIT: i64 = 100;
