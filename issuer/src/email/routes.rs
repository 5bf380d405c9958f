//! The routes of e-mail proofs: `POST /api/v1/auth/email/verification`,
//! `POST /api/v1/auth/email/verification/{id}/confirm`.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::response::{AppendHeaders, IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::confirm::{self, Done, Shown};
use super::request::{self, Asked};
use super::store::Bindings;
use super::{CODE_LIFE, Purpose, session_binding};
use crate::app::Shared;
use crate::audit::Actor;
use crate::browser::Page;
use crate::browser::cookies::LoginTransaction;
use crate::customers::Email;
use crate::db::Id;
use crate::extract::{JsonBody, PathId};
use crate::openapi::Operation;
use crate::problem::{Problem, ProblemCode};
use crate::rate_limit::Class;
use crate::request_id::RequestId;
use crate::route_table::{RouteTable, routing};
use crate::session::open::OpenedView;
use crate::signed_in::{MaybeSignedIn, SignedIn};

pub(crate) fn routes() -> RouteTable {
    RouteTable::new()
        .route(
            "/auth/email/verification",
            routing::post(ask).says(
                Operation::new(
                    "askEmailCode",
                    "Mails a code, to prove or to change an address or to sign in by it",
                )
                .page()
                .maybe_customer()
                .body::<Ask>()
                .accepted::<Waiting>()
                .sets_cookie(202)
                .refuses(&[
                    ProblemCode::BearerMissing,
                    ProblemCode::InsufficientUserAuthentication,
                    ProblemCode::CustomerEmailInvalid,
                ]),
            ),
        )
        .route(
            "/auth/email/verification/{id}/confirm",
            routing::post(show).says(
                Operation::new("showEmailCode", "Takes the code that was mailed")
                    .page()
                    .maybe_customer()
                    .body::<Show>()
                    .ok::<OpenedView>()
                    .sets_cookie(200)
                    .empty(204)
                    .refuses(&[ProblemCode::VerificationFailed]),
            ),
        )
}

/// The browser's transaction, if it has begun one.
struct Begun(Option<LoginTransaction>);

impl FromRequestParts<Shared> for Begun {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Problem> {
        Ok(Self(LoginTransaction::of(parts)))
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AskEmailCode)]
struct Ask {
    purpose: Purpose,
    #[schema(min_length = 3, max_length = 254)]
    email: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EmailCodeSent)]
struct Waiting {
    verification_id: Id,
    expires_in: u64,
}

async fn ask(
    State(shared): State<Shared>,
    page: Page,
    MaybeSignedIn(signed_in): MaybeSignedIn,
    Begun(begun): Begun,
    request_id: RequestId,
    body: JsonBody<Ask>,
) -> Result<Response, Problem> {
    let Ask { purpose, email } = body.value;
    let email = email.as_deref().map(Email::parse).transpose()?;
    let signed_in = permit(&shared, purpose, signed_in)?;
    if email.is_none() && purpose != Purpose::Verify {
        return Err(Problem::new(ProblemCode::RequestMalformed).detail("expected an email"));
    }
    charge(&shared, &page, email.as_ref(), signed_in.as_ref())?;
    let browser = begun.map_or_else(LoginTransaction::begin, Ok)?;
    let actor = signed_in
        .as_ref()
        .map_or_else(|| Actor::unknown(&request_id), SignedIn::actor);
    let asked = Asked {
        purpose,
        email,
        signed_in: signed_in.as_ref(),
        binding: signed_in.as_ref().map_or_else(
            || browser.binding(),
            |signed_in| session_binding(&browser, signed_in),
        ),
        actor: &actor,
    };
    let waiting = Waiting {
        verification_id: request::request(&shared, &asked).await?,
        expires_in: CODE_LIFE.as_secs(),
    };
    let cookie = AppendHeaders([browser.set()]);
    Ok((StatusCode::ACCEPTED, cookie, Json(waiting)).into_response())
}

/// Charges the request to the address it names, or else to whom it is of.
fn charge(
    shared: &Shared,
    page: &Page,
    email: Option<&Email>,
    signed_in: Option<&SignedIn>,
) -> Result<(), Problem> {
    let own = signed_in.map(|signed_in| signed_in.customer().to_string());
    let named = email.map(|email| email.normalised.as_str());
    let account = named.or(own.as_deref());
    shared.limits.check(Class::Auth, &page.address, account)
}

/// Who the proof is for: nobody known yet when an account is recovered, whoever else is signed in.
fn permit(
    shared: &Shared,
    purpose: Purpose,
    signed_in: Option<SignedIn>,
) -> Result<Option<SignedIn>, Problem> {
    if purpose == Purpose::Recover {
        return Ok(None);
    }
    let missing = || Problem::new(ProblemCode::BearerMissing).challenge("Bearer");
    let signed_in = signed_in.ok_or_else(missing)?;
    if purpose == Purpose::Change {
        signed_in.require_recent_passkey(shared)?;
    }
    Ok(Some(signed_in))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ShowEmailCode)]
struct Show {
    code: String,
}

async fn show(
    State(shared): State<Shared>,
    page: Page,
    MaybeSignedIn(signed_in): MaybeSignedIn,
    Begun(begun): Begun,
    request_id: RequestId,
    PathId(id): PathId,
    body: JsonBody<Show>,
) -> Result<Response, Problem> {
    let refuse = || Problem::new(ProblemCode::VerificationFailed);
    let limits = &shared.limits;
    limits.check(Class::Auth, &page.address, Some(&id.to_string()))?;
    let browser = begun.ok_or_else(refuse)?;
    let session = signed_in
        .as_ref()
        .map(|signed_in| session_binding(&browser, signed_in));
    let shown = Shown {
        id,
        code: &body.value.code,
        bindings: Bindings {
            browser: &browser.binding(),
            session: session.as_ref().map(<[u8; 32]>::as_slice),
        },
        signed_in: signed_in.as_ref(),
        device: &page.device,
        request_id: &request_id,
    };
    Ok(match confirm::confirm(&shared, &shown).await? {
        Done::Proved => StatusCode::NO_CONTENT.into_response(),
        Done::SignedIn(opened) => opened.published(&shared).await,
    })
}
