//! Metrics: atomics counted on the way, written as Prometheus text when asked.
//!
//! Own atomics and not the `metrics` crate: a counter is one `fetch_add` at a fixed place, without
//! a registry lookup, a process-global recorder or an upkeep task, and two sidecars in one
//! process do not mix.

mod issuers;
mod lifecycle;

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use queue_verifier::{ErrorCode, Session, Verifier};

use crate::problem::EdgeCode;
use crate::telemetry as name;

/// Everything counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    valid: AtomicU64,
    recalled: AtomicU64,
    verdicts: Box<[AtomicU64]>,
    edge: Box<[AtomicU64]>,
    buckets: [AtomicU64; BOUNDS.len() + 1],
    total_nanos: AtomicU64,
    in_flight: AtomicUsize,
    pub(crate) connections: AtomicUsize,
    pub(crate) reloads: lifecycle::Reloads,
    pub(crate) shadowed: lifecycle::Shadowed,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let zeros = |length| (0..length).map(|_| AtomicU64::new(0)).collect();
        Self {
            valid: AtomicU64::new(0),
            recalled: AtomicU64::new(0),
            verdicts: zeros(ErrorCode::ALL.len()),
            edge: zeros(EdgeCode::ALL.len()),
            buckets: Default::default(),
            total_nanos: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            reloads: lifecycle::Reloads::default(),
            shadowed: lifecycle::Shadowed::new(),
        }
    }

    /// Counts one verdict and the time it took.
    pub(crate) fn judged(&self, verdict: Result<&Session, ErrorCode>, took: Duration) {
        match verdict {
            Ok(session) => {
                let is_recalled = session.freshness().cached;
                self.recalled.fetch_add(u64::from(is_recalled), Relaxed);
                self.valid.fetch_add(1, Relaxed)
            }
            Err(code) => add(
                &self.verdicts,
                ErrorCode::ALL.iter().position(|known| *known == code),
            ),
        };
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|(bound, _)| *bound < nanos);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.total_nanos.fetch_add(nanos, Relaxed);
    }

    /// Counts one refusal at the edge.
    pub(crate) fn refused(&self, code: EdgeCode) {
        add(
            &self.edge,
            EdgeCode::ALL.iter().position(|known| *known == code),
        );
    }

    /// Takes one of `most` places; given back when the ticket is dropped.
    pub(crate) fn admit(&self, most: usize) -> Option<Ticket<'_>> {
        let ticket = Ticket(&self.in_flight);
        (self.in_flight.fetch_add(1, Relaxed) < most).then_some(ticket)
    }

    /// The text of `GET /metrics` (Prometheus exposition format 0.0.4).
    pub(crate) fn render(&self, verifier: &Verifier) -> String {
        let mut page = Page(String::with_capacity(8 * 1024));
        self.render_counters(&mut page);
        self.render_duration(&mut page);
        self.reloads.render(&mut page);
        self.shadowed.render(&mut page);
        let gauge = |value: &AtomicUsize| value.load(Relaxed) as u64;
        page.family(name::IN_FLIGHT, "gauge", "Requests being judged.");
        page.sample(name::IN_FLIGHT, "", gauge(&self.in_flight));
        page.family(name::CONNECTIONS, "gauge", "Open connections.");
        page.sample(name::CONNECTIONS, "", gauge(&self.connections));
        let status = verifier.status();
        if let Some(remembered) = status.remembered {
            page.family(name::REMEMBERED, "gauge", "Good tokens remembered.");
            page.sample(name::REMEMBERED, "", remembered.tokens);
        }
        issuers::render(&mut page, &status.issuers);
        page.family(name::BUILD, "gauge", "This build.");
        let version = concat!("{version=\"", env!("CARGO_PKG_VERSION"), "\"}");
        page.sample(name::BUILD, version, 1);
        page.0
    }

    fn render_counters(&self, page: &mut Page) {
        page.family(name::VALIDATIONS, "counter", "Tokens judged, by code.");
        page.code(name::VALIDATIONS, "valid", &self.valid);
        for (code, count) in ErrorCode::ALL.iter().zip(&self.verdicts) {
            page.code(name::VALIDATIONS, code.as_str(), count);
        }
        let edge = || EdgeCode::ALL.iter().zip(&self.edge);
        for (code, count) in edge().filter(|(code, _)| is_verdict(**code)) {
            page.code(name::VALIDATIONS, code.as_str(), count);
        }
        page.family(
            name::RECALLED,
            "counter",
            "Good tokens whose signature was remembered.",
        );
        page.sample(name::RECALLED, "", self.recalled.load(Relaxed));
        page.family(
            name::REFUSALS,
            "counter",
            "Requests refused before a token was looked for, by code.",
        );
        for (code, count) in edge().filter(|(code, _)| !is_verdict(**code)) {
            page.code(name::REFUSALS, code.as_str(), count);
        }
    }

    fn render_duration(&self, page: &mut Page) {
        page.family(name::DURATION, "histogram", "Time from token to verdict.");
        let mut sum = 0;
        let bounds = BOUNDS.iter().map(|(_, label)| *label).chain(["+Inf"]);
        for (bound, count) in bounds.zip(&self.buckets) {
            sum += count.load(Relaxed);
            let (family, label) = (
                format!("{}_bucket", name::DURATION),
                format!("{{le=\"{bound}\"}}"),
            );
            page.sample(&family, &label, sum);
        }
        let seconds = Duration::from_nanos(self.total_nanos.load(Relaxed)).as_secs_f64();
        page.sample(&format!("{}_sum", name::DURATION), "", seconds);
        page.sample(&format!("{}_count", name::DURATION), "", sum);
    }
}

/// Whether a token was looked for, or looked at, before the request was refused.
fn is_verdict(code: EdgeCode) -> bool {
    matches!(
        code,
        EdgeCode::BearerMissing
            | EdgeCode::BearerMalformed
            | EdgeCode::DeadlineExceeded
            | EdgeCode::SessionTooLarge
            | EdgeCode::SubjectReserved
    )
}

fn add(counts: &[AtomicU64], at: Option<usize>) -> u64 {
    at.map_or(0, |at| counts[at].fetch_add(1, Relaxed))
}

/// One request's place among those in flight.
#[derive(Debug)]
pub(crate) struct Ticket<'a>(&'a AtomicUsize);

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// A page under construction; writing to a `String` cannot fail.
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    fn code(&mut self, name: &str, code: &str, count: &AtomicU64) {
        self.sample(name, &format!("{{code=\"{code}\"}}"), count.load(Relaxed));
    }
}

/// Upper bounds of the buckets: nanoseconds, and the same in seconds as the page shows it. One
/// signature takes 15 to 30 µs; a wait for a fetch takes milliseconds to seconds.
const BOUNDS: [(u64, &str); 13] = [
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
