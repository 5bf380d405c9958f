//! Settings of mail: take where it goes, whom it is from and where its links point, give them checked.
//!
//! **Invariant:** what leaves this host is encrypted, and to whom is checked: without TLS there is loopback
//! alone, and only by name.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::str::FromStr;

use lettre::message::Mailbox;
use secrecy::SecretString;

use super::{Reader, SettingsError, shown_name, value};

/// How mail leaves.
pub(crate) struct MailSettings {
    pub(crate) target: MailTarget,
    pub(crate) from: Mailbox,
    pub(crate) front_url: String,
}

/// Where mail goes.
pub(crate) enum MailTarget {
    /// Into `outbox/` of the data directory.
    Files,
    Smtp(SmtpTarget),
}

/// A mail server.
pub(crate) struct SmtpTarget {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: SmtpTls,
    pub(crate) credentials: Option<(String, SecretString)>,
}

/// How a connection to a mail server is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SmtpTls {
    /// From its first byte (RFC 8314).
    Wrapper,
    /// By STARTTLS, and never without.
    Required,
    None,
}

pub(super) fn resolve(reader: &Reader<'_>, url: &str) -> Result<MailSettings, SettingsError> {
    let target = reader.read("mail_url", target)?;
    let from = reader.text("mail_from");
    let is_file = matches!(target, MailTarget::Files);
    if from.is_empty() && !is_file {
        let what = "expected the address mail is sent from, since QUEUE_ISSUER_MAIL_URL is set";
        return Err(SettingsError::new(shown_name("mail_from"), what));
    }
    let from = if from.is_empty() { UNSENT_FROM } else { from };
    let from = mailbox(from).map_err(|what| SettingsError::new(shown_name("mail_from"), what))?;
    let front_url = if reader.text("front_url").is_empty() {
        url.to_owned()
    } else {
        reader.read("front_url", value::issuer_url)?
    };
    Ok(MailSettings {
        target,
        from,
        front_url,
    })
}

/// Parses where mail goes; the message never repeats it, since it may hold a password.
pub(super) fn target(text: &str) -> Result<MailTarget, String> {
    let expected = || {
        "expected smtps://user:password@host, smtp://user:password@host?tls=required or file:"
            .to_owned()
    };
    if text.is_empty() || text == "file:" {
        return Ok(MailTarget::Files);
    }
    let uri = http::Uri::from_str(text).map_err(|_| expected())?;
    let authority = uri.authority().ok_or_else(expected)?;
    if !matches!(uri.path(), "" | "/") || text.contains('#') {
        return Err(expected());
    }
    let (tls, port) = match (uri.scheme_str(), uri.query()) {
        (Some("smtps"), None) => (SmtpTls::Wrapper, 465),
        (Some("smtp"), None | Some("tls=required")) => (SmtpTls::Required, 587),
        (Some("smtp"), Some("tls=none")) => (SmtpTls::None, 25),
        _ => return Err(expected()),
    };
    let host = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    if host.is_empty() {
        return Err(expected());
    }
    if tls == SmtpTls::None && !is_loopback(host) {
        return Err("expected a loopback host where tls=none".to_owned());
    }
    let (given, place) = match authority.as_str().rsplit_once('@') {
        Some((given, place)) => (Some(given), place),
        None => (None, authority.as_str()),
    };
    let port = match place.strip_prefix(authority.host()).ok_or_else(expected)? {
        "" => port,
        text => text
            .strip_prefix(':')
            .and_then(|port| port.parse::<NonZeroU16>().ok())
            .ok_or_else(expected)?
            .get(),
    };
    let credentials = match given {
        Some(given) => Some(credentials(given).ok_or_else(expected)?),
        None => None,
    };
    Ok(MailTarget::Smtp(SmtpTarget {
        host: host.to_owned(),
        port,
        tls,
        credentials,
    }))
}

/// Parses `Name <local@domain>`; the name is the product's in every mail.
pub(super) fn mailbox(text: &str) -> Result<Mailbox, String> {
    let expected = || "expected Name <local@domain> or local@domain, on one line".to_owned();
    let is_line = text.len() <= 512 && !text.chars().any(char::is_control);
    let mailbox = Some(text)
        .filter(|_| is_line)
        .and_then(|text| text.parse::<Mailbox>().ok())
        .ok_or_else(expected)?;
    let address: &str = mailbox.email.as_ref();
    // A name that cannot be written would end the process when the first mail is.
    let is_written = write!(String::new(), "{mailbox}").is_ok();
    if address.len() > 254 || !address.is_ascii() || !is_written {
        return Err(expected());
    }
    Ok(mailbox)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// `user:password`, each percent-encoded (RFC 3986 §2.1).
fn credentials(text: &str) -> Option<(String, SecretString)> {
    let (user, password) = text.split_once(':')?;
    let (user, password) = (decode(user)?, decode(password)?);
    (!user.is_empty() && !password.is_empty()).then(|| (user, SecretString::from(password)))
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// Whom mail is from that goes nowhere.
const UNSENT_FROM: &str = "Queue <queue@localhost>";
