//! When to fetch: on schedule, for an unknown `kid` within a budget, or on request.
//!
//! One worker per issuer owns the fetcher, so there is one fetch at a time by construction;
//! callers who ask together are answered by one, and a caller who goes away cancels nothing.
//!
//! **Invariant:** a failed fetch changes no key. Attempts for unknown `kid`s have a budget of
//! their own, counted in attempts, so a flood of them neither starves nor triggers the schedule
//! (hazards V34–V36, V39, V40).

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::cache::KeyCache;
use super::fetch::{Fetched, Fetcher, RefreshError};
use super::unknown::UnknownKids;
use crate::background::Worker as BackgroundWorker;
use crate::clock::Clock;
use crate::fetch::FetchError;

/// Commands waiting for the thread; past that a caller is answered at once, without a fetch.
const QUEUE: usize = 128;
/// Attempts for unknown `kid`s within [`UNKNOWN_WINDOW`].
const UNKNOWN_ATTEMPTS: usize = 2;
/// The window of that budget, and how long a `kid` missing from a new set stays unknown.
const UNKNOWN_WINDOW: Duration = Duration::from_secs(30);
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// Handle on the refreshing worker; dropping it ends the worker.
#[derive(Debug)]
pub(crate) struct Refresher {
    commands: mpsc::Sender<Command>,
    progress: watch::Receiver<Progress>,
    /// Dropped with the handle: ends a fetch under way.
    _alive: watch::Sender<()>,
}

/// What the thread has done so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Fetches begun; `attempts` of them have ended.
    pub(crate) begun: u64,
    pub(crate) attempts: u64,
    pub(crate) failures_in_a_row: u32,
    pub(crate) last_error: Option<RefreshError>,
    pub(crate) is_ready: bool,
}

