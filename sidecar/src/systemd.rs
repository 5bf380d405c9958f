//! systemd: what the service manager is told (`sd_notify(3)`), where there is one.
//!
//! **Invariant:** `READY=1` is said of a sidecar that can judge tokens, and of no other.

use std::time::Duration;

use sd_notify::NotifyState;

/// Tokens can be judged.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("judging tokens")]);
}

/// The process is up and has no keys yet.
pub(crate) fn waiting() {
    tell(&[NotifyState::Status("waiting for keys")]);
}

/// Settings are being read again; [`ready`] has to follow.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "notify_failed"),
    }
}

/// Nobody is accepted any more.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

/// Says again and again that the runtime works, where the service manager asks for it; never
/// completes.
pub(crate) async fn watchdog() {
    let Some(patience) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    // Twice within its patience, as sd_watchdog_enabled(3) advises.
    let mut ticks = tokio::time::interval((patience / 2).max(LEAST_TICK));
    loop {
        ticks.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "notify_failed");
    }
}

const LEAST_TICK: Duration = Duration::from_millis(1);
