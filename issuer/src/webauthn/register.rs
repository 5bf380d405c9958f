//! The routes that make passkeys: `POST /api/v1/auth/webauthn/register/options`,
//! `POST /api/v1/auth/webauthn/register/verify`.
//!
//! **Invariant:** whether an address is taken is asked when a sound passkey is there, and not before: the
//! options are the same for every address, and cost the same.

use axum::Json;
use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use webauthn_rs::prelude::PasskeyRegistration;

use super::ceremony::{Descriptor, Registered, User};
use super::challenge::{self, Ceremony, Transaction};
use super::store::{self, Inserted};
use super::{CredentialRow, CredentialView, MOST_CREDENTIALS, check_name, words};
use crate::app::Shared;
use crate::audit::{self, Actor, Event};
use crate::browser::Page;
use crate::clock::Timestamp;
use crate::customers::{self, Email, NewCustomer, addresses, check_display_name};
use crate::db::{Id, Tx};
use crate::extract::JsonBody;
use crate::mail::{self, Mail};
use crate::problem::{Problem, ProblemCode};
use crate::rate_limit::Class;
use crate::request_id::RequestId;
use crate::router::created;
use crate::session::open::{self, Shown};
use crate::signed_in::{MaybeSignedIn, SignedIn};

/// Of somebody new: `email` and perhaps `display_name`. Of a customer: perhaps `name`, the passkey's.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AskRegistration)]
pub(super) struct Ask {
    #[schema(min_length = 3, max_length = 254)]
    email: Option<String>,
    #[schema(min_length = 1, max_length = 200)]
    display_name: Option<String>,
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
}

/// What the browser is asked, in the words of `navigator.credentials`, and the id its answer must name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CeremonyOptions)]
pub(super) struct Options {
    pub(super) challenge_id: Id,
    #[serde(flatten)]
    #[schema(value_type = BTreeMap<String, Value>)]
    pub(super) options: Value,
}

/// The browser's answer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CeremonyAnswer)]
pub(super) struct Answer {
    pub(super) challenge_id: Id,
    #[schema(value_type = BTreeMap<String, Value>)]
    pub(super) credential: Box<RawValue>,
}

/// What is kept from the question to its answer.
#[derive(Serialize, Deserialize)]
struct Asked {
    registration: PasskeyRegistration,
    email: Option<String>,
    display_name: Option<String>,
    name: Option<String>,
}

pub(super) async fn options(
    State(shared): State<Shared>,
    page: Page,
    MaybeSignedIn(signed_in): MaybeSignedIn,
    transaction: Transaction,
    body: JsonBody<Ask>,
) -> Result<Response, Problem> {
    let transaction = transaction.or_begin()?;
    let (ceremony, customer, options, asked) = match signed_in {
        Some(signed_in) => ask_customer(&shared, &signed_in, body.value).await?,
        None => ask_anybody(&shared, &page, body.value)?,
    };
    let kept = challenge::keep(&shared, ceremony, Some(customer), &transaction, &asked);
    let challenge_id = kept.await?;
    let body = Options {
        challenge_id,
        options,
    };
    Ok((AppendHeaders([transaction.set()]), Json(body)).into_response())
}

type Begun = (Ceremony, Id, Value, Asked);

fn ask_anybody(shared: &Shared, page: &Page, ask: Ask) -> Result<Begun, Problem> {
    let malformed = |what| Problem::new(ProblemCode::RequestMalformed).detail(what);
    if ask.name.is_some() {
        return Err(malformed("expected no name for a first passkey"));
    }
    let email = ask.email.ok_or_else(|| malformed("expected an email"))?;
    let email = Email::parse(&email)?;
    let limits = &shared.limits;
    limits.check(Class::Auth, &page.address, Some(&email.normalised))?;
    if let Some(name) = &ask.display_name {
        check_display_name(name)?;
    }
    let id = Id::new(shared.clock.now());
    if !shared.settings.flag.admits(id) {
        return Err(Problem::new(ProblemCode::QueueDisabled));
    }
    let user = User {
        id,
        name: &email.written,
        display_name: ask.display_name.as_deref().unwrap_or(&email.written),
    };
    let (options, registration) = begin(shared, &user, &[])?;
    let asked = Asked {
        registration,
        email: Some(email.written),
        display_name: ask.display_name,
        name: None,
    };
    Ok((Ceremony::Register, id, options, asked))
}

async fn ask_customer(shared: &Shared, signed_in: &SignedIn, ask: Ask) -> Result<Begun, Problem> {
    signed_in.require_recent_recovery(shared)?;
    if ask.email.is_some() || ask.display_name.is_some() {
        return Err(Problem::new(ProblemCode::RequestMalformed)
            .detail("expected nothing but a name for a further passkey"));
    }
    if let Some(name) = &ask.name {
        check_name(name)?;
    }
    let id = signed_in.customer();
    let known = store::of_customer(&shared.db, id).await?;
    if known.len() >= usize::try_from(MOST_CREDENTIALS).unwrap_or(usize::MAX) {
        return Err(Problem::new(ProblemCode::WebauthnCredentialsFull));
    }
    let customer = customers::find(shared, id).await?;
    let name = customer.email().unwrap_or(NAMELESS);
    let user = User {
        id,
        name,
        display_name: customer.display_name().unwrap_or(name),
    };
    let (options, registration) = begin(shared, &user, &descriptors(known))?;
    let asked = Asked {
        registration,
        email: None,
        display_name: None,
        name: ask.name,
    };
    Ok((Ceremony::Add, id, options, asked))
}

