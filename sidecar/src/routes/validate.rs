//! `POST /v1/validate`: a token and what is asked of it → the session, or why not.

use std::sync::Arc;

use axum::body::{Body, HttpBody as _};
use axum::extract::State;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use queue_verifier::Session;

use super::{JSON, ok};
use crate::bearer;
use crate::problem::{EdgeCode, Problem};
use crate::shared::Shared;
use crate::wire::ValidateRequest;

pub(crate) async fn validate(
    State(shared): State<Arc<Shared>>,
    request: Request<Body>,
) -> Response<Body> {
    let mut is_reading = true;
    match shared
        .in_time(judge(&shared, request, &mut is_reading))
        .await
    {
        Some(Ok(session)) => session_json(&session),
        Some(Err(problem)) => shared.refuse(problem),
        None if is_reading => shared.refuse(EdgeCode::RequestTimeout),
        None => shared.refuse(EdgeCode::DeadlineExceeded),
    }
}

async fn judge(
    shared: &Shared,
    request: Request<Body>,
    is_reading: &mut bool,
) -> Result<Session, Problem> {
    let _place = shared.admit()?;
    let (head, body) = request.into_parts();
    if head.uri.query().is_some() {
        let problem = Problem::from(EdgeCode::RequestMalformed);
        return Err(problem.because("expected no query: requirements go into the body"));
    }
    let body = read(&head, body).await?;
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

/// The whole body, counted while it arrives.
async fn read(head: &Parts, body: Body) -> Result<Bytes, Problem> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if !is_json(head) {
        return Err(EdgeCode::RequestUnsupportedMediaType.into());
    }
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(EdgeCode::RequestTooLarge.into());
    }
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(EdgeCode::RequestTooLarge.into()),
        Err(_) => Err(EdgeCode::RequestMalformed.into()),
    }
}

/// `application/json`, in UTF-8 if it says so (RFC 8259 §8.1).
fn is_json(head: &Parts) -> bool {
    let mut types = head.headers.get_all(CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else {
        return false;
    };
    let mut parts = only.to_str().unwrap_or_default().split(';').map(str::trim);
    let is_json = parts
        .next()
        .is_some_and(|name| name.eq_ignore_ascii_case(JSON));
    is_json
        && parts.all(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let is_charset = name.trim().eq_ignore_ascii_case("charset");
            !is_charset || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
}

/// Longest body read, in bytes: a token of every accepted size fits, escaped or not.
const MAX_BODY: usize = 64 * 1024;
