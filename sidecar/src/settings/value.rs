//! Values: one text of a setting → what it means.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use tracing_subscriber::filter::LevelFilter;

/// A duration with its unit: `250ms`, `30s`, `5m`, `1h`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number: u64 = text[..digits].parse().ok()?;
    let millis = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(millis)?))
}

/// As [`duration`], or a bare number of seconds.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    let bare = text.parse().ok().map(Duration::from_secs);
    bare.or_else(|| duration(text))
}

/// `duration` as it would be written in a setting.
pub(super) fn display(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{}s", duration.as_secs()),
        _ => format!("{}ms", duration.as_millis()),
    }
}

/// `level` or `target=level`, several with commas; a lone word that is no level would otherwise
/// be taken for a target.
pub(super) fn is_log_filter(filter: &str) -> bool {
    filter.split(',').all(|directive| {
        let (target, level) = directive.split_once('=').unwrap_or(("all", directive));
        let is_target = |byte: u8| byte.is_ascii_alphanumeric() || b"_:".contains(&byte);
        !target.is_empty() && target.bytes().all(is_target) && level.parse::<LevelFilter>().is_ok()
    })
}

/// A name that can be a cookie's (RFC 6265 §4.1.1: an RFC 9110 token).
pub(super) fn is_cookie_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}

/// An http or https URL that names a host and nobody's password.
pub(super) fn is_collector(url: &str) -> bool {
    let Ok(url) = url.parse::<http::Uri>() else {
        return false;
    };
    let is_http = matches!(url.scheme_str(), Some("http" | "https"));
    let names_a_host = url
        .authority()
        .is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'));
    is_http && names_a_host && url.query().is_none()
}

/// A `Host` value: visible ASCII without delimiters of a URL but the port's and IPv6's.
pub(super) fn is_host(host: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    !host.is_empty() && host.bytes().all(is_allowed)
}

/// The text of a file of at most `most` bytes.
pub(crate) fn read_bounded(path: &Path, most: u64) -> Option<String> {
    let mut text = String::new();
    let file = std::fs::File::open(path).ok()?;
    let read = file.take(most + 1).read_to_string(&mut text).ok()?;
    (u64::try_from(read).ok()? <= most).then_some(text)
}
