//! Audit: takes what a mutating request did, writes one event in the same transaction; chains the events,
//! signs how far the chain has come, and tells whether anyone changed it since.
//!
//! **Invariant:** an event holds ids and codes, never an address, a name or a token, so it can outlive
//! the customer it is about.
//! **Invariant:** an event that is committed joins the chain, once, at the chain's end; what is chained never changes.
//! **Invariant:** a checkpoint is signed by the key that is active in the transaction that keeps it.

mod chain;
mod checkpoint;
mod details;
mod entry;
pub(crate) mod export;
pub(crate) mod operators;
pub(crate) mod routes;
mod store;
pub(crate) mod verify;

use serde::Serialize;

pub(crate) use chain::{Progress, join, run};
pub(crate) use details::Details;
use utoipa::ToSchema;

use crate::clock::Timestamp;
use crate::db::{DbError, Id, Tx};
use entry::{Entry, hex};
use store::Record;

/// Who did it.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    pub(crate) kind: ActorKind,
    pub(crate) id: String,
    pub(crate) request_id: Option<String>,
}

/// What kind of actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ActorKind {
    Customer,
    Operator,
    Service,
    System,
}

impl ActorKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Operator => "operator",
            Self::Service => "service",
            Self::System => "system",
        }
    }
}

/// One thing that was done.
#[derive(Debug)]
pub(crate) struct Event<'a> {
    pub(crate) action: &'static str,
    pub(crate) customer: Option<Id>,
    pub(crate) target_kind: &'static str,
    pub(crate) target_id: &'a str,
}

impl<'a> Event<'a> {
    fn record(&'a self, details: &'a Details, now: Timestamp) -> Record<'a> {
        Record {
            id: Id::new(now),
            action: self.action,
            customer: self.customer,
            target_kind: self.target_kind,
            target_id: self.target_id,
            details,
        }
    }
}

impl Actor {
    /// The issuer itself.
    pub(crate) fn system() -> Self {
        Self {
            kind: ActorKind::System,
            id: "queue-issuer".to_owned(),
            request_id: None,
        }
    }

    /// Whoever runs the command line on the issuer's machine.
    pub(crate) fn command_line() -> Self {
        Self {
            kind: ActorKind::Operator,
            id: "command-line".to_owned(),
            request_id: None,
        }
    }
}

/// One of several things that were done together.
#[derive(Debug)]
pub(crate) struct Deed<'a> {
    pub(crate) actor: &'a Actor,
    pub(crate) event: Event<'a>,
    pub(crate) at: Timestamp,
}

/// Writes the events of `deeds` into the transaction that does them.
pub(crate) async fn record_each(tx: &mut Tx, deeds: &[Deed<'_>]) -> Result<(), DbError> {
    let none = Details::default();
    let records: Vec<_> = deeds
        .iter()
        .map(|deed| (deed.actor, deed.event.record(&none, deed.at), deed.at))
        .collect();
    store::insert_each(tx, &records).await
}

/// Writes `event`, done by `actor`, into the transaction that does it.
pub(crate) async fn record(
    tx: &mut Tx,
    actor: &Actor,
    event: &Event<'_>,
    now: Timestamp,
) -> Result<(), DbError> {
    record_with(tx, actor, event, &Details::default(), now).await
}

/// The same, with `details`.
pub(crate) async fn record_with(
    tx: &mut Tx,
    actor: &Actor,
    event: &Event<'_>,
    details: &Details,
    now: Timestamp,
) -> Result<(), DbError> {
    let record = event.record(details, now);
    store::insert(tx, actor, &record, now).await
}

/// An event as callers and exports show it: every column, so that whoever has the lines can hash the chain again.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = AuditEvent)]
pub(crate) struct EventView<'a> {
    id: Id,
    tenant_id: Id,
    /// Seconds since 1970, as everywhere in the interface.
    occurred_at: i64,
    /// The same in microseconds, as it is hashed.
    occurred_at_micros: i64,
    actor_kind: &'a str,
    actor_id: &'a str,
    action: &'a str,
    customer_id: Option<Id>,
    target_kind: &'a str,
    target_id: &'a str,
    request_id: Option<&'a str>,
    /// Canonical JSON as text: the hashed bytes.
    details: &'a str,
    /// `null` until the event has joined the chain, about a second after it happened.
    chain_seq: Option<i64>,
    prev_hash: Option<String>,
    hash: Option<String>,
}

impl<'a> From<&'a Entry> for EventView<'a> {
    fn from(entry: &'a Entry) -> Self {
        Self {
            id: entry.id,
            tenant_id: entry.tenant,
            occurred_at: entry.occurred_at.unix_seconds(),
            occurred_at_micros: entry.occurred_at.unix_micros(),
            actor_kind: &entry.actor_kind,
            actor_id: &entry.actor_id,
            action: &entry.action,
            customer_id: entry.customer,
            target_kind: &entry.target_kind,
            target_id: &entry.target_id,
            request_id: entry.request_id.as_deref(),
            details: &entry.details,
            chain_seq: entry.link.as_ref().map(|link| link.seq),
            prev_hash: entry.link.as_ref().map(|link| hex(&link.prev_hash)),
            hash: entry.link.as_ref().map(|link| hex(&link.hash)),
        }
    }
}
