//! Histogram: durations counted by size, without a lock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Counts of durations.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    total_nanos: AtomicU64,
}

impl Histogram {
    /// Counts one: a search among 13 bounds and two additions.
    pub(crate) fn record(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|(bound, _)| *bound < nanos);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.total_nanos.fetch_add(nanos, Relaxed);
    }

    /// What was counted until now.
    pub(crate) fn spread(&self) -> Spread {
        Spread {
            buckets: self.buckets.each_ref().map(|count| count.load(Relaxed)),
            sum: Duration::from_nanos(self.total_nanos.load(Relaxed)),
        }
    }
}

/// A histogram as it stood.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    /// How many fell in each bucket: between its bound and the one before.
    pub(crate) buckets: [u64; BOUNDS.len() + 1],
    pub(crate) sum: Duration,
}

impl Spread {
    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The duration that `per_mille` of them did not exceed, as a straight line through its bucket
    /// has it; none when there were none. What is past the last bound reads as that.
    pub(crate) fn quantile(&self, per_mille: u64) -> Option<Duration> {
        let rank = (self.count() * per_mille).div_ceil(1000).max(1);
        let (mut before, mut lower) = (0, 0);
        for (count, bound) in self.buckets.iter().zip(BOUNDS.iter().map(|bound| bound.0)) {
            if before + count >= rank {
                let share = u128::from(bound - lower) * u128::from(rank - before);
                let above = u64::try_from(share / u128::from(*count)).unwrap_or(bound - lower);
                return Some(Duration::from_nanos(lower + above));
            }
            (before, lower) = (before + count, bound);
        }
        (self.count() > 0).then_some(Duration::from_nanos(lower))
    }
}

/// Upper bounds of the buckets: nanoseconds, and the same in seconds as the page shows it. One
/// signature takes 15 to 30 µs; a wait for a fetch takes milliseconds to seconds.
pub(crate) const BOUNDS: [(u64, &str); 13] = [
    (25_000, "0.000025"),
    (50_000, "0.00005"),
    (100_000, "0.0001"),
    (250_000, "0.00025"),
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_500_000, "0.0025"),
    (10_000_000, "0.01"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (500_000_000, "0.5"),
    (1_000_000_000, "1"),
    (5_000_000_000, "5"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_lies_in_the_bucket_that_holds_it() {
        let histogram = Histogram::default();
        assert_eq!(histogram.spread().quantile(500), None);
        for _ in 0..99 {
            histogram.record(Duration::from_micros(40));
        }
        histogram.record(Duration::from_secs(60));
        let spread = histogram.spread();
        let median = spread.quantile(500).unwrap();
        assert!(median > Duration::from_micros(25) && median <= Duration::from_micros(50));
        assert_eq!(spread.quantile(990), Some(Duration::from_micros(50)));
        assert_eq!(spread.quantile(1000), Some(Duration::from_secs(5)));
        assert_eq!(spread.count(), 100);
    }

    #[test]
    fn a_bound_belongs_to_its_own_bucket() {
        let histogram = Histogram::default();
        histogram.record(Duration::from_nanos(25_000));
        histogram.record(Duration::from_nanos(25_001));
        assert_eq!(histogram.spread().buckets[..2], [1, 1]);
    }
}
