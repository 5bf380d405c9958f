//! Status list: takes sessions, gives each a place in a published list whose bit tells verifiers that it is revoked.
//!
//! **Invariant:** the bit is set in the transaction that revokes, by the database itself, however the
//! session is revoked; what is published follows the database and is never ahead of it.
//! **Invariant:** a place belongs to one session for as long as its list is published, and is random.
//! **Invariant:** a signed list leaves only after the published key set verified it.
//!
//! Token Status List (draft-ietf-oauth-status-list-21).

mod events;
mod list;
mod publisher;
pub(crate) mod routes;
mod signed;
mod store;
mod subscribers;

use std::collections::HashMap;
use std::time::Duration;

use aws_lc_rs::rand;

use crate::app::Shared;
use crate::clock::Timestamp;
use crate::db::{Db, DbError, Id, Tx};
use crate::problem::{Problem, ProblemCode};
use crate::session::SessionRow;
use crate::token::claims::StatusReference;

pub(crate) use publisher::{Lists, Publisher, follow};

/// Where a session's bit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) list: Id,
    pub(crate) idx: i64,
}

impl Place {
    /// The place as a token names it.
    pub(crate) fn reference(self, issuer: &str) -> StatusReference {
        StatusReference {
            idx: self.idx,
            uri: uri(issuer, self.list),
        }
    }
}

/// A session's place, and whether its list is new.
pub(crate) struct Assigned {
    pub(crate) place: Place,
    pub(crate) opened: bool,
}

/// How lists are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Places of a new list.
    pub(crate) size: u32,
    /// How long the last token of a session can still be accepted after a list has closed.
    pub(crate) longest: Duration,
}

/// Places for `sessions`, which are new; in their order.
pub(crate) async fn assign_each(
    tx: &mut Tx,
    sessions: &[&SessionRow],
    shape: Shape,
) -> Result<Vec<Assigned>, Problem> {
    let mut taken = HashMap::new();
    for _ in 0..ROUNDS {
        let mut left = Vec::new();
        for session in sessions {
            if !taken.contains_key(&session.id) {
                left.push((session.id, random()?));
            }
        }
        if left.is_empty() {
            break;
        }
        taken.extend(store::take_each(tx, left.into_iter()).await?);
    }
    let mut assigned = Vec::with_capacity(sessions.len());
    for session in sessions {
        assigned.push(match taken.remove(&session.id) {
            Some(place) => Assigned {
                place,
                opened: false,
            },
            None => assign(tx, session.id, true, shape, session.created_at).await?,
        });
    }
    // Whoever has a place in a list that was opened here waits until verifiers know it.
    let opened = assigned.iter().any(|assigned| assigned.opened);
    for one in &mut assigned {
        one.opened = opened;
    }
    Ok(assigned)
}

/// The place of `session`, which gets one if it has none; a new session has none.
///
/// Most sessions are new and most tries succeed, so the first is one statement.
///
/// Sixteen taken places in a row say that the list is filled to about a half, without anyone having
/// counted: with n places that happens first at a share of about (17/n)^(1/17). Then the next list is
/// opened, so the expected number of tries stays below two and no counter is written by every mint.
pub(crate) async fn assign(
    tx: &mut Tx,
    session: Id,
    is_new: bool,
    shape: Shape,
    now: Timestamp,
) -> Result<Assigned, Problem> {
    let known = if is_new {
        store::take_any(tx, session, random()?).await?
    } else {
        store::place(tx, session).await?
    };
    if let Some(place) = known {
        let opened = false;
        return Ok(Assigned { place, opened });
    }
    let mut opened = false;
    for _ in 0..LISTS {
        let Some((list, size)) = store::open_list(tx).await? else {
            opened |= store::open(tx, i64::from(shape.size), now).await?;
            continue;
        };
        for _ in 0..TRIES {
            let idx = random_below(size)?;
            let place = Place { list, idx };
            if store::take(tx, session, place).await? {
                return Ok(Assigned { place, opened });
            }
        }
        store::close(tx, list, now, shape.longest).await?;
    }
    // Others filled and closed each list first; the caller may simply try again.
    Err(Problem::new(ProblemCode::DatabaseUnavailable))
}

/// Retires a closed list if its last session is dead, or says when to look again.
async fn retire(shared: &Shared, list: Id) -> Result<(), DbError> {
    let now = shared.clock.now();
    let last = store::last_expiry(&shared.db, list).await?;
    let dead = last.map(|at| at.plus(shared.settings.leeway));
    let mut tx = shared.db.begin().await?;
    match dead {
        Some(at) if at > now => store::postpone(&mut tx, list, at).await?,
        _ => {
            store::retire(&mut tx, list, now).await?;
            store::remove_places(&mut tx, BATCH).await?;
        }
    }
    tx.commit().await
}

/// Removes the places of retired lists, a batch at a time.
pub(crate) async fn sweep(db: &Db) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    store::remove_places(&mut tx, BATCH).await?;
    tx.commit().await
}

/// The URL of a list, which is its `sub`.
fn uri(issuer: &str, list: Id) -> String {
    format!("{issuer}/status-lists/{list}")
}

/// A random place; `size` is small beside 2^63, so that no place is likelier than another by more than 2^-40.
fn random_below(size: i64) -> Result<i64, Problem> {
    Ok(random()? % size.max(1))
}

/// A random number of 63 bits.
fn random() -> Result<i64, Problem> {
    let mut random = [0_u8; 8];
    rand::fill(&mut random).map_err(Problem::fault)?;
    Ok(i64::from_be_bytes(random) & i64::MAX)
}

/// Taken places in a row after which a list is full enough.
const TRIES: usize = 16;
/// Times that all without a place try again together, before each tries by itself.
const ROUNDS: usize = 4;
/// Places of retired lists to remove in one transaction.
const BATCH: i64 = 10_000;
/// How long an answer waits for what it changed to be published; it never depends on it.
pub(crate) const PUBLISHED_WITHIN: Duration = Duration::from_millis(200);
/// Lists to try, and to open between them.
const LISTS: usize = 6;

#[cfg(test)]
mod tests;
