//! `queue-sidecar validate`: tokens on standard input → one JSON line each.

use std::process::ExitCode;

use clap::ArgMatches;
use queue_verifier::{Session, Verifier};
use serde::Serialize;

use super::lines::{self, Kind};
use super::{Failure, clock};
use crate::settings::Settings;

#[derive(Serialize)]
struct Found {
    session: Session,
}

pub(super) fn run(settings: &Settings, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let verifier = verifier(settings, matches)?;
    lines::judge_all(Kind::Token, |token| {
        let verdict = verifier.validate_session(token);
        verdict
            .map(|session| Found { session })
            .map_err(|error| error.code().as_str())
    })
}

/// A verifier that has its keys, or has tried to get them.
pub(super) fn verifier(settings: &Settings, matches: &ArgMatches) -> Result<Verifier, Failure> {
    let verifier = settings.verifier(clock::at(matches)).build()?;
    let is_ready = verifier.wait_ready(PATIENCE);
    if !is_ready {
        tracing::debug!("keys_not_ready");
    }
    Ok(verifier)
}

/// One fetch and a retry after a failure.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(7);
