//! The commands of the audit chain: `verify` gives a report and an exit code, `export` writes JSON Lines to stdout.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Arg, ArgMatches, Command};

use super::{Failure, dry_run, dry_run_flag};
use crate::app::{self, AppError};
use crate::audit;
use crate::audit::export::{self, ExportError};
use crate::audit::verify::{self, Report, VerifyError};
use crate::clock::Clock;
use crate::db::Db;
use crate::key::Keyring;
use crate::problem::chain;
use crate::settings::Settings;

pub(super) async fn run(
    settings: &Settings,
    clock: Arc<dyn Clock>,
    matches: &ArgMatches,
) -> Result<String, Failure> {
    let kept = match matches.subcommand() {
        Some(("verify", rest)) => read_checkpoint(rest.get_one::<PathBuf>("checkpoint"))?,
        _ => None,
    };
    let (db, ring) = app::open_existing(settings, &clock).await?;
    let done = match matches.subcommand() {
        Some(("export", rest)) => export(&db, rest).await,
        Some((_, rest)) => verify(&db, &ring, rest, kept.as_deref()).await,
        None => Err(Failure::Usage("expected verify or export".to_owned())),
    };
    db.close().await;
    done
}

pub(super) fn definition() -> Command {
    let checkpoint = Arg::new("checkpoint")
        .long("checkpoint")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help("Hold the chain against a checkpoint kept elsewhere: the compact JWS, alone in FILE");
    Command::new("audit")
        .about("Verify or export the chain of audit events")
        .subcommand_required(true)
        .subcommand(
            Command::new("verify")
                .about("Link what has not joined the chain, then check every event and checkpoint; exit code 1 when something is wrong")
                .arg(checkpoint)
                .arg(dry_run_flag()),
        )
        .subcommand(
            Command::new("export")
                .about("Link what has not joined the chain, then write every event to stdout, one a line")
                .arg(dry_run_flag()),
        )
}

async fn verify(
    db: &Db,
    ring: &Keyring,
    matches: &ArgMatches,
    kept: Option<&str>,
) -> Result<String, Failure> {
    join(db, matches).await?;
    let report = verify::verify(ring, kept)
        .await
        .map_err(|error| match error {
            VerifyError::Key(error) => Failure::from(error),
            VerifyError::Db(error) => app::database(&error).into(),
        })?;
    let text = describe(&report, kept.is_some());
    if report.valid {
        Ok(text)
    } else {
        Err(Failure::Found(text))
    }
}

/// Writes page by page, so that a long chain needs no more memory than a short one.
async fn export(db: &Db, matches: &ArgMatches) -> Result<String, Failure> {
    join(db, matches).await?;
    let mut after = 0;
    while let Some((lines, last)) = export::page(db, after).await.map_err(unreadable)? {
        match io::stdout().write_all(&lines) {
            Ok(()) => after = last,
            // Whoever read it has read enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            Err(error) => return Err(Failure::Found(format!("queue-issuer: stdout: {error}\n"))),
        }
    }
    Ok(String::new())
}

/// With `--dry-run` nothing joins: what waits is counted, or left out.
async fn join(db: &Db, matches: &ArgMatches) -> Result<(), Failure> {
    if dry_run(matches) {
        return Ok(());
    }
    audit::join(db)
        .await
        .map_err(|error| app::database(&error).into())
}

fn describe(report: &Report, has_kept: bool) -> String {
    let mut text = String::new();
    let Report {
        events,
        unchained,
        checkpoints,
        ..
    } = report;
    let verdict = if report.valid { "valid" } else { "NOT VALID" };
    // Writing into a text does not fail.
    let _ = writeln!(text, "audit chain: {verdict}");
    let _ = writeln!(text, "  sound events:      {events}");
    let _ = writeln!(text, "  sound checkpoints: {checkpoints}");
    let _ = writeln!(text, "  not yet chained:   {unchained}");
    if has_kept && report.valid {
        let _ = writeln!(text, "  agrees with the given checkpoint");
    }
    if let (Some(seq), Some(finding)) = (report.first_bad_seq, report.problem) {
        let _ = writeln!(text, "  first bad place:   {seq}");
        let _ = writeln!(
            text,
            "  problem:           {} ({})",
            finding.code(),
            finding.meaning()
        );
    }
    text
}

fn read_checkpoint(file: Option<&PathBuf>) -> Result<Option<String>, Failure> {
    file.map(|file| read_bounded(file)).transpose()
}

fn read_bounded(file: &Path) -> Result<String, Failure> {
    let wrong = |what: &str| Failure::Usage(format!("{}: {what}", file.display()));
    let size = std::fs::metadata(file).map_err(|error| wrong(&error.to_string()))?;
    if size.len() > MAX_CHECKPOINT {
        return Err(wrong("expected one compact JWS"));
    }
    let text = std::fs::read_to_string(file).map_err(|error| wrong(&error.to_string()))?;
    Ok(text.trim().to_owned())
}

fn unreadable(error: ExportError) -> Failure {
    match error {
        ExportError::Db(error) => app::database(&error).into(),
        error @ ExportError::Json(_) => AppError::Database(chain(&error)).into(),
    }
}

const MAX_CHECKPOINT: u64 = 16 * 1024;
