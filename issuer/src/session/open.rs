//! Open: takes a customer who has shown who it is, gives a session of a browser and its two tokens.
//!
//! **Invariant:** the session is made, and its id chosen, after the customer was authenticated: nothing from
//! before can point at it (login fixation).
//! **Invariant:** tokens leave only after [`Opened::published`], when the transaction was committed.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::issue;
use super::{
    ACR_PASSKEY, ACR_RECOVERY, Holder, SessionRow, SessionView, progress, refresh_token, store,
};
use crate::app::Shared;
use crate::audit::{self, Event};
use crate::browser::cookies;
use crate::browser::cookies::LoginTransaction;
use crate::clock::Timestamp;
use crate::db::{Id, Tx};
use crate::problem::{Problem, ProblemCode};
use crate::request_id::RequestId;
use crate::secret::random;
use crate::status_list::PUBLISHED_WITHIN;
use crate::telemetry;
use crate::token::AccessToken;

/// How the customer has shown who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// A passkey, and to the passkey itself (user verification).
    Passkey,
    /// A backup code.
    BackupCode,
    /// A code sent to the customer's verified address.
    EmailCode,
}

impl Shown {
    pub(crate) fn acr(self) -> &'static str {
        match self {
            Self::Passkey => ACR_PASSKEY,
            Self::BackupCode | Self::EmailCode => ACR_RECOVERY,
        }
    }

    /// RFC 8176 §2.
    fn amr(self) -> Vec<String> {
        let names: &[&str] = match self {
            Self::Passkey => &["pop", "user", "mfa"],
            Self::BackupCode | Self::EmailCode => &["otp"],
        };
        names.iter().map(|name| (*name).to_owned()).collect()
    }
}

/// A session about to be answered with.
pub(crate) struct Opened {
    pub(crate) session: SessionRow,
    token: AccessToken,
    refresh_token: Option<String>,
    opened_list: bool,
    is_new: bool,
    now: Timestamp,
}

/// Opens a session for `customer` on `device`; the caller commits.
///
/// # Errors
/// `customer_not_found`, `customer_suspended`, `customer_erased`, `queue_disabled`, `sign_in_not_configured`.
pub(crate) async fn open(
    shared: &Shared,
    tx: &mut Tx,
    customer: Id,
    shown: Shown,
    device: &str,
    request_id: &RequestId,
) -> Result<Opened, Problem> {
    let secrets = shared.secrets()?;
    if !shared.settings.flag.admits(customer) {
        return Err(Problem::new(ProblemCode::QueueDisabled));
    }
    let holder = store::holder(tx, customer)
        .await?
        .ok_or_else(|| Problem::new(ProblemCode::CustomerNotFound))?;
    holder.check_may_sign_in()?;
    let now = shared.clock.now();
    let session = SessionRow {
        id: Id::new(now),
        customer,
        audience: shared.settings.default_audience().to_owned(),
        client_id: BROWSER.to_owned(),
        acr: shown.acr().to_owned(),
        amr: shown.amr(),
        auth_time: now,
        created_at: now,
        expires_at: now.plus(shared.settings.session_life),
        revoked_at: None,
    };
    store::insert(tx, &session).await?;
    let salt = random::<32>()?;
    progress::begin(tx, &session, &salt, device).await?;
    audit_as(tx, &session, "session.opened", request_id, now).await?;
    let refresh_token = refresh_token::make(session.id, 1, &secrets.refresh_key(session.id, &salt));
    let opened = signed(shared, tx, session, holder, true, now).await?;
    Ok(opened.with_refresh_token(refresh_token))
}

/// Notes that the customer of `session` has just shown a passkey; the caller commits.
pub(crate) async fn step_up(
    shared: &Shared,
    tx: &mut Tx,
    session: Id,
    request_id: &RequestId,
) -> Result<Opened, Problem> {
    let now = shared.clock.now();
    let ended = || Problem::new(ProblemCode::SessionEnded);
    let (mut session, holder) = store::hold(tx, session).await?.ok_or_else(ended)?;
    session.check_live(now)?;
    holder.check_may_sign_in()?;
    session.acr = Shown::Passkey.acr().to_owned();
    session.amr = Shown::Passkey.amr();
    session.auth_time = now;
    store::step_up(tx, &session).await?;
    audit_as(tx, &session, "session.stepped_up", request_id, now).await?;
    again(shared, tx, session, holder, now).await
}

/// A further access token for `session`; the caller commits.
pub(super) async fn again(
    shared: &Shared,
    tx: &mut Tx,
    session: SessionRow,
    holder: Holder,
    now: Timestamp,
) -> Result<Opened, Problem> {
    signed(shared, tx, session, holder, false, now).await
}

async fn signed(
    shared: &Shared,
    tx: &mut Tx,
    session: SessionRow,
    holder: Holder,
    is_new: bool,
    now: Timestamp,
) -> Result<Opened, Problem> {
    let signed = issue::sign(shared, tx, &session, holder, is_new, now).await?;
    Ok(Opened {
        session,
        token: signed.token,
        refresh_token: None,
        opened_list: signed.opened_list,
        is_new,
        now,
    })
}

impl Opened {
    pub(super) fn with_refresh_token(self, token: String) -> Self {
        let refresh_token = Some(token);
        Self {
            refresh_token,
            ..self
        }
    }

    /// The answer, once verifiers can look the session up; called after the commit.
    pub(crate) async fn published(self, shared: &Shared) -> Response {
        if self.opened_list {
            shared.lists.settled(PUBLISHED_WITHIN).await;
        }
        let labels = [("acr", self.session.acr.clone())];
        shared.metrics.count(telemetry::TOKENS_MINTED, &labels);
        let left = self.session.expires_at.since(self.now);
        let body = OpenedView {
            expires_in: self.token.expires_at - self.now.unix_seconds(),
            access_token: self.token.jws,
            token_type: "Bearer",
            session: SessionView::from(&self.session),
        };
        let mut response = Json(body).into_response();
        let headers = response.headers_mut();
        if let Some(token) = self.refresh_token {
            let (name, value) = cookies::set_refresh_token(&token, left);
            headers.append(name, value);
        }
        if self.is_new {
            let (name, value) = LoginTransaction::clear();
            headers.append(name, value);
        }
        response
    }
}

/// The answer to signing in, stepping up and refreshing; the refresh token is in a cookie only.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OpenedSession)]
pub(crate) struct OpenedView {
    access_token: String,
    token_type: &'static str,
    expires_in: i64,
    session: SessionView,
}

async fn audit_as(
    tx: &mut Tx,
    session: &SessionRow,
    action: &'static str,
    request_id: &RequestId,
    now: Timestamp,
) -> Result<(), Problem> {
    let id = session.id.to_string();
    let event = Event {
        action,
        customer: Some(session.customer),
        target_kind: "session",
        target_id: &id,
    };
    let actor = audit::Actor::customer(session.customer, request_id);
    Ok(audit::record(tx, &actor, &event, now).await?)
}

/// The client a browser's session belongs to.
const BROWSER: &str = "antlers";
