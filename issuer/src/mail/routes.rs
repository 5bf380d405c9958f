//! The routes of mail, for operators: `GET /api/v1/mail`, `POST /api/v1/mail/test`.
//!
//! There is no route that tries a dead mail again: its words are gone, and whoever wanted it asks again.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MailRow, enqueue_test, page};
use crate::app::Shared;
use crate::audit::{self, Event};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::customers::Email;
use crate::db::Id;
use crate::extract::{JsonBody, QueryOf};
use crate::openapi::Operation;
use crate::problem::{Problem, ProblemCode};
use crate::route_table::{RouteTable, routing};

/// The operators' routes.
pub(crate) fn routes() -> RouteTable {
    RouteTable::new()
        .route(
            "/mail",
            routing::get(list).says(
                Operation::new("listMail", "Lists mail without its words, the newest first")
                    .service(SCOPE)
                    .query::<Asked>()
                    .ok::<Page>(),
            ),
        )
        .route(
            "/mail/test",
            routing::post(test).says(
                Operation::new("testMail", "Queues a test mail")
                    .service(SCOPE)
                    .body::<TestMail>()
                    .accepted::<Queued>()
                    .refuses(&[ProblemCode::CustomerEmailInvalid]),
            ),
        )
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MailQuery)]
struct Asked {
    /// The `next` of the page before.
    #[schema(format = "uuid")]
    cursor: Option<String>,
    #[schema(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MailPage)]
struct Page {
    mail: Vec<MailView>,
    /// The cursor of the page after this one, if there may be one.
    next: Option<Id>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Mail)]
struct MailView {
    id: Id,
    kind: String,
    customer_id: Option<Id>,
    state: &'static str,
    attempts: i64,
    created_at: i64,
    expires_at: i64,
    next_attempt_at: Option<i64>,
    sent_at: Option<i64>,
    dead_at: Option<i64>,
    last_error: Option<String>,
}

impl From<MailRow> for MailView {
    fn from(row: MailRow) -> Self {
        let state = row.state();
        let next = (state == "queued").then_some(row.next_attempt_at);
        Self {
            id: row.id,
            kind: row.kind,
            customer_id: row.customer_id,
            state,
            attempts: row.attempts,
            created_at: row.created_at.unix_seconds(),
            expires_at: row.expires_at.unix_seconds(),
            next_attempt_at: next.map(Timestamp::unix_seconds),
            sent_at: row.sent_at.map(Timestamp::unix_seconds),
            dead_at: row.dead_at.map(Timestamp::unix_seconds),
            last_error: row.last_error,
        }
    }
}

async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    QueryOf(asked): QueryOf<Asked>,
) -> Result<Response, Problem> {
    caller.require(SCOPE)?;
    let refuse = |what| Problem::new(ProblemCode::RequestQueryMalformed).detail(what);
    let limit = asked.limit.unwrap_or(PAGE);
    if !(1..=LONGEST_PAGE).contains(&limit) {
        return Err(refuse("expected a limit from 1 to 200"));
    }
    let before = match asked.cursor {
        Some(text) => {
            Some(Id::parse(&text).ok_or_else(|| refuse("expected the cursor of a page"))?)
        }
        None => None,
    };
    let rows = page(&shared.db, before, limit).await?;
    let is_full = i64::try_from(rows.len()).is_ok_and(|count| count == limit);
    let next = rows.last().map(|row| row.id).filter(|_| is_full);
    let mail = rows.into_iter().map(MailView::from).collect();
    Ok(Json(Page { mail, next }).into_response())
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TestMail {
    #[schema(min_length = 3, max_length = 254)]
    to: String,
    /// Do all of it, and take it back.
    dry_run: Option<bool>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QueuedMail)]
struct Queued {
    id: Id,
}

async fn test(
    State(shared): State<Shared>,
    caller: Caller,
    body: JsonBody<TestMail>,
) -> Result<Response, Problem> {
    caller.require(SCOPE)?;
    let to = Email::parse(&body.value.to)?;
    let now = shared.clock.now();
    let mut tx = shared.db.begin().await?;
    let id = enqueue_test(&mut tx, shared.keys.kek.as_ref(), &to, now).await?;
    audit::record(
        &mut tx,
        &caller.operator(),
        &Event {
            action: "mail.test_queued",
            customer: None,
            target_kind: "mail",
            target_id: &id.to_string(),
        },
        now,
    )
    .await?;
    if body.value.dry_run == Some(true) {
        tx.rollback().await?;
    } else {
        tx.commit().await?;
        shared.outbox.wake();
    }
    Ok((StatusCode::ACCEPTED, Json(Queued { id })).into_response())
}

const SCOPE: &str = "ops:mail";
const PAGE: i64 = 50;
const LONGEST_PAGE: i64 = 200;
