//! The routes of sessions for services: `POST /api/v1/service/sessions`, `POST /api/v1/service/sessions/{sid}/revoke`.
//!
//! Revocation is a `POST` to a verb, not a `DELETE`: the session stays, with the time and the caller of its
//! revocation, a repeated call answers the same, and a proxy that drops the bodies of `DELETE` cannot
//! drop the reason.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::issue::{self, Issued};
use super::{SessionView, revoke};
use crate::app::Shared;
use crate::caller::Caller;
use crate::db::Id;
use crate::extract::{JsonBody, PathId};
use crate::idempotency::IdempotencyKey;
use crate::openapi::Operation;
use crate::problem::{Problem, ProblemCode};
use crate::route_table::{RouteTable, routing};
use crate::router::{created, replayed};

pub(crate) fn routes() -> RouteTable {
    RouteTable::new()
        .route(
            "/service/sessions",
            routing::post(mint).says(
                Operation::new(
                    "mintSession",
                    "Opens a session for a customer whom the service authenticated",
                )
                .service("sessions:mint")
                .idempotent()
                .body::<MintSession>()
                .created::<MintedSession>()
                .refuses(&[
                    ProblemCode::CustomerNotFound,
                    ProblemCode::CustomerSuspended,
                    ProblemCode::CustomerErased,
                    ProblemCode::SessionAudienceNotAllowed,
                    ProblemCode::SessionEnded,
                ]),
            ),
        )
        .route(
            "/service/sessions/{sid}/revoke",
            routing::post(end).says(
                Operation::new(
                    "revokeSession",
                    "Ends a session; a repeated call answers the same",
                )
                .service("sessions:revoke")
                .ok::<SessionView>()
                .refuses(&[ProblemCode::SessionNotFound]),
            ),
        )
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MintSession {
    #[schema(format = "uuid")]
    customer_id: String,
    audience: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct MintedSession {
    access_token: String,
    token_type: &'static str,
    expires_in: i64,
    session: SessionView,
}

async fn mint(
    State(shared): State<Shared>,
    caller: Caller,
    key: IdempotencyKey,
    body: JsonBody<MintSession>,
) -> Result<Response, Problem> {
    caller.require("sessions:mint")?;
    let (customer, audience) = parse(&shared, body.value)?;
    let session = issue::legacy_session(&shared, &caller, customer, audience);
    let id = session.id.to_string();
    let attempt = shared.attempt(&key, &caller, "service/sessions", body.hash, &id);
    let issued = issue::issue(&shared, &caller, session, &attempt).await?;
    let location = format!("/api/v1/service/sessions/{}", issued.session.id);
    let is_new = issued.is_new;
    let minted = view(issued);
    Ok(if is_new {
        created(&location, &minted)
    } else {
        replayed(&location, &minted)
    })
}

async fn end(
    State(shared): State<Shared>,
    caller: Caller,
    PathId(sid): PathId,
) -> Result<Response, Problem> {
    caller.require("sessions:revoke")?;
    let session = revoke::revoke(&shared, &caller, sid).await?;
    Ok(Json(SessionView::from(&session)).into_response())
}

fn view(issued: Issued) -> MintedSession {
    MintedSession {
        expires_in: issued.token.expires_at - issued.now.unix_seconds(),
        access_token: issued.token.jws,
        token_type: "Bearer",
        session: SessionView::from(&issued.session),
    }
}

fn parse(shared: &Shared, body: MintSession) -> Result<(Id, String), Problem> {
    let customer = Id::parse(&body.customer_id).ok_or_else(|| {
        Problem::new(ProblemCode::RequestMalformed).detail("expected a UUID as customer_id")
    })?;
    if !shared.settings.flag.admits(customer) {
        return Err(Problem::new(ProblemCode::QueueDisabled));
    }
    let audience = body
        .audience
        .unwrap_or_else(|| shared.settings.default_audience().to_owned());
    if !shared.settings.audiences.contains(&audience) {
        return Err(Problem::new(ProblemCode::SessionAudienceNotAllowed)
            .detail("expected an audience of this issuer"));
    }
    Ok((customer, audience))
}
