//! Described: what the routes of OAuth take and give, for the document.
//!
//! The parameters are read from a form by name, so these types say in one place what the readers look for.

use utoipa::ToSchema;

use super::error::Refusal;
use super::token::TokenResponse;
use crate::openapi::Operation;

/// RFC 6749 §4.4.2, RFC 8707 §2.
#[derive(ToSchema)]
#[expect(dead_code, reason = "says what the form may have")]
struct TokenRequest {
    /// `client_credentials`.
    grant_type: String,
    /// Scopes with spaces between them; all the client holds when there are none.
    scope: Option<String>,
    audience: Option<String>,
    resource: Option<String>,
    /// For clients without an `Authorization` header.
    client_id: Option<String>,
    client_secret: Option<String>,
}

/// RFC 7662 §2.1, RFC 7009 §2.1.
#[derive(ToSchema)]
#[schema(as = PresentedToken)]
#[expect(dead_code, reason = "says what the form may have")]
struct Presented {
    token: String,
    token_type_hint: Option<String>,
}

/// RFC 7662 §2.2, and the claims of the token. Of an inactive one there is nothing but `active`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "says what an answer has that is made of claims")]
struct Introspection {
    active: bool,
    #[schema(required = false)]
    token_type: String,
    #[schema(required = false)]
    iss: String,
    #[schema(required = false)]
    sub: String,
    #[schema(required = false)]
    client_id: String,
    #[schema(required = false)]
    scope: String,
    #[schema(required = false)]
    iat: i64,
    #[schema(required = false)]
    exp: i64,
}

pub(super) fn token() -> Operation {
    refusing(Operation::new("issueToken", "Gives a service its access token").client(None))
        .form::<TokenRequest>()
        .ok::<TokenResponse>()
}

pub(super) fn introspect() -> Operation {
    let operation = Operation::new("introspectToken", "Says whether a token is live");
    refusing(operation.client(Some("sessions:introspect")))
        .form::<Presented>()
        .ok::<Introspection>()
}

pub(super) fn revoke() -> Operation {
    let operation = Operation::new("revokeToken", "Ends what a token stands for");
    refusing(operation.client(Some("sessions:revoke")))
        .form::<Presented>()
        .empty(200)
}

fn refusing(operation: Operation) -> Operation {
    operation
        .gives::<Refusal>(400, "application/json")
        .gives::<Refusal>(401, "application/json")
}
