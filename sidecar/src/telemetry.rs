//! Telemetry: the names of metrics and events, and where the log goes.
//!
//! **Invariant:** labels are codes; neither a metric nor an event carries a token, a subject or a
//! `kid`. Protocol crates may trace header fields, so they are held to `info` whatever is asked.

use std::io::IsTerminal as _;

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

use crate::settings::{LogFormat, Settings};

/// Tokens judged, by `code`; `valid` is the good one.
pub const VALIDATIONS: &str = "queue_sidecar_validations_total";
/// Good tokens whose signature was remembered.
pub const RECALLED: &str = "queue_sidecar_recalled_total";
/// Good tokens remembered; absent when none are to be.
pub const REMEMBERED: &str = "queue_sidecar_remembered_tokens";
/// Requests refused before a token was looked for, by `code`.
pub const REFUSALS: &str = "queue_sidecar_refusals_total";
/// Reloads of the settings, by outcome as `code`.
pub const RELOADS: &str = "queue_sidecar_reloads_total";
/// Refusals that shadow mode answered with 200, by `code`.
pub const SHADOWED: &str = "queue_sidecar_shadowed_total";
/// Histogram of the time from token to verdict.
pub const DURATION: &str = "queue_sidecar_validation_duration_seconds";
/// Requests being judged.
pub const IN_FLIGHT: &str = "queue_sidecar_in_flight";
/// Open connections.
pub const CONNECTIONS: &str = "queue_sidecar_connections";
/// 1 when a token of `issuer` could be judged now; it and those that follow have that label.
pub const READY: &str = "queue_sidecar_ready";
/// Seconds since the issuer confirmed the key set; absent when there is none to judge by.
pub const KEY_SET_AGE: &str = "queue_sidecar_key_set_age_seconds";
/// 1 when the key set is past its lifetime.
pub const KEY_SET_STALE: &str = "queue_sidecar_key_set_stale";
/// Usable keys in the set.
pub const KEYS: &str = "queue_sidecar_keys";
/// Keys of the set that are not used.
pub const KEYS_REFUSED: &str = "queue_sidecar_keys_refused";
/// Key ids that were seen with two materials; neither verifies.
pub const KEY_ALARMS: &str = "queue_sidecar_key_alarms";
/// Seconds the issuer's clock is ahead of this one; absent where it sends no `Date`.
pub const CLOCK_OFFSET: &str = "queue_sidecar_clock_offset_seconds";
/// Status lists that tokens named lately.
pub const STATUS_LISTS: &str = "queue_sidecar_status_lists";
/// Those without a copy within the age bound.
pub const STATUS_LISTS_UNFIT: &str = "queue_sidecar_status_lists_unfit";
/// Those whose changes are pushed.
pub const STATUS_LISTS_PUSHED: &str = "queue_sidecar_status_lists_pushed";
/// Seconds since the issuer confirmed the oldest of them.
pub const STATUS_LIST_AGE: &str = "queue_sidecar_status_list_age_seconds";
/// Fetches of the key set so far; absent for keys given as settings.
pub const REFRESH_ATTEMPTS: &str = "queue_sidecar_key_set_refresh_attempts_total";
/// Failed fetches since the last success; absent for keys given as settings.
pub const REFRESH_FAILURES: &str = "queue_sidecar_key_set_refresh_failures";
/// 1, with the `version` of this build.
pub const BUILD: &str = "queue_sidecar_build_info";

/// What is logged, to be changed while the process runs.
#[derive(Debug, Clone)]
pub struct LogFilter(reload::Handle<Targets, Registry>);

impl LogFilter {
    /// Logs what `settings` say from now on.
    pub fn set(&self, settings: &Settings) {
        // It fails only where there is no log any more.
        let _ = self.0.reload(targets(settings));
    }
}

/// Sends the log of this process to standard error; does nothing when a log is set up already.
pub fn start_log(settings: &Settings) -> LogFilter {
    let (filter, handle) = reload::Layer::new(targets(settings));
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match settings.log_format {
        LogFormat::Json => registry.with(log.json()).try_init(),
        LogFormat::Text => registry
            .with(log.with_ansi(std::io::stderr().is_terminal()))
            .try_init(),
    };
    // A second start in one process keeps the first log.
    drop(started);
    LogFilter(handle)
}

fn targets(settings: &Settings) -> Targets {
    let targets: Targets = settings.log.parse().unwrap_or_default();
    PROTOCOL_CRATES.iter().fold(targets, |targets, name| {
        targets.with_target(*name, Level::INFO)
    })
}

/// Logs where a panic happened instead of printing its message, which may quote what was at hand.
pub(crate) fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panicked");
    }));
}

const PROTOCOL_CRATES: [&str; 5] = ["h2", "hyper", "hyper_util", "reqwest", "rustls"];
