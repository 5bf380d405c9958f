//! Uses: remembers which stored tokens were presented, writes it down once a minute.
//!
//! **Invariant:** no request waits for the database because of it, and none fails by it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::store::{self, TokenRow};
use crate::clock::Timestamp;
use crate::db::{Db, DbError, Id};

/// Uses that are not written yet; no more than there are live tokens.
#[derive(Default)]
pub(crate) struct Uses(Mutex<HashMap<Id, Timestamp>>);

impl Uses {
    /// Remembers that the live token `row` was used, if what is written is old.
    pub(super) fn note(&self, row: &TokenRow, now: Timestamp) {
        if row.last_used_at.is_some_and(|at| at > now.minus(EVERY)) {
            return;
        }
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        uses.insert(row.id, now);
    }

    /// Writes down what was noted.
    pub(crate) async fn flush(&self, db: &Db) -> Result<(), DbError> {
        let taken = self.take();
        if taken.is_empty() {
            return Ok(());
        }
        let written = write(db, &taken).await;
        if written.is_err() {
            let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            for (id, at) in taken {
                uses.entry(id).or_insert(at);
            }
        }
        written
    }

    fn take(&self) -> Vec<(Id, Timestamp)> {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken: Vec<_> = uses.drain().collect();
        // In one order everywhere, so that replicas that write at once wait for each other and no more.
        taken.sort_unstable();
        taken
    }
}

async fn write(db: &Db, uses: &[(Id, Timestamp)]) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    for (id, at) in uses {
        store::used(&mut tx, *id, *at, at.minus(EVERY)).await?;
    }
    tx.commit().await
}

/// A token's last use is written no oftener.
const EVERY: Duration = Duration::from_secs(60);
