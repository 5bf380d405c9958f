//! Lifecycle: suspends, resumes and erases a customer.
//!
//! **Invariant:** whoever may no longer sign in has no session either: both change in one transaction.
//! **Invariant:** erasure removes what tells who the customer was; what was done, by ids, stays in the audit.

use serde::Deserialize;
use utoipa::ToSchema;

use super::{Customer, store};
use crate::app::Shared;
use crate::audit::{self, Actor, Event};
use crate::clock::Timestamp;
use crate::db::{Id, Tx};
use crate::problem::{Problem, ProblemCode};
use crate::rbac;
use crate::session;
use crate::status_list::PUBLISHED_WITHIN;

/// Whether a customer may sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = CustomerStanding)]
pub(super) enum Standing {
    Active,
    Suspended,
}

/// What changes; none of it stays.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) display_name: Option<Option<String>>,
    pub(super) state: Option<Standing>,
}

/// Changes the customer; each thing that really changed is an event.
pub(super) async fn change(
    shared: &Shared,
    actor: &Actor,
    id: Id,
    change: &Change,
) -> Result<Customer, Problem> {
    let now = shared.clock.now();
    let mut tx = shared.db.begin().await?;
    let state = hold(&mut tx, id).await?;
    if let Some(name) = &change.display_name {
        store::rename(&mut tx, id, name.as_deref(), now).await?;
        record(&mut tx, actor, id, "customer.renamed", now).await?;
    }
    let mut ended = 0;
    match change.state {
        Some(Standing::Suspended) if state == "active" => {
            rbac::check_admin_stays(&mut tx, id).await?;
            store::suspend(&mut tx, id, now).await?;
            ended = session::end_all(&mut tx, id, actor, now, "customer_suspended").await?;
            record(&mut tx, actor, id, "customer.suspended", now).await?;
        }
        Some(Standing::Active) if state == "suspended" => {
            store::resume(&mut tx, id, now).await?;
            record(&mut tx, actor, id, "customer.resumed", now).await?;
        }
        _ => {}
    }
    finish(shared, tx, id, ended, "customer_suspended").await
}

/// Erases the customer for good; a second time changes nothing.
pub(super) async fn erase(shared: &Shared, actor: &Actor, id: Id) -> Result<Customer, Problem> {
    let now = shared.clock.now();
    let mut tx = shared.db.begin().await?;
    let state = store::hold(&mut tx, id).await?.ok_or_else(missing)?;
    if state == "erased" {
        return store::find_in(&mut tx, id).await?.ok_or_else(missing);
    }
    rbac::check_admin_stays(&mut tx, id).await?;
    let ended = session::end_all(&mut tx, id, actor, now, "customer_erased").await?;
    store::erase(&mut tx, id, now).await?;
    record(&mut tx, actor, id, "customer.erased", now).await?;
    finish(shared, tx, id, ended, "customer_erased").await
}

/// The state of the customer, who stays as it is until the transaction ends.
async fn hold(tx: &mut Tx, id: Id) -> Result<String, Problem> {
    let state = store::hold(tx, id).await?.ok_or_else(missing)?;
    if state == "erased" {
        return Err(Problem::new(ProblemCode::CustomerErased));
    }
    Ok(state)
}

async fn finish(
    shared: &Shared,
    mut tx: Tx,
    id: Id,
    ended: usize,
    reason: &'static str,
) -> Result<Customer, Problem> {
    let customer = store::find_in(&mut tx, id).await?.ok_or_else(missing)?;
    tx.commit().await?;
    session::count_ended(shared, ended, reason);
    if ended > 0 {
        shared.lists.settled(PUBLISHED_WITHIN).await;
    }
    Ok(customer)
}

async fn record(
    tx: &mut Tx,
    actor: &Actor,
    id: Id,
    action: &'static str,
    now: Timestamp,
) -> Result<(), Problem> {
    let target = id.to_string();
    let event = Event {
        action,
        customer: Some(id),
        target_kind: "customer",
        target_id: &target,
    };
    Ok(audit::record(tx, actor, &event, now).await?)
}

fn missing() -> Problem {
    Problem::new(ProblemCode::CustomerNotFound)
}
