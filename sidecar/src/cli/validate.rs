//! `queue-sidecar validate`: tokens on standard input → one JSON line each.

use std::process::ExitCode;

use clap::ArgMatches;
use queue_verifier::{Require, Session, Verifier};
use serde::Serialize;
use tokio::runtime::{Builder, Runtime};

use super::lines::{self, Kind};
use super::{Failure, clock};
use crate::settings::Settings;

#[derive(Serialize)]
struct Found {
    session: Session,
}

pub(super) fn run(settings: &Settings, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let verifier = verifier(settings, matches)?;
    let runtime = runtime()?;
    lines::judge_all(Kind::Token, |token| {
        let require = Require::new();
        let verdict = runtime.block_on(verifier.validate_session_with_refresh(token, &require));
        verdict
            .map(|session| Found { session })
            .map_err(|error| error.code().as_str())
    })
}

/// A verifier that has its keys, or has tried to get them.
pub(super) fn verifier(settings: &Settings, matches: &ArgMatches) -> Result<Verifier, Failure> {
    let mut settings = settings.clone();
    if matches.contains_id("at") {
        // A snapshot file is shared with processes that live now.
        settings.issuer.snapshot = None;
        for issuer in &mut settings.also {
            issuer.snapshot = None;
        }
    }
    let verifier = settings.verifier(clock::at(matches)).build()?;
    let is_ready = verifier.wait_ready(PATIENCE);
    if !is_ready {
        tracing::debug!("keys_not_ready");
    }
    Ok(verifier)
}

/// What waits here for keys and status lists that the verifier's own thread fetches.
pub(super) fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_time().build()
}

/// One fetch and a retry after a failure.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(7);
