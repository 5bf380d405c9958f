//! The routes that take passkeys: `POST /api/v1/auth/webauthn/login/options`,
//! `POST /api/v1/auth/webauthn/login/verify`.
//!
//! **Invariant:** every refusal is the same one, and an address nobody owns is answered like any other, at
//! the same cost.
//! **Invariant:** a customer who is signed in gets no new session from its passkey, only a fresher one.

use axum::Json;
use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse, Response};
use base64_simd::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use webauthn_rs::prelude::{DiscoverableAuthentication, Passkey};

use super::ceremony::{Descriptor, Refused};
use super::challenge::{self, Ceremony, Transaction};
use super::register::{Answer, Options, descriptors};
use super::{CredentialRow, decoy, store};
use crate::app::Shared;
use crate::audit::{self, Actor, Event};
use crate::browser::Page;
use crate::customers::{Email, addresses};
use crate::db::{Id, Tx};
use crate::extract::JsonBody;
use crate::mail::{self, Mail};
use crate::problem::{Problem, ProblemCode};
use crate::rate_limit::Class;
use crate::request_id::RequestId;
use crate::session;
use crate::session::open::{self, Opened, Shown};
use crate::signed_in::{MaybeSignedIn, SignedIn};

/// Without an address the browser offers what it has.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AskLogin)]
pub(super) struct Ask {
    #[schema(min_length = 3, max_length = 254)]
    email: Option<String>,
}

/// What is kept from the question to its answer.
#[derive(Serialize, Deserialize)]
struct Asked {
    authentication: DiscoverableAuthentication,
    /// Somebody in particular was asked for, be it nobody we know.
    is_named: bool,
}

pub(super) async fn options(
    State(shared): State<Shared>,
    page: Page,
    MaybeSignedIn(signed_in): MaybeSignedIn,
    transaction: Transaction,
    body: Option<JsonBody<Ask>>,
) -> Result<Response, Problem> {
    let party = shared.relying_party()?;
    let transaction = transaction.or_begin()?;
    let email = body.map(|body| body.value).unwrap_or_default().email;
    let is_named = signed_in.is_some() || email.is_some();
    let (ceremony, customer, allowed) = match (signed_in, email) {
        (Some(signed_in), None) => step_up(&shared, &signed_in).await?,
        (Some(_), Some(_)) => {
            return Err(Problem::new(ProblemCode::RequestMalformed)
                .detail("expected no email from a customer who is signed in"));
        }
        (None, Some(email)) => {
            let email = Email::parse(&email)?;
            let limits = &shared.limits;
            limits.check(Class::Auth, &page.address, Some(&email.normalised))?;
            named(&shared, &email).await?
        }
        (None, None) => (Ceremony::Login, None, Vec::new()),
    };
    let begun = party.begin_authentication(&allowed);
    let (options, authentication) = begun.map_err(Problem::fault)?;
    let asked = Asked {
        authentication,
        is_named,
    };
    let kept = challenge::keep(&shared, ceremony, customer, &transaction, &asked);
    let challenge_id = kept.await?;
    let body = Options {
        challenge_id,
        options,
    };
    Ok((AppendHeaders([transaction.set()]), Json(body)).into_response())
}

type Allowed = (Ceremony, Option<Id>, Vec<Descriptor>);

async fn step_up(shared: &Shared, signed_in: &SignedIn) -> Result<Allowed, Problem> {
    let customer = signed_in.customer();
    let known = store::of_customer(&shared.db, customer).await?;
    Ok((Ceremony::StepUp, Some(customer), descriptors(known)))
}

async fn named(shared: &Shared, email: &Email) -> Result<Allowed, Problem> {
    let address = email.normalised.as_str();
    // Made for every address, so that their cost tells nothing.
    let decoys = decoy::of(shared.secrets()?, address);
    let (owner, known) = store::of_address(&shared.db, address).await?;
    let allowed = if known.is_empty() { decoys } else { known };
    Ok((Ceremony::Login, owner, allowed))
}

pub(super) async fn verify(
    State(shared): State<Shared>,
    page: Page,
    MaybeSignedIn(signed_in): MaybeSignedIn,
    transaction: Transaction,
    request_id: RequestId,
    body: JsonBody<Answer>,
) -> Result<Response, Problem> {
    charge(&shared, &page, &body.value)?;
    let ceremony = match signed_in {
        Some(_) => Ceremony::StepUp,
        None => Ceremony::Login,
    };
    let id = body.value.challenge_id;
    let spent = challenge::spend::<Asked>(&shared, id, ceremony, transaction).await?;
    let spent = spent.ok_or_else(failed)?;
    let credential = shown(
        &shared,
        spent.state,
        spent.customer,
        &body.value,
        &request_id,
    )
    .await?;
    let owner = credential.customer;
    let now = shared.clock.now();
    let mut tx = shared.db.begin().await?;
    let opened = match &signed_in {
        Some(signed_in) if signed_in.customer() == owner => {
            open::step_up(&shared, &mut tx, signed_in.session.id, &request_id).await
        }
        Some(_) => Err(failed()),
        None => sign_in(&shared, &mut tx, owner, &page, &request_id).await,
    };
    let opened: Opened = opened.map_err(alike)?;
    if !store::note_use(&mut tx, &credential, now).await? {
        drop(tx);
        return match store::find(&shared.db, &credential.credential_id).await? {
            Some(_) => Err(regressed(&shared, &credential, &request_id).await?),
            // Removed since it was shown.
            None => Err(failed()),
        };
    }
    tx.commit().await?;
    shared.outbox.wake();
    Ok(opened.published(&shared).await)
}

