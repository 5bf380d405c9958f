//! `queue-sidecar serve`: settings → log → build → serve → drain, in that order.
//!
//! SIGTERM and SIGINT end it, SIGHUP reads the settings again: the same flags and environment, and
//! the file as it is now.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use queue_verifier::SystemClock;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Failure;
use crate::settings::{CONFIG_ENV, REFERENCE, Settings, SettingsError};
use crate::telemetry::{self, LogFilter};
use crate::{App, Inherited, Reloader, StartError, systemd};

pub(super) fn run(
    settings: &Settings,
    environment: &BTreeMap<String, String>,
    read_again: impl Fn() -> Result<Settings, SettingsError>,
) -> Result<ExitCode, Failure> {
    // First: it changes the environment, which threads would read.
    let inherited = Inherited::take().map_err(StartError::from)?;
    let log = telemetry::start_log(settings);
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
    let app = App::build_on(inherited, settings, Arc::new(SystemClock))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings.workers)
        .thread_name("queue-sidecar")
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let hang_ups = signal(SignalKind::hangup())?;
        let told = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            systemd::stopping();
        };
        let reloader = app.reloader();
        tokio::select! {
            served = app.serve(told) => served,
            () = reload(&reloader, hang_ups, &log, read_again) => Ok(()),
            () = systemd::watchdog() => Ok(()),
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Reloads at every hang-up, and tells the service manager what can be relied on; never completes.
async fn reload(
    reloader: &Reloader,
    mut hang_ups: Signal,
    log: &LogFilter,
    read_again: impl Fn() -> Result<Settings, SettingsError>,
) {
    systemd::waiting();
    let mut is_asked = false;
    let mut is_ready = false;
    loop {
        if std::mem::take(&mut is_asked) {
            systemd::reloading();
            let read = read_again();
            let filter = read.as_ref().ok().cloned();
            tokio::select! {
                outcome = reloader.reload(read) => {
                    if let (Ok(()), Some(settings)) = (outcome, filter) {
                        log.set(&settings);
                    }
                }
                // The latest word counts: what was being tried is dropped.
                _ = hang_ups.recv() => is_asked = true,
            }
            is_ready = false;
        }
        if is_asked {
            continue;
        }
        tokio::select! {
            () = reloader.ready(), if !is_ready => {
                is_ready = true;
                systemd::ready();
            }
            _ = hang_ups.recv() => is_asked = true,
        }
    }
}
