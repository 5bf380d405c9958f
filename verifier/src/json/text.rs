//! A string of JSON, borrowed where it has no escapes (RFC 8259 §7).

use std::borrow::Cow;

use super::Malformed;

/// A string as it means, not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl Text<'_> {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Reads the string of `document` that begins at `start`, behind its opening quote; the string, and
/// where its closing quote ends.
pub(super) fn read(document: &str, start: usize) -> Result<(Text<'_>, usize), Malformed> {
    let bytes = document.as_bytes();
    let end = plain_end(bytes, start);
    if bytes.get(end) == Some(&b'"') {
        return Ok((Text(Cow::Borrowed(&document[start..end])), end + 1));
    }
    let (mut text, mut at) = (String::new(), start);
    loop {
        let end = plain_end(bytes, at);
        text.push_str(&document[at..end]);
        match bytes.get(end) {
            Some(b'"') => return Ok((Text(Cow::Owned(text)), end + 1)),
            Some(b'\\') => {
                let (character, length) = escape(&document[end + 1..])?;
                text.push(character);
                at = end + 1 + length;
            }
            _ => return Err(Malformed),
        }
    }
}

/// Where the first quote, backslash or control character from `at` on stands.
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = bytes.get(at..at + 8).and_then(|word| word.first_chunk()) {
        let special = special(u64::from_le_bytes(*word));
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let is_plain = |byte: &u8| !matches!(byte, b'"' | b'\\' | 0..0x20);
    while bytes.get(at).is_some_and(is_plain) {
        at += 1;
    }
    at
}

/// The top bit of the first of eight bytes that is a quote, a backslash or below a space, and
/// perhaps of later ones: `b - n` borrows from above where `b < n`, and from nowhere else.
fn special(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const TOPS: u64 = ONES << 7;
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word;
    let quote = below(word ^ (ONES * b'"' as u64), 1);
    let backslash = below(word ^ (ONES * b'\\' as u64), 1);
    (quote | backslash | below(word, 0x20)) & TOPS
}

/// What an escape stands for, and its length behind the backslash.
fn escape(rest: &str) -> Result<(char, usize), Malformed> {
    let character = match rest.as_bytes().first() {
        Some(byte @ (b'"' | b'\\' | b'/')) => char::from(*byte),
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode(rest),
        _ => return Err(Malformed),
    };
    Ok((character, 1))
}

/// `uXXXX`, or two of them that are a surrogate pair; a lone surrogate is no character.
fn unicode(rest: &str) -> Result<(char, usize), Malformed> {
    let first = unit(rest)?;
    if !(0xd800..0xdc00).contains(&first) {
        let character = char::from_u32(first).ok_or(Malformed)?;
        return Ok((character, 5));
    }
    let second = rest.get(5..).and_then(|rest| rest.strip_prefix('\\'));
    let second = unit(second.ok_or(Malformed)?)?;
    if !(0xdc00..0xe000).contains(&second) {
        return Err(Malformed);
    }
    let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    Ok((char::from_u32(code).ok_or(Malformed)?, 11))
}

fn unit(rest: &str) -> Result<u32, Malformed> {
    let digits = rest.strip_prefix('u').and_then(|rest| rest.get(..4));
    let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    u32::from_str_radix(digits.ok_or(Malformed)?, 16).map_err(|_| Malformed)
}
