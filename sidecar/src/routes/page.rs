//! `GET /`: the page for people; `?reload=10` has the browser ask again every ten seconds.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::header::{
    CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderName, HeaderValue, Response, Uri};

use super::ok;
use crate::page::{self, POLICY};
use crate::problem::EdgeCode;
use crate::report::Report;
use crate::shared::Shared;

pub(crate) async fn page(State(shared): State<Arc<Shared>>, uri: Uri) -> Response<Body> {
    let reloads = uri.query() == Some("reload=10");
    let drawn = page::draw(&Report::of(&shared), shared.clock.now(), reloads);
    let (Ok(html), Ok(policy)) = (drawn, HeaderValue::try_from(POLICY.as_str())) else {
        return shared.refuse(EdgeCode::Internal);
    };
    let mut response = ok(HTML, html);
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    for (name, value) in GUARDS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

const HTML: &str = "text/html; charset=utf-8";
const GUARDS: [(HeaderName, &str); 5] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];
