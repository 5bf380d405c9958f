//! Activity: what one connection is doing and since when, to say when it has done it too long.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use http::Version;
use queue_verifier::Clock;

/// The phase of a connection; written on the way by whoever knows, without a timer per request.
#[derive(Debug)]
pub(crate) struct Activity {
    /// Milliseconds since the phase began, and the phase in the two lowest bits.
    phase: AtomicU64,
    under_way: AtomicUsize,
    /// Frames come and go between requests there, so a byte does not begin one.
    is_http2: AtomicBool,
}

impl Activity {
    /// A connection just accepted: the head of a request is due.
    pub(crate) fn new(clock: &dyn Clock) -> Self {
        Self {
            phase: AtomicU64::new(stamp(HEAD, clock)),
            under_way: AtomicUsize::new(0),
            is_http2: AtomicBool::new(false),
        }
    }

    /// Bytes arrived: after a rest they begin a head.
    pub(crate) fn receive(&self, clock: &dyn Clock) {
        if self.phase.load(Relaxed) & PHASE == REST && !self.is_http2.load(Relaxed) {
            self.phase.store(stamp(HEAD, clock), Relaxed);
        }
    }

    /// A request is complete and will be answered.
    pub(crate) fn begin(&self, version: Version) {
        if version == Version::HTTP_2 {
            self.is_http2.store(true, Relaxed);
        }
        self.under_way.fetch_add(1, Relaxed);
        self.phase.store(BUSY, Relaxed);
    }

    /// A request was answered.
    pub(crate) fn end(&self, clock: &dyn Clock) {
        if self.under_way.fetch_sub(1, Relaxed) == 1 {
            self.phase.store(stamp(REST, clock), Relaxed);
        }
    }

    /// Completes when a head took longer than `head`, or a rest than `rest`.
    pub(crate) async fn expire(&self, clock: &dyn Clock, head: Duration, rest: Duration) {
        loop {
            let phase = self.phase.load(Relaxed);
            let since = Duration::from_millis(phase >> PHASE_BITS);
            let now = clock.monotonic();
            let took = now.saturating_sub(since);
            let left = match phase & PHASE {
                HEAD => head.saturating_sub(took),
                REST => rest.saturating_sub(took),
                _ => head,
            };
            if left.is_zero() {
                return;
            }
            // The phase may change meanwhile to one with less time, but none has less than a head.
            clock.sleep_until(now + left.min(head).max(TICK)).await;
        }
    }
}

fn stamp(phase: u64, clock: &dyn Clock) -> u64 {
    let millis = u64::try_from(clock.monotonic().as_millis()).unwrap_or(u64::MAX >> PHASE_BITS);
    millis << PHASE_BITS | phase
}

const PHASE_BITS: u32 = 2;
const PHASE: u64 = 3;
/// The head of a request is arriving.
const HEAD: u64 = 0;
/// A request is being answered.
const BUSY: u64 = 1;
/// Nothing is under way.
const REST: u64 = 2;
/// Times are kept in milliseconds: waking earlier would only spin.
const TICK: Duration = Duration::from_millis(1);
