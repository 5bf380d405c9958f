//! Session: takes a customer who has shown who it is, here or to another service, gives a session and its
//! tokens.
//!
//! **Invariant:** a suspended or erased customer gets no session; a revoked session gets no token.
//! **Invariant:** the session is kept only if its token was minted and passed the self-check.

mod batch;
pub(crate) mod browser_routes;
pub(crate) mod issue;
pub(crate) mod open;
pub(crate) mod operator_routes;
mod progress;
mod refresh;
mod refresh_token;
pub(crate) mod revoke;
pub(crate) mod routes;
mod store;

use serde::Serialize;
use utoipa::ToSchema;

pub(crate) use batch::Mints;

use crate::app::Shared;
use crate::audit::Actor;
use crate::clock::Timestamp;
use crate::db::{Db, DbError, Id, Tx};
use crate::problem::{Problem, ProblemCode};
use crate::telemetry;

/// A session as the database keeps it.
#[derive(Debug, Clone)]
pub(crate) struct SessionRow {
    pub(crate) id: Id,
    pub(crate) customer: Id,
    pub(crate) audience: String,
    pub(crate) client_id: String,
    pub(crate) acr: String,
    pub(crate) amr: Vec<String>,
    pub(crate) auth_time: Timestamp,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) revoked_at: Option<Timestamp>,
}

impl SessionRow {
    /// Refuses a session that is over.
    pub(crate) fn check_live(&self, now: Timestamp) -> Result<(), Problem> {
        if self.revoked_at.is_some() || self.expires_at <= now {
            return Err(Problem::new(ProblemCode::SessionEnded));
        }
        Ok(())
    }
}

/// A session and where it lives.
#[derive(Debug)]
struct Device {
    session: SessionRow,
    /// The browser, for a session of one.
    device: Option<String>,
    last_used_at: Option<Timestamp>,
}

/// The session `id`, if it is live and its customer active.
pub(crate) async fn find_live(shared: &Shared, id: Id) -> Result<Option<SessionRow>, Problem> {
    Ok(store::find_live(&shared.db, id, shared.clock.now()).await?)
}

/// Whether the session `id` is live, as this transaction sees it.
pub(crate) async fn is_live_in(tx: &mut Tx, id: Id, now: Timestamp) -> Result<bool, DbError> {
    let session = store::find(tx, id).await?;
    Ok(session.is_some_and(|session| session.check_live(now).is_ok()))
}

/// Ends every live session of `customer`, whom the caller holds; how many there were.
pub(crate) async fn end_all(
    tx: &mut Tx,
    customer: Id,
    actor: &Actor,
    now: Timestamp,
    reason: &'static str,
) -> Result<usize, DbError> {
    let mut ended = 0;
    for live in store::hold_all(tx, customer, now).await? {
        ended += usize::from(store::end(tx, &live, actor, now, reason).await?);
    }
    Ok(ended)
}

/// Counts sessions that ended; called after the commit.
pub(crate) fn count_ended(shared: &Shared, ended: usize, reason: &'static str) {
    for _ in 0..ended {
        let labels = [("reason", reason.to_owned())];
        shared.metrics.count(telemetry::SESSIONS_REVOKED, &labels);
    }
}

/// Whether a session of `customer` was ever on `device`.
pub(crate) async fn knows_device(tx: &mut Tx, customer: Id, device: &str) -> Result<bool, DbError> {
    store::knows_device(tx, customer, device).await
}

/// Whether the session of `customer` goes on, and the customer with it.
pub(crate) async fn is_live(
    db: &Db,
    session: Id,
    customer: Id,
    now: Timestamp,
) -> Result<bool, DbError> {
    let found = store::find_live(db, session, now).await?;
    Ok(found.is_some_and(|found| found.customer == customer))
}

/// What minting needs to know of a customer.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    pub(crate) state: String,
    pub(crate) roles: Vec<String>,
    pub(crate) authz_ver: i64,
}

impl Holder {
    /// Refuses a customer who may not have a session.
    pub(crate) fn check_may_sign_in(&self) -> Result<(), Problem> {
        match self.state.as_str() {
            "active" => Ok(()),
            "suspended" => Err(Problem::new(ProblemCode::CustomerSuspended)),
            _ => Err(Problem::new(ProblemCode::CustomerErased)),
        }
    }
}

/// A session as callers see it; the names are those of the verifier's `Session`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Session)]
pub(crate) struct SessionView {
    session_id: Id,
    subject: Id,
    audience: String,
    client_id: String,
    acr: String,
    amr: Vec<String>,
    auth_time: i64,
    issued_at: i64,
    expires_at: i64,
    revoked_at: Option<i64>,
}

impl From<&SessionRow> for SessionView {
    fn from(row: &SessionRow) -> Self {
        Self {
            session_id: row.id,
            subject: row.customer,
            audience: row.audience.clone(),
            client_id: row.client_id.clone(),
            acr: row.acr.clone(),
            amr: row.amr.clone(),
            auth_time: row.auth_time.unix_seconds(),
            issued_at: row.created_at.unix_seconds(),
            expires_at: row.expires_at.unix_seconds(),
            revoked_at: row.revoked_at.map(Timestamp::unix_seconds),
        }
    }
}

/// The customer was authenticated the legacy way, by the service that asks (contract §1).
pub(crate) const ACR_LEGACY: &str = "urn:queue:acr:legacy";
/// The customer has shown a passkey, and to it a finger, a face or a PIN.
pub(crate) const ACR_PASSKEY: &str = "urn:queue:acr:passkey-uv";
/// The customer has shown a backup code or a code from its mailbox.
pub(crate) const ACR_RECOVERY: &str = "urn:queue:acr:recovery";
