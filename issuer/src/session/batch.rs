//! Batch: takes the sessions that services ask for at the same time, keeps and signs them in one transaction.
//!
//! **Invariant:** nothing waits for a batch to fill: it is what came while those before it were at work.
//! **Invariant:** a batch waits for nobody: a customer whom another transaction holds is left out. What is left
//! out, or fails with others, is tried alone, so that each caller has the outcome of its own session.
//! **Invariant:** signing happens before the commit, under the key that is active in the transaction.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use super::issue::{self, Signed};
use super::{Holder, SessionRow, store};
use crate::app::Shared;
use crate::audit::{self, Actor};
use crate::db::{Id, Tx};
use crate::problem::{self, Problem, ProblemCode};
use crate::status_list;
use crate::token;

/// A session to be minted, and who asks for it.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) session: SessionRow,
    pub(super) actor: Actor,
}

/// The sessions that wait to be minted, and the tasks that mint.
#[derive(Debug)]
pub(crate) struct Mints {
    state: Mutex<State>,
    tasks: Mutex<Tasks>,
    /// Places for those tried alone: fewer than there are connections, as each may wait for its customer.
    alone: Semaphore,
}

#[derive(Debug, Default)]
struct Tasks {
    set: JoinSet<()>,
    is_closed: bool,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    at_work: usize,
    workers: usize,
}

#[derive(Debug)]
struct Waiting {
    wish: Wish,
    answer: oneshot::Sender<Result<Signed, Problem>>,
}

/// Mints what `wish` asks for, together with what others ask for now.
///
/// # Errors
/// `customer_not_found`, `customer_suspended`, `customer_erased`, `key_unavailable`, `database_unavailable`.
pub(super) async fn mint(shared: &Shared, wish: Wish) -> Result<Signed, Problem> {
    let (answer, outcome) = oneshot::channel();
    if shared.mints.put(Waiting { wish, answer }) {
        shared.mints.start(work(shared.clone()));
    }
    outcome.await.map_err(Problem::fault)?
}

impl Default for Mints {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            tasks: Mutex::default(),
            alone: Semaphore::new(ALONE),
        }
    }
}

impl Mints {
    /// Lets `one` wait; whether a worker has to be started for it.
    fn put(&self, one: Waiting) -> bool {
        let mut state = self.lock();
        if state.waiting.len() >= BATCH {
            state.forget_gone();
        }
        state.waiting.push_back(one);
        let has_room = state.workers < WORKERS;
        state.workers += usize::from(has_room);
        has_room
    }

    /// Up to a batch of what waits; with nothing left, the worker that asks is done.
    fn take(&self) -> Option<Vec<Waiting>> {
        let mut state = self.lock();
        state.forget_gone();
        if state.waiting.is_empty() {
            state.workers -= 1;
            return None;
        }
        let size = state.waiting.len().min(BATCH);
        state.at_work += size;
        Some(state.waiting.drain(..size).collect())
    }

    fn done(&self, size: usize) {
        self.lock().at_work -= size;
    }

    /// How many callers wait for a transaction, and how many are in one.
    pub(crate) fn waiting_and_at_work(&self) -> (usize, usize) {
        let state = self.lock();
        let waiting = state.waiting.iter();
        let waiting = waiting.filter(|one| !one.answer.is_closed()).count();
        (waiting, state.at_work)
    }

    /// Ends what is still at work, once nobody is to be answered any more.
    pub(crate) async fn end(&self) {
        loop {
            let mut set = {
                let mut tasks = locked(&self.tasks);
                tasks.is_closed = true;
                mem::take(&mut tasks.set)
            };
            if set.is_empty() {
                return;
            }
            set.shutdown().await;
        }
    }

