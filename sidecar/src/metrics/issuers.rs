//! What the verifier knows about each issuer, as gauges labelled with it.

use std::fmt::Write as _;

use queue_verifier::report::{KeySetState, StatusState};

use super::render::Page;
use crate::report::IssuerReport;
use crate::telemetry as name;

/// What one family says of an issuer; none where there is nothing to say.
type Value = fn(&IssuerReport) -> Option<f64>;

/// Writes each family once, with a sample for each issuer.
pub(super) fn render(page: &mut Page, issuers: &[IssuerReport]) {
    for (name, value) in FAMILIES {
        let samples: Vec<_> = issuers
            .iter()
            .filter_map(|issuer| Some((label(&issuer.known.issuer), value(issuer)?)))
            .collect();
        if !samples.is_empty() {
            page.family(name);
        }
        for (label, value) in samples {
            page.sample(name, &format!("{{issuer=\"{label}\"}}"), value);
        }
    }
}

const FAMILIES: [(&str, Value); 15] = [
    (name::READY, |issuer| {
        Some(truth(issuer.known.key_set.is_some()))
    }),
    (name::KEY_SET_AGE, |issuer| {
        issuer.known.key_set_age.map(number)
    }),
    (name::KEY_SET_STALE, |issuer| {
        Some(truth(issuer.known.key_set == Some(KeySetState::Stale)))
    }),
    (name::STALE_LIMIT, |issuer| Some(number(issuer.stale_limit))),
    (name::KEYS, |issuer| Some(count(issuer.known.keys.len()))),
    (name::KEYS_REFUSED, |issuer| {
        Some(count(issuer.known.refused.len()))
    }),
    (name::KEY_ALARMS, |issuer| {
        Some(count(issuer.known.refresh.as_ref()?.alarms.len()))
    }),
    (name::REFRESH_ATTEMPTS, |issuer| {
        Some(number(issuer.known.refresh.as_ref()?.attempts))
    }),
    (name::REFRESH_FAILURES, |issuer| {
        Some(f64::from(issuer.known.refresh.as_ref()?.failures_in_a_row))
    }),
    (name::CLOCK_OFFSET, |issuer| {
        let offset = issuer.known.refresh.as_ref()?.clock_offset?;
        let size = number(offset.unsigned_abs());
        Some(if offset < 0 { -size } else { size })
    }),
    (name::STATUS_LISTS, |issuer| {
        Some(count(issuer.known.status_lists.len()))
    }),
    (name::STATUS_LISTS_UNFIT, |issuer| {
        let lists = issuer.known.status_lists.iter();
        Some(count(
            lists
                .filter(|list| list.state != StatusState::Fresh)
                .count(),
        ))
    }),
    (name::STATUS_LISTS_PUSHED, |issuer| {
        let lists = issuer.known.status_lists.iter();
        Some(count(lists.filter(|list| list.push == "connected").count()))
    }),
    (name::STATUS_LIST_AGE, |issuer| {
        let ages = issuer.known.status_lists.iter().filter_map(|list| list.age);
        ages.max().map(number)
    }),
    (name::STATUS_MAX_AGE, |issuer| {
        Some(number(issuer.status_max_age))
    }),
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
