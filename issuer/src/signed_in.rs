//! Signed in: takes a customer's access token, gives the customer and the session, live at this moment.
//!
//! **Invariant:** the token passes `queue-verifier` against the published set like at any relying service;
//! then the session and its customer are looked up, so a revocation needs no time to arrive here.
//! **Invariant:** every refusal is the same one: it tells nobody why.
//!
//! RFC 6750 §3; RFC 9470 §3 for the step-up challenge.

use std::time::Duration;

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::app::Shared;
use crate::audit::{Actor, ActorKind};
use crate::caller::bearer;
use crate::customers::addresses;
use crate::db::{Id, Tx};
use crate::problem::{Problem, ProblemCode};
use crate::request_id::RequestId;
use crate::session::{self, ACR_PASSKEY, ACR_RECOVERY, SessionRow};

/// A customer with a live session.
#[derive(Debug, Clone)]
pub(crate) struct SignedIn {
    pub(crate) session: SessionRow,
    request_id: RequestId,
}

impl SignedIn {
    pub(crate) fn customer(&self) -> Id {
        self.session.customer
    }

    /// The customer as an audit event names it.
    pub(crate) fn actor(&self) -> Actor {
        Actor::customer(self.customer(), &self.request_id)
    }

    /// Holds the customer still until the transaction ends, and refuses when the session has ended since the
    /// request began: what is written then was not undone by whoever ended it.
    pub(crate) async fn hold(&self, tx: &mut Tx, shared: &Shared) -> Result<(), Problem> {
        let is_active = addresses::hold(tx, self.customer()).await?;
        let is_live = session::is_live_in(tx, self.session.id, shared.clock.now()).await?;
        (is_active && is_live).then_some(()).ok_or_else(refuse)
    }

    /// Refuses a customer who did not show a passkey within the last five minutes.
    pub(crate) fn require_recent_passkey(&self, shared: &Shared) -> Result<(), Problem> {
        self.require_recent(shared, &[ACR_PASSKEY])
    }

    /// Refuses a customer who showed neither a passkey nor a recovery code within the last five minutes. For
    /// making a passkey alone: whoever has lost every one comes back with a code, and needs the next.
    pub(crate) fn require_recent_recovery(&self, shared: &Shared) -> Result<(), Problem> {
        self.require_recent(shared, &[ACR_PASSKEY, ACR_RECOVERY])
    }

    fn require_recent(&self, shared: &Shared, acrs: &[&str]) -> Result<(), Problem> {
        let oldest = shared.clock.now().minus(RECENT);
        if acrs.contains(&self.session.acr.as_str()) && self.session.auth_time >= oldest {
            return Ok(());
        }
        let challenge = format!(
            "Bearer error=\"insufficient_user_authentication\", acr_values=\"{}\", max_age=\"{}\"",
            acrs.join(" "),
            RECENT.as_secs()
        );
        Err(Problem::new(ProblemCode::InsufficientUserAuthentication)
            .detail("expected a passkey shown within the last 300 s")
            .challenge(&challenge))
    }
}

impl Actor {
    /// The customer `id`.
    pub(crate) fn customer(id: Id, request_id: &RequestId) -> Self {
        Self {
            kind: ActorKind::Customer,
            id: id.to_string(),
            request_id: Some(request_id.as_str().to_owned()),
        }
    }

    /// Somebody who has not shown who it is.
    pub(crate) fn unknown(request_id: &RequestId) -> Self {
        Self {
            kind: ActorKind::System,
            id: "unknown".to_owned(),
            request_id: Some(request_id.as_str().to_owned()),
        }
    }
}

impl FromRequestParts<Shared> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        let token = bearer(parts)?;
        let session = live_session(shared, token).await?;
        Ok(Self {
            session: session.ok_or_else(refuse)?,
            request_id: RequestId::of(&parts.extensions),
        })
    }
}

/// A request may come with a customer's token or without one.
#[derive(Debug, Clone)]
pub(crate) struct MaybeSignedIn(pub(crate) Option<SignedIn>);

impl FromRequestParts<Shared> for MaybeSignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        if !parts.headers.contains_key(http::header::AUTHORIZATION) {
            return Ok(Self(None));
        }
        let signed_in = SignedIn::from_request_parts(parts, shared).await?;
        Ok(Self(Some(signed_in)))
    }
}

/// A request may come with a token that has run out, or whose session has: then it comes with none.
#[derive(Debug, Clone)]
pub(crate) struct StillSignedIn(pub(crate) Option<SignedIn>);

impl FromRequestParts<Shared> for StillSignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        match MaybeSignedIn::from_request_parts(parts, shared).await {
            Ok(MaybeSignedIn(signed_in)) => Ok(Self(signed_in)),
            Err(problem) if problem.code() == ProblemCode::AccessTokenInvalid => Ok(Self(None)),
            Err(problem) => Err(problem),
        }
    }
}

async fn live_session(shared: &Shared, token: &str) -> Result<Option<SessionRow>, Problem> {
    let keys = shared
        .keys
        .current()
        .map_err(|_| Problem::new(ProblemCode::KeyUnavailable))?;
    let check = keys.check.as_ref().ok_or_else(refuse)?;
    let read = check.session(token).map_err(|_| refuse())?;
    let Some(id) = read.session_id().and_then(Id::parse) else {
        return Ok(None);
    };
    let subject = read.subject().and_then(Id::parse);
    let found = session::find_live(shared, id).await?;
    Ok(found.filter(|session| Some(session.customer) == subject))
}

fn refuse() -> Problem {
    Problem::new(ProblemCode::AccessTokenInvalid).challenge("Bearer error=\"invalid_token\"")
}

/// How long ago a passkey may have been shown where one is asked for (contract §5, CUS+).
const RECENT: Duration = Duration::from_secs(300);
