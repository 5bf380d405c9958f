//! The lists that tokens name, and who may be asked for them.
//!
//! **Invariant:** at most [`MAX_LISTS`] are kept, only at origins that the settings allow, and
//! only for as long as somebody looks into them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot, watch};

use super::Unavailable;
pub(crate) use super::fetch::Judge;
use super::refresh::Worker;
use super::slot::ListSlot;
use super::source::AgePolicy;
use crate::background::Worker as BackgroundWorker;
use crate::clock::Clock;
use crate::fetch::{Http, Url, safe_url};

/// Most lists of one issuer.
pub(super) const MAX_LISTS: usize = 64;
/// A list that nobody looked into for so long is dropped.
pub(super) const IDLE: Duration = Duration::from_secs(600);

/// Handle on the lists of one issuer; dropping it ends the worker that keeps them fresh.
#[derive(Debug)]
pub(crate) struct FetchedLists {
    slots: Slots,
    /// Each stands for its origin.
    origins: Vec<Url>,
    age: AgePolicy,
    clock: Arc<dyn Clock>,
    asks: Asks,
    /// Dropped with the handle: ends the worker, even in a fetch.
    _alive: watch::Sender<()>,
}

/// The lists by URI; read without a lock, copied to be changed.
#[derive(Debug, Clone, Default)]
pub(super) struct Slots(Arc<ArcSwap<HashMap<Box<str>, Arc<ListSlot>>>>);

/// How the walk asks the worker for a fetch.
#[derive(Debug, Clone)]
pub(super) struct Asks(mpsc::Sender<Ask>);

/// A list that is wanted, and who waits for it.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) slot: Arc<ListSlot>,
    /// Dropped when no fetch of the list is due.
    pub(super) reply: Option<oneshot::Sender<()>>,
}

/// How the fetching of a list goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ListProgress {
    pub(crate) attempts: u64,
    pub(crate) failures_in_a_row: u32,
    pub(crate) last_error: Option<String>,
    pub(crate) etag: Option<String>,
    pub(crate) push: Push,
}

/// Whether the issuer tells us of changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Push {
    /// It does not, or was not asked yet.
    #[default]
    Off,
    /// It does.
    Connected,
    /// It did; until it does again, polling finds changes.
    Lost,
}

impl FetchedLists {
    /// The handle, and the work it directs.
    pub(crate) fn new(
        origins: Vec<Url>,
        age: AgePolicy,
        http: Http,
        judge: Judge,
    ) -> (Self, BackgroundWorker) {
        let (asks, inbox) = mpsc::channel(MAX_LISTS);
        let (alive, is_alive) = watch::channel(());
        let slots = Slots::default();
        let clock = Arc::clone(&judge.clock);
        let worker = Worker::new(slots.clone(), age, http, judge);
        let handle = Self {
            slots,
            origins,
            age,
            clock,
            asks: Asks(asks),
            _alive: alive,
        };
        (handle, Box::pin(worker.run(inbox, is_alive)))
    }

    /// The place of the list at `uri`, made when it is met for the first time.
    pub(super) fn slot(&self, uri: &str) -> Result<Arc<ListSlot>, Unavailable> {
        if let Some(slot) = self.slots.get(uri) {
            return Ok(slot);
        }
        let is_allowed = |url: Url| self.origins.iter().any(|own| own.origin() == url.origin());
        if !safe_url(uri).is_ok_and(is_allowed) {
            return Err(Unavailable::OriginNotAllowed);
        }
        let now = self.clock.monotonic();
        let slot = ListSlot::fetched(uri, self.age, self.asks.clone(), now);
        self.slots.insert(&Arc::new(slot), now);
        self.slots.get(uri).ok_or(Unavailable::TooMany)
    }

    /// Waits for a fetch of the list at `uri` that is due, if there is one; the list of a token
    /// that passed every other room.
    pub(super) async fn settle(&self, uri: &str) {
        let Ok(slot) = self.slot(uri) else {
            return;
        };
        let (reply, answer) = oneshot::channel();
        if self.asks.ask(&slot, Some(reply)) {
            let _ = answer.await;
        }
    }

    pub(super) fn slots(&self) -> Vec<Arc<ListSlot>> {
        self.slots.0.load().values().map(Arc::clone).collect()
    }
}

impl Asks {
    /// Whether the note was taken; a full queue means that lists are being fetched already.
    pub(super) fn ask(&self, slot: &Arc<ListSlot>, reply: Option<oneshot::Sender<()>>) -> bool {
        let slot = Arc::clone(slot);
        self.0.try_send(Ask { slot, reply }).is_ok()
    }
}

impl Slots {
    fn get(&self, uri: &str) -> Option<Arc<ListSlot>> {
        self.0.load().get(uri).map(Arc::clone)
    }

    /// Whether `slot` is the place of its URI, and was not let go.
    pub(super) fn has(&self, slot: &Arc<ListSlot>) -> bool {
        let slots = self.0.load();
        let own = slots.get(slot.uri());
        own.is_some_and(|own| Arc::ptr_eq(own, slot))
    }

    /// Adds `slot`, unless its URI is there or there is no room.
    fn insert(&self, slot: &Arc<ListSlot>, now: Duration) {
        self.0.rcu(|slots| {
            let mut slots = HashMap::clone(slots);
            if slots.len() >= MAX_LISTS {
                slots.retain(|_, slot| slot.idle(now) < IDLE);
            }
            if slots.len() < MAX_LISTS {
                let uri = Box::from(slot.uri());
                slots.entry(uri).or_insert_with(|| Arc::clone(slot));
            }
            slots
        });
    }

    /// Removes `slot`, but no other of its URI.
    pub(super) fn remove(&self, slot: &Arc<ListSlot>) {
        self.0.rcu(|slots| {
            let mut slots = HashMap::clone(slots);
            let is_own = |own: &Arc<ListSlot>| Arc::ptr_eq(own, slot);
            if slots.get(slot.uri()).is_some_and(is_own) {
                slots.remove(slot.uri());
            }
            slots
        });
    }
}
