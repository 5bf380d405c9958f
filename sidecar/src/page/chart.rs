//! Charts: counts → bars of a picture, and the same in words for who cannot see it.

use super::words;
use crate::metrics::Minute;
use crate::report::{Bucket, Latency};

/// One rectangle, in units of its picture; y grows downwards.
pub(super) struct Bar {
    pub(super) class: &'static str,
    pub(super) x: String,
    pub(super) y: String,
    pub(super) width: String,
    pub(super) height: String,
}

/// Verdicts by minute, stacked.
pub(super) struct Hour<'a> {
    minutes: &'a [Minute],
    /// Of the busiest minute.
    pub(super) most: u64,
    pub(super) bars: Vec<Bar>,
}

impl<'a> Hour<'a> {
    pub(super) fn of(minutes: &'a [Minute]) -> Self {
        let sum = |minute: &Minute| minute.iter().copied().map(u64::from).sum::<u64>();
        let most = minutes.iter().map(sum).max().unwrap_or(0);
        let mut bars = Vec::new();
        for (place, minute) in minutes.iter().enumerate() {
            let mut below = 0.0;
            // What could not be decided stands on the axis, where one of many is seen.
            for (class, outcome) in STACK.into_iter().zip([2, 1, 0]) {
                let height = height(u64::from(minute[outcome]), most);
                if height > 0.0 {
                    bars.push(bar(class, place, height, below));
                    below += height;
                }
            }
        }
        Self {
            minutes,
            most,
            bars,
        }
    }

    pub(super) fn total(&self, outcome: usize) -> u64 {
        let counts = self.minutes.iter().map(|minute| minute[outcome]);
        counts.map(u64::from).sum()
    }

    pub(super) fn has_any(&self) -> bool {
        self.most > 0
    }

    /// The minutes that had any, the latest first, and how long ago they were.
    pub(super) fn rows(&self) -> impl Iterator<Item = (usize, &Minute)> {
        let rows = self.minutes.iter().rev().enumerate();
        rows.filter(|(_, minute)| minute.iter().any(|count| *count > 0))
    }

    pub(super) fn alternative(&self) -> String {
        format!(
            "Bars, one a minute of the last hour: {} tokens valid, {} refused, {} undecided; {} in \
             the busiest minute.",
            self.total(0),
            self.total(1),
            self.total(2),
            self.most,
        )
    }
}

/// How long verdicts took.
pub(super) struct LatencyChart<'a> {
    latency: &'a Latency,
    /// Of the fullest column.
    pub(super) most: u64,
    pub(super) bars: Vec<Bar>,
}

impl<'a> LatencyChart<'a> {
    pub(super) fn of(latency: &'a Latency) -> Self {
        let counts = || latency.buckets.iter().map(|bucket| bucket.count);
        let most = counts().max().unwrap_or(0);
        let heights = counts().map(|count| height(count, most)).enumerate();
        let bars = heights
            .filter(|(_, height)| *height > 0.0)
            .map(|(place, height)| bar("valid", place, height, 0.0));
        Self {
            latency,
            most,
            bars: bars.collect(),
        }
    }

    /// Each column and its bound.
    pub(super) fn rows(&self) -> impl Iterator<Item = (String, &u64)> {
        let bound = |bucket: &Bucket| match bucket.le {
            Some(_) => words::seconds(&bucket.le),
            None => "longer".to_owned(),
        };
        let buckets = self.latency.buckets.iter();
        buckets.map(move |bucket| (bound(bucket), &bucket.count))
    }

    pub(super) fn alternative(&self) -> String {
        format!(
            "Bars, one for each bound of time: half of {} verdicts within {}, 99 of 100 within {}.",
            self.latency.count,
            words::seconds(&self.latency.p50),
            words::seconds(&self.latency.p99),
        )
    }
}

/// Bars are ten units apart.
fn bar(class: &'static str, place: usize, height: f64, below: f64) -> Bar {
    let number = |number: f64| format!("{number:.1}");
    Bar {
        class,
        x: format!("{}", place * 10 + 1),
        y: number((HEIGHT - below - height).max(0.0)),
        width: "8".to_owned(),
        height: number(height),
    }
}

/// The share of `most`; one of very many is still seen.
#[expect(clippy::cast_precision_loss, reason = "a picture")]
fn height(count: u64, most: u64) -> f64 {
    if count == 0 {
        return 0.0;
    }
    (count as f64 / most as f64 * HEIGHT).max(1.5)
}

const HEIGHT: f64 = 100.0;
const STACK: [&str; 3] = ["undecided", "refused", "valid"];
