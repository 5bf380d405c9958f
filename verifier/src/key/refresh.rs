//! Asking for keys: the handle that callers hold, on the worker that fetches.
//!
//! Callers who ask together are answered by one fetch, and a caller who goes away cancels nothing.
//!
//! **Invariant:** whoever asks for a `kid` that is known to be unknown, or when the budget is spent,
//! is answered at once, whatever the worker is doing (hazards V35, V40).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::cache::KeyCache;
use super::fetch::{Fetcher, RefreshError};
use super::snapshot::{Snapshot, SnapshotStatus};
use super::unknown::{Budget, UnknownKids};
use super::worker::Worker;
use crate::background::Worker as BackgroundWorker;
use crate::clock::Clock;
use crate::fetch::FetchError;

/// Commands waiting for the worker; past that a caller is answered at once, without a fetch.
const QUEUE: usize = 128;

/// Handle on the refreshing worker; dropping it ends the worker.
#[derive(Debug)]
pub(crate) struct Refresher {
    commands: mpsc::Sender<Command>,
    progress: watch::Receiver<Progress>,
    unknown: Arc<UnknownKids>,
    clock: Arc<dyn Clock>,
    /// Dropped with the handle: ends a fetch under way.
    _alive: watch::Sender<()>,
}

/// What the worker has done so far, and what it knows of the set at hand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Fetches begun; `attempts` of them have ended.
    pub(crate) begun: u64,
    pub(crate) attempts: u64,
    pub(crate) failures_in_a_row: u32,
    pub(crate) last_error: Option<RefreshError>,
    pub(crate) is_ready: bool,
    /// When the next scheduled fetch is due; monotonic.
    pub(crate) next_at: Duration,
    pub(crate) budget: Budget,
    /// Whether a fetch for an unknown `kid` is under way.
    pub(crate) is_looking: bool,
    /// The `ETag` of the set at hand, cut short.
    pub(crate) etag: Option<String>,
    pub(crate) generation: Option<u64>,
    /// Older sets that were offered and refused.
    pub(crate) superseded: u64,
    /// `kid`s that were seen with two materials.
    pub(crate) alarms: Vec<String>,
    /// The issuer's clock less ours, seconds.
    pub(crate) clock_offset: Option<i64>,
    pub(crate) snapshot: Option<SnapshotStatus>,
}

#[derive(Debug)]
pub(super) enum Command {
    /// A plausible token names a `kid` that the set lacks.
    Unknown {
        kid: String,
        begun: u64,
        reply: Option<oneshot::Sender<()>>,
    },
    /// Answer once nothing is being fetched.
    Settle { reply: oneshot::Sender<()> },
    /// Fetch, unless a fetch that began after `begun` were counted has ended.
    Refresh {
        begun: u64,
        reply: oneshot::Sender<Result<(), RefreshError>>,
    },
}

impl Refresher {
    /// The handle, and the work it directs, whose first act is to bring a fresh set.
    pub(crate) fn new(
        fetcher: Fetcher,
        cache: Arc<KeyCache>,
        clock: Arc<dyn Clock>,
        snapshot: Option<Snapshot>,
    ) -> (Self, BackgroundWorker) {
        let (commands, inbox) = mpsc::channel(QUEUE);
        let (alive, is_alive) = watch::channel(());
        let unknown = Arc::new(UnknownKids::new());
        let worker = Worker::new(
            fetcher,
            cache,
            Arc::clone(&clock),
            Arc::clone(&unknown),
            snapshot,
        );
        let handle = Self {
            commands,
            progress: worker.watch(),
            unknown,
            clock,
            _alive: alive,
        };
        (handle, Box::pin(worker.run(inbox, is_alive)))
    }

    /// Notes an unknown `kid` and returns at once.
    pub(crate) fn note_unknown(&self, kid: &str) {
        // A full queue means that fetches are being asked for already.
        let _ = self.ask_for(kid, None);
    }

    /// Waits until an unknown `kid` was looked for; not at all where that has no point.
    pub(crate) async fn resolve_unknown(&self, kid: &str) {
        let (reply, answer) = oneshot::channel();
        if self.ask_for(kid, Some(reply)) {
            let _ = answer.await;
        }
    }

    fn ask_for(&self, kid: &str, reply: Option<oneshot::Sender<()>>) -> bool {
        let now = self.clock.monotonic();
        let begun = {
            let progress = self.progress.borrow();
            let has_point = progress.is_looking || !progress.budget.is_spent(now);
            if !has_point || self.unknown.contains(kid, now) {
                return false;
            }
            progress.begun
        };
        let kid = kid.to_owned();
        let command = Command::Unknown { kid, begun, reply };
        self.commands.try_send(command).is_ok()
    }

    /// Waits until no fetch is under way.
    pub(crate) async fn settle(&self) {
        let (reply, answer) = oneshot::channel();
        if self.commands.try_send(Command::Settle { reply }).is_ok() {
            let _ = answer.await;
        }
    }

    /// Fetches now; callers who ask together share one fetch that begins after they asked.
    ///
    /// # Errors
    /// What went wrong; the keys at hand stay.
    pub(crate) async fn refresh(&self) -> Result<(), RefreshError> {
        let (reply, answer) = oneshot::channel();
        let begun = self.progress.borrow().begun;
        let command = Command::Refresh { begun, reply };
        self.commands
            .send(command)
            .await
            .map_err(|_| FetchError::Closed)?;
        answer.await.map_err(|_| FetchError::Closed)?
    }

    /// Waits for the first usable set; false when nobody works on one any more.
    pub(crate) async fn ready(&self) -> bool {
        let mut progress = self.progress.clone();
        let ready = progress.wait_for(|progress| progress.is_ready).await;
        ready.is_ok()
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }
}
