//! What the verifier knows about each issuer, as gauges labelled with it.

use std::fmt::Write as _;

use queue_verifier::report::{IssuerStatus, KeySetState, StatusState};

use super::Page;
use crate::telemetry as name;

/// What one family says of an issuer; none where there is nothing to say.
type Value = fn(&IssuerStatus) -> Option<f64>;

/// Writes each family once, with a sample for each issuer.
pub(super) fn render(page: &mut Page, issuers: &[IssuerStatus]) {
    for (name, kind, help, value) in FAMILIES {
        let samples: Vec<_> = issuers
            .iter()
            .filter_map(|issuer| Some((label(&issuer.issuer), value(issuer)?)))
            .collect();
        if !samples.is_empty() {
            page.family(name, kind, help);
        }
        for (label, value) in samples {
            page.sample(name, &format!("{{issuer=\"{label}\"}}"), value);
        }
    }
}

const FAMILIES: [(&str, &str, &str, Value); 13] = [
    (
        name::READY,
        "gauge",
        "1 when a token could be judged now.",
        |issuer| Some(truth(issuer.key_set.is_some())),
    ),
    (
        name::KEY_SET_AGE,
        "gauge",
        "Seconds since the issuer confirmed the key set.",
        |issuer| issuer.key_set_age.map(number),
    ),
    (
        name::KEY_SET_STALE,
        "gauge",
        "1 when the key set is past its lifetime.",
        |issuer| Some(truth(issuer.key_set == Some(KeySetState::Stale))),
    ),
    (name::KEYS, "gauge", "Usable keys in the set.", |issuer| {
        Some(count(issuer.keys.len()))
    }),
    (
        name::KEYS_REFUSED,
        "gauge",
        "Keys of the set that are not used.",
        |issuer| Some(count(issuer.refused.len())),
    ),
    (
        name::KEY_ALARMS,
        "gauge",
        "Key ids that were seen with two materials; neither verifies.",
        |issuer| Some(count(issuer.refresh.as_ref()?.alarms.len())),
    ),
    (
        name::REFRESH_ATTEMPTS,
        "counter",
        "Fetches of the key set so far.",
        |issuer| Some(number(issuer.refresh.as_ref()?.attempts)),
    ),
    (
        name::REFRESH_FAILURES,
        "gauge",
        "Failed fetches of the key set since the last success.",
        |issuer| Some(f64::from(issuer.refresh.as_ref()?.failures_in_a_row)),
    ),
    (
        name::CLOCK_OFFSET,
        "gauge",
        "Seconds the issuer's clock is ahead of this one.",
        |issuer| {
            let offset = issuer.refresh.as_ref()?.clock_offset?;
            let size = number(offset.unsigned_abs());
            Some(if offset < 0 { -size } else { size })
        },
    ),
    (
        name::STATUS_LISTS,
        "gauge",
        "Status lists that tokens named lately.",
        |issuer| Some(count(issuer.status_lists.len())),
    ),
    (
        name::STATUS_LISTS_UNFIT,
        "gauge",
        "Those without a copy within the age bound.",
        |issuer| {
            let lists = issuer.status_lists.iter();
            Some(count(
                lists
                    .filter(|list| list.state != StatusState::Fresh)
                    .count(),
            ))
        },
    ),
    (
        name::STATUS_LISTS_PUSHED,
        "gauge",
        "Those whose changes are pushed.",
        |issuer| {
            let lists = issuer.status_lists.iter();
            Some(count(lists.filter(|list| list.push == "connected").count()))
        },
    ),
    (
        name::STATUS_LIST_AGE,
        "gauge",
        "Seconds since the issuer confirmed the oldest of them.",
        |issuer| {
            let ages = issuer.status_lists.iter().filter_map(|list| list.age);
            ages.max().map(number)
        },
    ),
];

fn truth(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

fn count(number: usize) -> f64 {
    self::number(u64::try_from(number).unwrap_or(u64::MAX))
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has doubles alone")]
fn number(number: u64) -> f64 {
    number as f64
}

/// A label value (exposition format 0.0.4).
fn label(text: &str) -> String {
    let mut label = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '"' => {
                let _ = write!(label, "\\{character}");
            }
            '\n' => label.push_str("\\n"),
            other => label.push(other),
        }
    }
    label
}
