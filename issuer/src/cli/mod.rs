//! Command line: takes arguments and the environment, runs one command, gives its text and exit code.
//!
//! **Invariant:** exit code 64 for what the operator wrote wrong, 1 for what went wrong, 2 for a refusal
//! by the rules; a changing command takes `--dry-run` and then changes nothing.

mod keys;
mod mail;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::app::{self, App, AppError};
use crate::clock::{Clock, SystemClock};
use crate::db::migrate;
use crate::key::KeyError;
use crate::settings::{REFERENCE, RawSettings, Settings};

/// What [`parse`] makes of the arguments.
pub enum Outcome {
    /// Run this.
    Run(Box<Invocation>),
    /// Print this and exit with the code: help, or what is wrong.
    Print(String, u8),
}

/// A command with its resolved settings.
pub struct Invocation {
    settings: Settings,
    matches: ArgMatches,
}

/// Parses the arguments and resolves the settings they and `vars` give.
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
    vars: impl IntoIterator<Item = (String, String)>,
) -> Outcome {
    let matches = match command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => {
            let code = if error.use_stderr() { 64 } else { 0 };
            return Outcome::Print(error.to_string(), code);
        }
    };
    let mut flags = RawSettings::default();
    for key in REFERENCE.iter().filter(|key| !key.secret) {
        if let Some(value) = matches.get_one::<String>(key.name) {
            flags.set(key.name, value.clone());
        }
    }
    let config = matches.get_one::<PathBuf>("config");
    match Settings::resolve(flags, config.map(PathBuf::as_path), vars) {
        Ok(settings) => Outcome::Run(Box::new(Invocation { settings, matches })),
        Err(error) => Outcome::Print(format!("queue-issuer: {error}\n"), 64),
    }
}

impl Invocation {
    /// The settings the command runs with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Runs the command; what to print, and the exit code.
    pub async fn run(self) -> (String, u8) {
        let Self { settings, matches } = self;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let done = match matches.subcommand() {
            Some(("check-config", _)) => Ok(settings.render()),
            Some(("migrate", rest)) => migrate_command(&settings, rest).await,
            Some(("keys", rest)) => keys::run(&settings, clock, rest).await,
            Some(("mail", rest)) => mail::run(&settings, clock, rest).await,
            _ => serve(settings, clock).await,
        };
        match done {
            Ok(text) => (text, 0),
            Err(Failure::App(error)) => (
                format!("queue-issuer: {}\n", crate::problem::chain(&error)),
                error.exit_code(),
            ),
            Err(Failure::Usage(what)) => (format!("queue-issuer: {what}\n"), 64),
            Err(Failure::Refused(what)) => (format!("queue-issuer: {what}\n"), 2),
        }
    }
}

enum Failure {
    App(AppError),
    Usage(String),
    Refused(String),
}

impl From<AppError> for Failure {
    fn from(error: AppError) -> Self {
        Self::App(error)
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::NotFound => Self::Usage(error.to_string()),
            KeyError::Refused(_)
            | KeyError::PrivateHalfAbsent
            | KeyError::OtherKek
            | KeyError::KekMissing => Self::Refused(error.to_string()),
            error => Self::App(app::key_error(&error)),
        }
    }
}

async fn serve(settings: Settings, clock: Arc<dyn Clock>) -> Result<String, Failure> {
    let app = App::build(settings, clock).await?;
    app.serve(stop_signal()).await?;
    Ok(String::new())
}

/// Completes on SIGTERM or SIGINT, heard from this call on and not only once it is polled; at once when
/// neither can be listened to, rather than never.
fn stop_signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    );
    async {
        let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
            tracing::error!("signals cannot be listened to");
            return;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

async fn migrate_command(settings: &Settings, matches: &ArgMatches) -> Result<String, Failure> {
    let db = app::connect(settings).await?;
    let pending = migrate::pending(&db)
        .await
        .map_err(|error| app::database(&error))?;
    let is_dry = matches.subcommand().is_some_and(|(_, rest)| dry_run(rest));
    let up = matches.subcommand_name() == Some("up");
    let mut text = String::new();
    for migration in &migrate::MIGRATIONS {
        let is_pending = pending
            .iter()
            .any(|pending| pending.version == migration.version);
        let state = match (is_pending, up, is_dry) {
            (false, ..) => "applied",
            (true, true, false) => "applied now",
            (true, true, true) => "would be applied",
            (true, false, _) => "pending",
        };
        text.push_str(&format!(
            "{:03} {:<24} {state}\n",
            migration.version, migration.name
        ));
    }
    if up && !is_dry {
        migrate::up(&db)
            .await
            .map_err(|error| app::database(&error))?;
    }
    db.close().await;
    Ok(text)
}

fn dry_run(matches: &ArgMatches) -> bool {
    matches
        .try_get_one::<bool>("dry-run")
        .ok()
        .flatten()
        .copied()
        .unwrap_or(false)
}

fn command() -> Command {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .global(true)
        .help("TOML file with settings [env: QUEUE_ISSUER_CONFIG]");
    let settings = REFERENCE.iter().filter(|key| !key.secret).map(|key| {
        Arg::new(key.name)
            .long(key.name.replace('_', "-"))
            .value_name("VALUE")
            .global(true)
            .help(format!(
                "{} [env: {}] [default: {}]",
                key.doc, key.env, key.default
            ))
    });
    Command::new("queue-issuer")
        .about(
            "Signs customers in and mints the session tokens that relying services check offline",
        )
        .version(env!("CARGO_PKG_VERSION"))
        .arg(config)
        .args(settings)
        .subcommand(Command::new("serve").about("Answer requests (the default)"))
        .subcommand(
            Command::new("check-config")
                .about("Print the resolved settings, secrets redacted, and exit"),
        )
        .subcommand(migrate_definition())
        .subcommand(keys::definition())
        .subcommand(mail::definition())
}

fn migrate_definition() -> Command {
    Command::new("migrate")
        .about("Apply or list the migrations")
        .subcommand_required(true)
        .subcommand(
            Command::new("up")
                .about("Apply what is missing")
                .arg(dry_run_flag()),
        )
        .subcommand(Command::new("status").about("List what is applied"))
}

fn dry_run_flag() -> Arg {
    Arg::new("dry-run")
        .long("dry-run")
        .action(ArgAction::SetTrue)
        .help("Say what would change, and change nothing")
}
