//! Request id: gives each request a name that its answer, its log lines and its audit event share.
//!
//! **Invariant:** a caller's own `X-Request-Id` is kept only when it is short and harmless in a log.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::request::Parts;
use http::{Extensions, HeaderName, HeaderValue};

use crate::app::Shared;
use crate::db::Id;

/// The name of one request.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(Arc<str>);

impl RequestId {
    /// The id [`assign`] gave.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        extensions
            .get()
            .cloned()
            .unwrap_or_else(|| Self(Arc::from("unknown")))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.extensions))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names the request and its answer.
pub(crate) async fn assign(
    State(shared): State<Shared>,
    mut request: Request,
    next: Next,
) -> Response {
    let given = request
        .headers()
        .get(HEADER)
        .and_then(|value| value.to_str().ok());
    let id = match given.filter(|id| is_harmless(id)) {
        Some(id) => RequestId(Arc::from(id)),
        None => RequestId(Arc::from(Id::new(shared.clock.now()).to_string())),
    };
    request.extensions_mut().insert(id.clone());
    let mut response = next.run(request).await;
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

fn is_harmless(id: &str) -> bool {
    (8..=64).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
