//! Confirm: takes a code, gives what its proof was asked for.
//!
//! **Invariant:** the try is counted before the code is compared, and committed before anything follows from
//! the comparison: what fails later gives no try back.
//! **Invariant:** every refusal is the same one, and leaves an event when there was something to try.

use std::time::Duration;

use super::store::{self, Bindings};
use super::{Proof, Purpose, typed};
use crate::app::Shared;
use crate::audit::{self, Actor, Event};
use crate::backup_codes;
use crate::clock::Timestamp;
use crate::customers::{Email, addresses};
use crate::db::{Id, Tx};
use crate::mail::{self, Mail, Outgoing};
use crate::problem::{Problem, ProblemCode};
use crate::request_id::RequestId;
use crate::session::{self, open};
use crate::signed_in::SignedIn;
use crate::status_list::PUBLISHED_WITHIN;
use crate::telemetry;
use crate::webauthn;

/// A code, and where it comes from.
pub(super) struct Shown<'a> {
    pub(super) id: Id,
    pub(super) code: &'a str,
    pub(super) bindings: Bindings<'a>,
    pub(super) signed_in: Option<&'a SignedIn>,
    pub(super) device: &'a str,
    pub(super) request_id: &'a RequestId,
}

/// What came of it.
pub(super) enum Done {
    Proved,
    SignedIn(Box<open::Opened>),
}

/// Spends the code.
///
/// # Errors
/// `verification_failed` for whatever is wrong with it.
pub(super) async fn confirm(shared: &Shared, shown: &Shown<'_>) -> Result<Done, Problem> {
    let proof = attempt(shared, shown).await?;
    let done = match proof.customer {
        Some(customer) => spend(shared, shown, &proof, customer).await,
        None => Err(refuse()),
    };
    match done {
        Err(problem) if !problem.is_fault() => {
            let mut tx = shared.db.begin().await?;
            failed(&mut tx, shown, &proof, shared.clock.now()).await?;
            tx.commit().await?;
            Err(refuse())
        }
        done => done,
    }
}

/// The proof, once the try was counted and the code found to be its own.
async fn attempt(shared: &Shared, shown: &Shown<'_>) -> Result<Proof, Problem> {
    let secrets = shared.secrets()?;
    let now = shared.clock.now();
    let mut tx = shared.db.begin().await?;
    let tried = store::count_attempt(&mut tx, shown.id, shown.bindings, now).await?;
    let Some(tried) = tried else {
        return Err(refuse());
    };
    let is_own = tried
        .proof
        .is_shown_by(secrets, &typed(shown.code), &tried.code_hash);
    if !is_own {
        failed(&mut tx, shown, &tried.proof, now).await?;
    }
    tx.commit().await?;
    is_own.then_some(tried.proof).ok_or_else(refuse)
}

async fn spend(
    shared: &Shared,
    shown: &Shown<'_>,
    proof: &Proof,
    customer: Id,
) -> Result<Done, Problem> {
    let now = shared.clock.now();
    let mut tx = shared.db.begin().await?;
    store::hold(&mut tx, &proof.email_normalised).await?;
    if !addresses::hold(&mut tx, customer).await? || !store::consume(&mut tx, proof.id, now).await?
    {
        return Err(refuse());
    }
    let id = proof.id.to_string();
    let event = Event {
        action: match proof.purpose {
            Purpose::Verify => "email.verified",
            Purpose::Change => "email.changed",
            Purpose::Recover => "email.recovered",
        },
        customer: Some(customer),
        target_kind: "email_verification",
        target_id: &id,
    };
    let actor = Actor::customer(customer, shown.request_id);
    audit::record(&mut tx, &actor, &event, now).await?;
    match proof.purpose {
        Purpose::Verify => {
            own(shared, &mut tx, shown, customer).await?;
            verify(&mut tx, proof, customer, now).await?;
            tx.commit().await?;
            Ok(Done::Proved)
        }
        Purpose::Change => {
            own(shared, &mut tx, shown, customer).await?;
            change(shared, &mut tx, proof, customer, now).await?;
            tx.commit().await?;
            shared.outbox.wake();
            Ok(Done::Proved)
        }
        Purpose::Recover => recover(shared, shown, tx, proof, customer, now).await,
    }
}

