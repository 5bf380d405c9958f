//! Identity: a session → the headers a proxy hands to the service behind it.
//!
//! **Invariant:** there is a value for every name, empty where the session says nothing, so that a
//! copy the client sent never passes (hazard S3). A value is visible ASCII or percent-encoded
//! (hazard S6).

use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use queue_verifier::Session;

/// The names, in the order of [`values`].
pub(crate) static NAMES: [HeaderName; 6] = [
    HeaderName::from_static("x-queue-subject"),
    HeaderName::from_static("x-queue-session"),
    HeaderName::from_static("x-queue-tenant"),
    HeaderName::from_static("x-queue-roles"),
    HeaderName::from_static("x-queue-scope"),
    HeaderName::from_static("x-queue-client"),
];

/// The values for `session`; `None` when they are too long for headers.
pub(crate) fn values(session: &Session) -> Option<[String; 6]> {
    let one = |value: Option<&str>| encode(value.unwrap_or_default());
    let values = [
        one(session.subject()),
        one(session.session_id()),
        one(session.tenant_id()),
        list(session.roles(), ","),
        list(session.scope(), " "),
        one(session.client_id()),
    ];
    (values.iter().map(String::len).sum::<usize>() <= MAX_IDENTITY).then_some(values)
}

/// Sets the names that are not there yet to nothing.
pub(crate) fn complete(headers: &mut HeaderMap) {
    for name in &NAMES {
        headers.entry(name).or_insert(HeaderValue::from_static(""));
    }
}

/// Every other spelling a service may take for one of the names: CGI and its heirs read `-`, `_`
/// and `.` alike (hazards S1, S2). All of them, as a proxy need not show us which the client sent.
pub(crate) static LOOKALIKES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let separators = ['-', '_', '.'];
    let spell = |first: char, second: char, last: &str| format!("x{first}queue{second}{last}");
    NAMES
        .iter()
        .filter_map(|name| name.as_str().strip_prefix("x-queue-"))
        .flat_map(|last| {
            separators.into_iter().flat_map(move |first| {
                separators
                    .into_iter()
                    .map(move |second| spell(first, second, last))
            })
        })
        .filter(|name| !NAMES.iter().any(|ours| ours == name.as_str()))
        .collect()
});

fn list<'a>(values: impl Iterator<Item = &'a str>, between: &str) -> String {
    let values: Vec<_> = values.map(encode).collect();
    values.join(between)
}

/// Percent-encodes what is not visible ASCII, the `%` itself, and the comma between roles.
fn encode(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' && byte != b',' {
            encoded.push(char::from(byte));
        } else {
            let digit = |nibble: u8| char::from(HEX[usize::from(nibble)]);
            encoded.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    encoded
}

/// Longest names together, in bytes: proxies hold the head of an answer in 4 to 16 KiB.
const MAX_IDENTITY: usize = 8 * 1024;
