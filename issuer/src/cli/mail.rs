//! The commands of mail: list what became of mails, or send one to see whether it arrives.

use std::sync::Arc;

use clap::{Arg, ArgMatches, Command};

use super::{Failure, dry_run, dry_run_flag};
use crate::app::{self, database};
use crate::audit::{self, Actor, Event};
use crate::clock::Clock;
use crate::customers::Email;
use crate::db::DbError;
use crate::key::Keyring;
use crate::mail::{self, MailError, MailRow};
use crate::settings::Settings;

pub(super) async fn run(
    settings: &Settings,
    clock: Arc<dyn Clock>,
    matches: &ArgMatches,
) -> Result<String, Failure> {
    let (db, ring) = app::open_existing(settings, &clock).await?;
    let done = match matches.subcommand() {
        Some(("test", rest)) => test(&ring, rest).await,
        _ => list(&ring).await,
    };
    db.close().await;
    done
}

pub(super) fn definition() -> Command {
    let to = Arg::new("to")
        .long("to")
        .value_name("ADDRESS")
        .required(true)
        .help("Whom to send it to");
    Command::new("mail")
        .about("List mails, or send one to see whether it arrives")
        .subcommand(Command::new("list").about("List the newest mails (the default)"))
        .subcommand(
            Command::new("test")
                .about("Queue a test mail; a running issuer sends it")
                .arg(to)
                .arg(dry_run_flag()),
        )
}

async fn list(ring: &Keyring) -> Result<String, Failure> {
    let rows = mail::page(&ring.db, None, NEWEST).await?;
    Ok(rows.iter().map(line).collect())
}

async fn test(ring: &Keyring, matches: &ArgMatches) -> Result<String, Failure> {
    let to = matches.get_one::<String>("to").map(|to| Email::parse(to));
    let Some(Ok(to)) = to else {
        return Err(Failure::Usage(
            "expected an address, local@domain in ASCII".to_owned(),
        ));
    };
    let now = ring.clock.now();
    let mut tx = ring.db.begin().await?;
    let id = mail::enqueue_test(&mut tx, ring.kek.as_ref(), &to, now).await?;
    let id = id.to_string();
    let event = Event {
        action: "mail.test_queued",
        customer: None,
        target_kind: "mail",
        target_id: &id,
    };
    audit::record(&mut tx, &Actor::command_line(), &event, now).await?;
    if dry_run(matches) {
        tx.rollback().await?;
        return Ok("would queue a test mail\n".to_owned());
    }
    tx.commit().await?;
    Ok(format!("{id} queued\n"))
}

/// One mail on one line: id, kind, state, and the time and code that matter.
fn line(row: &MailRow) -> String {
    let when = match (row.sent_at, row.dead_at) {
        (Some(at), _) | (_, Some(at)) => format!("on {at}"),
        _ => format!("next try {}", row.next_attempt_at),
    };
    let error = row.last_error.as_deref();
    let error = error.map_or_else(String::new, |code| format!(", {code}"));
    format!(
        "{} {:<17} {:<6} {when}, tries {}{error}\n",
        row.id,
        row.kind,
        row.state(),
        row.attempts
    )
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        Self::App(database(&error))
    }
}

impl From<MailError> for Failure {
    fn from(error: MailError) -> Self {
        match error {
            MailError::Db(error) => error.into(),
            error => Self::Refused(error.to_string()),
        }
    }
}

/// Mails that are listed.
const NEWEST: i64 = 100;
