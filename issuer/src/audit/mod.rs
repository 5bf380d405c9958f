//! Audit: takes what a mutating request did, writes one event in the same transaction.
//!
//! **Invariant:** an event holds ids and codes, never an address, a name or a token, so it can outlive
//! the customer it is about.

mod store;

use crate::clock::Timestamp;
use crate::db::{DbError, Id, Tx};

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

/// Writes `event`, done by `actor`, into the transaction that does it.
pub(crate) async fn record(
    tx: &mut Tx,
    actor: &Actor,
    event: &Event<'_>,
    now: Timestamp,
) -> Result<(), DbError> {
    store::insert(tx, actor, event, now).await
}
