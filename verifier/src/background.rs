//! Background: the thread of an issuer, on which its keys and status lists are kept fresh.
//!
//! **Invariant:** the thread ends when its workers do, and a worker ends when its handle is dropped:
//! nobody's runtime is needed, and nobody's shutdown takes it away.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// One long task of the thread.
pub(crate) type Worker = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Starts a thread that runs `workers` side by side until all have ended.
///
/// # Errors
/// When the system has no thread or no I/O driver to give.
pub(crate) fn start(mut workers: Vec<Worker>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let all = poll_fn(move |context| {
        workers.retain_mut(|worker| worker.as_mut().poll(context).is_pending());
        if workers.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    });
    std::thread::Builder::new()
        .name("queue-refresh".to_owned())
        .spawn(move || runtime.block_on(all))?;
    Ok(())
}
