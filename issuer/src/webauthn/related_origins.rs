//! Related origins: `GET /.well-known/webauthn`, which pages may use the passkeys of this domain.
//!
//! W3C WebAuthn Level 3 §5.11.

use axum::extract::State;
use axum::response::Response;
use base64_simd::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::Shared;
use crate::discovery::{Cacheable, cache_control, cacheable};
use crate::extract::sha256;
use crate::problem::Problem;

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RelatedOrigins<'a> {
    #[schema(value_type = Vec<String>)]
    origins: &'a [String],
}

pub(crate) async fn show(
    State(shared): State<Shared>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let document = RelatedOrigins {
        origins: &shared.relying_party()?.origins,
    };
    let bytes = serde_json::to_vec(&document).map_err(Problem::fault)?;
    let name = URL_SAFE_NO_PAD.encode_to_string(sha256(&bytes));
    let etag = HeaderValue::from_str(&format!("\"{name}\"")).map_err(Problem::fault)?;
    Ok(cacheable(
        &headers,
        Cacheable {
            etag: &etag,
            content_type: "application/json",
            cache_control: cache_control(&shared),
            body: bytes.into(),
        },
    ))
}
