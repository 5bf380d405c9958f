//! Worker: takes due mails from the outbox, sends them, writes down what became of each.
//!
//! **Invariant:** no transaction is open while a mail server is spoken to.
//! **Invariant:** a mail is claimed by a lease before it is sent and settled after; a process that dies
//! between leaves it to the next one when the lease ends, under the same `Message-ID`.

use std::convert::Infallible;
use std::time::Duration;

use aws_lc_rs::rand;
use tokio::sync::Notify;

use super::letter::Letterhead;
use super::store::{self, Claimed};
use super::transport::{Failure, LIMIT, Transport};
use super::{Content, LetterError, sweep};
use crate::app::{AppError, Shared};
use crate::clock::Timestamp;
use crate::db::DbError;
use crate::settings::{Settings, SettingsError};
use crate::telemetry;

/// The way out of a running issuer.
pub(crate) struct Outbox {
    transport: Transport,
    letterhead: Letterhead,
    wake: Notify,
}

impl Outbox {
    /// What the settings say of mail.
    pub(crate) fn new(settings: &Settings) -> Result<Self, AppError> {
        let transport = Transport::new(settings).map_err(|_| {
            SettingsError::new(
                "QUEUE_ISSUER_MAIL_URL (mail_url)",
                "expected a host TLS can name",
            )
        })?;
        if matches!(transport, Transport::Files(_)) {
            tracing::warn!("mail goes into files: set QUEUE_ISSUER_MAIL_URL to send it");
        }
        let letterhead = Letterhead {
            from: settings.mail.from.clone(),
            link: settings.mail.front_url.clone(),
        };
        Ok(Self {
            transport,
            letterhead,
            wake: Notify::new(),
        })
    }

    /// Says that a mail was committed; without it, it is found within a second.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Lets go of the mail server.
    pub(crate) async fn close(&self) {
        self.transport.close().await;
    }
}

/// Sends mails as long as it is polled.
pub(crate) async fn run(shared: &Shared) -> Infallible {
    tokio::select! {
        never = watch(shared) => never,
        never = lane(shared) => never,
        never = lane(shared) => never,
        never = lane(shared) => never,
        never = lane(shared) => never,
    }
}

/// Looks each second for what is due: mails of other processes, tries that failed before, dead leases. Each
/// minute, from the first second on, removes what was settled long ago.
async fn watch(shared: &Shared) -> Infallible {
    let mut looks = 0_u64;
    loop {
        tokio::time::sleep(POLL).await;
        match look(shared).await {
            Ok(true) => shared.outbox.wake(),
            Ok(false) => {}
            Err(error) => report(&error),
        }
        if looks.is_multiple_of(SWEEP)
            && let Err(error) = sweep(&shared.db, shared.clock.now()).await
        {
            report(&error);
        }
        looks += 1;
    }
}

/// Whether a mail is due; tells the metrics what waits.
async fn look(shared: &Shared) -> Result<bool, DbError> {
    let waiting = store::waiting(&shared.db).await?;
    let now = shared.clock.now();
    let age = waiting.oldest.map_or(0, |oldest| {
        now.unix_seconds().saturating_sub(oldest.unix_seconds())
    });
    shared.metrics.set(telemetry::MAIL_QUEUED, waiting.count);
    shared.metrics.set(telemetry::MAIL_OLDEST_SECONDS, age);
    Ok(waiting.due_at.is_some_and(|due| due <= now))
}

/// Sends one mail after the other while there are any, then waits to be woken.
async fn lane(shared: &Shared) -> Infallible {
    loop {
        shared.outbox.wake.notified().await;
        loop {
            match deliver(shared).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    report(&error);
                    break;
                }
            }
        }
    }
}

/// Sends the mail that has been due longest; false when none is.
async fn deliver(shared: &Shared) -> Result<bool, DbError> {
    let Some(claimed) = claim(shared).await? else {
        return Ok(false);
    };
    // There may be more, and another lane may be free.
    shared.outbox.wake();
    let tried = attempt(shared, &claimed).await;
    settle(shared, &claimed, tried).await?;
    Ok(true)
}

