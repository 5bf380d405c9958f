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
use utoipa::ToSchema;

use crate::app::Shared;
use crate::oauth::metadata as oauth;
use crate::problem::Problem;
use crate::settings::SCOPE_NAMES;

/// What both documents say. It grows with the endpoints the issuer has; it never names one it lacks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Metadata<'a> {
    issuer: &'a str,
    jwks_uri: String,
    /// Token Status List §9.3.
    status_list_aggregation_endpoint: String,
    /// RFC 8414 requires the member; there is no authorization endpoint, hence no response type.
    #[schema(value_type = Vec<String>)]
    response_types_supported: [&'static str; 0],
    #[schema(value_type = Vec<String>)]
    grant_types_supported: [&'static str; 1],
    /// OpenID Connect Discovery requires these two of a document at this path.
    #[schema(value_type = Vec<String>)]
    subject_types_supported: [&'static str; 1],
    #[schema(value_type = Vec<String>)]
    id_token_signing_alg_values_supported: [&'static str; 1],
    token_endpoint: String,
    #[schema(value_type = Vec<String>)]
    token_endpoint_auth_methods_supported: [&'static str; 2],
    introspection_endpoint: String,
    #[schema(value_type = Vec<String>)]
    introspection_endpoint_auth_methods_supported: [&'static str; 2],
    revocation_endpoint: String,
    #[schema(value_type = Vec<String>)]
    revocation_endpoint_auth_methods_supported: [&'static str; 2],
    #[schema(value_type = Vec<String>)]
    scopes_supported: &'static [&'static str],
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
        status_list_aggregation_endpoint: format!("{issuer}/status-lists"),
        response_types_supported: [],
        grant_types_supported: oauth::GRANT_TYPES,
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: ["RS256"],
        token_endpoint: format!("{issuer}/api/v1/oauth/token"),
        token_endpoint_auth_methods_supported: oauth::TOKEN_AUTH,
        introspection_endpoint: format!("{issuer}/api/v1/oauth/introspect"),
        introspection_endpoint_auth_methods_supported: oauth::CALLER_AUTH,
        revocation_endpoint: format!("{issuer}/api/v1/oauth/revoke"),
        revocation_endpoint_auth_methods_supported: oauth::CALLER_AUTH,
        scopes_supported: SCOPE_NAMES,
    };
    let bytes = serde_json::to_vec(&document).map_err(Problem::fault)?;
    Ok(cacheable(
        &headers,
        Cacheable {
            etag: &keys.set.etag,
            content_type: "application/json",
            cache_control: cache_control(&shared),
            body: bytes.into(),
        },
    ))
}

/// A public document.
pub(crate) struct Cacheable<'a> {
    /// Strong: it names these bytes.
    pub(crate) etag: &'a HeaderValue,
    pub(crate) content_type: &'static str,
    pub(crate) cache_control: String,
    pub(crate) body: Bytes,
}

/// How long caches may serve what changes with the key set.
pub(crate) fn cache_control(shared: &Shared) -> String {
    format!("public, max-age={}", shared.settings.jwks_max_age.as_secs())
}

/// The document whole, or 304 to whoever holds it.
pub(crate) fn cacheable(request: &HeaderMap, document: Cacheable<'_>) -> Response {
    let mut response = if holds(request, document.etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(CONTENT_TYPE, document.content_type)], document.body).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(ETAG, document.etag.clone());
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_str(&document.cache_control)
            .unwrap_or(HeaderValue::from_static("public")),
    );
    response
}

/// Whether `If-None-Match` names `etag`, by the weak comparison GET asks for.
pub(crate) fn holds(request: &HeaderMap, etag: &HeaderValue) -> bool {
    request
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == "*" || tag.as_bytes() == etag.as_bytes())
}
