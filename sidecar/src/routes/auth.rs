//! `ANY /v1/auth`: forward-auth for nginx `auth_request`, Traefik ForwardAuth, Caddy
//! `forward_auth`; the session goes into response headers.
//!
//! **Invariant:** every answer of the route sets every identity header (hazards S3, S5). The body
//! of a request is never waited for.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::header::CACHE_CONTROL;
use http::request::Parts;
use http::{HeaderValue, Request, Response};

use crate::bearer;
use crate::identity;
use crate::problem::{EdgeCode, Problem};
use crate::shared::Shared;
use crate::wire::Requirement;

/// The path; the front sets its identity headers on answers that never reach the handler.
pub(crate) const PATH: &str = "/v1/auth";

pub(crate) async fn auth(
    State(shared): State<Arc<Shared>>,
    request: Request<Body>,
) -> Response<Body> {
    let (head, _) = request.into_parts();
    let judged = shared.in_time(async {
        let _place = shared.admit()?;
        let asked = match head.uri.query() {
            Some(query) => Requirement::from_query(query)?,
            None => Requirement::default(),
        };
        judge(&shared, &head, &asked).await
    });
    match judged.await {
        Some(Ok(response)) => response,
        Some(Err(problem)) => shared.refuse(problem),
        None => shared.refuse(EdgeCode::DeadlineExceeded),
    }
}

/// The answer that lets the one token of `head` in.
///
/// # Errors
/// Whatever refuses the token or its carrier.
pub(super) async fn judge(
    shared: &Shared,
    head: &Parts,
    asked: &Requirement,
) -> Result<Response<Body>, Problem> {
    let token = bearer::only(&head.headers, shared.cookie.as_deref())?;
    let session = shared.judge(token, asked).await?;
    let values = identity::values(&session).ok_or(EdgeCode::SessionTooLarge)?;
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    for (name, value) in identity::NAMES.iter().zip(values) {
        let value = HeaderValue::try_from(value).map_err(|_| EdgeCode::Internal)?;
        headers.insert(name, value);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
