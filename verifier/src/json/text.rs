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

/// Reads a string whose opening quote is behind us; the string, and how far its closing quote reaches.
pub(super) fn read(rest: &str) -> Result<(Text<'_>, usize), Malformed> {
    let plain = plain(rest.as_bytes());
    if rest.as_bytes().get(plain) == Some(&b'"') {
        return Ok((Text(Cow::Borrowed(&rest[..plain])), plain + 1));
    }
    let mut text = String::with_capacity(rest.len().min(plain * 2 + 16));
    let mut at = 0;
    loop {
        let end = at + self::plain(&rest.as_bytes()[at..]);
        text.push_str(&rest[at..end]);
        match rest.as_bytes().get(end) {
            Some(b'"') => return Ok((Text(Cow::Owned(text)), end + 1)),
            Some(b'\\') => {
                let (character, length) = escape(&rest[end + 1..])?;
                text.push(character);
                at = end + 1 + length;
            }
            _ => return Err(Malformed),
        }
    }
}

/// How many bytes stand before the first quote, backslash or control character.
fn plain(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let special = special(u64::from_le_bytes(*word));
        if special != 0 {
            return at * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    let plain = rest.iter().position(is_special).unwrap_or(rest.len());
    words.len() * 8 + plain
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
