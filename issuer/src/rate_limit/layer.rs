//! Layer: takes routes and their class, gives routes that charge the client's address before they run.
//!
//! **Invariant:** the limit sits on the routes themselves, never on a path: what reaches a handler by
//! whatever spelling has been charged.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};

use super::{Class, ClientAddress, RATE_LIMIT};
use crate::app::Shared;

/// `routes`, and their answers to what they do not know, limited as `class`.
///
/// Routes of a stricter class are guarded before they are merged into others; both buckets are charged
/// then, and the answer tells of the inner one.
pub(crate) fn guard(shared: &Shared, class: Class, routes: Router<Shared>) -> Router<Shared> {
    let guarded = (shared.clone(), class);
    routes.layer(middleware::from_fn_with_state(guarded, limit))
}

async fn limit(
    State((shared, class)): State<(Shared, Class)>,
    request: Request,
    next: Next,
) -> Response {
    let charged = ClientAddress::of(request.extensions(), request.headers(), &shared)
        .and_then(|address| shared.limits.charge_address(class, &address));
    let notice = match charged {
        Ok(notice) => notice,
        Err(problem) => return problem.into_response(),
    };
    let mut response = next.run(request).await;
    if !response.headers().contains_key(RATE_LIMIT) {
        response.headers_mut().extend(notice.headers());
    }
    response
}
