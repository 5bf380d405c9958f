//! When to fetch a list: each `ttl`, when its issuer pushes, when the walk asks.
//!
//! Each list has one task, which owns its fetcher: there is one fetch of a list at a time by
//! construction, and a list that hangs delays no other. Push only makes a fetch come earlier:
//! whoever cuts it delays news to the next poll.
//!
//! **Invariant:** a failed fetch changes no list. Whatever is pushed or asked, the task of a list
//! fetches it at most [`PUSHES`] times a second for the one and once for the other; a task that is
//! made anew, for a list that was let go, counts from nothing.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::events;
use super::fetch::{FetchedList, Judge, ListFetchError, ListFetcher, ttl};
use super::fetched::{Ask, IDLE, MAX_LISTS, Slots};
use super::slot::{ListSlot, Snapshot};
use super::source::AgePolicy;
use super::token::ListError;
use crate::background;
use crate::clock::Clock;
use crate::fetch::{FetchError, Http, safe_url};

/// Time between two polls unless somebody says otherwise.
const DEFAULT_TTL: Duration = Duration::from_secs(5);
const MIN_TTL: Duration = Duration::from_secs(1);
/// A list is polled at least so often within its age bound, whatever its `ttl`: a poll or two may
/// fail before it is too old.
const POLLS_PER_AGE: u32 = 4;
/// Least time between two fetches that the walk asks for.
const ASK_GAP: Duration = Duration::from_secs(1);
/// Most fetches that pushes cause within [`PUSH_WINDOW`].
const PUSHES: usize = 10;
const PUSH_WINDOW: Duration = Duration::from_secs(1);
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(15);
/// Callers waiting for one list; past that they are answered at once.
const WAITING: usize = 128;

/// Somebody who waits for a fetch.
type Reply = Option<oneshot::Sender<()>>;

/// Keeps every list of an issuer.
#[derive(Debug)]
pub(super) struct Worker {
    slots: Slots,
    age: AgePolicy,
    http: Http,
    judge: Judge,
}

impl Worker {
    pub(super) fn new(slots: Slots, age: AgePolicy, http: Http, judge: Judge) -> Self {
        Self {
            slots,
            age,
            http,
            judge,
        }
    }

    /// Works until the handle is dropped; the tasks end with it, even in a fetch.
    pub(super) async fn run(self, mut inbox: mpsc::Receiver<Ask>, alive: watch::Receiver<()>) {
        let mut is_alive = alive;
        // A panic ends the tasks too, each lets its list go, and whoever asks next begins anew.
        while background::caught("status_lists", self.work(&mut inbox, &mut is_alive))
            .await
            .is_err()
        {}
    }

    async fn work(&self, inbox: &mut mpsc::Receiver<Ask>, is_alive: &mut watch::Receiver<()>) {
        let mut tasks = JoinSet::new();
        let mut lists: HashMap<Box<str>, Kept> = HashMap::new();
        loop {
            tokio::select! {
                // Nothing is ever sent: this resolves when the handle is dropped.
                _ = is_alive.changed() => return,
                Some(ended) = tasks.join_next() => {
                    background::note_end(&ended);
                    lists.retain(|_, kept| !kept.asks.is_closed());
                }
                Some(Ask { slot, reply }) = inbox.recv() => {
                    let kept = lists.get(slot.uri()).filter(|kept| kept.is_for(&slot));
                    if let Some(kept) = kept {
                        let _ = kept.asks.try_send(reply);
                        continue;
                    }
                    slot.answer();
                    // A place that was let go is looked at by nobody: whoever holds it walks again.
                    if !self.slots.has(&slot) {
                        continue;
                    }
                    if lists.len() < MAX_LISTS && let Some(task) = self.task(&slot) {
                        let (asks, inbox) = mpsc::channel(WAITING);
                        // Ends the task of a place that was there before, if any.
                        lists.insert(slot.uri().into(), Kept { slot, asks });
                        tasks.spawn(task.run(inbox, reply, self.slots.clone()));
                    }
                }
            }
        }
    }

