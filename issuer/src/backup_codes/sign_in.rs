//! Sign-in: takes an address and a backup code, gives a session.
//!
//! **Invariant:** every refusal is the same one, after the same statements, whatever is wrong: the address,
//! the code, or the customer's standing.
//! **Invariant:** the code is spent in the transaction that opens the session: one without the other is not.

use super::{hash, read, store};
use crate::app::Shared;
use crate::audit::{self, Actor, Event};
use crate::customers::{Email, addresses};
use crate::db::Id;
use crate::mail::{self, Mail};
use crate::problem::{Problem, ProblemCode};
use crate::request_id::RequestId;
use crate::session::open::{self, Opened, Shown};

/// What somebody shows.
pub(super) struct Attempt<'a> {
    pub(super) email: &'a str,
    pub(super) code: &'a str,
    pub(super) device: &'a str,
    pub(super) request_id: &'a RequestId,
}

/// Spends the code and opens a session.
///
/// # Errors
/// `authentication_failed` for whatever is wrong.
pub(super) async fn sign_in(shared: &Shared, attempt: &Attempt<'_>) -> Result<Opened, Problem> {
    let mut customer = None;
    match spend(shared, attempt, &mut customer).await {
        Err(problem) if !problem.is_fault() => {
            refused(shared, attempt, customer).await?;
            Err(Problem::new(ProblemCode::AuthenticationFailed))
        }
        done => done,
    }
}

async fn spend(
    shared: &Shared,
    attempt: &Attempt<'_>,
    customer: &mut Option<Id>,
) -> Result<Opened, Problem> {
    let refuse = || Problem::new(ProblemCode::AuthenticationFailed);
    let secrets = shared.secrets()?;
    let now = shared.clock.now();
    let normalised = Email::parse(attempt.email).map(|email| email.normalised);
    let secret = read(attempt.code);
    let mut tx = shared.db.begin().await?;
    // What cannot be an address or a code is looked for all the same.
    let found = addresses::find(&mut tx, normalised.as_deref().unwrap_or_default()).await?;
    let found = found.filter(|address| address.is_primary);
    *customer = found.as_ref().map(|address| address.customer);
    let owner = customer.unwrap_or(NOBODY);
    let is_active = addresses::hold(&mut tx, owner).await?;
    let hash = hash(secrets, owner, &secret.unwrap_or_default());
    let spent = store::spend(&mut tx, owner, &hash, now).await?;
    let (Some(address), Some(code), Some(_), true) = (found, spent, secret, is_active) else {
        return Err(refuse());
    };
    let id = code.to_string();
    let event = Event {
        action: "backup_code.spent",
        customer: Some(owner),
        target_kind: "backup_code",
        target_id: &id,
    };
    let actor = Actor::customer(owner, attempt.request_id);
    audit::record(&mut tx, &actor, &event, now).await?;
    let opened = open::open(
        shared,
        &mut tx,
        owner,
        Shown::BackupCode,
        attempt.device,
        attempt.request_id,
    )
    .await?;
    let notice = Mail::BackupCodeSpent {
        left: u32::try_from(store::left(&mut tx, owner).await?).unwrap_or(u32::MAX),
        at: now.unix_seconds(),
    };
    mail::notify(shared, &mut tx, Some(&address), &notice, now).await?;
    tx.commit().await?;
    shared.outbox.wake();
    Ok(opened)
}

/// Writes down that nobody was signed in. The target is the request: there may be no customer.
async fn refused(
    shared: &Shared,
    attempt: &Attempt<'_>,
    customer: Option<Id>,
) -> Result<(), Problem> {
    let now = shared.clock.now();
    let event = Event {
        action: "backup_code.refused",
        customer,
        target_kind: "request",
        target_id: attempt.request_id.as_str(),
    };
    let mut tx = shared.db.begin().await?;
    audit::record(&mut tx, &Actor::unknown(attempt.request_id), &event, now).await?;
    Ok(tx.commit().await?)
}

/// Has no codes.
const NOBODY: Id = Id::fixed(0);
