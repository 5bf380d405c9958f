//! Telemetry: takes events, gives a log without secrets and Prometheus text.
//!
//! **Invariant:** labels are codes, states and routes, never ids, subjects or kids.
//! **Invariant:** each [`Metrics`] has its own registry; nothing is process-global, so two issuers in
//! one process do not mix their counts.

use std::time::Duration;

use metrics::{Key, Label, Level, Metadata, Recorder as _};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tracing_subscriber::EnvFilter;

/// The counters, gauges and histograms of one issuer.
pub(crate) struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let builder = PrometheusBuilder::new();
        let builder = builder
            .set_buckets(BUCKETS)
            .unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        for (name, what) in METRICS {
            recorder.describe_counter((*name).into(), None, (*what).into());
        }
        let handle = recorder.handle();
        Self { recorder, handle }
    }

    /// Adds one to the counter `name`.
    pub(crate) fn count(&self, name: &'static str, labels: &[(&'static str, String)]) {
        self.add(name, labels, 1);
    }

    /// Adds `more` to the counter `name`.
    pub(crate) fn add(&self, name: &'static str, labels: &[(&'static str, String)], more: u64) {
        self.recorder
            .register_counter(&key(name, labels), &METADATA)
            .increment(more);
    }

    /// Sets the gauge `name`.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a gauge is a float; generations stay far below 2^52"
    )]
    pub(crate) fn set(&self, name: &'static str, value: i64) {
        self.recorder
            .register_gauge(&key(name, &[]), &METADATA)
            .set(value as f64);
    }

    /// Records one duration in the histogram `name`.
    pub(crate) fn observe(
        &self,
        name: &'static str,
        labels: &[(&'static str, String)],
        took: Duration,
    ) {
        self.recorder
            .register_histogram(&key(name, labels), &METADATA)
            .record(took.as_secs_f64());
    }

    /// Everything, in the text format of Prometheus.
    pub(crate) fn render(&self) -> String {
        self.handle.run_upkeep();
        self.handle.render()
    }
}

/// Sends the process's log to stderr; called once, by `main`.
///
/// # Errors
/// Says what is wrong with `filter`.
pub fn init(filter: &str, json: bool) -> Result<(), String> {
    let filter =
        EnvFilter::try_new(filter).map_err(|error| format!("QUEUE_ISSUER_LOG: {error}"))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let done = if json {
        log.json().flatten_event(true).try_init()
    } else {
        log.with_ansi(false).try_init()
    };
    done.map_err(|error| format!("the log is set up already: {error}"))
}

fn key(name: &'static str, labels: &[(&'static str, String)]) -> Key {
    let labels: Vec<Label> = labels
        .iter()
        .map(|(name, value)| Label::new(*name, value.clone()))
        .collect();
    Key::from_parts(name, labels)
}

/// Answers by route, method and status.
pub(crate) const REQUESTS: &str = "queue_issuer_requests_total";
/// Time to answer, by route.
pub(crate) const REQUEST_SECONDS: &str = "queue_issuer_request_seconds";
/// Statements run for requests, by route.
pub(crate) const STATEMENTS: &str = "queue_issuer_statements_total";
/// Tokens that left.
pub(crate) const TOKENS_MINTED: &str = "queue_issuer_tokens_minted_total";
/// Tokens the verifier refused before they left.
pub(crate) const MINTS_WAITING: &str = "queue_issuer_mints_waiting";
pub(crate) const MINTS_AT_WORK: &str = "queue_issuer_mints_at_work";
pub(crate) const SELFCHECK_FAILURES: &str = "queue_issuer_selfcheck_failures_total";
/// Sessions revoked.
pub(crate) const SESSIONS_REVOKED: &str = "queue_issuer_sessions_revoked_total";
/// Reloads of the key set, by outcome.
pub(crate) const KEY_SET_RELOADS: &str = "queue_issuer_key_set_reloads_total";
/// Generation of the key set in memory.
pub(crate) const KEY_SET_GENERATION: &str = "queue_issuer_key_set_generation";
/// Requests refused by a rate limit, by class and kind of key.
pub(crate) const RATE_LIMITED: &str = "queue_issuer_rate_limited_total";

/// Checkpoints of the audit chain, by outcome.
pub(crate) const AUDIT_CHECKPOINTS: &str = "queue_issuer_audit_checkpoints_total";
/// Upper bound on the age of an audit event that has not joined the chain.
pub(crate) const AUDIT_UNCHAINED_AGE: &str = "queue_issuer_audit_unchained_age_seconds";
/// Status lists signed, by outcome.
pub(crate) const STATUS_LISTS_SIGNED: &str = "queue_issuer_status_lists_signed_total";

/// Mails that wait.
pub(crate) const MAIL_QUEUED: &str = "queue_issuer_mail_queued";
/// Age of the oldest mail that waits.
pub(crate) const MAIL_OLDEST_SECONDS: &str = "queue_issuer_mail_oldest_seconds";
/// Mails sent, by kind.
pub(crate) const MAIL_SENT: &str = "queue_issuer_mail_sent_total";
/// Tries that failed, by code.
pub(crate) const MAIL_FAILED: &str = "queue_issuer_mail_failed_total";

/// Every metric with its help text.
pub const METRICS: &[(&str, &str)] = &[
    (REQUESTS, "Answers by route, method and status"),
    (REQUEST_SECONDS, "Time to answer in seconds, by route"),
    (STATEMENTS, "SQL statements run for requests, by route"),
    (TOKENS_MINTED, "Access tokens that left the issuer, by acr"),
    (
        MINTS_WAITING,
        "Sessions that wait for a transaction to be minted in",
    ),
    (
        MINTS_AT_WORK,
        "Sessions that are in a transaction to be minted",
    ),
    (
        SELFCHECK_FAILURES,
        "Access tokens our own verifier refused before they left",
    ),
    (SESSIONS_REVOKED, "Sessions revoked, by reason"),
    (
        KEY_SET_RELOADS,
        "Reloads of the key set from the database, by outcome",
    ),
    (KEY_SET_GENERATION, "Generation of the published key set"),
    (
        RATE_LIMITED,
        "Requests refused by a rate limit, by class and kind of key",
    ),
    (
        STATUS_LISTS_SIGNED,
        "Status lists packed and signed, by outcome",
    ),
    (MAIL_QUEUED, "Mails that wait to be sent"),
    (
        MAIL_OLDEST_SECONDS,
        "Age in seconds of the oldest mail that waits",
    ),
    (MAIL_SENT, "Mails sent, by kind"),
    (MAIL_FAILED, "Tries to send a mail that failed, by code"),
    (
        AUDIT_CHECKPOINTS,
        "Checkpoints of the audit chain signed, by outcome",
    ),
    (
        AUDIT_UNCHAINED_AGE,
        "Longest time in seconds an audit event can have waited to join the chain",
    ),
];

const BUCKETS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

static METADATA: Metadata<'static> = Metadata::new("queue_issuer", Level::INFO, None);
