//! Reload: settings read again → in force, or refused while the old stay.
//!
//! **Invariant:** all of it or nothing. Until the new settings can judge tokens, the old do; what
//! only a start can change makes the whole reload fail, by name.

use std::sync::Arc;
use std::time::Duration;

use queue_verifier::{ConfigError, KeySource, Verifier};

use crate::in_force::InForce;
use crate::settings::{Settings, SettingsError};

/// Puts other settings in force while the sidecar serves; made by
/// [`App::reloader`](crate::App::reloader).
#[derive(Debug, Clone)]
pub struct Reloader(pub(crate) Arc<InForce>);

impl Reloader {
    /// Puts `read` in force, once it can judge tokens; a call that is dropped before has changed
    /// nothing. The outcome is logged and counted.
    ///
    /// # Errors
    /// When `read` is wrong, asks for what only a start can change, or brings no keys in time.
    pub async fn reload(&self, read: Result<Settings, SettingsError>) -> Result<(), ReloadError> {
        let outcome = self.replace(read).await;
        let (_, metrics) = self.0.constants();
        match &outcome {
            Ok(()) => {
                metrics.reloads.count("done");
                tracing::info!("reloaded");
            }
            Err(error) => {
                metrics.reloads.count(error.code());
                tracing::error!(code = error.code(), %error, "reload_refused");
            }
        }
        outcome
    }

    /// Waits until the settings in force can judge tokens, whichever they are by then.
    pub async fn ready(&self) {
        self.0.ready().await;
    }

    async fn replace(&self, read: Result<Settings, SettingsError>) -> Result<(), ReloadError> {
        let settings = read?;
        let live = self.0.load();
        let fixed = fixed_changes(&live.settings, &settings);
        if !fixed.is_empty() {
            return Err(ReloadError::NeedsRestart(fixed.join(", ")));
        }
        let old = live.shared.verifier.clone();
        if is_judged_alike(&live.settings, &settings) {
            return Ok(self.0.replace(&settings, old)?);
        }
        drop(live);
        let (clock, _) = self.0.constants();
        let new = settings.verifier(Arc::clone(&clock)).build()?;
        // Without keys itself, the old has nothing to lose.
        if old.is_ready() && !is_ready_in_time(&new, &*clock).await {
            return Err(ReloadError::NotReady);
        }
        Ok(self.0.replace(&settings, new)?)
    }
}

async fn is_ready_in_time(verifier: &Verifier, clock: &dyn queue_verifier::Clock) -> bool {
    let until = clock.monotonic() + PATIENCE;
    tokio::select! {
        () = verifier.ready() => true,
        () = clock.sleep_until(until) => false,
    }
}

/// Keys whose value is another, and that only a start reads.
fn fixed_changes(old: &Settings, new: &Settings) -> Vec<&'static str> {
    let changes = [
        ("listen", old.listen != new.listen),
        ("socket", old.socket != new.socket),
        ("probe_listen", old.probe_listen != new.probe_listen),
        ("workers", old.workers != new.workers),
        ("log_format", old.log_format != new.log_format),
        ("otlp_endpoint", old.otlp_endpoint != new.otlp_endpoint),
    ];
    let changed = changes.into_iter().filter(|(_, is_changed)| *is_changed);
    changed.map(|(name, _)| name).collect()
}

/// Whether the verifier of `old` would judge as that of `new`. A file of keys is read by the
/// verifier alone: it may have another content by now.
fn is_judged_alike(old: &Settings, new: &Settings) -> bool {
    let mut issuers = new.also.iter().chain([&new.issuer]);
    let has_file = issuers.any(|issuer| matches!(issuer.keys, KeySource::JwkSetFile(_)));
    !has_file && old.issuer == new.issuer && old.also == new.also && old.remember == new.remember
}

/// Why the settings in force stay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// What was read is not right.
    #[error("{_0}")]
    Settings(#[from] SettingsError),
    /// The verifier refuses it.
    #[error("{}: {_0}", _0.code())]
    Config(#[from] ConfigError),
    /// Keys that only a start reads.
    #[error("expected a restart to change {_0}")]
    NeedsRestart(String),
    /// The issuers gave no keys in time.
    #[error("expected keys of every issuer within {} s", PATIENCE.as_secs())]
    NotReady,
}

impl ReloadError {
    /// The code, never renamed.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Settings(_) => "reload_settings_invalid",
            Self::Config(_) => "reload_config_refused",
            Self::NeedsRestart(_) => "reload_needs_restart",
            Self::NotReady => "reload_not_ready",
        }
    }
}

/// Outcomes as they are counted.
pub(crate) const OUTCOMES: [&str; 5] = [
    "done",
    "reload_settings_invalid",
    "reload_config_refused",
    "reload_needs_restart",
    "reload_not_ready",
];

const PATIENCE: Duration = Duration::from_secs(60);
