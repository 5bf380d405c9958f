//! A clock that moves only when told to.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use queue_verifier::Clock;
use tokio::sync::watch;

/// The moment at which the corpora are judged: 2027-01-15T08:00:00Z.
pub const NOW: u64 = 1_800_000_000;

/// Both clocks of a verifier, set by hand.
#[derive(Debug)]
pub struct FakeClock {
    times: watch::Sender<Times>,
}

#[derive(Debug, Clone, Copy)]
struct Times {
    wall: u64,
    monotonic: Duration,
}

impl FakeClock {
    /// A clock that reads `wall` (Unix seconds).
    #[must_use]
    pub fn at(wall: u64) -> Arc<Self> {
        let times = Times {
            wall,
            monotonic: Duration::from_secs(1_000_000),
        };
        Arc::new(Self {
            times: watch::Sender::new(times),
        })
    }

    /// Lets `seconds` pass on both clocks and wakes whoever slept until then.
    pub fn advance(&self, seconds: u64) {
        self.times.send_modify(|times| {
            times.wall += seconds;
            times.monotonic += Duration::from_secs(seconds);
        });
    }

    /// Sets the wall clock, as an operator or NTP would; the monotonic clock does not see it.
    pub fn jump_to(&self, wall: u64) {
        self.times.send_modify(|times| times.wall = wall);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> u64 {
        self.times.borrow().wall
    }

    fn monotonic(&self) -> Duration {
        self.times.borrow().monotonic
    }

    fn sleep_until(&self, moment: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut times = self.times.subscribe();
        Box::pin(async move {
            if times
                .wait_for(|times| times.monotonic >= moment)
                .await
                .is_err()
            {
                // The clock is gone, so its time never comes.
                std::future::pending::<()>().await;
            }
        })
    }
}
