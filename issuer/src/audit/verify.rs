//! Verify: takes the stored chain and its checkpoints, tells whether they are what was once written.
//!
//! **Invariant:** one page of events and one of checkpoints are in memory, however long the chain is.
//! **Invariant:** the first place found wrong is the lowest one: events and checkpoints are walked together.
//!
//! What a chain cannot tell: whoever may write to the database can cut off events behind the last checkpoint,
//! or build chain, checkpoints and keys anew. A checkpoint that is kept elsewhere bounds the first and shows the
//! second.

use std::collections::VecDeque;

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::checkpoint::PublicKeys;
use super::entry::{Entry, GENESIS, Hash, hex};
use super::store::{self, CheckpointRow};
use crate::db::DbError;
use crate::key::{KeyError, Keyring};

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ChainReport)]
pub(crate) struct Report {
    pub(crate) valid: bool,
    /// Events of the chain found sound: all, or those before the first bad place.
    pub(crate) events: i64,
    /// Events that have not joined the chain yet.
    pub(crate) unchained: i64,
    /// Checkpoints found sound.
    pub(crate) checkpoints: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_bad_seq: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(crate) problem: Option<Finding>,
}

/// What is wrong at the first bad place; never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finding {
    /// A place of the chain has no event.
    EventMissing,
    /// The event does not point to the hash before it.
    LinkBroken,
    /// The event's columns are not those that were hashed.
    EventAltered,
    /// The checkpoint's signature, key or columns are not what was signed.
    CheckpointForged,
    /// The chain has another hash at the checkpoint's place than was signed: it was built anew.
    CheckpointMismatch,
    /// The chain ends before the checkpoint's place.
    ChainTruncated,
}

impl Finding {
    /// The code, as reports show it.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::EventMissing => "audit_event_missing",
            Self::LinkBroken => "audit_link_broken",
            Self::EventAltered => "audit_event_altered",
            Self::CheckpointForged => "audit_checkpoint_forged",
            Self::CheckpointMismatch => "audit_checkpoint_mismatch",
            Self::ChainTruncated => "audit_chain_truncated",
        }
    }

    /// The finding in words.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::EventMissing => "an event is missing",
            Self::LinkBroken => "the event does not follow the one before it",
            Self::EventAltered => "the event was altered",
            Self::CheckpointForged => "the checkpoint was not signed by a key of this issuer",
            Self::CheckpointMismatch => "the chain is not the one the checkpoint was signed for",
            Self::ChainTruncated => "the chain ends before its checkpoint",
        }
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

/// Why nothing can be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerifyError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// A place and what is wrong there.
type Bad = (i64, Finding);

/// Walks the whole chain, and holds it against `kept` too, a checkpoint from elsewhere.
pub(crate) async fn verify(keys: &Keyring, kept: Option<&str>) -> Result<Report, VerifyError> {
    let public = PublicKeys::read(keys).await?;
    // A checkpoint made while we walk is no business of this walk.
    let last = store::last_checkpoint(&keys.db).await?;
    let mut walk = Walk {
        keys,
        public: &public,
        last_checkpoint: last.map_or(0, |row| row.seq),
        kept: kept.map(|jws| public.open(jws).map(|claims| (claims.seq, claims.hash))),
        read_to: 0,
        page: VecDeque::new(),
        end: (0, GENESIS),
        checkpoints: 0,
    };
    let bad = walk.run().await?;
    Ok(Report {
        valid: bad.is_none(),
        events: walk.end.0,
        unchained: store::count_unchained(&keys.db).await?,
        checkpoints: walk.checkpoints,
        first_bad_seq: bad.map(|(seq, _)| seq),
        problem: bad.map(|(_, finding)| finding),
    })
}

struct Walk<'a> {
    keys: &'a Keyring,
    public: &'a PublicKeys,
    last_checkpoint: i64,
    /// What the checkpoint from elsewhere says, if it is one of ours.
    kept: Option<Option<(i64, String)>>,
    read_to: i64,
    page: VecDeque<CheckpointRow>,
    /// The last sound place and its hash.
    end: (i64, Hash),
    checkpoints: i64,
}

