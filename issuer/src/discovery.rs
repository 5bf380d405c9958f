//! Discovery: takes the settings and the live keys, gives the documents that lead a verifier to the JWK Set.
//!
//! **Invariant:** every URL comes from the settings; `Host`, `Forwarded` and `X-Forwarded-*` change nothing.
//! **Invariant:** a document changes only with the key-set generation, which is its ETag.
//!
//! RFC 8414 §2 and §3; RFC 9110 §13.1.2 for `If-None-Match`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;

use crate::app::Shared;
use crate::problem::Problem;

/// What both documents say. It grows with the endpoints the issuer has; it never names one it lacks.
#[derive(Debug, Serialize)]
struct Metadata<'a> {
    issuer: &'a str,
    jwks_uri: String,
    /// RFC 8414 requires the member; there is no authorization endpoint, hence no response type.
    response_types_supported: [&'static str; 0],
    grant_types_supported: [&'static str; 0],
    /// OpenID Connect Discovery requires these two of a document at this path.
    subject_types_supported: [&'static str; 1],
    id_token_signing_alg_values_supported: [&'static str; 1],
    token_endpoint_auth_methods_supported: [&'static str; 0],
}

/// `GET /.well-known/openid-configuration` and `GET /.well-known/oauth-authorization-server`.
pub(crate) async fn metadata(
    State(shared): State<Shared>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let keys = shared.keys.current()?;
    let issuer = shared.settings.url.as_str();
    let document = Metadata {
        issuer,
        jwks_uri: format!("{issuer}/.well-known/jwks.json"),
        response_types_supported: [],
        grant_types_supported: [],
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: ["RS256"],
        token_endpoint_auth_methods_supported: [],
    };
    let bytes = serde_json::to_vec(&document).map_err(Problem::fault)?;
    Ok(cacheable(
        &shared,
        &headers,
        &keys.set.etag,
        "application/json",
        bytes.into(),
    ))
}

/// A public document under a strong ETag: whole, or 304 to whoever holds it.
pub(crate) fn cacheable(
    shared: &Shared,
    request: &HeaderMap,
    etag: &HeaderValue,
    content_type: &'static str,
    body: Bytes,
) -> Response {
    let mut response = if holds(request, etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(CONTENT_TYPE, content_type)], body).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(ETAG, etag.clone());
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    let max_age = format!("public, max-age={}", shared.settings.jwks_max_age.as_secs());
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_str(&max_age).unwrap_or(HeaderValue::from_static("public")),
    );
    response
}

/// Whether `If-None-Match` names `etag`, by the weak comparison GET asks for.
fn holds(request: &HeaderMap, etag: &HeaderValue) -> bool {
    request
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == "*" || tag.as_bytes() == etag.as_bytes())
}
