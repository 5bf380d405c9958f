//! `ANY /v1/auth`: forward-auth for nginx `auth_request`, Traefik ForwardAuth, Caddy
//! `forward_auth`; the session goes into response headers.
//!
//! **Invariant:** every answer of the route sets every identity header, empty when there is
//! nothing to say, so that a copy the client sent never passes (hazards S3, S5). A value is visible
//! ASCII or percent-encoded (hazard S6). The body of a request is never waited for.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use queue_verifier::Session;

use crate::bearer;
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
    match shared.in_time(judge(&shared, &head)).await {
        Some(Ok(response)) => response,
        Some(Err(problem)) => shared.refuse(problem),
        None => shared.refuse(EdgeCode::DeadlineExceeded),
    }
}

async fn judge(shared: &Shared, head: &Parts) -> Result<Response<Body>, Problem> {
    let _place = shared.admit()?;
    let asked = match head.uri.query() {
        Some(query) => Requirement::from_query(query)?,
        None => Requirement::default(),
    };
    let cookie = match &shared.cookie {
        Some(name) => bearer::cookie(&head.headers, name)?,
        None => None,
    };
    let token = match (bearer::authorization(&head.headers)?, cookie) {
        (Some(token), None) | (None, Some(token)) => token,
        (None, None) => return Err(EdgeCode::BearerMissing.into()),
        (Some(_), Some(_)) => return Err(EdgeCode::BearerMalformed.into()),
    };
    let session = shared.judge(token, &asked).await?;
    identify(&session).ok_or_else(|| EdgeCode::SessionTooLarge.into())
}

/// Sets the identity headers that are not there yet to nothing.
pub(crate) fn complete(headers: &mut HeaderMap) {
    for name in IDENTITY {
        headers.entry(name).or_insert(HeaderValue::from_static(""));
    }
}

/// The answer that lets `session` in; `None` when its names are too long for headers.
fn identify(session: &Session) -> Option<Response<Body>> {
    let one = |value: Option<&str>| encode(value.unwrap_or_default());
    let values = [
        one(session.subject()),
        one(session.session_id()),
        one(session.tenant_id()),
        list(session.roles(), ","),
        list(session.scope(), " "),
        one(session.client_id()),
    ];
    if values.iter().map(String::len).sum::<usize>() > MAX_IDENTITY {
        return None;
    }
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    for (name, value) in IDENTITY.into_iter().zip(values) {
        headers.insert(name, HeaderValue::try_from(value).ok()?);
    }
    headers.insert(
        http::header::CACHE_CONTROL,
        HeaderValue::from_static("no-store"),
    );
    Some(response)
}

fn list<'a>(values: impl Iterator<Item = &'a str>, between: &str) -> String {
    let values: Vec<_> = values.map(encode).collect();
    values.join(between)
}

/// Percent-encodes what is not visible ASCII, the `%` itself, and the comma between roles.
fn encode(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' && byte != b',' {
            encoded.push(char::from(byte));
        } else {
            let digit = |nibble: u8| char::from(HEX[usize::from(nibble)]);
            encoded.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    encoded
}

const IDENTITY: [HeaderName; 6] = [
    HeaderName::from_static("x-queue-subject"),
    HeaderName::from_static("x-queue-session"),
    HeaderName::from_static("x-queue-tenant"),
    HeaderName::from_static("x-queue-roles"),
    HeaderName::from_static("x-queue-scope"),
    HeaderName::from_static("x-queue-client"),
];

/// Longest names together, in bytes: proxies hold the head of an answer in 4 to 16 KiB.
const MAX_IDENTITY: usize = 8 * 1024;
