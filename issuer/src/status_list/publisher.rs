//! Publisher: takes the database's lists and the active key, gives the signed lists that routes serve.
//!
//! **Invariant:** one task writes; what it published for a list is replaced whole, and goes back to an
//! older version only when the database did.
//! **Invariant:** a list is packed and signed once for each version, key and hour, not for each request,
//! and at most once in [`PAUSE`]: revocations that come together are published together.
//! **Invariant:** a pass reads what was revoked since the last one, not the whole list.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};

use super::list::{Bits, StatusList};
use super::signed::{SignedList, Stamp};
use super::store::{self, ListRow};
use super::subscribers::Subscribers;
use super::{retire, uri};
use crate::app::Shared;
use crate::db::{DbError, Id};
use crate::settings::Settings;
use crate::telemetry;

/// What is published, for whoever serves it.
pub(crate) struct Lists {
    published: ArcSwap<HashMap<Id, Published>>,
    wake: Notify,
    started: AtomicU64,
    finished: watch::Sender<u64>,
    pub(super) subscribers: Arc<Subscribers>,
    draining: watch::Sender<bool>,
    /// Longest time a request waits for a pass: well within what it may take altogether.
    patience: Duration,
}

/// The newest signed form of a list; none until it could be signed.
pub(super) type Published = watch::Receiver<Option<Arc<SignedList>>>;

impl Lists {
    pub(crate) fn new(settings: &Settings) -> Self {
        let most = settings.status_list_subscribers;
        let most_of_one = settings.status_list_address_subscribers;
        Self {
            patience: settings.request_timeout / 4,
            published: ArcSwap::default(),
            wake: Notify::new(),
            started: AtomicU64::new(0),
            finished: watch::Sender::new(0),
            subscribers: Arc::new(Subscribers::new(most, most_of_one)),
            draining: watch::Sender::new(false),
        }
    }

    /// The list `id`, if it is published. A list another process has just opened is looked for once more,
    /// so that no token names a list that is not there.
    pub(super) async fn find(&self, id: Id) -> Option<Published> {
        if let Some(list) = self.published.load().get(&id) {
            return Some(list.clone());
        }
        self.settled(LOOK).await;
        self.published.load().get(&id).cloned()
    }

    /// Every published list.
    pub(super) fn ids(&self) -> Vec<Id> {
        let mut ids: Vec<Id> = self.published.load().keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Waits until what is committed by now is published, but no longer than `limit`: who is answered
    /// after that may count on push, and nobody is refused for want of it.
    pub(crate) async fn settled(&self, limit: Duration) {
        let wanted = self.started.load(Ordering::SeqCst) + 1;
        let mut finished = self.finished.subscribe();
        self.wake.notify_one();
        let done = finished.wait_for(|pass| *pass >= wanted);
        drop(tokio::time::timeout(limit.min(self.patience), done).await);
    }

    /// Looks at the database soon.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Ends every subscription.
    pub(crate) fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// Completes when subscriptions have to end.
    pub(super) fn draining(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }
}

/// The lists in memory.
#[derive(Default)]
pub(crate) struct Publisher {
    held: HashMap<Id, Held>,
}

struct Held {
    list: Arc<StatusList>,
    version: i64,
    sender: watch::Sender<Option<Arc<SignedList>>>,
}

impl Publisher {
    /// Publishes for as long as anyone polls it.
    pub(crate) async fn run(mut self, shared: &Shared) -> Infallible {
        loop {
            tokio::time::sleep(PAUSE).await;
            drop(tokio::time::timeout(POLL, shared.lists.wake.notified()).await);
            if let Err(error) = self.pass(shared).await {
                tracing::warn!(
                    error = crate::problem::chain(&error),
                    "status lists cannot be read"
                );
            }
        }
    }

    /// Publishes what changed since the last pass.
    pub(crate) async fn pass(&mut self, shared: &Shared) -> Result<(), DbError> {
        let lists = &shared.lists;
        let pass = lists.started.fetch_add(1, Ordering::SeqCst) + 1;
        let rows = self.live(shared).await?;
        let retired = self.forget_retired(&rows);
        let mut opened = false;
        for row in &rows {
            opened |= self.read(shared, row).await?;
            self.publish(shared, row).await;
        }
        if opened || retired {
            let published = self.held.iter();
            let published = published.map(|(id, held)| (*id, held.sender.subscribe()));
            lists.published.store(Arc::new(published.collect()));
        }
        lists.finished.send_replace(pass);
        Ok(())
    }

    /// The lists to publish, after those whose time has come are retired.
    async fn live(&self, shared: &Shared) -> Result<Vec<ListRow>, DbError> {
        let rows = store::published(&shared.db).await?;
        let now = shared.clock.now();
        let is_due = |row: &&ListRow| row.retire_after.is_some_and(|at| at <= now);
        let due: Vec<Id> = rows.iter().filter(is_due).map(|row| row.id).collect();
        if due.is_empty() {
            return Ok(rows);
        }
        for list in due {
            retire(shared, list).await?;
        }
        store::published(&shared.db).await
    }

