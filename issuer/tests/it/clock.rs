//! A clock that is told the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use queue_issuer::{Clock, Timestamp};

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub(crate) struct FakeClock {
    micros: AtomicI64,
}

impl FakeClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            micros: AtomicI64::new(START * 1_000_000),
        })
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.micros
            .fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_micros(self.micros.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        let since = self.micros.load(Ordering::SeqCst) - START * 1_000_000;
        Duration::from_micros(u64::try_from(since).unwrap())
    }
}

/// 2026-11-24T00:00:00Z.
pub(crate) const START: i64 = 1_795_478_400;