async fn claim(shared: &Shared) -> Result<Option<Claimed>, DbError> {
    let now = shared.clock.now();
    let mut tx = shared.db.begin().await?;
    let expired = store::expire(&mut tx, now).await?;
    let claimed = store::claim(&mut tx, now, LEASE).await?;
    tx.commit().await?;
    for _ in 0..expired {
        count_failure(shared, "expired");
    }
    Ok(claimed)
}

async fn attempt(shared: &Shared, claimed: &Claimed) -> Result<(), Failure> {
    let content = shared
        .keys
        .kek
        .as_ref()
        .and_then(|kek| Content::open(kek, claimed.id, &claimed.sealed));
    // Sealed under another key, or of a kind a newer release knows: another replica may read it.
    let content = content.ok_or_else(|| Failure::passing("unreadable"))?;
    let message = shared
        .outbox
        .letterhead
        .write(claimed.id, &content.to, &content.mail, claimed.created_at)
        .map_err(|error| match error {
            LetterError::Address => Failure::lasting("address"),
            LetterError::Template(_) | LetterError::Message(_) => Failure::lasting("unwritable"),
        })?;
    shared.outbox.transport.send(claimed.id, &message).await
}

async fn settle(
    shared: &Shared,
    claimed: &Claimed,
    tried: Result<(), Failure>,
) -> Result<(), DbError> {
    let now = shared.clock.now();
    let mut tx = shared.db.begin().await?;
    match &tried {
        Ok(()) => store::sent(&mut tx, claimed.id, now).await?,
        Err(failure) if failure.is_final => {
            store::dead(&mut tx, claimed, &failure.code, now).await?;
        }
        Err(failure) => {
            let at = next_try(claimed, now);
            store::postpone(&mut tx, claimed, &failure.code, at).await?;
        }
    }
    tx.commit().await?;
    match tried {
        Ok(()) => shared
            .metrics
            .count(telemetry::MAIL_SENT, &[("kind", claimed.kind.clone())]),
        Err(failure) => {
            tracing::warn!(id = %claimed.id, code = failure.code, is_final = failure.is_final, "mail not sent");
            count_failure(shared, &failure.code);
        }
    }
    Ok(())
}

fn count_failure(shared: &Shared, code: &str) {
    shared
        .metrics
        .count(telemetry::MAIL_FAILED, &[("code", code.to_owned())]);
}

fn report(error: &DbError) {
    tracing::warn!(
        error = crate::problem::chain(error),
        "the outbox cannot be read or written"
    );
}

/// When a mail that failed is tried again; at its end at the latest, where it is given up.
fn next_try(claimed: &Claimed, now: Timestamp) -> Timestamp {
    let mut random = [0_u8; 1];
    // Without randomness mails that failed together are tried together, no more.
    let random = rand::fill(&mut random).map_or(0, |()| random[0]);
    now.plus(backoff(claimed.attempts, random))
        .min(claimed.expires_at)
}

/// 1 s, 5 s, 30 s, 2 min, then each 5 min; up to a quarter more, at random.
pub(super) fn backoff(attempts: i64, random: u8) -> Duration {
    let seconds = match attempts {
        ..=1 => 1,
        2 => 5,
        3 => 30,
        4 => 120,
        _ => 300,
    };
    let wait = Duration::from_secs(seconds);
    wait + wait * u32::from(random) / 1_024
}

/// How often the database is asked for what is due.
const POLL: Duration = Duration::from_secs(1);
/// Looks from one removal of settled mails to the next.
const SWEEP: u64 = 60;
/// How long a claim holds: well over what a try can take.
pub(super) const LEASE: Duration = Duration::from_secs(120);
const _: () = assert!(LEASE.as_secs() >= 3 * LIMIT.as_secs());
