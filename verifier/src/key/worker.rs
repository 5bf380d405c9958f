//! When to fetch: on schedule, for an unknown `kid` within a budget, or on request.
//!
//! One worker per issuer owns the fetcher, so there is one fetch at a time by construction.
//!
//! **Invariant:** a failed fetch changes no key. Attempts for unknown `kid`s have a budget of
//! their own, counted in attempts, so a flood of them neither starves nor triggers the schedule
//! (hazards V34–V36, V39, V40).

mod stored;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::cache::{KeyCache, Moment, Vouched};
use super::fetch::{Ask, Fetched, Fetcher, Offer, RefreshError, Stamp};
use super::keeper::Keeper;
use super::refresh::{Command, Progress};
use super::snapshot::{Snapshot, SnapshotStatus};
use super::succession::{Held, Standing};
use super::unknown::{UNKNOWN_WINDOW, UnknownKids};
use crate::background;
use crate::clock::Clock;

const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// Least time to the next scheduled fetch.
const SOONEST: Duration = Duration::from_secs(1);

/// Keeps one issuer's set fresh.
pub(super) struct Worker {
    fetcher: Fetcher,
    keeper: Keeper,
    clock: Arc<dyn Clock>,
    progress: watch::Sender<Progress>,
    unknown: Arc<UnknownKids>,
    snapshot: Option<Snapshot>,
    snapshot_status: Option<SnapshotStatus>,
    /// When the next scheduled fetch is due; monotonic.
    next_at: Duration,
    /// The last answer was a copy of an older set.
    must_revalidate: bool,
    /// The last fetch failed, or did not have the key that was looked for.
    must_rediscover: bool,
    jitter: RandomState,
}

/// What a set is brought for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why<'a> {
    Schedule,
    Unknown(&'a str),
    Request,
}

impl Worker {
    pub(super) fn new(
        fetcher: Fetcher,
        cache: Arc<KeyCache>,
        clock: Arc<dyn Clock>,
        unknown: Arc<UnknownKids>,
        snapshot: Option<Snapshot>,
    ) -> Self {
        let mut worker = Self {
            fetcher,
            keeper: Keeper::new(cache),
            clock,
            progress: watch::Sender::new(Progress::default()),
            unknown,
            snapshot,
            snapshot_status: None,
            next_at: Duration::ZERO,
            must_revalidate: false,
            must_rediscover: false,
            jitter: RandomState::new(),
        };
        worker.adopt();
        worker.next_at = worker.now();
        if !worker.is_due() {
            worker.next_at += worker.due_in();
        }
        worker.publish();
        worker
    }

