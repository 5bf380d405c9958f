//! Waiting for a future on a thread of one's own, whatever runtime is or is not around.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use crate::clock::{Clock as _, SystemClock};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The future's output, or `None` when `timeout` passed first.
///
/// The future must be woken by somebody else's thread: nothing here drives timers or sockets.
pub(crate) fn wait<F: Future>(future: F, timeout: Duration) -> Option<F::Output> {
    let deadline = SystemClock.monotonic().saturating_add(timeout);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        let left = deadline.checked_sub(SystemClock.monotonic())?;
        thread::park_timeout(left);
    }
}
