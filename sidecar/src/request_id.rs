//! Request id: names one request in the log of this process.
//!
//! Ours, not the caller's: what a caller sends as an id may be anything, a token too (hazard S28).

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Gives ids out.
#[derive(Debug)]
pub(crate) struct RequestIds {
    /// Seconds since 1970 at which the process began: ids of two runs differ.
    began_at: u64,
    given: AtomicU64,
}

/// One of them, as `6b49d200-1f`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestId {
    began_at: u64,
    number: u64,
}

impl RequestIds {
    pub(crate) fn new(began_at: u64) -> Self {
        let given = AtomicU64::new(0);
        Self { began_at, given }
    }

    pub(crate) fn next(&self) -> RequestId {
        RequestId {
            began_at: self.began_at,
            number: self.given.fetch_add(1, Relaxed) + 1,
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.began_at, self.number)
    }
}