    /// Dropping a list's sender ends its subscriptions.
    fn forget_retired(&mut self, rows: &[ListRow]) -> bool {
        let before = self.held.len();
        self.held
            .retain(|id, _| rows.iter().any(|row| row.id == *id));
        self.held.len() < before
    }

    /// Brings the list in memory to the row's version; true when it is new here.
    async fn read(&mut self, shared: &Shared, row: &ListRow) -> Result<bool, DbError> {
        let known = self.held.get(&row.id).map(|held| held.version);
        let is_restored = known.is_some_and(|version| row.version < version);
        if is_restored {
            // The database went back in time: what it says from here on is not on top of what is held.
            tracing::warn!(list = %row.id, "status list is older than before; reading it again");
            self.held
                .entry(row.id)
                .and_modify(|held| held.clear(row.size));
        }
        let after = known.filter(|_| !is_restored).unwrap_or(0);
        let revoked = if row.version > after {
            store::revoked(&shared.db, row.id, after, row.version).await?
        } else {
            Vec::new()
        };
        let held = self
            .held
            .entry(row.id)
            .or_insert_with(|| Held::new(row.size));
        for idx in revoked {
            let at = usize::try_from(idx).unwrap_or(usize::MAX);
            if Arc::make_mut(&mut held.list).set(at, INVALID).is_err() {
                tracing::error!(list = %row.id, "a revoked place lies outside its list");
            }
        }
        held.version = row.version;
        Ok(known.is_none())
    }

    /// Signs the list if what is published is not what should be.
    async fn publish(&mut self, shared: &Shared, row: &ListRow) {
        let (Some(held), Ok(keys)) = (self.held.get(&row.id), shared.keys.current()) else {
            return;
        };
        let Some(key) = &keys.active else {
            // Revoked, and no successor yet: whoever holds a list keeps it until it is too old.
            return;
        };
        let stamp = Stamp {
            uri: uri(&shared.settings.url, row.id),
            version: held.version,
            kid: key.kid().to_owned(),
            iat: Stamp::issued_at(row.updated_at, shared.clock.now()),
            ttl: shared.settings.status_list_ttl,
        };
        let is_current = |signed: &Option<Arc<SignedList>>| {
            signed.as_ref().is_some_and(|signed| signed.stamp == stamp)
        };
        if is_current(&held.sender.borrow()) {
            return;
        }
        // Without a permit of `signers`: a queue of mints must not hold a revocation up, and this task signs
        // one list at a time.
        let list = Arc::clone(&held.list);
        let signed = tokio::task::spawn_blocking(move || SignedList::sign(stamp, &list, &keys));
        let outcome = match signed.await {
            Ok(Ok(signed)) => {
                held.sender.send_replace(Some(Arc::new(signed)));
                "published"
            }
            Ok(Err(error)) => failed(&error),
            Err(error) => failed(&error),
        };
        let labels = [("outcome", outcome.to_owned())];
        shared
            .metrics
            .count(telemetry::STATUS_LISTS_SIGNED, &labels);
    }
}

impl Held {
    fn new(size: i64) -> Self {
        let size = usize::try_from(size).unwrap_or(0);
        Self {
            list: Arc::new(StatusList::new(Bits::One, size)),
            version: 0,
            sender: watch::Sender::new(None),
        }
    }

    /// Every session is valid again, until the database says otherwise.
    fn clear(&mut self, size: i64) {
        let fresh = Self::new(size);
        self.list = fresh.list;
        self.version = fresh.version;
    }
}

fn failed(error: &(dyn std::error::Error + 'static)) -> &'static str {
    tracing::error!(
        error = crate::problem::chain(error),
        "status list cannot be signed"
    );
    "failed"
}

/// Wakes the publisher when another process revokes, for as long as anyone polls it. Where the database
/// cannot say so, SQLite or a pooler that keeps no session, the poll finds it.
pub(crate) async fn follow(shared: &Shared) -> Infallible {
    loop {
        let error = shared
            .db
            .listen("queue_status_lists", || shared.lists.wake())
            .await;
        tracing::warn!(
            error = crate::problem::chain(&error),
            "changes of status lists are polled for only"
        );
        tokio::time::sleep(RETRY).await;
    }
}

/// The status of a revoked session (Token Status List §7.1). A list has one bit a session: a customer who is
/// suspended loses the sessions, so that there is nothing `SUSPENDED` would have to say.
const INVALID: u8 = 1;
/// Least time between two passes.
const PAUSE: Duration = Duration::from_millis(50);
/// Longest time between two passes.
const POLL: Duration = Duration::from_millis(400);
/// How long a request for an unknown list waits for the next pass.
const LOOK: Duration = Duration::from_secs(1);
/// How long after a failure notifications are asked for again.
const RETRY: Duration = Duration::from_secs(1);
