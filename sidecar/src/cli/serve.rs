//! `queue-sidecar serve`: settings → log → build → serve → drain, in that order.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use queue_verifier::SystemClock;
use tokio::signal::unix::{SignalKind, signal};

use super::Failure;
use crate::settings::{CONFIG_ENV, REFERENCE, Settings};
use crate::{App, telemetry};

pub(super) fn run(
    settings: &Settings,
    environment: &BTreeMap<String, String>,
) -> Result<ExitCode, Failure> {
    telemetry::start_log(settings);
    telemetry::log_panics();
    let ours = environment
        .keys()
        .filter(|name| name.starts_with("QUEUE_SIDECAR_"));
    for name in ours.filter(|name| *name != CONFIG_ENV) {
        if !REFERENCE.iter().any(|key| key.env == name) {
            // Kubernetes sets such names by itself for a service called `queue-sidecar`.
            tracing::warn!(name, "setting_unknown");
        }
    }
    let app = App::build(settings, Arc::new(SystemClock))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings.workers)
        .thread_name("queue-sidecar")
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let told = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        app.serve(told).await
    })?;
    Ok(ExitCode::SUCCESS)
}
