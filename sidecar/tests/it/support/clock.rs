//! A clock that moves only when told to.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use queue_verifier::Clock;
use tokio::sync::watch;

/// 2027-01-15T08:00:00Z.
pub(crate) const NOW: u64 = 1_800_000_000;

/// Both clocks, set by hand.
#[derive(Debug)]
pub(crate) struct FakeClock {
    start: u64,
    passed: watch::Sender<Duration>,
}

impl FakeClock {
    pub(crate) fn at(start: u64) -> Arc<Self> {
        let passed = watch::Sender::new(Duration::ZERO);
        Arc::new(Self { start, passed })
    }

    /// Lets `duration` pass and wakes whoever slept until then.
    pub(crate) fn advance(&self, duration: Duration) {
        self.passed.send_modify(|passed| *passed += duration);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> u64 {
        self.start + self.passed.borrow().as_secs()
    }

    fn monotonic(&self) -> Duration {
        *self.passed.borrow()
    }

    fn sleep_until(&self, moment: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut passed = self.passed.subscribe();
        Box::pin(async move {
            if passed.wait_for(|passed| *passed >= moment).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}
