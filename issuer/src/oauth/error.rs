//! Error: the refusals of RFC 6749 §5.2, and the problems of every other route.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{PRAGMA, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::db::DbError;
use crate::key::KeyError;
use crate::problem::Problem;

/// Why an answer of these routes is no success.
#[derive(Debug)]
pub(crate) enum OauthError {
    /// What the client did wrong, in the client's vocabulary.
    Refused(Refusal),
    /// What it lacks, or what failed here.
    Problem(Problem),
}

/// One of the registered error codes, and what was expected.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = OauthRefusal)]
pub(crate) struct Refusal {
    /// RFC 6749 §5.2.
    error: &'static str,
    error_description: &'static str,
}

impl OauthError {
    pub(super) fn invalid_request(expected: &'static str) -> Self {
        Self::refused("invalid_request", expected)
    }

    /// The same for every cause: an unknown client and a wrong secret look alike.
    pub(super) fn invalid_client() -> Self {
        Self::refused(INVALID_CLIENT, "expected a service client and its secret")
    }

    pub(super) fn refused(error: &'static str, error_description: &'static str) -> Self {
        Self::Refused(Refusal {
            error,
            error_description,
        })
    }
}

impl IntoResponse for OauthError {
    fn into_response(self) -> Response {
        let refusal = match self {
            Self::Refused(refusal) => refusal,
            Self::Problem(problem) => return problem.into_response(),
        };
        let is_client = refusal.error == INVALID_CLIENT;
        let status = if is_client {
            StatusCode::UNAUTHORIZED
        } else {
            StatusCode::BAD_REQUEST
        };
        let mut response = (status, Json(refusal)).into_response();
        let headers = response.headers_mut();
        headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
        if is_client {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
        }
        response
    }
}

impl From<Problem> for OauthError {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<DbError> for OauthError {
    fn from(error: DbError) -> Self {
        Self::Problem(error.into())
    }
}

impl From<KeyError> for OauthError {
    fn from(error: KeyError) -> Self {
        Self::Problem(error.into())
    }
}

const INVALID_CLIENT: &str = "invalid_client";
const CHALLENGE: &str = "Basic realm=\"queue\", charset=\"UTF-8\"";
