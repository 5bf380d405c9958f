//! `POST /v1/introspect`: what a token says, while it is good; decided by the keys at hand, so
//! that a client of introspection goes offline by another URL.
//!
//! **Invariant:** a token that is no good is `{"active":false}` and nothing else, whatever it is;
//! what cannot be decided is a 503, never inactive.
//!
//! RFC 7662.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::{Request, Response, StatusCode};
use queue_verifier::Session;
use serde_json::{Map, Value, json};

use super::body::{self, Taken};
use super::{JSON, ok, without_query};
use crate::problem::{EdgeCode, Problem};
use crate::shared::Shared;
use crate::wire::{Requirement, introspected};

pub(crate) async fn introspect(
    State(shared): State<Arc<Shared>>,
    request: Request<Body>,
) -> Response<Body> {
    let mut is_reading = true;
    let judged = shared.in_time(judge(&shared, request, &mut is_reading));
    let judged = judged.await;
    match body::or_late(judged, is_reading) {
        Ok(said) => ok(JSON, said.to_string()),
        Err(problem) => shared.refuse(problem),
    }
}

async fn judge(
    shared: &Shared,
    request: Request<Body>,
    is_reading: &mut bool,
) -> Result<Value, Problem> {
    let _place = shared.admit()?;
    let (head, body) = request.into_parts();
    if let Some(callers) = &shared.callers
        && !callers.know(&head.headers)
    {
        return Err(EdgeCode::CallerUnknown.into());
    }
    without_query(&head)?;
    let body = Taken::FORM.read(&head, body).await?;
    *is_reading = false;
    let token = introspected(&body)?;
    match shared.judge(&token, &Requirement::default()).await {
        Ok(session) => said_by(&session).ok_or_else(|| EdgeCode::Internal.into()),
        Err(fault) if fault.status() == StatusCode::SERVICE_UNAVAILABLE => Err(fault),
        Err(_verdict) => Ok(json!({ "active": false })),
    }
}

/// Every claim, under what RFC 7662 §2.2 adds; none of them may speak in its place.
fn said_by(session: &Session) -> Option<Value> {
    let mut said: Map<String, Value> = serde_json::from_str(session.claims_json()).ok()?;
    if session.scope().len() > 0 {
        let scope: Vec<_> = session.scope().collect();
        said.insert("scope".to_owned(), scope.join(" ").into());
    }
    said.insert("active".to_owned(), true.into());
    said.insert("token_type".to_owned(), "Bearer".into());
    said.insert("freshness".to_owned(), json!(session.freshness()));
    Some(said.into())
}