    pub(super) fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    pub(super) async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Command>,
        mut is_alive: watch::Receiver<()>,
    ) {
        // Nothing is ever sent: this resolves when the handle is dropped.
        let closed = async move {
            let _ = is_alive.changed().await;
        };
        tokio::select! {
            () = closed => {}
            () = self.keep_at_it(&mut inbox) => {}
        }
    }

    /// Works until nobody commands any more; a panic costs what was under way, and no more.
    async fn keep_at_it(&mut self, inbox: &mut mpsc::Receiver<Command>) {
        while background::caught("keys", self.work(inbox)).await.is_err() {
            self.recover();
        }
    }

    fn recover(&mut self) {
        let ended_at = self.now();
        self.keeper.doubt();
        (self.must_revalidate, self.must_rediscover) = (true, true);
        self.progress.send_modify(|progress| {
            progress.attempts = progress.begun;
            progress.failures_in_a_row = progress.failures_in_a_row.saturating_add(1);
            progress.last_error = Some(RefreshError::Panicked);
            progress.is_looking = false;
        });
        self.next_at = ended_at + self.backoff();
        self.publish();
    }

    async fn work(&mut self, inbox: &mut mpsc::Receiver<Command>) {
        if self.next_at <= self.now() {
            self.attempt(Why::Schedule).await;
        }
        loop {
            let planned = self.next_at;
            let mut alarm = self.clock.sleep_until(planned);
            while self.next_at == planned {
                tokio::select! {
                    command = inbox.recv() => {
                        let Some(command) = command else { return };
                        self.obey(command).await;
                    }
                    () = &mut alarm => self.attempt(Why::Schedule).await,
                }
            }
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Unknown { kid, begun, reply } => {
                self.look_for(&kid, begun).await;
                if let Some(reply) = reply {
                    let _ = reply.send(());
                }
            }
            Command::Settle { reply } => {
                let _ = reply.send(());
            }
            Command::Refresh { begun, reply } => {
                if self.progress.borrow().attempts <= begun {
                    self.attempt(Why::Request).await;
                }
                let error = self.progress.borrow().last_error.clone();
                let _ = reply.send(error.map_or(Ok(()), Err));
            }
        }
    }

    async fn look_for(&mut self, kid: &str, begun: u64) {
        let now = self.now();
        if self.keeper.knows(kid) || self.unknown.contains(kid, now) {
            return;
        }
        let was_looked_for = {
            let progress = self.progress.borrow();
            progress.attempts > begun && progress.last_error.is_none()
        };
        if !was_looked_for {
            if !self.spend(now) {
                return;
            }
            self.attempt(Why::Unknown(kid)).await;
        }
        if self.progress.borrow().last_error.is_none() && !self.keeper.knows(kid) {
            self.unknown.remember(kid, self.now() + UNKNOWN_WINDOW);
            self.must_rediscover = true;
        }
    }

    fn spend(&self, now: Duration) -> bool {
        let mut is_spent = false;
        self.progress.send_modify(|progress| {
            is_spent = progress.budget.spend(now);
            progress.is_looking = is_spent;
        });
        is_spent
    }

    /// Brings a set once and publishes the outcome.
    async fn attempt(&mut self, why: Why<'_>) {
        let error = self.bring(why).await.err();
        // Read before the outcome shows: the next attempt is counted from this one's end.
        let ended_at = self.now();
        match &error {
            None => tracing::debug!("key_set_refreshed"),
            Some(error) => tracing::warn!(%error, "key_set_refresh_failed"),
        }
        self.must_revalidate = error == Some(RefreshError::Superseded);
        self.must_rediscover = error.is_some();
        self.progress.send_modify(|progress| {
            progress.failures_in_a_row = match &error {
                Some(_) => progress.failures_in_a_row.saturating_add(1),
                None => 0,
            };
            progress.superseded += u64::from(self.must_revalidate);
            progress.last_error = error;
            progress.is_looking = false;
        });
        if !self.must_rediscover {
            self.next_at = ended_at + self.due_in();
        } else if why == Why::Schedule {
            self.next_at = ended_at + self.backoff();
        }
        self.publish();
    }

    async fn bring(&mut self, why: Why<'_>) -> Result<(), RefreshError> {
        let lock = match &self.snapshot {
            Some(snapshot) => snapshot.lock().await,
            None => None,
        };
        let is_there = match why {
            Why::Request => false,
            Why::Schedule => self.adopt() && !self.is_due(),
            Why::Unknown(kid) => self.adopt() && self.keeper.knows(kid),
        };
        if is_there {
            return Ok(());
        }
        self.progress.send_modify(|progress| progress.begun += 1);
        let outcome = self.fetch(why).await;
        self.progress.send_modify(|progress| progress.attempts += 1);
        outcome?;
        if let Some(lock) = lock {
            self.save(&lock);
        }
        Ok(())
    }

    async fn fetch(&mut self, why: Why<'_>) -> Result<(), RefreshError> {
        // The set is as old as the question, not as the answer.
        let asked_at = self.now();
        let ask = Ask {
            held: self.keeper.held().map(|held| &held.validator),
            revalidate: self.must_revalidate || why != Why::Schedule,
            rediscover: self.must_rediscover || why == Why::Request,
        };
        let fetched = self.fetcher.fetch(ask, asked_at).await?;
        let asked = Moment::before(asked_at, Duration::ZERO);
        match fetched {
            Fetched::Set(offer) => {
                self.note_clock(offer.stamp, asked_at);
                self.take(*offer, asked, Duration::MAX)
            }
            Fetched::NotModified(stamp) => {
                self.note_clock(stamp, asked_at);
                let now = self.now();
                self.keeper.confirm(stamp, asked, Duration::MAX, now);
                Ok(())
            }
        }
    }

    /// How far the issuer's clock is ahead of ours.
    fn note_clock(&self, stamp: Stamp, asked_at: Duration) {
        let Some(date) = stamp.date else { return };
        let round_trip = self.now().saturating_sub(asked_at);
        let then = self.clock.now().saturating_sub((round_trip / 2).as_secs());
        let ahead = i64::try_from(date).unwrap_or(i64::MAX) - i64::try_from(then).unwrap_or(0);
        // A cache leaves `Date` as it was or writes its own: the kinder reading raises no false alarm.
        let age = i64::try_from(stamp.copy_age.as_secs()).unwrap_or(i64::MAX);
        let offset = [ahead, ahead.saturating_add(age)]
            .into_iter()
            .min_by_key(|offset| offset.unsigned_abs());
        self.progress
            .send_modify(|progress| progress.clock_offset = offset);
    }

    fn take(
        &mut self,
        offer: Offer,
        asked: Moment,
        hard_limit: Duration,
    ) -> Result<(), RefreshError> {
        let taken = self.keeper.take(offer, asked, hard_limit, &*self.clock)?;
        if taken == Standing::Follows {
            self.unknown.forget_all();
        }
        Ok(())
    }

    fn publish(&self) {
        let held = self.keeper.held();
        let is_ready = self.keeper.is_ready(&*self.clock);
        self.progress.send_modify(|progress| {
            progress.is_ready |= is_ready;
            progress.next_at = self.next_at;
            progress.etag = held.and_then(Held::etag_shown);
            progress.generation = held.and_then(|held| held.generation);
            progress.alarms = self.keeper.alarms();
            progress.snapshot.clone_from(&self.snapshot_status);
        });
    }

    fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    /// Whether the set at hand is so old that the schedule asks for another.
    fn is_due(&self) -> bool {
        let now = self.now();
        let is_fresh = |vouched: Vouched| vouched.at.age(now) < vouched.lifetime.mul_f64(0.75);
        !self.keeper.vouched().is_some_and(is_fresh)
    }

    /// From now to 75–85 % of the lifetime of the set at hand.
    fn due_in(&self) -> Duration {
        let Some(vouched) = self.keeper.vouched() else {
            return SOONEST;
        };
        let due = vouched.lifetime.mul_f64(0.75 + 0.1 * self.random());
        due.saturating_sub(vouched.at.age(self.now())).max(SOONEST)
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
        let hash = self.jitter.hash_one(self.now());
        f64::from(u32::try_from(hash >> 32).expect("the upper half of 64 bits fits 32"))
            / f64::from(u32::MAX)
    }
}
