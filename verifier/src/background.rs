//! Background: the thread of an issuer, on which its keys and status lists are kept fresh.
//!
//! **Invariant:** the thread ends when its workers do, and a worker ends when its handle is dropped:
//! nobody's runtime is needed, and nobody's shutdown takes it away.
//! **Invariant:** a worker that panics is named in the log and takes no other with it.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;

use tokio::task::JoinError;

/// One long task of the thread.
pub(crate) type Worker = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Work that did not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Panicked;

/// Starts a thread that runs `workers` side by side until all have ended.
///
/// # Errors
/// When the system has no thread or no I/O driver to give.
pub(crate) fn start(workers: Vec<Worker>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let all = side_by_side(workers);
    std::thread::Builder::new()
        .name("queue-refresh".to_owned())
        .spawn(move || runtime.block_on(all))?;
    Ok(())
}

/// Runs `workers` until all have ended, well or not.
fn side_by_side(workers: Vec<Worker>) -> impl Future<Output = ()> {
    let alone = |worker| Box::pin(caught("issuer", worker));
    let mut workers: Vec<_> = workers.into_iter().map(alone).collect();
    poll_fn(move |context| {
        workers.retain_mut(|worker| worker.as_mut().poll(context).is_pending());
        if workers.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
}

/// What `work` of `worker` comes to. Whoever calls must not rely on what it has left half done.
///
/// # Errors
/// When it panicked.
pub(crate) async fn caught<T>(
    worker: &'static str,
    work: impl Future<Output = T>,
) -> Result<T, Panicked> {
    let mut work = pin!(work);
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
        let Ok(poll) = polled else {
            note_panic(worker);
            return Poll::Ready(Err(Panicked));
        };
        poll.map(Ok)
    })
    .await
}

/// Says in the log when the task of a status list has ended in a panic.
pub(crate) fn note_end(ended: &Result<(), JoinError>) {
    if ended.as_ref().is_err_and(JoinError::is_panic) {
        note_panic("status_list");
    }
}

/// Without the words of the panic: nobody can vouch for what is in them.
fn note_panic(worker: &'static str) {
    tracing::error!(worker, "background_worker_panicked");
}

#[cfg(test)]
mod tests;
