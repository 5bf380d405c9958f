//! Setting values: takes the text of one key, gives the typed value or says what was expected.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use crate::db::Target;

/// Parses `300s`, `500ms`, `5m`, `12h` or `90d` and holds it against its bounds.
pub(super) fn duration(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("expected a duration with its unit, such as 300s".to_owned()),
    };
    let duration = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(millis))
        .map(Duration::from_millis)
        .ok_or("expected a duration with its unit, such as 300s")?;
    if duration < least || duration > most {
        return Err(format!(
            "expected a duration from {} to {}",
            show(least),
            show(most)
        ));
    }
    Ok(duration)
}

/// Writes a duration in the largest unit that divides it.
pub(super) fn show(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (1_000, "s")];
    let unit = units
        .into_iter()
        .find(|(size, _)| millis >= *size && millis.is_multiple_of(*size));
    match unit {
        Some((size, name)) => format!("{}{name}", millis / size),
        None => format!("{millis}ms"),
    }
}

/// Parses an address with its port; port 0 asks for any free one.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "expected an address and a port, such as 127.0.0.1:4100".to_owned())
}

/// Parses origins, separated by spaces or commas, each in the one form that browsers send.
pub(super) fn origins(text: &str) -> Result<Vec<String>, String> {
    let words = text.split([' ', ',']).filter(|word| !word.is_empty());
    let mut origins = Vec::new();
    for word in words {
        let origin = issuer_url(word)?;
        if origin.starts_with("https:") && origin.ends_with(":443")
            || origin.starts_with("http:") && origin.ends_with(":80")
        {
            return Err("expected no port where it is the scheme's own".to_owned());
        }
        origins.push(origin);
    }
    Ok(origins)
}

/// The host of an origin, without its port.
pub(super) fn host(origin: &str) -> Option<&str> {
    let (_, authority) = origin.split_once("://")?;
    if authority.starts_with('[') {
        return authority.split_inclusive(']').next();
    }
    authority.split(':').next()
}

/// Whether a host is an address and no domain.
pub(super) fn is_address(host: &str) -> bool {
    host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok()
}

/// Holds the domain of passkeys against the origins that use them.
pub(super) fn rp_id(id: &str, origins: &[String]) -> Result<(), String> {
    let label_is_sound = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    if id.len() > 253 || is_address(id) || !id.split('.').all(label_is_sound) {
        return Err("expected a domain in lower case, such as example.com".to_owned());
    }
    let is_below = |host: &str| {
        // A whole top-level domain belongs to nobody.
        let is_parent = id.contains('.') && host.ends_with(&format!(".{id}"));
        host == id || is_parent && !is_address(host)
    };
    if origins
        .iter()
        .all(|origin| host(origin).is_some_and(is_below))
    {
        return Ok(());
    }
    Err("expected the host of every origin, or a parent domain of all".to_owned())
}

/// Parses the name authenticators show.
pub(super) fn rp_name(text: &str) -> Result<String, String> {
    if text.chars().count() > 64 || text.trim().is_empty() || text.chars().any(char::is_control) {
        return Err("expected 1 to 64 characters without control characters".to_owned());
    }
    Ok(text.to_owned())
}

/// Parses the public URL: an origin and nothing more, since RFC 8414 and verifiers append to it.
pub(super) fn issuer_url(text: &str) -> Result<String, String> {
    let expected = || {
        "expected an https URL without path, query or trailing slash (http only for loopback)"
            .to_owned()
    };
    let (scheme, authority) = text.split_once("://").ok_or_else(expected)?;
    let uri = http::Uri::from_str(text).map_err(|_| expected())?;
    let host = uri.host().ok_or_else(expected)?;
    let canonical = text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase());
    if !canonical || authority.contains(['/', '?', '#', '@']) || host.is_empty() {
        return Err(expected());
    }
    let loopback = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    match scheme {
        "https" => Ok(text.to_owned()),
        "http" if loopback => Ok(text.to_owned()),
        _ => Err(expected()),
    }
}

/// Parses a list of audiences: at least one, none twice.
pub(super) fn audiences(text: &str) -> Result<Vec<String>, String> {
    let mut audiences = Vec::<String>::new();
    for name in text.split([' ', ',']).filter(|name| !name.is_empty()) {
        if name.len() > 255
            || !name
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
        {
            return Err(
                "expected audiences of visible ASCII, at most 255 characters each".to_owned(),
            );
        }
        if audiences.iter().any(|known| known == name) {
            return Err("expected each audience once".to_owned());
        }
        audiences.push(name.to_owned());
    }
    if audiences.is_empty() {
        return Err("expected at least one audience".to_owned());
    }
    Ok(audiences)
}

/// Parses a database URL; the message never repeats it, since it may hold a password.
pub(super) fn database(text: &str) -> Result<Target, String> {
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return PgConnectOptions::from_str(text)
            .map(|options| Target::Postgres(Box::new(options)))
            .map_err(|_| "expected postgres://user:password@host:port/database".to_owned());
    }
    if text.starts_with("sqlite:") {
        let options =
            SqliteConnectOptions::from_str(text).map_err(|_| "expected sqlite:PATH".to_owned())?;
        let path: PathBuf = options.get_filename().to_owned();
        let shown = path.to_string_lossy();
        if shown.is_empty()
            || shown.contains(":memory:")
            || shown.starts_with("file:")
            || text.contains("mode=memory")
        {
            return Err(
                "expected sqlite:PATH with a file, not memory: processes and connections share it"
                    .to_owned(),
            );
        }
        return Ok(Target::Sqlite(path));
    }
    Err("expected postgres://… or sqlite:PATH".to_owned())
}

/// Parses a whole number within bounds.
pub(super) fn number(text: &str, least: u32, most: u32) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("expected a whole number from {least} to {most}"))
}

/// Parses the size of a status list: whole bytes.
pub(super) fn list_size(text: &str) -> Result<u32, String> {
    let size = number(text, 1_024, 8_388_608)?;
    if size % 8 == 0 {
        Ok(size)
    } else {
        Err("expected a multiple of 8".to_owned())
    }
}
