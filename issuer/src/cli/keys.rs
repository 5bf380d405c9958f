//! The commands of keys: take a verb and a kid, give one line a key.

use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{Failure, dry_run, dry_run_flag};
use crate::app;
use crate::audit::Actor;
use crate::clock::Clock;
use crate::key::commands::{self, Verb};
use crate::key::{KeyError, KeyRow, KeyState, Keyring};
use crate::settings::Settings;
use crate::sighting::Holdings;

pub(super) async fn run(
    settings: &Settings,
    clock: Arc<dyn Clock>,
    matches: &ArgMatches,
) -> Result<String, Failure> {
    let (db, ring) = app::open_existing(settings, &clock).await?;
    let done = match matches.subcommand() {
        Some(("generate", rest)) => generate(&ring, rest).await,
        Some((name, rest)) if verb(name, rest).is_some() => step(&ring, name, rest).await,
        _ => list(&ring).await,
    };
    db.close().await;
    done
}

pub(super) fn definition() -> Command {
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
    let wait = Arg::new(WAIT)
        .long(WAIT)
        .action(ArgAction::SetTrue)
        .help("Refuse while a known verifier has not proved that it holds the key");
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
        .subcommand(
            step(
                "activate",
                "Sign with a published key from now on; the active one retires",
            )
            .arg(wait),
        )
        .subcommand(step(
            "retire",
            "Destroy a retired key whose tokens are dead, or a revoked one",
        ))
        .subcommand(step(
            "revoke",
            "Emergency: take a key out of the JWK Set now, and its tokens with it",
        ))
}

async fn list(ring: &Keyring) -> Result<String, Failure> {
    let holdings = commands::holdings(ring).await?;
    let rows = commands::list(ring).await?;
    Ok(rows
        .iter()
        .map(|row| format!("{}{}\n", line(row, ring).trim_end(), held(row, &holdings)))
        .collect())
}

/// How many verifiers hold a published key, if any are known.
fn held(row: &KeyRow, holdings: &Holdings) -> String {
    let total = holdings.total();
    if total == 0 || !row.facts.state.is_public() {
        return String::new();
    }
    let held = total - holdings.behind(row.since_generation);
    format!(", held by {held} of {total} verifiers")
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
    let (Some(verb), Some(kid)) = (verb(name, matches), matches.get_one::<String>("kid")) else {
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

fn verb(name: &str, matches: &ArgMatches) -> Option<Verb> {
    match name {
        "publish" => Some(Verb::Publish),
        "activate" => Some(Verb::Activate {
            wait_for_verifiers: matches.get_flag(WAIT),
        }),
        "retire" => Some(Verb::Retire),
        "revoke" => Some(Verb::Revoke),
        _ => None,
    }
}

const WAIT: &str = "wait-for-verifiers";
