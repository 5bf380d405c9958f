//! Report: what the sidecar knows about itself, gathered once for whoever asks: `/v1/status` gives
//! it to programs, `/` to people, `/metrics` to Prometheus.
//!
//! **Invariant:** it names issuers, keys and codes; no token, subject or session.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use queue_verifier::report::{IssuerStatus, RememberedStatus};
use serde::Serialize;

use crate::metrics::{BOUNDS, Minute, Spread, resident};
use crate::settings::{IssuerSettings, Settings};
use crate::shared::Shared;

/// What does not change while a sidecar runs.
#[derive(Debug)]
pub(crate) struct Origin {
    /// When it began: on the monotonic clock, and in seconds since 1970.
    pub(crate) began: Duration,
    pub(crate) began_at: u64,
    bounds: Vec<Bounds>,
}

/// Bounds of one issuer, in seconds.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    stale_limit: u64,
    status_max_age: u64,
}

impl Origin {
    pub(crate) fn new(settings: &Settings, began: Duration, began_at: u64) -> Self {
        let bounds = |issuer: &IssuerSettings| Bounds {
            stale_limit: issuer.stale_limit.as_secs(),
            status_max_age: issuer.status_max_age.as_secs(),
        };
        let issuers = std::iter::once(&settings.issuer).chain(&settings.also);
        Self {
            began,
            began_at,
            bounds: issuers.map(bounds).collect(),
        }
    }
}

/// Whether tokens are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// No token could be judged yet.
    Starting,
    Ready,
    /// Once it was ready; now the keys are too old.
    NotReady,
    /// It is shutting down.
    Draining,
}

impl State {
    pub(crate) fn is_draining(self) -> bool {
        self == Self::Draining
    }
}

/// Everything that is told.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) state: State,
    /// Forward-auth lets everybody in and only counts.
    pub(crate) shadow: bool,
    pub(crate) version: &'static str,
    /// Seconds since 1970.
    pub(crate) started_at: u64,
    /// Seconds.
    pub(crate) uptime: u64,
    pub(crate) issuers: Vec<IssuerReport>,
    pub(crate) remembered: Option<RememberedStatus>,
    pub(crate) verdicts: Verdicts,
    /// From token to verdict, since the start.
    pub(crate) validation: Latency,
    /// From request to answer, for each class of route that was asked.
    pub(crate) requests: Vec<RouteLatency>,
    pub(crate) in_flight: usize,
    pub(crate) connections: usize,
    pub(crate) resident_bytes: Option<u64>,
}

/// What the verifier knows about an issuer, and the bounds it holds it to.
#[derive(Debug, Serialize)]
pub(crate) struct IssuerReport {
    #[serde(flatten)]
    pub(crate) known: IssuerStatus,
    /// Seconds that keys serve past their lifetime.
    pub(crate) stale_limit: u64,
    /// Seconds that a status list may be old.
    pub(crate) status_max_age: u64,
}

/// What became of tokens.
#[derive(Debug, Serialize)]
pub(crate) struct Verdicts {
    /// `[valid, refused, undecided]` of each of the last sixty minutes, oldest first.
    pub(crate) last_hour: Vec<Minute>,
    /// What was not good since the start, commonest first.
    pub(crate) faults: Vec<Fault>,
}

/// One reason.
#[derive(Debug, Serialize)]
pub(crate) struct Fault {
    pub(crate) code: &'static str,
    pub(crate) count: u64,
    pub(crate) meaning: &'static str,
}

/// How long something took, in seconds.
#[derive(Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) count: u64,
    sum: f64,
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
    /// How many took longer than the bound before and no longer than this one; the last has none.
    pub(crate) buckets: Vec<Bucket>,
}

/// One column of it.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Bucket {
    pub(crate) le: Option<f64>,
    pub(crate) count: u64,
}

/// The same of one class of routes.
#[derive(Debug, Serialize)]
pub(crate) struct RouteLatency {
    pub(crate) route: &'static str,
    #[serde(flatten)]
    pub(crate) latency: Latency,
}

impl From<&Spread> for Latency {
    fn from(spread: &Spread) -> Self {
        let seconds = |per_mille| spread.quantile(per_mille).map(|time| time.as_secs_f64());
        let bounds = BOUNDS
            .iter()
            .map(|(nanos, _)| Some(Duration::from_nanos(*nanos).as_secs_f64()));
        let buckets = bounds.chain([None]).zip(spread.buckets);
        Self {
            count: spread.count(),
            sum: spread.sum.as_secs_f64(),
            p50: seconds(500),
            p99: seconds(990),
            buckets: buckets.map(|(le, count)| Bucket { le, count }).collect(),
        }
    }
}

impl Report {
    /// As it stands now.
    pub(crate) fn of(shared: &Shared) -> Self {
        let (metrics, now) = (&shared.metrics, shared.clock.monotonic());
        let status = shared.verifier.status();
        let issuers = status.issuers.into_iter().zip(&shared.origin.bounds);
        let faults = metrics.faults().into_iter();
        let requests = metrics.requests();
        Self {
            state: state(shared),
            shadow: shared.is_shadow,
            version: env!("CARGO_PKG_VERSION"),
            started_at: shared.origin.began_at,
            uptime: now.saturating_sub(shared.origin.began).as_secs(),
            issuers: issuers
                .map(|(known, bounds)| IssuerReport {
                    known,
                    stale_limit: bounds.stale_limit,
                    status_max_age: bounds.status_max_age,
                })
                .collect(),
            remembered: status.remembered,
            verdicts: Verdicts {
                last_hour: metrics.timeline.last_hour(now).to_vec(),
                faults: faults
                    .map(|(code, count, meaning)| Fault {
                        code,
                        count,
                        meaning,
                    })
                    .collect(),
            },
            validation: Latency::from(&metrics.durations.spread()),
            requests: requests
                .map(|(route, spread)| RouteLatency {
                    route: route.as_str(),
                    latency: Latency::from(&spread),
                })
                .collect(),
            in_flight: metrics.in_flight.load(Relaxed),
            connections: metrics.connections.load(Relaxed),
            resident_bytes: resident(),
        }
    }
}

fn state(shared: &Shared) -> State {
    if shared.is_draining.load(Relaxed) {
        State::Draining
    } else if shared.is_ready() {
        State::Ready
    } else if shared.has_been_ready.load(Relaxed) {
        State::NotReady
    } else {
        State::Starting
    }
}