/// Opens a session for `owner`, who is told of a device that none of its sessions was on.
async fn sign_in(
    shared: &Shared,
    tx: &mut Tx,
    owner: Id,
    page: &Page,
    request_id: &RequestId,
) -> Result<Opened, Problem> {
    let is_known = session::knows_device(tx, owner, &page.device).await?;
    let opened = open::open(shared, tx, owner, Shown::Passkey, &page.device, request_id).await?;
    if !is_known {
        let now = opened.session.created_at;
        let notice = Mail::NewSignIn {
            device: page.device.clone(),
            at: now.unix_seconds(),
        };
        let address = addresses::primary(tx, owner).await?;
        mail::notify(shared, tx, address.as_ref(), &notice, now).await?;
    }
    Ok(opened)
}

/// Charges the try to whom the answer says it is of, or to the passkey it names. An answer that cannot be
/// read tries nothing.
fn charge(shared: &Shared, page: &Page, answer: &Answer) -> Result<(), Problem> {
    let read = shared.relying_party()?.read_assertion(&answer.credential);
    let Ok(assertion) = read else {
        return Ok(());
    };
    let claimed = assertion.user_handle();
    let account = URL_SAFE_NO_PAD.encode_to_string(claimed.unwrap_or(assertion.credential_id()));
    let limits = &shared.limits;
    limits.check(Class::Auth, &page.address, Some(&account))
}

/// The passkey that `answer` proves, as it is after this use.
async fn shown(
    shared: &Shared,
    asked: Asked,
    expected: Option<Id>,
    answer: &Answer,
    request_id: &RequestId,
) -> Result<CredentialRow, Problem> {
    let party = shared.relying_party()?;
    let assertion = party.read_assertion(&answer.credential);
    let assertion = assertion.map_err(|_| failed())?;
    let found = store::find(&shared.db, assertion.credential_id()).await?;
    let mut credential = found.ok_or_else(failed)?;
    let mut passkey: Passkey = serde_json::from_str(&credential.passkey).map_err(Problem::fault)?;
    let owner = credential.customer;
    let is_owners = match assertion.user_handle() {
        Some(handle) => handle == owner.as_bytes(),
        // Only an authenticator that was told whose passkey to use may leave it out.
        None => asked.is_named,
    };
    if !is_owners || asked.is_named && expected != Some(owner) {
        return Err(failed());
    }
    let done = party.finish_authentication(asked.authentication, &assertion, &passkey);
    let result = match done {
        Ok(result) => result,
        Err(Refused::CounterRegressed) => {
            return Err(regressed(shared, &credential, request_id).await?);
        }
        Err(Refused::Answer) => return Err(failed()),
    };
    passkey.update_credential(&result);
    credential.passkey = serde_json::to_string(&passkey).map_err(Problem::fault)?;
    credential.sign_count = i64::from(result.counter());
    credential.backup_state = result.backup_state();
    Ok(credential)
}

/// Keeps a record of a passkey that may have been copied, whatever becomes of the sign-in.
async fn regressed(
    shared: &Shared,
    credential: &CredentialRow,
    request_id: &RequestId,
) -> Result<Problem, Problem> {
    let id = credential.id.to_string();
    let event = Event {
        action: "webauthn.counter_regressed",
        customer: Some(credential.customer),
        target_kind: "webauthn_credential",
        target_id: &id,
    };
    let actor = Actor::customer(credential.customer, request_id);
    let mut tx = shared.db.begin().await?;
    audit::record(&mut tx, &actor, &event, shared.clock.now()).await?;
    tx.commit().await?;
    tracing::warn!(credential = %id, "a passkey's counter went back");
    Ok(failed())
}

/// That a customer is suspended, erased or gone is told to nobody who signs in.
fn alike(problem: Problem) -> Problem {
    match problem.code() {
        ProblemCode::CustomerNotFound
        | ProblemCode::CustomerSuspended
        | ProblemCode::CustomerErased => failed(),
        _ => problem,
    }
}

fn failed() -> Problem {
    Problem::new(ProblemCode::AuthenticationFailed)
}
