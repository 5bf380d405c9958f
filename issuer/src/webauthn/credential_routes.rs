//! The routes of a customer's passkeys: `GET /api/v1/auth/webauthn/credentials`,
//! `PATCH, DELETE /api/v1/auth/webauthn/credentials/{id}`.
//!
//! **Invariant:** the last passkey stays, however many requests try to remove it at once.

use axum::Json;
use axum::extract::State;
use base64_simd::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CredentialRow, CredentialView, check_name, store};
use crate::app::Shared;
use crate::audit::{self, Event};
use crate::customers::addresses;
use crate::db::{Id, Tx};
use crate::extract::{JsonBody, PathId};
use crate::mail::{self, Mail};
use crate::openapi::Operation;
use crate::problem::{Problem, ProblemCode};
use crate::route_table::{RouteTable, routing};
use crate::signed_in::SignedIn;

pub(crate) fn routes() -> RouteTable {
    RouteTable::new()
        .route(
            "/auth/webauthn/credentials",
            routing::get(list).says(
                Operation::new("listPasskeys", "Lists the passkeys of the customer")
                    .customer()
                    .ok::<Credentials>(),
            ),
        )
        .route(
            "/auth/webauthn/credentials/{id}",
            routing::patch(rename)
                .says(
                    Operation::new("renamePasskey", "Renames a passkey")
                        .customer()
                        .body::<Change>()
                        .ok::<CredentialView>()
                        .refuses(&[
                            ProblemCode::InsufficientUserAuthentication,
                            ProblemCode::WebauthnCredentialNotFound,
                            ProblemCode::WebauthnCredentialNameInvalid,
                        ]),
                )
                .delete(remove)
                .says(
                    Operation::new("removePasskey", "Removes a passkey, but not the last")
                        .customer()
                        .ok::<Accepted>()
                        .refuses(&[
                            ProblemCode::InsufficientUserAuthentication,
                            ProblemCode::WebauthnCredentialNotFound,
                            ProblemCode::WebauthnLastCredential,
                            ProblemCode::SignInNotConfigured,
                        ]),
                ),
        )
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Passkeys)]
struct Credentials {
    credentials: Vec<CredentialView>,
}

async fn list(
    State(shared): State<Shared>,
    signed_in: SignedIn,
) -> Result<Json<Credentials>, Problem> {
    let rows = store::of_customer(&shared.db, signed_in.customer()).await?;
    let credentials = rows.into_iter().map(CredentialView::from).collect();
    Ok(Json(Credentials { credentials }))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RenamePasskey)]
struct Change {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
}

async fn rename(
    State(shared): State<Shared>,
    signed_in: SignedIn,
    PathId(id): PathId,
    body: JsonBody<Change>,
) -> Result<Json<CredentialView>, Problem> {
    signed_in.require_recent_passkey(&shared)?;
    let name = body.value.name;
    check_name(&name)?;
    let (customer, now) = (signed_in.customer(), shared.clock.now());
    let mut tx = shared.db.begin().await?;
    signed_in.hold(&mut tx, &shared).await?;
    if !store::rename(&mut tx, customer, id, &name, now).await? {
        return Err(missing());
    }
    record(
        &mut tx,
        &shared,
        &signed_in,
        "webauthn.credential_renamed",
        id,
    )
    .await?;
    let rows = store::of_customer_in(&mut tx, customer).await?;
    let renamed = rows.into_iter().find(|row| row.id == id);
    tx.commit().await?;
    Ok(Json(renamed.ok_or_else(missing)?.into()))
}

/// What the browser tells its password manager, so that it stops offering what is gone
/// (`signalAllAcceptedCredentials`, W3C WebAuthn Level 3 §5.1.10.2).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AcceptedPasskeys)]
struct Accepted {
    rp_id: String,
    user_id: String,
    all_accepted_credential_ids: Vec<String>,
}

async fn remove(
    State(shared): State<Shared>,
    signed_in: SignedIn,
    PathId(id): PathId,
) -> Result<Json<Accepted>, Problem> {
    signed_in.require_recent_passkey(&shared)?;
    let rp_id = shared.relying_party()?.id.clone();
    let (customer, now) = (signed_in.customer(), shared.clock.now());
    let mut tx = shared.db.begin().await?;
    signed_in.hold(&mut tx, &shared).await?;
    let rows = store::of_customer_in(&mut tx, customer).await?;
    let (gone, kept): (Vec<CredentialRow>, Vec<CredentialRow>) =
        rows.into_iter().partition(|row| row.id == id);
    let Some(gone) = gone.into_iter().next() else {
        return Err(missing());
    };
    if kept.is_empty() {
        return Err(Problem::new(ProblemCode::WebauthnLastCredential));
    }
    store::remove(&mut tx, customer, id).await?;
    record(
        &mut tx,
        &shared,
        &signed_in,
        "webauthn.credential_removed",
        id,
    )
    .await?;
    let notice = Mail::PasskeyRemoved {
        name: gone.name,
        at: now.unix_seconds(),
    };
    let address = addresses::primary(&mut tx, customer).await?;
    mail::notify(&shared, &mut tx, address.as_ref(), &notice, now).await?;
    tx.commit().await?;
    shared.outbox.wake();
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode_to_string(bytes);
    Ok(Json(Accepted {
        rp_id,
        user_id: encode(customer.as_bytes()),
        all_accepted_credential_ids: kept.iter().map(|row| encode(&row.credential_id)).collect(),
    }))
}

async fn record(
    tx: &mut Tx,
    shared: &Shared,
    signed_in: &SignedIn,
    action: &'static str,
    id: Id,
) -> Result<(), Problem> {
    let target = id.to_string();
    let event = Event {
        action,
        customer: Some(signed_in.customer()),
        target_kind: "webauthn_credential",
        target_id: &target,
    };
    let now = shared.clock.now();
    Ok(audit::record(tx, &signed_in.actor(), &event, now).await?)
}

fn missing() -> Problem {
    Problem::new(ProblemCode::WebauthnCredentialNotFound)
}
