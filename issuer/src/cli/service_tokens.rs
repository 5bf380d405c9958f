//! The commands of stored service tokens: take a client's name or a token's id, give one line a token, and a
//! new token's text once.

use std::sync::Arc;

use clap::{Arg, ArgMatches, Command};
use secrecy::ExposeSecret;

use super::{Failure, dry_run, dry_run_flag};
use crate::app;
use crate::audit::Actor;
use crate::clock::{Clock, Timestamp};
use crate::db::{Db, Id, Tx};
use crate::service_token::commands::{self, Request, ServiceTokenError};
use crate::service_token::{Fresh, TokenRow};
use crate::settings::Settings;

pub(super) async fn run(
    settings: &Settings,
    clock: Arc<dyn Clock>,
    matches: &ArgMatches,
) -> Result<String, Failure> {
    let (db, _) = app::open_existing(settings, &clock).await?;
    let now = clock.now();
    let done = match matches.subcommand() {
        Some(("create", rest)) => create(&db, rest, now).await,
        Some(("rotate", rest)) => rotate(&db, rest, now).await,
        Some(("revoke", rest)) => revoke(&db, rest, now).await,
        _ => list(&db, now).await,
    };
    db.close().await;
    Ok(done?)
}

pub(super) fn definition() -> Command {
    let id = || {
        Arg::new("id")
            .value_name("ID")
            .required(true)
            .help("The token's id, as `list` shows it")
    };
    let client = Arg::new("client").value_name("CLIENT_ID").required(true);
    let scopes = Arg::new("scopes")
        .long("scopes")
        .value_name("SCOPES")
        .required(true)
        .help("What the client may do, separated by spaces or commas");
    let life = || {
        Arg::new("expires-in")
            .long("expires-in")
            .value_name("SECONDS")
            .value_parser(clap::value_parser!(u64))
            .help("Life of the token; 90 days unless set, at most 366")
    };
    Command::new("service-tokens")
        .about("List, make, replace and revoke the tokens services call with")
        .subcommand(Command::new("list").about("List every token (the default)"))
        .subcommand(
            Command::new("create")
                .about("Make a token and print it, once")
                .arg(client)
                .arg(scopes)
                .arg(life())
                .arg(dry_run_flag()),
        )
        .subcommand(
            Command::new("rotate")
                .about("Make a second token for the client; the first lives until it is revoked")
                .arg(id())
                .arg(life())
                .arg(dry_run_flag()),
        )
        .subcommand(
            Command::new("revoke")
                .about("End a token now")
                .arg(id())
                .arg(dry_run_flag()),
        )
}

async fn list(db: &Db, now: Timestamp) -> Result<String, ServiceTokenError> {
    let mut text = String::new();
    for row in commands::all(db).await? {
        text.push_str(&line(&row, now));
    }
    Ok(text)
}

async fn create(
    db: &Db,
    matches: &ArgMatches,
    now: Timestamp,
) -> Result<String, ServiceTokenError> {
    let text = |name: &str| matches.get_one::<String>(name).map_or("", String::as_str);
    let scopes = text("scopes")
        .split([' ', ','])
        .filter(|scope| !scope.is_empty());
    let request = Request::new(text("client"), scopes, life(matches))?;
    let fresh = Fresh::new(now)?;
    let mut tx = db.begin().await?;
    let row = commands::create(&mut tx, &request, &fresh, &Actor::command_line(), now).await?;
    made(tx, matches, &row, &fresh, now).await
}

async fn rotate(
    db: &Db,
    matches: &ArgMatches,
    now: Timestamp,
) -> Result<String, ServiceTokenError> {
    let life = commands::check_life(life(matches))?;
    let fresh = Fresh::new(now)?;
    let mut tx = db.begin().await?;
    let old = commands::find(&mut tx, id(matches)?).await?;
    let row = commands::rotate(&mut tx, &old, &fresh, life, &Actor::command_line(), now).await?;
    made(tx, matches, &row, &fresh, now).await
}

async fn revoke(
    db: &Db,
    matches: &ArgMatches,
    now: Timestamp,
) -> Result<String, ServiceTokenError> {
    let mut tx = db.begin().await?;
    let row = commands::revoke(&mut tx, id(matches)?, &Actor::command_line(), now).await?;
    finish(tx, matches, &row, now).await
}

/// The token's line, and its text below it if it was made.
async fn made(
    tx: Tx,
    matches: &ArgMatches,
    row: &TokenRow,
    fresh: &Fresh,
    now: Timestamp,
) -> Result<String, ServiceTokenError> {
    let line = finish(tx, matches, row, now).await?;
    if dry_run(matches) {
        return Ok(line);
    }
    Ok(format!("{line}{}\n", fresh.text.expose_secret()))
}

async fn finish(
    tx: Tx,
    matches: &ArgMatches,
    row: &TokenRow,
    now: Timestamp,
) -> Result<String, ServiceTokenError> {
    if dry_run(matches) {
        tx.rollback().await?;
        return Ok(format!("would be: {}", line(row, now)));
    }
    tx.commit().await?;
    Ok(line(row, now))
}

/// One token on one line: id, state, client, scopes, and the times that matter.
fn line(row: &TokenRow, now: Timestamp) -> String {
    let used = row
        .last_used_at
        .map_or_else(|| "never used".to_owned(), |at| format!("used {at}"));
    format!(
        "{} {:<7} {} [{}] expires {}, {used}\n",
        row.id,
        row.state(now),
        row.client_id,
        row.scopes.join(" "),
        row.expires_at
    )
}

fn id(matches: &ArgMatches) -> Result<Id, ServiceTokenError> {
    matches
        .get_one::<String>("id")
        .and_then(|text| Id::parse(text))
        .ok_or(ServiceTokenError::NotFound)
}

fn life(matches: &ArgMatches) -> Option<u64> {
    matches.get_one::<u64>("expires-in").copied()
}
