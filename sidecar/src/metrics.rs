//! Metrics: atomics counted on the way; the page for Prometheus and the report for people read them.
//!
//! Own atomics and not the `metrics` crate: a counter is one `fetch_add` at a fixed place, without
//! a registry lookup, a process-global recorder or an upkeep task, and two sidecars in one
//! process do not mix.

mod histogram;
mod issuers;
mod lifecycle;
mod process;
mod render;
mod route;
mod timeline;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use queue_verifier::{ErrorCode, ErrorKind, Session};

use crate::problem::EdgeCode;

pub(crate) use histogram::{BOUNDS, Histogram, Spread};
pub(crate) use process::resident;
pub(crate) use route::RouteClass;
pub(crate) use timeline::{Minute, Outcome, Timeline};

/// Everything counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    valid: AtomicU64,
    recalled: AtomicU64,
    verdicts: Box<[AtomicU64]>,
    edge: Box<[AtomicU64]>,
    pub(crate) durations: Histogram,
    requests: [Histogram; RouteClass::ALL.len()],
    pub(crate) timeline: Timeline,
    pub(crate) in_flight: AtomicUsize,
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
            durations: Histogram::default(),
            requests: Default::default(),
            timeline: Timeline::new(),
            in_flight: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            reloads: lifecycle::Reloads::default(),
            shadowed: lifecycle::Shadowed::new(),
        }
    }

    /// Counts one verdict, given at `now`, and the time it took.
    pub(crate) fn judged(
        &self,
        verdict: Result<&Session, ErrorCode>,
        took: Duration,
        now: Duration,
    ) {
        let outcome = match verdict {
            Ok(session) => {
                let is_recalled = session.freshness().cached;
                self.recalled.fetch_add(u64::from(is_recalled), Relaxed);
                self.valid.fetch_add(1, Relaxed);
                Outcome::Valid
            }
            Err(code) => {
                let place = ErrorCode::ALL.iter().position(|known| *known == code);
                add(&self.verdicts, place);
                match code.kind() {
                    ErrorKind::Fault => Outcome::Undecided,
                    _ => Outcome::Refused,
                }
            }
        };
        self.timeline.count(outcome, now);
        self.durations.record(took);
    }

    /// Counts one refusal at the edge, given at `now`.
    pub(crate) fn refused(&self, code: EdgeCode, now: Duration) {
        let place = EdgeCode::ALL.iter().position(|known| *known == code);
        add(&self.edge, place);
        if let Some(outcome) = outcome(code) {
            self.timeline.count(outcome, now);
        }
    }

    /// Counts one answer and the time it took.
    pub(crate) fn answered(&self, route: RouteClass, took: Duration) {
        self.requests[route as usize].record(took);
    }

    /// How long answers took, for each class of route that was asked.
    pub(crate) fn requests(&self) -> impl Iterator<Item = (RouteClass, Spread)> + '_ {
        let spreads = self.requests.iter().map(Histogram::spread);
        let pairs = RouteClass::ALL.into_iter().zip(spreads);
        pairs.filter(|(_, spread)| spread.count() > 0)
    }

    /// Verdicts by code: the good one, then what a token was refused for.
    fn verdicts(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let judged = ErrorCode::ALL.iter().zip(&self.verdicts);
        let edge = self.edge().filter(|(code, _)| is_verdict(*code));
        [("valid", self.valid.load(Relaxed))]
            .into_iter()
            .chain(judged.map(|(code, count)| (code.as_str(), count.load(Relaxed))))
            .chain(edge.map(|(code, count)| (code.as_str(), count)))
    }

    /// What was not good, commonest first, and what it means; nothing that never happened.
    pub(crate) fn faults(&self) -> Vec<(&'static str, u64, &'static str)> {
        let judged = ErrorCode::ALL.iter().zip(&self.verdicts);
        let judged =
            judged.map(|(code, count)| (code.as_str(), count.load(Relaxed), code.meaning()));
        let edge = self.edge();
        let edge = edge.map(|(code, count)| (code.as_str(), count, code.meaning()));
        let mut faults: Vec<_> = judged.chain(edge).filter(|fault| fault.1 > 0).collect();
        faults.sort_by_key(|fault| std::cmp::Reverse(fault.1));
        faults
    }

    fn edge(&self) -> impl Iterator<Item = (EdgeCode, u64)> + '_ {
        let codes = EdgeCode::ALL.iter().copied();
        codes.zip(self.edge.iter().map(|count| count.load(Relaxed)))
    }

    /// Takes one of `most` places; given back when the ticket is dropped.
    pub(crate) fn admit(&self, most: usize) -> Option<Ticket<'_>> {
        let ticket = Ticket(&self.in_flight);
        (self.in_flight.fetch_add(1, Relaxed) < most).then_some(ticket)
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

/// What the refusal means for the token that came, or should have come; none where none was due.
fn outcome(code: EdgeCode) -> Option<Outcome> {
    match code {
        EdgeCode::Overloaded | EdgeCode::DeadlineExceeded | EdgeCode::Internal => {
            Some(Outcome::Undecided)
        }
        _ => is_verdict(code).then_some(Outcome::Refused),
    }
}

fn add(counts: &[AtomicU64], at: Option<usize>) {
    if let Some(at) = at {
        counts[at].fetch_add(1, Relaxed);
    }
}

/// One request's place among those in flight.
#[derive(Debug)]
pub(crate) struct Ticket<'a>(&'a AtomicUsize);

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
