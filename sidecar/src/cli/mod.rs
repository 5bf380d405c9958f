//! Command line: arguments and environment → one command → an exit code.
//!
//! Exit codes: 0 done, or every token valid · 1 failed, or a token not valid · 64 a wrong setting
//! or argument, before anything starts.

mod check_config;
mod clock;
mod doctor;
mod health;
mod jws;
mod lines;
mod serve;
mod validate;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::StartError;
use crate::settings::{
    self, CONFIG_ENV, ISSUER_KEYS, REFERENCE, RawSettings, Reference, Settings, SettingsError,
};

/// Runs the command that this process was started with.
#[must_use]
pub fn run() -> ExitCode {
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    match dispatch(&matches) {
        Ok(code) => code,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "queue-sidecar: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

fn dispatch(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let environment = settings::environment()?;
    let (name, matches) = matches.subcommand().unwrap_or(("serve", matches));
    let raw = layers(matches, &environment)?;
    match name {
        "validate" => validate::run(&Settings::resolve(&raw)?, matches),
        "jws" => jws::run(&raw),
        "doctor" => doctor::run(&Settings::resolve(&raw)?, matches),
        "health" => health::run(&Settings::resolve_listen(&raw)?),
        "check-config" => check_config::run(&Settings::resolve(&raw)?),
        _ if matches.get_flag("check_config") => check_config::run(&Settings::resolve(&raw)?),
        _ => serve::run(&Settings::resolve(&raw)?, &environment, || {
            Settings::resolve(&layers(matches, &environment)?)
        }),
    }
}

/// flag > environment > file; defaults come with [`Settings::resolve`].
fn layers(
    matches: &ArgMatches,
    environment: &BTreeMap<String, String>,
) -> Result<RawSettings, SettingsError> {
    let mut flags = RawSettings::default();
    for key in REFERENCE {
        if let Ok(Some(values)) = matches.try_get_many::<String>(key.name) {
            flags.set(key, values.cloned().collect());
        }
    }
    let config = matches.get_one::<String>("config");
    let file = match config.or_else(|| environment.get(CONFIG_ENV)) {
        Some(path) => RawSettings::from_file(Path::new(path))?,
        None => RawSettings::default(),
    };
    Ok(flags.over(RawSettings::from_env(environment)?).over(file))
}

fn command() -> Command {
    let token = Arg::new("token").value_name("TOKEN").required(true);
    Command::new("queue-sidecar")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Checks session tokens offline, behind localhost HTTP")
        .args(serving())
        .args_conflicts_with_subcommands(true)
        .subcommand(
            Command::new("serve")
                .about("Serve; the default")
                .args(serving()),
        )
        .subcommand(
            Command::new("validate")
                .about("Judge the tokens on standard input, one a line or as JSON lines")
                .args(judging()),
        )
        .subcommand(
            Command::new("jws")
                .about("Verify the signatures of compact JWS on standard input, as JSON lines")
                .args(keys(&["jwks", "public_key", "alg"])),
        )
        .subcommand(
            Command::new("doctor")
                .about("Explain every check of one token")
                .arg(token.help("The token; `-` reads it from standard input"))
                .arg(flag("json").help("Print the report as JSON"))
                .args(judging()),
        )
        .subcommand(
            Command::new("health")
                .about("Ask the configured listener whether it is ready")
                .args(keys(&["listen", "socket"])),
        )
        .subcommand(
            Command::new("check-config")
                .about("Print the resolved settings")
                .args(keys(&[])),
        )
}

fn serving() -> Vec<Arg> {
    let check = flag("check_config").long("check-config");
    let mut args = keys(&[]);
    args.push(check.help("Print the resolved settings and exit"));
    args
}

/// Arguments of the commands that judge tokens.
fn judging() -> Vec<Arg> {
    let mut args = keys(&ISSUER_KEYS);
    args.push(
        Arg::new("at")
            .long("at")
            .value_name("UNIX_SECONDS")
            .value_parser(clap::value_parser!(u64))
            .help("Judge as if it were this moment"),
    );
    args
}

/// The flags of the keys called `names`, or of all keys when there are none, and `--config`.
fn keys(names: &[&str]) -> Vec<Arg> {
    let is_asked = |key: &&Reference| names.is_empty() || names.contains(&key.name);
    let mut args: Vec<_> = REFERENCE.iter().filter(is_asked).map(key_arg).collect();
    args.push(
        Arg::new("config")
            .long("config")
            .value_name("FILE")
            .help("TOML file of settings; also from QUEUE_SIDECAR_CONFIG"),
    );
    args
}

fn key_arg(key: &'static Reference) -> Arg {
    let action = if key.is_list {
        ArgAction::Append
    } else {
        ArgAction::Set
    };
    let arg = Arg::new(key.name)
        .long(key.flag.trim_start_matches('-'))
        .value_name("VALUE")
        .help(key.doc)
        .action(action)
        // A PEM text begins with dashes.
        .allow_hyphen_values(key.name == "public_key");
    if key.default == "false" {
        // The flag alone says true.
        return arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true");
    }
    arg
}

fn flag(name: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue)
}

/// Why a command did not run.
#[derive(Debug)]
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    fn broken(message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            code: BROKEN,
            message,
        }
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self {
            code: USAGE,
            message: error.to_string(),
        }
    }
}

impl From<queue_verifier::ConfigError> for Failure {
    fn from(error: queue_verifier::ConfigError) -> Self {
        Self::from(StartError::from(error))
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Settings(error) => error.into(),
            StartError::Config(_) | StartError::Traces => Self {
                code: USAGE,
                message: error.to_string(),
            },
            _ => Self::broken(error.to_string()),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::broken(error.to_string())
    }
}

/// sysexits.h `EX_USAGE`.
const USAGE: u8 = 64;
const BROKEN: u8 = 1;
