//! WebAuthn: takes what a browser says for an authenticator, gives a customer who has shown a passkey.
//!
//! **Invariant:** a challenge is spent, and that is committed, before the answer to it is looked at.
//! **Invariant:** a challenge works once, for five minutes, in the browser that asked, for the ceremony it
//! was asked for.
//! **Invariant:** a passkey belongs to one customer for good.
//!
//! W3C Web Authentication Level 3 §7.1 and §7.2.

mod authenticator_data;
mod ceremony;
mod challenge;
mod client_data;
pub(crate) mod credential_routes;
mod decoy;
mod login;
mod register;
pub(crate) mod related_origins;
mod store;

use serde::Serialize;

pub(crate) use ceremony::RelyingParty;
pub(crate) use challenge::sweep;
use utoipa::ToSchema;

use crate::app::Shared;
use crate::clock::Timestamp;
use crate::customers::is_unprintable;
use crate::db::{DbError, Id, Tx};
use crate::openapi::Operation;
use crate::problem::{Problem, ProblemCode};
use crate::route_table::{RouteTable, routing};
use crate::session::open::OpenedView;

/// Routes of ceremonies, which a cookie binds to a browser.
pub(crate) fn with_cookies() -> RouteTable {
    RouteTable::new()
        .route(
            "/auth/webauthn/register/options",
            routing::post(register::options).says(
                Operation::new("beginRegistration", "Begins the registration of a passkey")
                    .page()
                    .maybe_customer()
                    .body::<register::Ask>()
                    .ok::<register::Options>()
                    .sets_cookie(200)
                    .refuses(&[
                        ProblemCode::InsufficientUserAuthentication,
                        ProblemCode::CustomerNotFound,
                        ProblemCode::CustomerEmailInvalid,
                        ProblemCode::CustomerDisplayNameInvalid,
                        ProblemCode::WebauthnCredentialNameInvalid,
                        ProblemCode::WebauthnCredentialsFull,
                    ]),
            ),
        )
        .route(
            "/auth/webauthn/register/verify",
            routing::post(register::verify).says(
                Operation::new(
                    "finishRegistration",
                    "Takes the new passkey: of somebody new, who is signed in, or of a customer",
                )
                .page()
                .maybe_customer()
                .body::<register::Answer>()
                .ok::<OpenedView>()
                .sets_cookie(200)
                .created::<CredentialView>()
                .refuses(&[
                    ProblemCode::InsufficientUserAuthentication,
                    ProblemCode::RegistrationFailed,
                    ProblemCode::CustomerEmailInvalid,
                    ProblemCode::WebauthnCredentialTaken,
                    ProblemCode::WebauthnCredentialsFull,
                ]),
            ),
        )
        .route(
            "/auth/webauthn/login/options",
            routing::post(login::options).says(
                Operation::new(
                    "beginLogin",
                    "Begins to sign in, or to show a passkey again",
                )
                .page()
                .maybe_customer()
                .optional_body::<login::Ask>()
                .ok::<register::Options>()
                .sets_cookie(200)
                .refuses(&[ProblemCode::CustomerEmailInvalid]),
            ),
        )
        .route(
            "/auth/webauthn/login/verify",
            routing::post(login::verify).says(
                Operation::new("finishLogin", "Takes the passkey that was shown")
                    .page()
                    .maybe_customer()
                    .body::<register::Answer>()
                    .ok::<OpenedView>()
                    .sets_cookie(200)
                    .refuses(&[ProblemCode::AuthenticationFailed]),
            ),
        )
}

/// A passkey as the database keeps it.
#[derive(Debug, Clone)]
pub(crate) struct CredentialRow {
    pub(crate) id: Id,
    pub(crate) customer: Id,
    pub(crate) credential_id: Vec<u8>,
    pub(crate) name: String,
    /// Public key and policy, as the library writes them.
    passkey: String,
    aaguid: Option<Id>,
    transports: String,
    sign_count: i64,
    backup_eligible: bool,
    backup_state: bool,
    created_at: Timestamp,
    last_used_at: Option<Timestamp>,
}

/// A passkey as its owner sees it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Passkey)]
pub(crate) struct CredentialView {
    id: Id,
    name: String,
    aaguid: Option<Id>,
    transports: Vec<String>,
    backup_eligible: bool,
    backup_state: bool,
    created_at: i64,
    last_used_at: Option<i64>,
}

impl From<CredentialRow> for CredentialView {
    fn from(row: CredentialRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            aaguid: row.aaguid,
            transports: words(&row.transports),
            backup_eligible: row.backup_eligible,
            backup_state: row.backup_state,
            created_at: row.created_at.unix_seconds(),
            last_used_at: row.last_used_at.map(Timestamp::unix_seconds),
        }
    }
}

impl Shared {
    /// The party passkeys are made for, without which there are none.
    pub(crate) fn relying_party(&self) -> Result<&RelyingParty, Problem> {
        self.relying_party
            .as_ref()
            .ok_or_else(|| Problem::new(ProblemCode::SignInNotConfigured))
    }
}

/// Removes every passkey of `customer`; how many there were. For an address that its owner proves after
/// somebody else had registered it: nothing of that somebody may go on signing in.
pub(crate) async fn remove_all(tx: &mut Tx, customer: Id) -> Result<u64, DbError> {
    store::remove_all(tx, customer).await
}

/// Refuses a name that is empty, longer than 100 characters, or could forge a line of text.
fn check_name(name: &str) -> Result<(), Problem> {
    let length = name.chars().count();
    if !(1..=100).contains(&length) || name.trim().is_empty() || name.chars().any(is_unprintable) {
        return Err(Problem::new(ProblemCode::WebauthnCredentialNameInvalid)
            .detail("expected 1 to 100 characters without control characters"));
    }
    Ok(())
}

fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

/// Most passkeys of a customer; the database has as many slots.
const MOST_CREDENTIALS: i64 = 20;

#[cfg(test)]
mod tests;
