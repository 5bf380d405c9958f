//! Subscribers: takes a client's address, gives it one of the places there are for streams of events.
//!
//! **Invariant:** there are only so many places, and only so many of them for one address as limits tell
//! clients apart: nobody alone keeps the others from being told.
//! **Invariant:** a place is free again when its stream ends, in whatever way, and at the latest
//! [`GREATEST_AGE`] after it was taken, though its reader be stuck.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::problem::{Problem, ProblemCode};
use crate::rate_limit::ClientAddress;

/// The places of one process.
#[derive(Debug)]
pub(super) struct Subscribers {
    most: usize,
    most_of_one: usize,
    taken: Mutex<Taken>,
}

/// Who has places, the oldest first.
#[derive(Debug, Default)]
struct Taken {
    next: u64,
    places: BTreeMap<u64, (ClientAddress, Duration)>,
    of_one: HashMap<ClientAddress, usize>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    subscribers: Arc<Subscribers>,
    number: u64,
    /// When the stream ends (monotonic).
    pub(super) ends_at: Duration,
}

impl Subscribers {
    pub(super) fn new(most: u32, most_of_one: u32) -> Self {
        let count = |most| usize::try_from(most).unwrap_or(usize::MAX);
        Self {
            most: count(most),
            most_of_one: count(most_of_one),
            taken: Mutex::default(),
        }
    }

    /// A place for `address`, if it and all together have one left.
    pub(super) fn take(
        self: &Arc<Self>,
        address: ClientAddress,
        now: Duration,
    ) -> Result<Place, Problem> {
        let mut taken = self.taken();
        taken.give_back_old(now);
        if taken.places.len() >= self.most {
            return Err(Problem::new(ProblemCode::StatusListSubscribersFull));
        }
        let of_one = taken.of_one.get(&address).copied().unwrap_or(0);
        if of_one >= self.most_of_one {
            return Err(Problem::new(ProblemCode::StatusListAddressFull).retry_after(WAIT));
        }
        let (number, ends_at) = (taken.next, now + GREATEST_AGE);
        taken.next += 1;
        taken.of_one.insert(address, of_one + 1);
        taken.places.insert(number, (address, ends_at));
        Ok(Place {
            subscribers: Arc::clone(self),
            number,
            ends_at,
        })
    }

    /// Each change is whole before anything can panic.
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn give_back_old(&mut self, now: Duration) {
        while let Some((number, (_, ends_at))) = self.places.first_key_value() {
            if *ends_at > now {
                break;
            }
            self.give_back(*number);
        }
    }

    /// No harm is done by giving a place back twice: its number never comes again.
    fn give_back(&mut self, number: u64) {
        let Some((address, _)) = self.places.remove(&number) else {
            return;
        };
        let left = self.of_one.get(&address).map_or(0, |count| count - 1);
        if left == 0 {
            self.of_one.remove(&address);
        } else {
            self.of_one.insert(address, left);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.subscribers.taken().give_back(self.number);
    }
}

/// How old a stream may grow; its reader comes back, perhaps to another replica.
pub(super) const GREATEST_AGE: Duration = Duration::from_secs(900);
/// Seconds after which an address that has its share may ask again.
const WAIT: u64 = 30;

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::time::Duration;

    use super::{GREATEST_AGE, Place, Subscribers};
    use crate::problem::ProblemCode;

    const SECOND: Duration = Duration::from_secs(1);

    fn take(
        subscribers: &Arc<Subscribers>,
        address: &str,
        now: Duration,
    ) -> Result<Place, ProblemCode> {
        let address: IpAddr = address.parse().unwrap();
        let place = subscribers.take(address.into(), now);
        place.map_err(|problem| problem.code())
    }

    #[test]
    fn an_address_has_its_share_and_all_have_theirs() {
        let subscribers = Arc::new(Subscribers::new(3, 2));
        let take = |address| take(&subscribers, address, SECOND);
        let one = take("2001:db8::1").unwrap();
        let two = take("2001:db8::2").unwrap();
        let refused = take("2001:db8:0:0:ffff::3").unwrap_err();
        assert_eq!(refused, ProblemCode::StatusListAddressFull);
        let other = take("192.0.2.1").unwrap();
        let refused = take("192.0.2.2").unwrap_err();
        assert_eq!(refused, ProblemCode::StatusListSubscribersFull);
        drop((one, other));
        let again = take("2001:db8::4").unwrap();
        drop((two, again));
        let taken = subscribers.taken();
        assert!(taken.places.is_empty() && taken.of_one.is_empty());
    }

    #[test]
    fn the_place_of_a_reader_who_is_stuck_is_free_when_it_is_old() {
        let subscribers = Arc::new(Subscribers::new(2, 1));
        let stuck = take(&subscribers, "192.0.2.1", SECOND).unwrap();
        let old = stuck.ends_at;
        assert_eq!(old, SECOND + GREATEST_AGE);
        let early = take(&subscribers, "192.0.2.1", old - SECOND).unwrap_err();
        assert_eq!(early, ProblemCode::StatusListAddressFull);
        let next = take(&subscribers, "192.0.2.1", old).unwrap();
        // Its end, when it comes at last, takes nothing from who has the place now.
        drop(stuck);
        let full = take(&subscribers, "192.0.2.1", old).unwrap_err();
        assert_eq!(full, ProblemCode::StatusListAddressFull);
        drop(next);
        take(&subscribers, "192.0.2.1", old).unwrap();
    }
}
