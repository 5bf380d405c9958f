//! Clock: a Python callable as the source of wall-clock time, for tests.
//!
//! **Invariant:** a callable that raises makes the call fail with its exception, never pass:
//! until that is raised, time stands at its end, where every token is expired.

use std::sync::Mutex;
use std::time::Duration;

use pyo3::prelude::*;
use queue_verifier::{Clock, SystemClock};

/// `clock=` of the Python verifier.
#[derive(Debug)]
pub(crate) struct PythonClock {
    callable: Py<PyAny>,
    raised: Mutex<Option<PyErr>>,
}

impl PythonClock {
    pub(crate) fn new(callable: Py<PyAny>) -> Self {
        Self {
            callable,
            raised: Mutex::new(None),
        }
    }

    /// What the callable raised since this was last asked.
    pub(crate) fn take_raised(&self) -> Option<PyErr> {
        self.raised.lock().ok()?.take()
    }
}

impl Clock for PythonClock {
    fn now(&self) -> u64 {
        let now = Python::try_attach(|py| self.callable.call0(py)?.extract::<f64>(py));
        match now {
            Some(Ok(now)) if now.is_finite() => whole_seconds(now),
            Some(Err(error)) => {
                if let Ok(mut raised) = self.raised.lock() {
                    *raised = Some(error);
                }
                u64::MAX
            }
            Some(Ok(_)) | None => u64::MAX,
        }
    }

    fn monotonic(&self) -> Duration {
        SystemClock.monotonic()
    }
}

/// Rounded down; before 1970 is 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from a float saturates"
)]
fn whole_seconds(now: f64) -> u64 {
    now.floor() as u64
}
