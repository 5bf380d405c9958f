//! Buckets: take a key and the present, give whether one more request fits its rate.
//!
//! The generic cell rate algorithm: a bucket is the one instant at which it will be whole again; a
//! request moves it one interval further, and is refused when that would be more intervals ahead than its quota has.
//!
//! **Invariant:** a table never grows. A newcomer to a full set takes over the place that owes least,
//! with what is owed there. So what a key owes may be overstated, never understated: a flood of other
//! keys cannot make a table forget, and to make it refuse a stranger it has to bring a whole set to the
//! limit, which costs as many requests as its sixteen keys would have been allowed.

use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// So many requests in a window, at once or spread over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    quota: u32,
    window: Duration,
}

impl Rate {
    pub(super) fn quota(self) -> u32 {
        self.quota
    }

    pub(super) fn window(self) -> Duration {
        self.window
    }

    /// The time one request takes to be forgotten; at least a microsecond, by the bounds of a quota.
    fn interval(self) -> Duration {
        self.window / self.quota
    }
}

/// `30/m`: at most so many in a second (`s`), a minute (`m`) or an hour (`h`).
impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("expected a rate from 1/h to {MOST}/s, such as 30/m");
        let (number, unit) = text.split_once('/').ok_or_else(expected)?;
        let window = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            _ => return Err(expected()),
        };
        let quota = Some(number)
            .filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|number| number.parse().ok())
            .filter(|quota| (1..=MOST).contains(quota))
            .ok_or_else(expected)?;
        Ok(Self {
            quota,
            window: Duration::from_secs(window),
        })
    }
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charge {
    /// It fits: so many more would fit now, and after `whole` nothing is owed.
    Taken { remaining: u64, whole: Duration },
    /// It does not fit before `wait`.
    Refused { wait: Duration },
}

/// The buckets of one rate.
pub(super) struct Table {
    rate: Rate,
    sets: Box<[Mutex<Set>]>,
}

type Set = [Place; WAYS];

/// A key and when its bucket will be whole; free when that is past.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    key: u64,
    whole_at: Duration,
}

impl Table {
    /// A table of at least `places`.
    pub(super) fn new(rate: Rate, places: usize) -> Self {
        let sets = places.div_ceil(WAYS).max(1);
        Self {
            rate,
            sets: (0..sets).map(|_| Mutex::default()).collect(),
        }
    }

    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    /// Bytes of its places.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        std::mem::size_of_val(&*self.sets)
    }

    /// Charges one request to `key`, which must be a keyed hash; a refused one is not charged.
    pub(super) fn charge(&self, key: u64, now: Duration) -> Charge {
        let place = usize::try_from(key % self.sets.len() as u64).unwrap_or_default();
        let mut set = self.sets[place]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let place = find(&mut set, key);
        let interval = self.rate.interval();
        // Not the window: the interval is rounded down, and the quota is to be exact.
        let most = interval * self.rate.quota;
        let whole_at = place.whole_at.max(now) + interval;
        let owed = whole_at - now;
        if owed > most {
            let wait = owed - most;
            return Charge::Refused { wait };
        }
        *place = Place { key, whole_at };
        let room = (most - owed).as_nanos() / interval.as_nanos().max(1);
        Charge::Taken {
            remaining: u64::try_from(room).unwrap_or(u64::MAX),
            whole: owed,
        }
    }
}

/// The place of `key`, or the one that owes least.
fn find(set: &mut Set, key: u64) -> &mut Place {
    let own = set.iter().position(|place| place.key == key);
    let least = || {
        (1..WAYS).fold(0, |least, way| {
            if set[way].whole_at < set[least].whole_at {
                way
            } else {
                least
            }
        })
    };
    let way = own.unwrap_or_else(least);
    &mut set[way]
}

/// `duration` in whole seconds, rounded up.
pub(super) fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

const WAYS: usize = 16;
/// Most requests a window.
const MOST: u32 = 1_000_000;