impl Walk<'_> {
    async fn run(&mut self) -> Result<Option<Bad>, DbError> {
        if self.kept == Some(None) {
            // Nothing is known of its place.
            return Ok(Some((0, Finding::CheckpointForged)));
        }
        let mut after = i64::MIN;
        loop {
            let entries = store::chained(&self.keys.db, after, PAGE).await?;
            let Some(last) = entries.last() else {
                return self.beyond().await;
            };
            after = last.link.as_ref().map_or(i64::MAX, |link| link.seq);
            for entry in &entries {
                let bad = match self.step(entry) {
                    Some(bad) => Some(bad),
                    None => self.held_against_checkpoints().await?,
                };
                if bad.is_some() {
                    return Ok(bad);
                }
            }
        }
    }

    /// Holds one event against its place.
    fn step(&mut self, entry: &Entry) -> Option<Bad> {
        let (before, prev) = self.end;
        let seq = before + 1;
        let Some(link) = entry.link.as_ref().filter(|link| link.seq == seq) else {
            return Some((seq, Finding::EventMissing));
        };
        if link.prev_hash != prev {
            return Some((seq, Finding::LinkBroken));
        }
        let hash = entry.digest(seq, &prev);
        if link.hash != hash {
            return Some((seq, Finding::EventAltered));
        }
        self.end = (seq, hash);
        None
    }

    /// Holds the present end against the checkpoints of its place, ours and the one from elsewhere.
    async fn held_against_checkpoints(&mut self) -> Result<Option<Bad>, DbError> {
        let (seq, hash) = self.end;
        if self.next_checkpoint().await?.is_some_and(|at| at <= seq) {
            let bad = self.page.pop_front().and_then(|row| self.judge(&row));
            if bad.is_some() {
                return Ok(bad);
            }
            self.checkpoints += 1;
        }
        match &self.kept {
            Some(Some((at, kept))) if *at == seq && *kept != hex(&hash) => {
                Ok(Some((seq, Finding::CheckpointMismatch)))
            }
            _ => Ok(None),
        }
    }

    /// The chain has ended: no checkpoint may be left.
    async fn beyond(&mut self) -> Result<Option<Bad>, DbError> {
        let end = self.end.0;
        let kept_beyond = matches!(&self.kept, Some(Some((at, _))) if *at > end);
        let left = self.next_checkpoint().await?;
        let Some(row) = left.and_then(|_| self.page.pop_front()) else {
            return Ok(kept_beyond.then_some((end + 1, Finding::ChainTruncated)));
        };
        if kept_beyond || self.is_signed(&row) {
            return Ok(Some((end + 1, Finding::ChainTruncated)));
        }
        Ok(Some((row.seq, Finding::CheckpointForged)))
    }

    /// What is wrong with the checkpoint of the present end.
    fn judge(&self, row: &CheckpointRow) -> Option<Bad> {
        let (seq, hash) = self.end;
        if !self.is_signed(row) || row.seq != seq {
            return Some((row.seq, Finding::CheckpointForged));
        }
        (row.hash != hash).then_some((seq, Finding::CheckpointMismatch))
    }

    fn is_signed(&self, row: &CheckpointRow) -> bool {
        let claims = self.public.open(&row.jws);
        claims.is_some_and(|claims| claims.agrees(row))
    }

    /// The place of the next checkpoint to hold the chain against.
    async fn next_checkpoint(&mut self) -> Result<Option<i64>, DbError> {
        if self.page.is_empty() && self.read_to < self.last_checkpoint {
            let rows = store::checkpoints(&self.keys.db, self.read_to, PAGE).await?;
            self.read_to = rows.last().map_or(self.last_checkpoint, |row| row.seq);
            self.page = rows
                .into_iter()
                .filter(|row| row.seq <= self.last_checkpoint)
                .collect();
        }
        Ok(self.page.front().map(|row| row.seq))
    }
}

/// Rows of one page.
const PAGE: i64 = 500;
