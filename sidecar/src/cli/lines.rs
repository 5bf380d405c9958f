//! Lines: standard input → items, one at a time, in bounded memory.

use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Failure;

/// What one line says.
#[derive(Debug)]
pub(super) struct Item {
    /// As given, else the number of the line.
    id: Box<RawValue>,
    /// The bytes to judge, or the code of a line that has none.
    bytes: Result<Vec<u8>, &'static str>,
}

/// What is written for one line.
#[derive(Debug, Serialize)]
struct Answer<T> {
    id: Box<RawValue>,
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(flatten)]
    found: Option<T>,
}

/// The names an item's bytes go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `token`, `token_b64`; a line that is no JSON object is a token.
    Token,
    /// `jws`, `jws_b64`; likewise.
    Jws,
}

/// Judges every line of standard input, answering each before the next is read.
pub(super) fn judge_all<T: Serialize>(
    kind: Kind,
    judge: impl Fn(&[u8]) -> Result<T, &'static str>,
) -> Result<ExitCode, Failure> {
    let mut input = io::stdin().lock();
    let mut output = io::stdout().lock();
    let (mut line, mut number, mut are_all_valid) = (Vec::new(), 0, true);
    while let Some(is_whole) = next_line(&mut input, &mut line)? {
        number += 1;
        let item = Item::read(&line, is_whole, number, kind);
        let verdict = item.bytes.and_then(|bytes| judge(&bytes));
        are_all_valid &= verdict.is_ok();
        let answer = Answer {
            id: item.id,
            valid: verdict.is_ok(),
            code: verdict.as_ref().err().copied(),
            found: verdict.ok(),
        };
        let mut text = serde_json::to_vec(&answer).map_err(io::Error::from)?;
        text.push(b'\n');
        output.write_all(&text)?;
        output.flush()?;
    }
    if number == 0 {
        return Err(Failure::broken(
            "expected at least one line on standard input",
        ));
    }
    Ok(ExitCode::from(u8::from(!are_all_valid)))
}

impl Item {
    fn read(line: &[u8], is_whole: bool, number: u64, kind: Kind) -> Self {
        let is_json = line.trim_ascii_start().first() == Some(&b'{');
        let id = if is_json { id_of(line) } else { None };
        let id = id.unwrap_or_else(|| {
            RawValue::from_string(number.to_string()).expect("a number is JSON")
        });
        let bytes = match (is_whole, is_json) {
            // Too long for a line is too long for a token.
            (false, _) => Err(TOO_LARGE),
            (true, true) => Given::bytes(line, kind).ok_or(MALFORMED),
            (true, false) => Ok(line.to_vec()),
        };
        Self { id, bytes }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    #[serde(default, rename = "id")]
    _id: Option<serde::de::IgnoredAny>,
    token: Option<String>,
    token_b64: Option<String>,
    jws: Option<String>,
    jws_b64: Option<String>,
}

impl Given {
    fn bytes(line: &[u8], kind: Kind) -> Option<Vec<u8>> {
        let given: Self = serde_json::from_slice(line).ok()?;
        let ((text, base64), others) = match kind {
            Kind::Token => ((given.token, given.token_b64), (given.jws, given.jws_b64)),
            Kind::Jws => ((given.jws, given.jws_b64), (given.token, given.token_b64)),
        };
        match (text, base64, others) {
            (Some(text), None, (None, None)) => Some(text.into_bytes()),
            (None, Some(base64), (None, None)) => {
                base64_simd::forgiving_decode_to_vec(base64.as_bytes()).ok()
            }
            _ => None,
        }
    }
}

/// The `id` of an object: wherever it is in a whole one, and where it comes first, even of one that is cut
/// short or wrong further on.
fn id_of(line: &[u8]) -> Option<Box<RawValue>> {
    id_at_first(line).or_else(|| id_anywhere(line))
}

fn id_at_first(line: &[u8]) -> Option<Box<RawValue>> {
    let rest = line.trim_ascii_start().strip_prefix(b"{")?;
    let rest = rest.trim_ascii_start().strip_prefix(b"\"id\"")?;
    let rest = rest.trim_ascii_start().strip_prefix(b":")?;
    let first = serde_json::Deserializer::from_slice(rest)
        .into_iter()
        .next();
    first?.ok()
}

fn id_anywhere(line: &[u8]) -> Option<Box<RawValue>> {
    #[derive(Deserialize)]
    struct Named {
        // `null` is an id as good as any.
        id: Box<RawValue>,
    }
    Some(serde_json::from_slice::<Named>(line).ok()?.id)
}

/// Reads one line into `line`, without its end; whether it is whole, `None` at the end of input.
/// Of a line that is too long the beginning is kept and the rest is passed over.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<bool>> {
    line.clear();
    let (mut has_begun, mut is_whole) = (false, true);
    loop {
        let chunk = input.fill_buf()?;
        if chunk.is_empty() {
            return Ok(has_begun.then_some(is_whole));
        }
        has_begun = true;
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let part = &chunk[..end.unwrap_or(chunk.len())];
        let kept = part.len().min(MAX_LINE - line.len());
        line.extend_from_slice(&part[..kept]);
        is_whole &= kept == part.len();
        let used = part.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            return Ok(Some(is_whole));
        }
    }
}

#[cfg(test)]
mod tests;

/// Longest line read, in bytes: a token of every accepted size fits, however it is escaped.
const MAX_LINE: usize = 256 * 1024;
const MALFORMED: &str = crate::EdgeCode::RequestMalformed.as_str();
const TOO_LARGE: &str = queue_verifier::ErrorCode::TokenTooLarge.as_str();
