//! Chain: takes committed events, links each to the one before it, for as long as anyone polls it.
//!
//! **Invariant:** one chainer at a time, on all replicas: an advisory lock on Postgres, the write lock on SQLite.
//! **Invariant:** the chain's order is the order of joining. An event that commits late, behind events that
//! happened after it, joins late: what waits is found by not being linked, never by a time or an id that was
//! passed, so nothing is skipped.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::checkpoint;
use super::entry::{GENESIS, Hash};
use super::store;
use crate::app::Shared;
use crate::clock::Clock;
use crate::db::{Db, DbError};
use crate::telemetry;

/// Up to when everything has joined the chain, as far as this process knows.
#[derive(Debug)]
pub(crate) struct Progress(AtomicU64);

impl Progress {
    pub(crate) fn new(clock: &dyn Clock) -> Self {
        Self(AtomicU64::new(millis(clock.monotonic())))
    }

    /// How long an event can have waited at most: it grows while no pass succeeds.
    pub(crate) fn age(&self, clock: &dyn Clock) -> Duration {
        let through = Duration::from_millis(self.0.load(Ordering::Acquire));
        clock.monotonic().saturating_sub(through)
    }

    fn reached(&self, at: Duration) {
        self.0.fetch_max(millis(at), Ordering::AcqRel);
    }
}

/// Chains and signs checkpoints for as long as anyone polls it.
pub(crate) async fn run(shared: &Shared) -> Infallible {
    loop {
        tokio::time::sleep(PASS).await;
        let began = shared.clock.monotonic();
        match join(&shared.db).await {
            Ok(()) => shared.progress.reached(began),
            Err(error) => {
                tracing::warn!(
                    error = crate::problem::chain(&error),
                    "audit events cannot join the chain"
                );
                continue;
            }
        }
        let outcome = match checkpoint::make_if_due(shared).await {
            Ok(false) => continue,
            Ok(true) => "signed",
            Err(error) => {
                tracing::error!(
                    error = crate::problem::chain(&error),
                    "audit checkpoint cannot be signed"
                );
                "failed"
            }
        };
        let labels = [("outcome", outcome.to_owned())];
        shared.metrics.count(telemetry::AUDIT_CHECKPOINTS, &labels);
    }
}

/// Links every event that waits, a batch a transaction.
pub(crate) async fn join(db: &Db) -> Result<(), DbError> {
    // Without this look, an idle issuer would take SQLite's write lock every second.
    while store::has_unchained(db).await? {
        if !join_batch(db).await? {
            tracing::warn!("audit events were linked by another writer, or cannot be");
            break;
        }
    }
    Ok(())
}

/// Whether the batch was linked.
async fn join_batch(db: &Db) -> Result<bool, DbError> {
    let mut tx = db.begin().await?;
    store::lock_chain(&mut tx).await?;
    let (mut seq, mut prev) = match store::head_in(&mut tx).await? {
        Some((seq, hash)) => (seq, linkable(&hash)),
        None => (0, GENESIS),
    };
    let mut links = Vec::new();
    for entry in store::unchained(&mut tx, BATCH).await? {
        seq = seq.saturating_add(1);
        let hash = entry.digest(seq, &prev);
        links.push((entry.id, seq, prev, hash));
        prev = hash;
    }
    let linked = store::link_each(&mut tx, &links).await?;
    if usize::try_from(linked) != Ok(links.len()) {
        // Only a writer without our lock can have linked one meanwhile: leave this batch as it was.
        tx.rollback().await?;
        return Ok(false);
    }
    tx.commit().await?;
    Ok(true)
}

/// A stored hash as a link. One of another length was not written by us; what follows it is chained all the
/// same, so that nothing is lost, and verification tells where it breaks.
fn linkable(hash: &[u8]) -> Hash {
    <Hash>::try_from(hash).unwrap_or(GENESIS)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// How often events join: none waits much longer.
const PASS: Duration = Duration::from_secs(1);
/// Events linked in one transaction: a few milliseconds of SQLite's write lock.
const BATCH: i64 = 256;
