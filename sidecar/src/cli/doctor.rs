//! `queue-sidecar doctor`: every check of one token, in order, for people.

use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

use clap::ArgMatches;
use queue_verifier::Require;
use queue_verifier::report::{Outcome, Report};

use super::{Failure, validate};
use crate::settings::Settings;

pub(super) fn run(settings: &Settings, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let token = token(matches)?;
    let verifier = validate::verifier(settings, matches)?;
    // Brings in what the token names: its key, its status list. The report has the verdict.
    let require = Require::new();
    let settled = verifier.validate_session_with_refresh(&token, &require);
    drop(validate::runtime()?.block_on(settled));
    let report = verifier.doctor(token);
    let mut output = io::stdout().lock();
    if matches.get_flag("json") {
        serde_json::to_writer(&mut output, &report).map_err(io::Error::from)?;
        writeln!(output)?;
    } else {
        write_table(&mut output, &report)?;
    }
    Ok(ExitCode::from(u8::from(!report.valid)))
}

fn token(matches: &ArgMatches) -> io::Result<Vec<u8>> {
    let given = matches.get_one::<String>("token");
    let given = given.map_or("-", String::as_str);
    if given != "-" {
        return Ok(given.as_bytes().to_vec());
    }
    let mut token = Vec::new();
    io::stdin().lock().take(MAX_INPUT).read_to_end(&mut token)?;
    Ok(token.trim_ascii().to_vec())
}

fn write_table(output: &mut impl io::Write, report: &Report) -> io::Result<()> {
    for check in &report.checks {
        let outcome = match check.outcome {
            Outcome::Pass => "pass",
            Outcome::Fail => "FAIL",
            Outcome::UnverifiedPass => "(pass)",
            Outcome::UnverifiedFail => "(FAIL)",
            _ => "-",
        };
        let (room, name) = (check.room, check.check);
        write!(output, "{outcome:<7} {room:<10} {name:<28}")?;
        if let Some(code) = check.code {
            write!(output, " {code}")?;
        }
        if let Some(detail) = &check.detail {
            write!(output, ": {detail}")?;
        }
        writeln!(output)?;
    }
    let is_unverified =
        |outcome| matches!(outcome, Outcome::UnverifiedPass | Outcome::UnverifiedFail);
    if report
        .checks
        .iter()
        .any(|check| is_unverified(check.outcome))
    {
        writeln!(
            output,
            "In brackets: claims that no good signature vouches for."
        )?;
    }
    match report.code {
        None => writeln!(output, "valid"),
        Some(code) => writeln!(output, "not valid: {code}"),
    }
}

/// More than any token; the rest of a wrong file is not read.
const MAX_INPUT: u64 = 1024 * 1024;