    fn task(&self, slot: &Arc<ListSlot>) -> Option<ListTask> {
        let fetcher = ListFetcher {
            http: self.http.clone(),
            url: safe_url(slot.uri()).ok()?,
            uri: slot.uri().into(),
            judge: self.judge.clone(),
            etag: None,
        };
        let longest = (self.age.max_age / POLLS_PER_AGE).max(MIN_TTL);
        Some(ListTask {
            slot: Arc::clone(slot),
            fetcher,
            longest,
            interval: DEFAULT_TTL.min(longest),
            failures: 0,
            begun: Duration::ZERO,
            pushes: VecDeque::new(),
            jitter: Jitter::default(),
        })
    }
}

/// The list that a task keeps, and how to ask that task.
#[derive(Debug)]
struct Kept {
    slot: Arc<ListSlot>,
    asks: mpsc::Sender<Reply>,
}

impl Kept {
    fn is_for(&self, slot: &Arc<ListSlot>) -> bool {
        Arc::ptr_eq(&self.slot, slot) && !self.asks.is_closed()
    }
}

/// Holds the place of a list while its task lives. However the task ends, even in a panic, the
/// place is let go and whoever asks next gets a new one.
#[derive(Debug)]
struct Tenancy {
    slot: Arc<ListSlot>,
    slots: Slots,
}

impl Drop for Tenancy {
    fn drop(&mut self) {
        self.slots.remove(&self.slot);
        self.slot.clear();
        self.slot.answer();
    }
}

/// Keeps one list.
#[derive(Debug)]
struct ListTask {
    slot: Arc<ListSlot>,
    fetcher: ListFetcher,
    /// Longest time between two polls.
    longest: Duration,
    /// Present time between two polls.
    interval: Duration,
    failures: u32,
    /// When the last fetch began (monotonic).
    begun: Duration,
    /// When pushes caused one, or will.
    pushes: VecDeque<Duration>,
    jitter: Jitter,
}

impl ListTask {
    /// Works until nobody has looked into the list for a while.
    async fn run(mut self, inbox: mpsc::Receiver<Reply>, first: Reply, slots: Slots) {
        let slot = Arc::clone(&self.slot);
        let (there, heard) = (Notify::new(), Notify::new());
        let listener = events::Listener::new(&self.fetcher, Arc::clone(&slot));
        let _tenancy = Tenancy { slot, slots };
        tokio::select! {
            () = self.poll(inbox, first, &there, &heard) => {}
            () = listener.listen(&there, &heard) => {}
        }
    }

    async fn poll(
        &mut self,
        mut inbox: mpsc::Receiver<Reply>,
        first: Reply,
        there: &Notify,
        heard: &Notify,
    ) {
        let clock = Arc::clone(&self.fetcher.judge.clock);
        let mut waiting = Vec::from_iter(first);
        loop {
            let mut due = self.attempt(there).await;
            waiting.clear(); // Who waits is answered by dropping the other end.
            loop {
                let now = clock.monotonic();
                if self.slot.idle(now) >= IDLE {
                    return;
                }
                if now >= due {
                    break;
                }
                tokio::select! {
                    () = clock.sleep_until(due) => {}
                    () = heard.notified() => due = due.min(self.next_push(clock.monotonic())),
                    ask = inbox.recv() => {
                        let Some(reply) = ask else { return };
                        due = due.min(self.begun + ASK_GAP);
                        if due <= clock.monotonic() {
                            waiting.extend(reply);
                        }
                    }
                }
            }
        }
    }

