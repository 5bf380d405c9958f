//! `queue-sidecar check-config`: the resolved settings as TOML, key material left out.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use queue_verifier::SystemClock;

use super::Failure;
use crate::settings::Settings;

pub(super) fn run(settings: &Settings) -> Result<ExitCode, Failure> {
    // Building reads key files and checks URLs; a verifier dropped at once fetches nothing more.
    drop(settings.verifier(Arc::new(SystemClock)).build()?);
    write!(std::io::stdout().lock(), "{settings}")?;
    Ok(ExitCode::SUCCESS)
}
