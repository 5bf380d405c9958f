//! Letter: takes a mail and the settings, gives the message that leaves, in text and HTML.
//!
//! **Invariant:** what a caller chose (a passkey's name, a device) is escaped, short, on one line, and holds
//! nothing a mail program would turn into a link.
//! **Invariant:** the same row has the same `Message-ID` at every try, so a mail that arrives twice is known
//! as one.
//!
//! RFC 5322; RFC 3834 for `Auto-Submitted`.

use std::time::{Duration, UNIX_EPOCH};

use askama::Template;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message};

use super::{Mail, Purpose};
use crate::clock::Timestamp;
use crate::db::Id;

/// What every mail shares.
pub(super) struct Letterhead {
    pub(super) from: Mailbox,
    /// Where links point.
    pub(super) link: String,
}

/// A mail cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LetterError {
    #[error("expected an address a mail can go to")]
    Address,
    #[error("the template failed")]
    Template(#[from] askama::Error),
    #[error("the message cannot be put together")]
    Message(#[from] lettre::error::Error),
}

#[derive(Template)]
#[template(path = "mail/letter.txt")]
struct Text<'a> {
    mail: &'a Mail,
    product: &'a str,
    link: &'a str,
}

#[derive(Template)]
#[template(path = "mail/letter.html")]
struct Html<'a> {
    mail: &'a Mail,
    product: &'a str,
    link: &'a str,
    subject: &'a str,
}

impl Letterhead {
    /// The message of row `id`, which was made at `made_at`.
    pub(super) fn write(
        &self,
        id: Id,
        to: &str,
        mail: &Mail,
        made_at: Timestamp,
    ) -> Result<Message, LetterError> {
        let to: Address = to.parse().map_err(|_| LetterError::Address)?;
        let mail = &inert_mail(mail);
        let subject = self.subject(mail);
        let (product, link) = (self.product(), self.link.as_str());
        let text = Text {
            mail,
            product,
            link,
        };
        let html = Html {
            mail,
            product,
            link,
            subject: &subject,
        };
        let body = MultiPart::alternative_plain_html(text.render()?, html.render()?);
        let micros = u64::try_from(made_at.unix_micros()).unwrap_or(0);
        let auto_submitted = HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        );
        Ok(Message::builder()
            .from(self.from.clone())
            .to(to.into())
            .subject(&subject)
            .date(UNIX_EPOCH + Duration::from_micros(micros))
            .message_id(Some(format!("<{id}@{}>", self.from.email.domain())))
            .raw_header(auto_submitted)
            .multipart(body)?)
    }

    /// The sender's name is the product's.
    fn product(&self) -> &str {
        self.from.name.as_deref().unwrap_or("Queue")
    }

    fn subject(&self, mail: &Mail) -> String {
        let product = self.product();
        match mail {
            Mail::VerificationCode { purpose, .. } => match purpose {
                Purpose::Verify => format!("Confirm your e-mail address for {product}"),
                Purpose::Change => format!("Confirm your new e-mail address for {product}"),
                Purpose::Recover => format!("Get back into your {product} account"),
            },
            Mail::AddressChanged { .. } => format!("Your {product} e-mail address was changed"),
            Mail::NewSignIn { .. } => format!("New sign-in to your {product} account"),
            Mail::RecoveryUsed { .. } => format!("Your {product} account was recovered"),
            Mail::PasskeyAdded { .. } => format!("A passkey was added to your {product} account"),
            Mail::PasskeyRemoved { .. } => {
                format!("A passkey was removed from your {product} account")
            }
            Mail::BackupCodesMade { .. } => format!("New backup codes for your {product} account"),
            Mail::BackupCodeSpent { .. } => {
                format!("A backup code of your {product} account was used")
            }
            Mail::Test => format!("Mail from {product} arrives"),
        }
    }
}

/// `2026-11-24 13:55 UTC`.
fn date(seconds: &i64) -> String {
    let text = Timestamp::from_unix_seconds(*seconds).to_string();
    let minutes = text.get(..text.len().saturating_sub(4)).unwrap_or_default();
    format!("{} UTC", minutes.replace('T', " "))
}

/// The mail with every caller's text made harmless.
fn inert_mail(mail: &Mail) -> Mail {
    let mut mail = mail.clone();
    match &mut mail {
        Mail::NewSignIn { device: text, .. }
        | Mail::PasskeyAdded { name: text, .. }
        | Mail::PasskeyRemoved { name: text, .. } => *text = inert(text),
        _ => {}
    }
    mail
}

/// One short line without anything that becomes a link or hides text. A full stop stays where a space or the
/// end follows it.
fn inert(text: &str) -> String {
    let mut line = String::new();
    let mut characters = text.chars().take(LONGEST).peekable();
    while let Some(character) = characters.next() {
        let ends_word = characters.peek().is_none_or(|next| *next == ' ');
        let stays = match character {
            '.' => ends_word,
            '<' | '>' | '&' | '\'' | '"' | '(' | ')' | ',' | '-' | '_' | '+' | '#' | '!' | '’' => {
                true
            }
            other => other.is_alphanumeric(),
        };
        line.push(if stays { character } else { ' ' });
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Longest name or device in a mail, in characters.
const LONGEST: usize = 60;