/// Refuses the proof of a customer to anybody else, and to a session that has ended meanwhile.
async fn own(shared: &Shared, tx: &mut Tx, shown: &Shown<'_>, customer: Id) -> Result<(), Problem> {
    let own = shown
        .signed_in
        .filter(|signed_in| signed_in.customer() == customer);
    own.ok_or_else(refuse)?.hold(tx, shared).await
}

async fn verify(tx: &mut Tx, proof: &Proof, customer: Id, now: Timestamp) -> Result<(), Problem> {
    if !addresses::verify(tx, customer, &proof.email_normalised, now).await? {
        return Err(refuse());
    }
    store::void(tx, customer, &proof.email_normalised, now).await?;
    Ok(())
}

async fn change(
    shared: &Shared,
    tx: &mut Tx,
    proof: &Proof,
    customer: Id,
    now: Timestamp,
) -> Result<(), Problem> {
    let left = addresses::primary(tx, customer).await?;
    if !addresses::replace(tx, customer, &proof.email_normalised, now).await? {
        return Err(refuse());
    }
    store::void(tx, customer, &proof.email_normalised, now).await?;
    let Some(left) = left else {
        return Ok(());
    };
    let at = now.unix_seconds();
    let notice = Mail::AddressChanged { at };
    notify(shared, tx, &left.email, customer, &notice, now).await
}

/// Signs the owner of the address in. Whoever made the account without having proved the address is out.
async fn recover(
    shared: &Shared,
    shown: &Shown<'_>,
    mut tx: Tx,
    proof: &Proof,
    customer: Id,
    now: Timestamp,
) -> Result<Done, Problem> {
    let address = addresses::find(&mut tx, &proof.email_normalised).await?;
    let own = address.filter(|address| address.customer == customer && address.is_primary);
    let address = own.ok_or_else(refuse)?;
    let actor = Actor::customer(customer, shown.request_id);
    let mut ended = 0;
    if !address.is_verified {
        webauthn::remove_all(&mut tx, customer).await?;
        backup_codes::void(&mut tx, customer, now).await?;
        ended = session::end_all(&mut tx, customer, &actor, now, UNPROVED).await?;
        verify(&mut tx, proof, customer, now).await?;
    }
    let opened = open::open(
        shared,
        &mut tx,
        customer,
        open::Shown::EmailCode,
        shown.device,
        shown.request_id,
    )
    .await?;
    let at = now.unix_seconds();
    let notice = Mail::RecoveryUsed { at };
    notify(shared, &mut tx, &address.email, customer, &notice, now).await?;
    tx.commit().await?;
    shared.outbox.wake();
    if ended > 0 {
        shared.lists.settled(PUBLISHED_WITHIN).await;
    }
    for _ in 0..ended {
        let labels = [("reason", UNPROVED.to_owned())];
        shared.metrics.count(telemetry::SESSIONS_REVOKED, &labels);
    }
    Ok(Done::SignedIn(Box::new(opened)))
}

async fn notify(
    shared: &Shared,
    tx: &mut Tx,
    to: &Email,
    customer: Id,
    mail: &Mail,
    now: Timestamp,
) -> Result<(), Problem> {
    let outgoing = Outgoing {
        to,
        customer: Some(customer),
        mail,
        expires_at: now.plus(NOTICE_LIFE),
    };
    mail::enqueue(tx, shared.keys.kek.as_ref(), &outgoing, now).await?;
    Ok(())
}

/// Writes down that a try led to nothing. Nobody was identified: the actor is not the customer.
async fn failed(
    tx: &mut Tx,
    shown: &Shown<'_>,
    proof: &Proof,
    now: Timestamp,
) -> Result<(), Problem> {
    let id = proof.id.to_string();
    let event = Event {
        action: "email.confirmation_failed",
        customer: proof.customer,
        target_kind: "email_verification",
        target_id: &id,
    };
    let actor = shown
        .signed_in
        .map_or_else(|| Actor::unknown(shown.request_id), SignedIn::actor);
    Ok(audit::record(tx, &actor, &event, now).await?)
}

fn refuse() -> Problem {
    Problem::new(ProblemCode::VerificationFailed)
}

/// Why sessions of an account end whose address somebody else turned out to read.
const UNPROVED: &str = "address_unproved";
/// How long a notice is worth sending.
const NOTICE_LIFE: Duration = Duration::from_secs(3 * 86_400);
