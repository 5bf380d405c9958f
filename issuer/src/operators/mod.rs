//! Operators' page: shows keys, verifiers, sessions, mail and audit to a person; served by their listener.
//!
//! **Invariant:** the page is three files without a datum in them. What it shows it asks of the same routes, with
//! the token that the operator enters, which it holds in memory only.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};

use crate::openapi::Operation;
use crate::route_table::{RouteTable, routing};

pub(crate) fn routes() -> RouteTable {
    RouteTable::new()
        .route(
            "/",
            routing::get(|| asset(HTML)).says(
                Operation::new("showPage", "Shows an operator how things are").text("text/html"),
            ),
        )
        .route(
            "/operators.css",
            routing::get(|| asset(CSS))
                .says(Operation::new("getStyle", "The style of the page").text("text/css")),
        )
        .route(
            "/operators.js",
            routing::get(|| asset(JS)).says(
                Operation::new("getScript", "The script of the page").text("text/javascript"),
            ),
        )
}

#[derive(Clone, Copy)]
struct Asset {
    media_type: &'static str,
    text: &'static str,
}

async fn asset(asset: Asset) -> Response {
    let headers = [
        (CONTENT_TYPE, asset.media_type),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, asset.text).into_response()
}

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const HTML: Asset = Asset {
    media_type: "text/html; charset=utf-8",
    text: include_str!("page.html"),
};
const CSS: Asset = Asset {
    media_type: "text/css; charset=utf-8",
    text: include_str!("page.css"),
};
const JS: Asset = Asset {
    media_type: "text/javascript; charset=utf-8",
    text: include_str!("page.js"),
};
