//! Command line: takes arguments and the environment, runs one command, gives its text and exit code.
//!
//! **Invariant:** exit code 64 for what the operator wrote wrong, 1 for what went wrong, 2 for a refusal
//! by the rules; a changing command takes `--dry-run` and then changes nothing.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::app::{self, App, AppError};
use crate::audit::Actor;
use crate::clock::{Clock, SystemClock};
use crate::db::migrate;
use crate::key::commands::{self, Verb};
use crate::key::{KeyError, KeyRow, KeyState, Keyring};
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
            Some(("keys", rest)) => keys_command(&settings, clock, rest).await,
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

/// Completes on SIGTERM or SIGINT; at once when neither can be listened to, rather than never.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::error!("signals cannot be listened to");
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
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

async fn keys_command(
    settings: &Settings,
    clock: Arc<dyn Clock>,
    matches: &ArgMatches,
) -> Result<String, Failure> {
    let (db, ring) = app::open_existing(settings, &clock).await?;
    let done = match matches.subcommand() {
        Some(("generate", rest)) => generate(&ring, rest).await,
        Some((name, rest)) if verb(name).is_some() => step(&ring, name, rest).await,
        _ => Ok(commands::list(&ring)
            .await?
            .iter()
            .map(|row| line(row, &ring))
            .collect()),
    };
    db.close().await;
    done
}

async fn generate(ring: &Keyring, matches: &ArgMatches) -> Result<String, Failure> {
    let state = if matches.get_flag("pending") {
        KeyState::Pending
    } else {
        KeyState::Published
    };
    let made = commands::generate(ring)?;
    if dry_run(matches) {
        return Ok(format!(
            "would add a {}-bit key as {state}\n",
            ring.rsa_bits
        ));
    }
    let mut tx = ring.db.begin().await.map_err(KeyError::from)?;
    commands::insert(
        &mut tx,
        &made,
        state,
        &Actor::command_line(),
        ring.clock.now(),
    )
    .await?;
    tx.commit().await.map_err(KeyError::from)?;
    let rows = commands::list(ring).await?;
    Ok(rows
        .iter()
        .filter(|row| row.kid == made.kid)
        .map(|row| line(row, ring))
        .collect())
}

async fn step(ring: &Keyring, name: &str, matches: &ArgMatches) -> Result<String, Failure> {
    let (Some(verb), Some(kid)) = (verb(name), matches.get_one::<String>("kid")) else {
        return Err(Failure::Usage("expected a verb and a kid".to_owned()));
    };
    let row = commands::step(ring, kid, verb, &Actor::command_line(), dry_run(matches)).await?;
    let prefix = if dry_run(matches) { "would be: " } else { "" };
    Ok(format!("{prefix}{}", line(&row, ring)))
}

/// One key on one line: kid, state, and the time that matters next.
fn line(row: &KeyRow, ring: &Keyring) -> String {
    let next = match (
        row.facts.state,
        row.facts.published_at,
        row.facts.needed_until,
    ) {
        (KeyState::Published, Some(at), _) => {
            format!("activatable {}", ring.timing.activatable_at(at))
        }
        (KeyState::Active, ..) => row
            .activated_at
            .map_or_else(String::new, |at| format!("since {at}")),
        (KeyState::Retired, _, Some(until)) => format!("needed until {until}"),
        _ => format!("made {}", row.created_at),
    };
    format!(
        "{} {:<9} {:<10} {next}\n",
        row.kid,
        row.facts.state.as_str(),
        row.source
    )
}

fn verb(name: &str) -> Option<Verb> {
    match name {
        "publish" => Some(Verb::Publish),
        "activate" => Some(Verb::Activate),
        "retire" => Some(Verb::Retire),
        "revoke" => Some(Verb::Revoke),
        _ => None,
    }
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
        .subcommand(keys_definition())
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

fn keys_definition() -> Command {
    let kid = || {
        Arg::new("kid")
            .value_name("KID")
            .required(true)
            .allow_hyphen_values(true)
    };
    let pending = Arg::new("pending")
        .long("pending")
        .action(ArgAction::SetTrue)
        .help("Hold the key back instead of publishing it");
    let step = |name: &'static str, about: &'static str| {
        Command::new(name)
            .about(about)
            .arg(kid())
            .arg(dry_run_flag())
    };
    Command::new("keys")
        .about("List and rotate the signing keys")
        .subcommand(Command::new("list").about("List every key (the default)"))
        .subcommand(
            Command::new("generate")
                .about("Add a key and publish it")
                .arg(pending)
                .arg(dry_run_flag()),
        )
        .subcommand(step("publish", "Put a pending key into the JWK Set"))
        .subcommand(step(
            "activate",
            "Sign with a published key from now on; the active one retires",
        ))
        .subcommand(step(
            "retire",
            "Destroy a retired key whose tokens are dead, or a revoked one",
        ))
        .subcommand(step(
            "revoke",
            "Emergency: take a key out of the JWK Set now, and its tokens with it",
        ))
}

fn dry_run_flag() -> Arg {
    Arg::new("dry-run")
        .long("dry-run")
        .action(ArgAction::SetTrue)
        .help("Say what would change, and change nothing")
}
