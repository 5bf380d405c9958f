//! Clock: the only reader of time.
//!
//! **Invariant:** claims are judged by the wall clock ([`Clock::now`]); ages, lifetimes and
//! budgets by the monotonic clock ([`Clock::monotonic`]), so that a wall-clock jump never
//! makes a key set younger or older than it is. Where the system has such a clock (Linux), it goes
//! on while the machine sleeps (hazard V41).

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
#[cfg(not(target_os = "linux"))]
use std::sync::LazyLock;
use std::time::Duration;
#[cfg(not(target_os = "linux"))]
use std::time::Instant;
#[cfg(not(target_os = "linux"))]
use std::time::{SystemTime, UNIX_EPOCH};

/// Longest wait for a timer that stands still while the machine sleeps.
const LONGEST_NAP: Duration = Duration::from_secs(15);

/// Source of time for a verifier; [`SystemClock`] outside tests.
pub trait Clock: Send + Sync + Debug {
    /// Seconds since the Unix epoch (RFC 7519 §2, `NumericDate`).
    fn now(&self) -> u64;

    /// Time since an arbitrary fixed point; never goes back.
    fn monotonic(&self) -> Duration;

    /// Completes once the monotonic clock reads `moment`. A moment, not a span: what passes between
    /// the reading of the clock and this call is not slept again.
    fn sleep_until(&self, moment: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(moment.saturating_sub(self.monotonic())))
    }
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> u64 {
        unix_seconds()
    }

    fn monotonic(&self) -> Duration {
        since_start()
    }

    /// In naps: a timer does not count the time the machine slept, the clock does.
    fn sleep_until(&self, moment: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            while let Some(left) = moment
                .checked_sub(since_start())
                .filter(|left| !left.is_zero())
            {
                tokio::time::sleep(left.min(LONGEST_NAP)).await;
            }
        })
    }
}

/// Seconds since 1970; a clock set before it reads as 0, where every token is "issued in the future".
///
/// By the clock that the kernel keeps at each of its ticks: a second begins up to 10 ms late, and
/// reading it costs an eighth of what the exact one does, at every call.
#[cfg(target_os = "linux")]
fn unix_seconds() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    u64::try_from(time.tv_sec).unwrap_or(0)
}

/// Seconds since 1970; a clock set before it reads as 0, where every token is "issued in the future".
#[cfg(not(target_os = "linux"))]
#[expect(
    clippy::disallowed_methods,
    reason = "the one reader of the wall clock"
)]
fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Time since the machine started, asleep or awake.
#[cfg(target_os = "linux")]
fn since_start() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    // Neither part is ever negative; reading zero instead would make keys young again.
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// Time since the process first looked, awake.
#[cfg(not(target_os = "linux"))]
#[expect(
    clippy::disallowed_methods,
    reason = "the one reader of the monotonic clock"
)]
fn since_start() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    Instant::now().duration_since(*START)
}

#[cfg(test)]
mod tests;
