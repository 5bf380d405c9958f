//! `ANY /envoy/{*rest}`: Envoy's `ext_authz` filter over HTTP.
//!
//! **Invariant:** what the client wrote decides nothing but the token: method, path and query are
//! its own, so no requirement is read from them (hazards S9 to S14). Requirements are those of the
//! settings; per route, ask over gRPC, where Envoy's configuration speaks.

use std::sync::{Arc, LazyLock};

use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};

use super::auth;
use crate::identity;
use crate::problem::EdgeCode;
use crate::shared::Shared;

/// Envoy's `path_prefix` with the slash every path begins with.
pub(crate) const PREFIX: &str = "/envoy/";

pub(crate) async fn envoy(
    State(shared): State<Arc<Shared>>,
    request: Request<Body>,
) -> Response<Body> {
    let (head, _) = request.into_parts();
    let judged = shared.in_time(async {
        let _place = shared.admit()?;
        auth::judge(&shared, &head, &shared.envoy).await
    });
    match judged.await {
        Some(Ok(mut response)) => {
            remove_lookalikes(response.headers_mut());
            response
        }
        Some(Err(problem)) => shared.refuse(problem),
        None => shared.refuse(EdgeCode::DeadlineExceeded),
    }
}

/// Has Envoy take every other spelling of an identity header out of the client's request.
pub(crate) fn remove_lookalikes(headers: &mut HeaderMap) {
    headers.insert(REMOVES, TO_REMOVE.clone());
}

/// What Envoy takes out of the client's request; the names we set are overwritten instead, as
/// Envoy removes last.
const REMOVES: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");

static TO_REMOVE: LazyLock<HeaderValue> = LazyLock::new(|| {
    let names = identity::LOOKALIKES.join(", ");
    HeaderValue::try_from(names).expect("header names are visible ASCII")
});
