//! `POST /v1/validate`: a token and what is asked of it → the session, or why not.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::{Request, Response};
use queue_verifier::Session;

use super::body::{self, Taken};
use super::{JSON, ok, without_query};
use crate::bearer;
use crate::problem::{EdgeCode, Problem};
use crate::shared::Shared;
use crate::wire::ValidateRequest;

pub(crate) async fn validate(
    State(shared): State<Arc<Shared>>,
    request: Request<Body>,
) -> Response<Body> {
    let mut is_reading = true;
    let judged = shared.in_time(judge(&shared, request, &mut is_reading));
    let judged = judged.await;
    match body::or_late(judged, is_reading) {
        Ok(session) => session_json(&session),
        Err(problem) => shared.refuse(problem),
    }
}

async fn judge(
    shared: &Shared,
    request: Request<Body>,
    is_reading: &mut bool,
) -> Result<Session, Problem> {
    let _place = shared.admit()?;
    let (head, body) = request.into_parts();
    without_query(&head)?;
    let body = Taken::JSON.read(&head, body).await?;
    *is_reading = false;
    let asked = ValidateRequest::parse(&body)?;
    let token = match (bearer::authorization(&head.headers)?, &asked.token) {
        (Some(token), None) => token,
        (None, Some(token)) => token.as_bytes(),
        (None, None) => return Err(EdgeCode::BearerMissing.into()),
        (Some(_), Some(_)) => return Err(EdgeCode::BearerMalformed.into()),
    };
    shared.judge(token, &asked.require).await
}

fn session_json(session: &Session) -> Response<Body> {
    let mut body = Vec::with_capacity(2048);
    match serde_json::to_writer(&mut body, session) {
        Ok(()) => ok(JSON, body),
        Err(_) => Problem::from(EdgeCode::Internal).into_response(),
    }
}
