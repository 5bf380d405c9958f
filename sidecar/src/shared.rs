//! Shared: what every request of one sidecar reads, and the one way from a token to a verdict.
//!
//! A reload makes a new one; what is counted and what phase the process is in go on in it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use http::Response;
use queue_verifier::{Clock, Session, Verifier};

use crate::callers::Callers;
use crate::guard::Guard;
use crate::metrics::{Metrics, Ticket};
use crate::problem::{EdgeCode, Problem};
use crate::report::Origin;
use crate::request_id::RequestIds;
use crate::traces::Traces;
use crate::wire::Requirement;

/// What every request reads.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) verifier: Verifier,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) origin: Origin,
    pub(crate) request_ids: Arc<RequestIds>,
    pub(crate) traces: Option<Arc<Traces>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) guard: Guard,
    pub(crate) cookie: Option<String>,
    /// Who may introspect; everybody who reaches the listener when `None`.
    pub(crate) callers: Option<Callers>,
    /// What is asked of every session that Envoy asks about.
    pub(crate) envoy: Requirement,
    /// The issuers and their audiences, as configured; the first one first.
    pub(crate) issuers: Vec<(String, Vec<String>)>,
    pub(crate) deadline: Duration,
    pub(crate) max_in_flight: usize,
    /// Whether refusals of forward-auth are only counted.
    pub(crate) is_shadow: bool,
    pub(crate) has_been_ready: Arc<AtomicBool>,
    pub(crate) is_draining: Arc<AtomicBool>,
}

impl Shared {
    /// Judges `token`; waits only when a key has to be looked for.
    ///
    /// # Errors
    /// Every refusal a token can get.
    pub(crate) async fn judge(
        &self,
        token: &[u8],
        asked: &Requirement,
    ) -> Result<Session, Problem> {
        let began = self.clock.monotonic();
        let require = asked.to_require();
        let verdict = self
            .verifier
            .validate_session_with_refresh(token, &require)
            .await;
        let now = self.clock.monotonic();
        let outcome = verdict.as_ref().map_err(queue_verifier::Error::code);
        self.metrics.judged(outcome, now.saturating_sub(began), now);
        let code = outcome.map_or_else(|code| code.as_str(), |_| "valid");
        tracing::debug!(code, "token_judged");
        verdict.map_err(|error| Problem::verdict(&error, asked))
    }

    /// The audiences configured for tokens of `issuer`.
    pub(crate) fn audiences_of(&self, issuer: &str) -> &[String] {
        let known = self.issuers.iter().find(|(known, _)| known == issuer);
        known.map_or(&[], |(_, audiences)| audiences)
    }

    /// Whether `issuer` is the one configured first.
    pub(crate) fn is_first(&self, issuer: &str) -> bool {
        let first = self.issuers.first();
        first.is_some_and(|(first, _)| first == issuer)
    }

    /// Counts a refusal of ours, given now.
    pub(crate) fn count_refusal(&self, code: EdgeCode) {
        self.metrics.refused(code, self.clock.monotonic());
    }

    /// A place among the requests in flight.
    ///
    /// # Errors
    /// `overloaded`.
    pub(crate) fn admit(&self) -> Result<Ticket<'_>, EdgeCode> {
        self.metrics
            .admit(self.max_in_flight)
            .ok_or(EdgeCode::Overloaded)
    }

    /// The answer that refuses, counted where the walk has not counted it.
    pub(crate) fn refuse(&self, problem: impl Into<Problem>) -> Response<Body> {
        let problem = problem.into();
        if let Some(code) = problem.edge {
            self.count_refusal(code);
        }
        problem.into_response()
    }

    /// Runs `work` for at most the deadline; `None` past it. Work that never waits costs no timer.
    pub(crate) async fn in_time<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let deadline = self.clock.monotonic() + self.deadline;
        let first = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
        if let Poll::Ready(done) = first {
            return Some(done);
        }
        tokio::select! {
            done = work => Some(done),
            () = self.clock.sleep_until(deadline) => None,
        }
    }

    /// Whether a token could be judged now; once true, the start is over for good.
    pub(crate) fn is_ready(&self) -> bool {
        let is_ready = self.verifier.is_ready();
        if is_ready && !self.has_been_ready.load(Relaxed) {
            self.has_been_ready.store(true, Relaxed);
        }
        is_ready
    }
}
