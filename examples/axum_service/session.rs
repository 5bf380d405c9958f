//! The extractor: bearer token → [`SignedIn`], or the answer RFC 6750 asks for.

use axum::Json;
use axum::extract::{FromRef, FromRequestParts};
use axum::http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use queue_verifier::{Error, ErrorKind, Require, Session, Verifier};
use serde_json::json;

/// A caller with a valid session.
#[derive(Debug)]
pub(crate) struct SignedIn(pub(crate) Session);

impl<S> FromRequestParts<S> for SignedIn
where
    S: Send + Sync,
    Verifier: FromRef<S>,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let token = bearer(&parts.headers)?;
        // Waits only when the token names a key that was published a moment ago.
        Verifier::from_ref(state)
            .validate_session_with_refresh(token, &Require::new())
            .await
            .map(Self)
            .map_err(Refusal::Token)
    }
}

/// Exactly one `Authorization: Bearer …` (RFC 6750 §2.1).
fn bearer(headers: &HeaderMap) -> Result<&[u8], Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Err(Refusal::BearerMissing);
    };
    let value = value.as_bytes();
    match value.split_at_checked("Bearer ".len()) {
        Some((scheme, token))
            if scheme.eq_ignore_ascii_case(b"Bearer ") && values.next().is_none() =>
        {
            Ok(token)
        }
        _ => Err(Refusal::BearerMalformed),
    }
}

/// Why nobody is signed in.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// No credentials: a bare challenge (RFC 6750 §3).
    BearerMissing,
    /// Credentials in a form we do not read.
    BearerMalformed,
    /// The token was looked at and refused.
    Token(Error),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, challenge, code) = match &self {
            Self::BearerMissing => (StatusCode::UNAUTHORIZED, "Bearer", "bearer_missing"),
            Self::BearerMalformed => (
                StatusCode::BAD_REQUEST,
                "Bearer error=\"invalid_request\"",
                "bearer_malformed",
            ),
            Self::Token(error) if error.kind() == ErrorKind::Fault => {
                let body = Json(json!({"code": error.code().as_str()}));
                return (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "5")], body)
                    .into_response();
            }
            Self::Token(error) => (
                StatusCode::UNAUTHORIZED,
                "Bearer error=\"invalid_token\"",
                error.code().as_str(),
            ),
        };
        (
            status,
            [(WWW_AUTHENTICATE, challenge)],
            Json(json!({"code": code})),
        )
            .into_response()
    }
}
