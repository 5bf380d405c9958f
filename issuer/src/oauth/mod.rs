//! OAuth: takes the forms of standard clients, gives services their access tokens, says whether a token
//! is live, and ends it.
//!
//! **Invariant:** only a service's secret gets a token; an access token cannot renew itself.
//! **Invariant:** refusals have the shape of RFC 6749 §5.2; faults of ours and missing scopes stay problems.
//!
//! RFC 6749 §4.4 and §5, RFC 7009, RFC 7662, RFC 8707.

mod client;
mod described;
mod error;
mod form;
mod introspect;
mod revoke;
mod token;

use crate::route_table::{RouteTable, routing};

pub(crate) fn routes() -> RouteTable {
    RouteTable::new()
        .route(
            "/oauth/token",
            routing::post(token::token).says(described::token()),
        )
        .route(
            "/oauth/introspect",
            routing::post(introspect::introspect).says(described::introspect()),
        )
        .route(
            "/oauth/revoke",
            routing::post(revoke::revoke).says(described::revoke()),
        )
}

/// What discovery says of these routes.
pub(crate) mod metadata {
    pub(crate) const GRANT_TYPES: [&str; 1] = ["client_credentials"];
    /// How a service proves itself where it gets its token.
    pub(crate) const TOKEN_AUTH: [&str; 2] = ["client_secret_basic", "client_secret_post"];
    /// How it does at introspection and revocation; RFC 8414 §2 names bearer tokens by their type.
    pub(crate) const CALLER_AUTH: [&str; 2] = ["client_secret_basic", "Bearer"];
}
