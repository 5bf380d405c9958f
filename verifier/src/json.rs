//! JSON as the walk reads it: I-JSON (RFC 7493), one strict reading for header and claims.
//!
//! **Invariant:** a document that passes is one object in UTF-8 with no duplicate members at any
//! level, no lone surrogates, no number beyond a double's range, no nesting beyond
//! [`MAX_JSON_DEPTH`] and nothing after its end (hazards V17–V19).
//!
//! Our own reader, because what a token says must not depend on a feature another crate of the
//! program turns on in a shared parser, and because the walk reads nothing twice.

mod number;
mod text;

use std::collections::HashSet;

use crate::policy::MAX_JSON_DEPTH;
pub(crate) use number::Number;
pub(crate) use text::Text;

/// Not the JSON that is expected here; where and why helps no honest caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Reads `bytes`, one object; `member` gets each name once and must read its value.
pub(crate) fn object<'a>(
    bytes: &'a [u8],
    member: impl FnMut(&mut Reader<'a>, Text<'a>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed)?;
    let mut reader = Reader {
        text,
        at: 0,
        depth: 0,
    };
    reader.space();
    reader.object(member)?;
    reader.space();
    if reader.at == text.len() {
        Ok(())
    } else {
        Err(Malformed)
    }
}

/// Stands before a value of a document and reads it; each method leaves it behind that value.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    /// A string.
    pub(crate) fn text(&mut self) -> Result<Text<'a>, Malformed> {
        self.expect(b'"')?;
        let (text, end) = text::read(self.text, self.at)?;
        self.at = end;
        Ok(text)
    }

    /// A number within a double's range.
    pub(crate) fn number(&mut self) -> Result<Number, Malformed> {
        let (number, end) = number::read(self.text, self.at)?;
        self.at = end;
        Ok(number)
    }

    /// An array of strings.
    pub(crate) fn texts(&mut self) -> Result<Vec<Text<'a>>, Malformed> {
        let mut texts = Vec::new();
        self.array(|reader| {
            texts.push(reader.text()?);
            Ok(())
        })?;
        Ok(texts)
    }

    /// A string, or an array of strings.
    pub(crate) fn one_or_many(&mut self) -> Result<Vec<Text<'a>>, Malformed> {
        if self.next() == Some(b'"') {
            return Ok(vec![self.text()?]);
        }
        self.texts()
    }

    /// An object; `member` gets each name once and must read its value.
    pub(crate) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, Text<'a>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.expect(b'{')?;
        let mut members = Members::default();
        self.items(b'}', |reader| {
            let name = reader.text()?;
            members.insert(&name)?;
            reader.space();
            reader.expect(b':')?;
            reader.space();
            member(reader, name)
        })
    }

    /// Any value; proves the invariant of this module for it and keeps nothing.
    pub(crate) fn skip(&mut self) -> Result<(), Malformed> {
        match self.next() {
            Some(b'"') => self.text().map(drop),
            Some(b'{') => self.object(|reader, _| reader.skip()),
            Some(b'[') => self.array(Self::skip),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => self.number().map(drop),
        }
    }

    fn array(
        &mut self,
        item: impl FnMut(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.expect(b'[')?;
        self.items(b']', item)
    }

    /// What stands between an opening bracket, already read, and `end`.
    fn items(
        &mut self,
        end: u8,
        mut item: impl FnMut(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if self.depth == MAX_JSON_DEPTH {
            return Err(Malformed);
        }
        self.depth += 1;
        self.space();
        if self.next() != Some(end) {
            loop {
                item(self)?;
                self.space();
                if self.next() != Some(b',') {
                    break;
                }
                self.at += 1;
                self.space();
            }
        }
        self.depth -= 1;
        self.expect(end)
    }

    fn word(&mut self, word: &str) -> Result<(), Malformed> {
        if !self.text[self.at..].starts_with(word) {
            return Err(Malformed);
        }
        self.at += word.len();
        Ok(())
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.next() {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.next() != Some(byte) {
            return Err(Malformed);
        }
        self.at += 1;
        Ok(())
    }

    fn next(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

/// The names already met in one object.
#[derive(Debug, Default)]
struct Members<'a> {
    few: Vec<Text<'a>>,
    many: HashSet<Text<'a>>,
    /// One bit for each kind of name in `few`: most names are new, and need no scan to show it.
    kinds: u64,
}

/// Up to this many names a scan of a list is faster than a hash.
const FEW: usize = 24;

impl<'a> Members<'a> {
    /// Notes `name`; an error when the object already has it.
    fn insert(&mut self, name: &Text<'a>) -> Result<(), Malformed> {
        let kind = 1 << (kind(name.as_str()) % 64);
        let is_few = self.few.len() < FEW;
        let is_known = self.kinds & kind != 0 && self.few.contains(name);
        if is_known || !is_few && !self.many.insert(name.clone()) {
            return Err(Malformed);
        }
        if is_few {
            if self.few.is_empty() {
                self.few.reserve(FEW);
            }
            self.few.push(name.clone());
            self.kinds |= kind;
        }
        Ok(())
    }
}

/// Tells most names apart.
fn kind(name: &str) -> usize {
    match name.as_bytes() {
        [first, .., last] => name.len() + 5 * usize::from(*first) + 11 * usize::from(*last),
        [only] => usize::from(*only),
        [] => 0,
    }
}

#[cfg(test)]
mod tests;