    /// When a push may cause a fetch: now, or once the window has room.
    fn next_push(&mut self, now: Duration) -> Duration {
        if let Some(put_off) = self.pushes.back().filter(|at| **at > now) {
            return *put_off;
        }
        self.pushes
            .retain(|at| now.saturating_sub(*at) < PUSH_WINDOW);
        let has_room = self.pushes.len() < PUSHES;
        let oldest = self.pushes.front().filter(|_| !has_room);
        let at = oldest.map_or(now, |oldest| *oldest + PUSH_WINDOW);
        self.pushes.push_back(at);
        at
    }

    /// Fetches once and publishes the outcome; when to fetch again.
    async fn attempt(&mut self, there: &Notify) -> Duration {
        let clock = Arc::clone(&self.fetcher.judge.clock);
        // The list is as old as the question, not as the answer.
        self.begun = clock.monotonic();
        self.slot.answer();
        let has_copy = self.slot.freshness(self.begun).is_some();
        let outcome = match self.fetcher.fetch(has_copy).await {
            Ok(fetched) => self.accept(fetched, &*clock),
            Err(error) => Err(error),
        };
        match &outcome {
            Ok(()) => {
                self.failures = 0;
                there.notify_one();
                tracing::debug!(list = %self.shown(), "status_list_refreshed");
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                tracing::warn!(%error, list = %self.shown(), "status_list_refresh_failed");
            }
        }
        self.publish(outcome.err());
        self.begun + self.delay(&*clock)
    }

    fn accept(&mut self, fetched: FetchedList, clock: &dyn Clock) -> Result<(), ListFetchError> {
        let (word, headers) = match fetched {
            FetchedList::NotModified(headers) => {
                if !self.slot.confirm(self.begun, headers.age()) {
                    return Err(FetchError::Status { status: 304 }.into());
                }
                return Ok(());
            }
            FetchedList::List(token, headers) => {
                let word = ttl(token.ttl, &headers);
                let snapshot = Snapshot::new(token, self.fetcher.judge.policy.leeway, clock);
                if !self
                    .slot
                    .replace(snapshot.confirmed(self.begun, headers.age()))
                {
                    return Err(ListError::Older.into());
                }
                (word, headers)
            }
        };
        self.fetcher.etag = headers.etag().cloned();
        let word = word.unwrap_or(DEFAULT_TTL);
        self.interval = word.clamp(MIN_TTL, self.longest);
        Ok(())
    }

    fn publish(&self, error: Option<ListFetchError>) {
        let failures = self.failures;
        let etag = self.fetcher.etag.as_ref();
        self.slot.note(|progress| {
            progress.attempts += 1;
            progress.failures_in_a_row = failures;
            progress.last_error = error.map(|error| error.to_string());
            progress.etag = etag.and_then(|etag| Some(etag.to_str().ok()?.to_owned()));
        });
    }

    /// The poll interval, shortened at random by up to a tenth; after failures 1 s, 2 s, 4 s …
    /// 15 s, each shortened by up to half, but no less than the interval.
    fn delay(&self, clock: &dyn Clock) -> Duration {
        let random = self.jitter.random(clock);
        let poll = self.interval.mul_f64(1.0 - 0.1 * random);
        if self.failures == 0 {
            return poll;
        }
        let doublings = self.failures.saturating_sub(1).min(8);
        let backoff = (FIRST_BACKOFF * 2_u32.pow(doublings)).min(MAX_BACKOFF);
        backoff.mul_f64(1.0 - 0.5 * random).max(poll)
    }

    fn shown(&self) -> super::ListUri {
        super::ListUri(self.slot.uri().into())
    }
}

/// Numbers that differ between processes; nothing secret hangs on them.
#[derive(Debug, Clone, Default)]
pub(super) struct Jitter(RandomState);

impl Jitter {
    /// A number in [0, 1).
    pub(super) fn random(&self, clock: &dyn Clock) -> f64 {
        let hash = self.0.hash_one(clock.monotonic());
        f64::from(u32::try_from(hash >> 32).expect("the upper half of 64 bits fits 32"))
            / f64::from(u32::MAX)
    }
}
