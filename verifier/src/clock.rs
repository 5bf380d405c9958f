//! Clock: the only reader of time.
//!
//! **Invariant:** claims are judged by the wall clock ([`Clock::now`]); ages, lifetimes and
//! budgets by the monotonic clock ([`Clock::monotonic`]), so that a wall-clock jump never
//! makes a key set younger or older than it is.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Source of time for a verifier; [`SystemClock`] outside tests.
pub trait Clock: Send + Sync + Debug {
    /// Seconds since the Unix epoch (RFC 7519 §2, `NumericDate`).
    fn now(&self) -> u64;

    /// Time since an arbitrary fixed point; never goes back.
    fn monotonic(&self) -> Duration;

    /// Completes once `duration` has passed on the monotonic clock.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one reader of the wall clock"
    )]
    fn now(&self) -> u64 {
        // A clock set before 1970 reads as 0, where every token is "issued in the future".
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one reader of the monotonic clock"
    )]
    fn monotonic(&self) -> Duration {
        Instant::now().duration_since(*START)
    }
}

#[expect(clippy::disallowed_methods, reason = "the zero of the monotonic clock")]
static START: LazyLock<Instant> = LazyLock::new(Instant::now);
