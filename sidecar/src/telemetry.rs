//! Telemetry: the names of metrics and events, and where the log goes.
//!
//! **Invariant:** labels are codes; neither a metric nor an event carries a token, a subject or a
//! `kid`. Protocol crates may trace header fields, so they are held to `info` whatever is asked.

mod catalog;

use std::io::IsTerminal as _;

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

pub(crate) use catalog::metric;
pub use catalog::*;

use crate::settings::{LogFormat, Settings};

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
        LogFormat::Json => registry.with(log.json().flatten_event(true)).try_init(),
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