fn begin(
    shared: &Shared,
    user: &User<'_>,
    exclude: &[Descriptor],
) -> Result<(Value, PasskeyRegistration), Problem> {
    let begun = shared.relying_party()?.begin_registration(user, exclude);
    begun.map_err(Problem::fault)
}

pub(super) fn descriptors(of: Vec<CredentialRow>) -> Vec<Descriptor> {
    let each = |row: CredentialRow| Descriptor {
        credential_id: row.credential_id,
        transports: words(&row.transports),
    };
    of.into_iter().map(each).collect()
}

pub(super) async fn verify(
    State(shared): State<Shared>,
    page: Page,
    MaybeSignedIn(signed_in): MaybeSignedIn,
    transaction: Transaction,
    request_id: RequestId,
    body: JsonBody<Answer>,
) -> Result<Response, Problem> {
    let party = shared.relying_party()?;
    if let Some(signed_in) = &signed_in {
        signed_in.require_recent_recovery(&shared)?;
    }
    let ceremony = match signed_in {
        Some(_) => Ceremony::Add,
        None => Ceremony::Register,
    };
    let id = body.value.challenge_id;
    let spent = challenge::spend::<Asked>(&shared, id, ceremony, transaction).await?;
    let (spent, customer) = spent
        .and_then(|spent| spent.customer.map(|customer| (spent, customer)))
        .ok_or_else(failed)?;
    let asked = spent.state;
    let registered = party
        .finish_registration(&asked.registration, &body.value.credential)
        .map_err(|_| failed())?;
    let name = asked.name.clone().unwrap_or_else(|| page.device.clone());
    let new = row(customer, name, registered, shared.clock.now())?;
    match signed_in {
        Some(signed_in) if signed_in.customer() == customer => add(&shared, &signed_in, new).await,
        Some(_) => Err(failed()),
        None => sign_up(&shared, &page, &request_id, asked, new).await,
    }
}

/// Makes the customer, its passkey and its first session, all or none.
async fn sign_up(
    shared: &Shared,
    page: &Page,
    request_id: &RequestId,
    asked: Asked,
    new: CredentialRow,
) -> Result<Response, Problem> {
    let actor = Actor::customer(new.customer, request_id);
    let customer = NewCustomer {
        id: new.customer,
        email: Email::parse(&asked.email.unwrap_or_default())?,
        display_name: asked.display_name,
        created_by: SELF.to_owned(),
        now: new.created_at,
    };
    let mut tx = shared.db.begin().await?;
    if !customers::make(&mut tx, &customer, &actor).await? {
        return Err(failed());
    }
    bind(&mut tx, &actor, &new).await?;
    let opened = open::open(
        shared,
        &mut tx,
        customer.id,
        Shown::Passkey,
        &page.device,
        request_id,
    );
    let opened = opened.await?;
    tx.commit().await?;
    Ok(opened.published(shared).await)
}

async fn add(
    shared: &Shared,
    signed_in: &SignedIn,
    new: CredentialRow,
) -> Result<Response, Problem> {
    let mut tx = shared.db.begin().await?;
    signed_in.hold(&mut tx, shared).await?;
    bind(&mut tx, &signed_in.actor(), &new).await?;
    let notice = Mail::PasskeyAdded {
        name: new.name.clone(),
        at: new.created_at.unix_seconds(),
    };
    let address = addresses::primary(&mut tx, new.customer).await?;
    mail::notify(shared, &mut tx, address.as_ref(), &notice, new.created_at).await?;
    tx.commit().await?;
    shared.outbox.wake();
    let location = format!("/api/v1/auth/webauthn/credentials/{}", new.id);
    Ok(created(&location, &CredentialView::from(new)))
}

/// Binds `new` to its customer, whom the transaction made or holds, and writes the event.
async fn bind(tx: &mut Tx, actor: &Actor, new: &CredentialRow) -> Result<(), Problem> {
    match store::insert(tx, new).await? {
        Inserted::Yes => {}
        Inserted::Taken => return Err(Problem::new(ProblemCode::WebauthnCredentialTaken)),
        Inserted::Full => return Err(Problem::new(ProblemCode::WebauthnCredentialsFull)),
    }
    let id = new.id.to_string();
    let event = Event {
        action: "webauthn.credential_added",
        customer: Some(new.customer),
        target_kind: "webauthn_credential",
        target_id: &id,
    };
    Ok(audit::record(tx, actor, &event, new.created_at).await?)
}

fn row(
    customer: Id,
    name: String,
    registered: Registered,
    now: Timestamp,
) -> Result<CredentialRow, Problem> {
    let attested = registered.attested;
    Ok(CredentialRow {
        id: Id::new(now),
        customer,
        credential_id: attested.credential_id,
        name,
        passkey: serde_json::to_string(&registered.passkey).map_err(Problem::fault)?,
        aaguid: Some(Id::from_bytes(attested.aaguid)).filter(|_| attested.aaguid != [0; 16]),
        transports: registered.transports,
        sign_count: i64::from(attested.sign_count),
        backup_eligible: attested.backup_eligible,
        backup_state: attested.backup_state,
        created_at: now,
        last_used_at: None,
    })
}

fn failed() -> Problem {
    Problem::new(ProblemCode::RegistrationFailed)
}

/// Who grants a customer that registers itself its first roles.
const SELF: &str = "registration";
/// What an authenticator shows for a customer without an address.
const NAMELESS: &str = "customer";
