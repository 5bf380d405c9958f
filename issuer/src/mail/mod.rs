//! Mail: takes what a customer must be told, gives one mail that leaves if and only if its reason happened.
//!
//! **Invariant:** a mail is a row of the outbox, written in the transaction that is its reason: what is
//! rolled back sends nothing, what is committed is sent at least once, by whichever replica comes first.
//! **Invariant:** recipient and words are sealed in the database and gone from it once the mail was sent or
//! given up; no address is in a log, a metric or an error.
//! **Invariant:** product name, sender and links come from the settings alone, never from a request.

mod letter;
mod notice;
pub(crate) mod routes;
mod store;
mod transport;
mod worker;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::customers::Email;
use crate::db::{DEFAULT_TENANT, Db, DbError, Id, Tx};
use crate::key::sealing::{Kek, SealError};
use crate::problem::Problem;

pub(crate) use letter::LetterError;
pub(crate) use notice::notify;
pub(crate) use store::{MailRow, page};
pub(crate) use worker::{Outbox, run};

/// What a mail says. A time is in seconds since 1970; a name or device is a caller's text, made inert when
/// it is written.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Mail {
    VerificationCode {
        purpose: Purpose,
        code: String,
        minutes: u32,
    },
    /// To the address that was left.
    AddressChanged {
        at: i64,
    },
    NewSignIn {
        device: String,
        at: i64,
    },
    RecoveryUsed {
        at: i64,
    },
    PasskeyAdded {
        name: String,
        at: i64,
    },
    PasskeyRemoved {
        name: String,
        at: i64,
    },
    BackupCodesMade {
        at: i64,
    },
    BackupCodeSpent {
        left: u32,
        at: i64,
    },
    /// An operator asks whether mail arrives.
    Test,
}

/// What a code proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Purpose {
    Verify,
    Change,
    Recover,
}

/// A mail about to be queued.
pub(crate) struct Outgoing<'a> {
    pub(crate) to: &'a Email,
    pub(crate) customer: Option<Id>,
    pub(crate) mail: &'a Mail,
    /// From then on it is worth nothing: a code's own end.
    pub(crate) expires_at: Timestamp,
}

/// Why a mail cannot be queued.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MailError {
    #[error("expected a key-encryption key")]
    KekMissing,
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("the mail cannot be written")]
    Write(#[from] serde_json::Error),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// What is sealed in a row.
#[derive(Serialize, Deserialize)]
struct Content {
    to: String,
    mail: Mail,
}

impl Mail {
    /// The kind, as rows, metrics and operators name it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::VerificationCode { .. } => "verification_code",
            Self::AddressChanged { .. } => "address_changed",
            Self::NewSignIn { .. } => "new_sign_in",
            Self::RecoveryUsed { .. } => "recovery_used",
            Self::PasskeyAdded { .. } => "passkey_added",
            Self::PasskeyRemoved { .. } => "passkey_removed",
            Self::BackupCodesMade { .. } => "backup_codes_made",
            Self::BackupCodeSpent { .. } => "backup_code_spent",
            Self::Test => "test",
        }
    }
}

/// Queues a mail in the transaction that is its reason; the caller says [`Outbox::wake`] after the commit.
pub(crate) async fn enqueue(
    tx: &mut Tx,
    kek: Option<&Kek>,
    outgoing: &Outgoing<'_>,
    now: Timestamp,
) -> Result<Id, MailError> {
    let kek = kek.ok_or(MailError::KekMissing)?;
    let id = Id::new(now);
    let content = Content {
        to: outgoing.to.written.clone(),
        mail: outgoing.mail.clone(),
    };
    let plain = Zeroizing::new(serde_json::to_vec(&content)?);
    let sealed = kek.seal_as(SEALED_AS, DEFAULT_TENANT, id.as_bytes(), &plain)?;
    store::insert(tx, id, outgoing, (&sealed, kek.id()), now).await?;
    Ok(id)
}

/// Queues the mail by which an operator finds out whether mail arrives.
pub(crate) async fn enqueue_test(
    tx: &mut Tx,
    kek: Option<&Kek>,
    to: &Email,
    now: Timestamp,
) -> Result<Id, MailError> {
    let outgoing = Outgoing {
        to,
        customer: None,
        mail: &Mail::Test,
        expires_at: now.plus(TEST_LIFE),
    };
    enqueue(tx, kek, &outgoing, now).await
}

/// Whether mails are tried when they are due. A mail server that is away does not count: the tries fail in
/// time, and to stop answering would help nobody.
pub(crate) async fn is_keeping_up(db: &Db, now: Timestamp) -> Result<bool, DbError> {
    let waiting = store::waiting(db).await?;
    Ok(waiting.due_at.is_none_or(|due| due.plus(LAG) > now))
}

/// Removes what was settled long ago.
async fn sweep(db: &Db, now: Timestamp) -> Result<(), DbError> {
    store::remove_settled(db, now.minus(KEPT), BATCH).await
}

impl Content {
    /// What [`enqueue`] sealed for the row `id`.
    fn open(kek: &Kek, id: Id, sealed: &[u8]) -> Option<Self> {
        let plain = kek
            .open_as(SEALED_AS, DEFAULT_TENANT, id.as_bytes(), sealed)
            .ok()?;
        serde_json::from_slice(&plain).ok()
    }
}

impl From<MailError> for Problem {
    fn from(error: MailError) -> Self {
        match error {
            MailError::Db(error) => error.into(),
            error => Self::fault(error),
        }
    }
}

const SEALED_AS: &str = "queue mail";
/// How late a due mail may be before the process counts as not ready.
const LAG: Duration = Duration::from_secs(60);
/// How long operators see what became of a mail.
const KEPT: Duration = Duration::from_secs(30 * 86_400);
/// Rows to remove in one transaction.
const BATCH: i64 = 1_000;
/// A test mail that has not left by then tells what the operator wanted to know.
const TEST_LIFE: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests;