    fn start(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = locked(&self.tasks);
        while tasks.set.try_join_next().is_some() {}
        if !tasks.is_closed {
            tasks.set.spawn(task);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }
}

impl State {
    /// Whose caller has gone needs no session.
    fn forget_gone(&mut self) {
        self.waiting.retain(|one| !one.answer.is_closed());
    }
}

/// Works until nothing waits.
async fn work(shared: Shared) {
    while let Some(batch) = shared.mints.take() {
        let size = batch.len();
        settle(&shared, batch).await;
        shared.mints.done(size);
    }
}

async fn settle(shared: &Shared, batch: Vec<Waiting>) {
    let tx = match shared.db.begin().await {
        Ok(tx) => tx,
        Err(error) => return refuse(batch, &problem::chain(&error)),
    };
    let wishes: Vec<_> = batch.iter().map(|one| &one.wish).collect();
    let signed = AssertUnwindSafe(together(shared, tx, &wishes)).catch_unwind();
    // Nobody waits longer for an answer; what is dropped here leaves nothing behind.
    let signed = tokio::time::timeout(shared.settings.request_timeout, signed).await;
    let problem = match signed {
        Ok(Ok(Ok(signed))) => return leave_alone(shared, answer(batch, signed)),
        Ok(Ok(Err(problem))) => problem,
        Ok(Err(_panic)) => Problem::new(ProblemCode::InternalError),
        Err(_elapsed) => return refuse(batch, "the database took longer than a request may"),
    };
    match <[Waiting; 1]>::try_from(batch) {
        Ok([only]) => drop(only.answer.send(Err(problem))),
        Err(several) => {
            let (code, count) = (problem.code().as_str(), several.len());
            tracing::warn!(code, count, "sessions are minted one by one");
            leave_alone(shared, several);
        }
    }
}

/// Tries each of `left` in a transaction of its own; nobody waits for them but their callers.
fn leave_alone(shared: &Shared, left: Vec<Waiting>) {
    for one in left {
        shared.mints.start(settle_alone(shared.clone(), one));
    }
}

async fn settle_alone(shared: Shared, one: Waiting) {
    let Waiting { wish, mut answer } = one;
    let tried = async {
        let _place = shared.mints.alone.acquire().await.map_err(Problem::fault)?;
        issue::alone(&shared, &wish).await
    };
    let outcome = tokio::select! {
        () = answer.closed() => return,
        outcome = tried => outcome,
    };
    drop(answer.send(outcome));
}

/// Answers those whose session is in `signed`; the others.
fn answer(batch: Vec<Waiting>, mut signed: HashMap<Id, Signed>) -> Vec<Waiting> {
    let mut left = Vec::new();
    for one in batch {
        match signed.remove(&one.wish.session.id) {
            Some(signed) => drop(one.answer.send(Ok(signed))),
            None => left.push(one),
        }
    }
    left
}

/// Without asking a database again that is not there: each caller may try later.
fn refuse(batch: Vec<Waiting>, error: &str) {
    let count = batch.len();
    tracing::warn!(error, count, "sessions cannot be minted");
    for one in batch {
        let unavailable = Problem::new(ProblemCode::DatabaseUnavailable);
        drop(one.answer.send(Err(unavailable)));
    }
}

/// Mints all that `wishes` ask for in one transaction, by session, but for those left out.
async fn together(
    shared: &Shared,
    mut tx: Tx,
    wishes: &[&Wish],
) -> Result<HashMap<Id, Signed>, Problem> {
    let customers = wishes.iter().map(|wish| wish.session.customer);
    let holders = store::free_holders(&mut tx, customers).await?;
    let holder = |wish: &Wish| {
        let holder = holders.get(&wish.session.customer)?;
        holder.check_may_sign_in().ok().map(|()| holder)
    };
    let (kept, holders): (Vec<&Wish>, Vec<&Holder>) = wishes
        .iter()
        .filter_map(|wish| Some((*wish, holder(wish)?)))
        .unzip();
    let sessions: Vec<_> = kept.iter().map(|wish| &wish.session).collect();
    store::insert_each(&mut tx, &sessions).await?;
    let ids: Vec<_> = sessions
        .iter()
        .map(|session| session.id.to_string())
        .collect();
    let events = kept.iter().zip(&ids);
    let events: Vec<_> = events.map(|(wish, id)| issue::minted(wish, id)).collect();
    audit::record_each(&mut tx, &events).await?;
    let places = status_list::assign_each(&mut tx, &sessions, shared.list_shape()).await?;
    let keys = shared.keys.as_of(&mut tx).await?;
    let grants = sessions.iter().zip(holders).zip(&places);
    let grants = grants.map(|((session, holder), assigned)| {
        let grant = issue::grant(shared, session, holder.clone(), assigned.place);
        (grant, session.created_at)
    });
    let tokens = token::sign_each(shared, &keys, grants.collect()).await?;
    tx.commit().await?;
    let signed = tokens.into_iter().zip(places);
    let signed = signed.map(|(token, assigned)| Signed {
        token,
        opened_list: assigned.opened,
    });
    Ok(sessions
        .iter()
        .map(|session| session.id)
        .zip(signed)
        .collect())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sessions kept in one transaction: a few milliseconds of signing.
const BATCH: usize = 64;
/// Batches at once: while one waits for the database, another signs.
const WORKERS: usize = 2;
/// Sessions that are tried alone at once.
const ALONE: usize = 4;
