//! Waiting for the key thread: by parking a thread, or by telling an event loop when to ask again.
//!
//! No runtime is started: the thread that fetches keys is the only one that drives sockets and
//! timers, and it wakes whoever waits. So a forked child has nothing of ours to repair but that
//! thread, and no thread is spent on an awaiting coroutine.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use pyo3::prelude::*;
use queue_verifier::{Clock as _, Error, Session, SystemClock};

use crate::verifier::Verifier;

/// How often a waiting thread looks for signals, so that Ctrl-C is heard.
const SIGNAL_CHECK: Duration = Duration::from_millis(250);

/// The future's output if it need not wait; the GIL is released meanwhile.
pub(crate) fn at_once<F>(py: Python<'_>, mut future: Pin<&mut F>) -> Option<F::Output>
where
    F: Future + Send + ?Sized,
    F::Output: Send,
{
    let polled = py.detach(|| {
        future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
    });
    match polled {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// The future's output, or `None` once `timeout` has passed; the GIL is released meanwhile.
///
/// # Errors
/// What a signal handler raises.
pub(crate) fn wait<F>(
    py: Python<'_>,
    future: F,
    timeout: Option<Duration>,
) -> PyResult<Option<F::Output>>
where
    F: Future + Send,
    F::Output: Send,
{
    let mut future = pin!(future);
    // Keys are at hand nearly always: then there is nobody to be woken.
    if let Some(output) = at_once(py, future.as_mut()) {
        return Ok(Some(output));
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let start = SystemClock.monotonic();
    loop {
        let polled = py.detach(|| future.as_mut().poll(&mut Context::from_waker(&waker)));
        if let Poll::Ready(output) = polled {
            return Ok(Some(output));
        }
        let waited = SystemClock.monotonic().saturating_sub(start);
        let left = timeout.map_or(SIGNAL_CHECK, |timeout| timeout.saturating_sub(waited));
        if left.is_zero() {
            return Ok(None);
        }
        py.detach(|| thread::park_timeout(left.min(SIGNAL_CHECK)));
        py.check_signals()?;
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

type Walk = Pin<Box<dyn Future<Output = Result<Session, Error>> + Send>>;

/// A validation that waits for keys; dropping it cancels nothing but itself.
#[pyclass(frozen, module = "queue_verifier._native")]
pub(crate) struct Pending {
    walk: Mutex<Walk>,
    verifier: Py<Verifier>,
}

impl Pending {
    /// Walks; the verdict when it needs no waiting, else what to wait for.
    pub(crate) fn start(
        py: Python<'_>,
        verifier: Py<Verifier>,
        mut walk: Walk,
    ) -> Result<Result<Session, Error>, Self> {
        at_once(py, walk.as_mut()).ok_or_else(|| Self {
            walk: Mutex::new(walk),
            verifier,
        })
    }
}

#[pymethods]
impl Pending {
    /// Return the session, or None and have `wake` called, from any thread, when to ask again.
    fn poll<'py>(&self, py: Python<'py>, wake: Py<PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let waker = Waker::from(Arc::new(Call(wake)));
        let polled = py.detach(|| {
            let mut walk = self.walk.lock().unwrap_or_else(PoisonError::into_inner);
            walk.as_mut().poll(&mut Context::from_waker(&waker))
        });
        match polled {
            Poll::Ready(verdict) => self.verifier.get().conclude(py, verdict).map(Some),
            Poll::Pending => Ok(None),
        }
    }
}

struct Call(Py<PyAny>);

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        // No interpreter, or an event loop that is closed: then nobody waits any more.
        let _ = Python::try_attach(|py| self.0.call0(py).map(drop));
    }
}
