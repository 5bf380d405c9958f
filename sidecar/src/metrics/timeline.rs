//! Timeline: verdicts of the last hour, minute by minute, without a lock.
//!
//! **Invariant:** no verdict is lost or counted for a minute an hour away: a cell holds its minute
//! and its count in one word, so that whoever begins a minute takes the place of the old one and
//! counts itself in one step.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What became of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Valid,
    Refused,
    /// 503: no keys, no time, no room.
    Undecided,
}

/// Counts of one minute: valid, refused, undecided.
pub(crate) type Minute = [u32; 3];

/// The last hour.
#[derive(Debug)]
pub(crate) struct Timeline(Box<[[AtomicU64; 3]; SLOTS]>);

impl Timeline {
    pub(crate) fn new() -> Self {
        Self(Box::new(std::array::from_fn(|_| Default::default())))
    }

    /// Counts one at `now`, on the monotonic clock.
    pub(crate) fn count(&self, outcome: Outcome, now: Duration) {
        let minute = minute(now);
        let cell = &self.0[slot(minute)][outcome as usize];
        let mut seen = cell.load(Relaxed);
        // The count has 32 bits: 70 million a second for a minute do not fill it.
        while seen >> COUNT_BITS != minute {
            let first = minute << COUNT_BITS | 1;
            match cell.compare_exchange_weak(seen, first, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(other) => seen = other,
            }
        }
        cell.fetch_add(1, Relaxed);
    }

    /// The minutes up to the one of `now`, oldest first; those before the first are empty.
    pub(crate) fn last_hour(&self, now: Duration) -> [Minute; MINUTES] {
        let last = minute(now);
        std::array::from_fn(|place| {
            let back = u64::try_from(MINUTES - 1 - place).unwrap_or(0);
            let Some(minute) = last.checked_sub(back) else {
                return Minute::default();
            };
            self.0[slot(minute)].each_ref().map(|cell| {
                let seen = cell.load(Relaxed);
                let count = u32::try_from(seen & u64::from(u32::MAX)).unwrap_or(u32::MAX);
                if seen >> COUNT_BITS == minute {
                    count
                } else {
                    0
                }
            })
        })
    }
}

fn minute(now: Duration) -> u64 {
    now.as_secs() / 60
}

fn slot(minute: u64) -> usize {
    usize::try_from(minute % SLOTS as u64).unwrap_or(0)
}

/// Minutes shown.
const MINUTES: usize = 60;
/// Minutes kept: a few more, so that the oldest shown is never being replaced.
const SLOTS: usize = 64;
const COUNT_BITS: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(minutes: u64) -> Duration {
        Duration::from_secs(minutes * 60 + 59)
    }

    #[test]
    fn a_verdict_is_shown_for_an_hour_in_its_own_minute() {
        let timeline = Timeline::new();
        timeline.count(Outcome::Valid, at(1000));
        timeline.count(Outcome::Valid, at(1000));
        timeline.count(Outcome::Undecided, at(1000));
        timeline.count(Outcome::Refused, at(1001));
        let hour = timeline.last_hour(at(1001));
        assert_eq!(hour[58..], [[2, 0, 1], [0, 1, 0]]);
        assert_eq!(hour[..58], [[0; 3]; 58]);
        assert_eq!(timeline.last_hour(at(1059))[0], [2, 0, 1]);
        assert_eq!(timeline.last_hour(at(1060))[0], [0, 1, 0]);
        assert_eq!(timeline.last_hour(at(1061)), [[0; 3]; 60]);
    }

    #[test]
    fn a_minute_takes_the_place_of_one_long_gone() {
        let timeline = Timeline::new();
        for minute in [3, 3 + 64, 3 + 128] {
            timeline.count(Outcome::Valid, at(minute));
            let hour = timeline.last_hour(at(minute));
            assert_eq!((hour[59], hour[..59].concat()), ([1, 0, 0], vec![0; 177]));
        }
    }

    #[test]
    fn none_is_lost_where_threads_begin_a_minute_together() {
        let timeline = Timeline::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for minute in 0..2000 {
                        timeline.count(Outcome::Valid, at(minute / 100));
                    }
                });
            }
        });
        assert_eq!(timeline.last_hour(at(19))[40..], [[400, 0, 0]; 20]);
    }
}