#[derive(Debug)]
enum Command {
    /// A plausible token names a `kid` that the set lacks.
    Unknown {
        kid: String,
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
    /// The handle, and the work it directs, whose first act is a fetch.
    pub(crate) fn new(
        fetcher: Fetcher,
        cache: Arc<KeyCache>,
        clock: Arc<dyn Clock>,
    ) -> (Self, BackgroundWorker) {
        let (commands, inbox) = mpsc::channel(QUEUE);
        let (progress, watcher) = watch::channel(Progress::default());
        let (alive, is_alive) = watch::channel(());
        let worker = Worker {
            fetcher,
            cache,
            clock,
            progress,
            is_alive,
            unknown: UnknownKids::new(),
            unknown_budget: Budget::default(),
            jitter: RandomState::new(),
        };
        let handle = Self {
            commands,
            progress: watcher,
            _alive: alive,
        };
        (handle, Box::pin(worker.run(inbox)))
    }

    /// Notes an unknown `kid` and returns at once.
    pub(crate) fn note_unknown(&self, kid: &str) {
        let command = Command::Unknown {
            kid: kid.to_owned(),
            reply: None,
        };
        // A full queue means that fetches are being asked for already.
        let _ = self.commands.try_send(command);
    }

    /// Waits until an unknown `kid` was looked for, or the budget says no.
    pub(crate) async fn resolve_unknown(&self, kid: &str) {
        let (reply, answer) = oneshot::channel();
        let command = Command::Unknown {
            kid: kid.to_owned(),
            reply: Some(reply),
        };
        if self.commands.try_send(command).is_ok() {
            let _ = answer.await;
        }
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

    /// Waits for the first usable set.
    pub(crate) async fn ready(&self) {
        let mut progress = self.progress.clone();
        let _ = progress.wait_for(|progress| progress.is_ready).await;
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }
}

struct Worker {
    fetcher: Fetcher,
    cache: Arc<KeyCache>,
    clock: Arc<dyn Clock>,
    progress: watch::Sender<Progress>,
    is_alive: watch::Receiver<()>,
    unknown: UnknownKids,
    unknown_budget: Budget,
    jitter: RandomState,
}

impl Worker {
    async fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        let mut next = self.attempt().await.unwrap_or_else(|_| self.backoff());
        let mut alarm = self.clock.sleep(next);
        loop {
            tokio::select! {
                command = inbox.recv() => {
                    let Some(command) = command else { return };
                    match self.obey(command).await {
                        Some(delay) => next = delay,
                        None => continue,
                    }
                }
                () = &mut alarm => {
                    next = self.attempt().await.unwrap_or_else(|_| self.backoff());
                }
            }
            alarm = self.clock.sleep(next);
        }
    }

    /// Carries out `command`; the delay to the next scheduled fetch when it fetched a set.
    async fn obey(&mut self, command: Command) -> Option<Duration> {
        match command {
            Command::Unknown { kid, reply } => {
                let delay = self.look_for(&kid).await;
                if let Some(reply) = reply {
                    let _ = reply.send(());
                }
                delay
            }
            Command::Settle { reply } => {
                let _ = reply.send(());
                None
            }
            Command::Refresh { begun, reply } => {
                let progress = self.progress.borrow().clone();
                if progress.attempts > begun {
                    let _ = reply.send(progress.last_error.map_or(Ok(()), Err));
                    return None;
                }
                let outcome = self.attempt().await;
                let _ = reply.send(outcome.clone().map(|_| ()));
                outcome.ok()
            }
        }
    }

    async fn look_for(&mut self, kid: &str) -> Option<Duration> {
        let now = self.clock.monotonic();
        let is_there = |cache: &KeyCache| cache.set().is_some_and(|set| set.knows(kid));
        if is_there(&self.cache)
            || self.unknown.contains(kid, now)
            || !self.unknown_budget.spend(now)
        {
            return None;
        }
        let delay = self.attempt().await.ok()?;
        if !is_there(&self.cache) {
            self.unknown
                .remember(kid, self.clock.monotonic() + UNKNOWN_WINDOW);
        }
        Some(delay)
    }

    /// Fetches once and publishes the outcome; the delay to the next scheduled fetch.
    async fn attempt(&mut self) -> Result<Duration, RefreshError> {
        // The set is as old as the question, not as the answer.
        let now = self.clock.monotonic();
        self.progress.send_modify(|progress| progress.begun += 1);
        let fetched = tokio::select! {
            fetched = self.fetcher.fetch() => fetched,
            // Nothing is ever sent: this resolves when the handle is dropped.
            _ = self.is_alive.changed() => Err(FetchError::Closed.into()),
        };
        let outcome = match fetched {
            Ok(Fetched::Set { set, lifetime }) => {
                self.cache.replace(set, now, lifetime);
                self.unknown.forget_all();
                Ok(lifetime)
            }
            Ok(Fetched::NotModified { lifetime }) if self.cache.confirm(now, lifetime) => {
                Ok(lifetime)
            }
            Ok(Fetched::NotModified { .. }) => Err(FetchError::Status { status: 304 }.into()),
            Err(error) => Err(error),
        };
        self.publish(outcome.as_ref().err());
        outcome.map(|lifetime| lifetime.mul_f64(0.75 + 0.1 * self.random()))
    }

    fn publish(&self, error: Option<&RefreshError>) {
        match error {
            None => tracing::debug!("key_set_refreshed"),
            Some(error) => tracing::warn!(%error, "key_set_refresh_failed"),
        }
        self.progress.send_modify(|progress| {
            progress.attempts += 1;
            progress.failures_in_a_row = if error.is_some() {
                progress.failures_in_a_row.saturating_add(1)
            } else {
                0
            };
            progress.last_error = error.cloned();
            progress.is_ready |= error.is_none();
        });
    }

    /// 1 s, 2 s, 4 s … 30 s, each shortened at random by up to half.
    fn backoff(&self) -> Duration {
        let failures = self.progress.borrow().failures_in_a_row;
        let doublings = failures.saturating_sub(1).min(8);
        (FIRST_BACKOFF * 2_u32.pow(doublings))
            .min(MAX_BACKOFF)
            .mul_f64(1.0 - 0.5 * self.random())
    }

    /// A number in [0, 1) that differs between processes; nothing secret hangs on it.
    fn random(&self) -> f64 {
        let hash = self.jitter.hash_one(self.clock.monotonic());
        f64::from(u32::try_from(hash >> 32).expect("the upper half of 64 bits fits 32"))
            / f64::from(u32::MAX)
    }
}

/// At most [`UNKNOWN_ATTEMPTS`] in any [`UNKNOWN_WINDOW`], whatever their outcome.
#[derive(Debug, Default)]
struct Budget {
    spent: VecDeque<Duration>,
}

impl Budget {
    fn spend(&mut self, now: Duration) -> bool {
        while self
            .spent
            .front()
            .is_some_and(|at| now.saturating_sub(*at) >= UNKNOWN_WINDOW)
        {
            self.spent.pop_front();
        }
        if self.spent.len() == UNKNOWN_ATTEMPTS {
            return false;
        }
        self.spent.push_back(now);
        true
    }
}
