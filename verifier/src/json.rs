//! JSON as the walk reads it: I-JSON (RFC 7493), one reading for every parser.
//!
//! **Invariant:** a document that passes has no duplicate members at any level, no lone
//! surrogates, no number beyond a double's range, no nesting beyond [`MAX_JSON_DEPTH`] and
//! nothing after its end (hazards V17–V19).

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

use crate::policy::MAX_JSON_DEPTH;

/// A JSON string, borrowed where it has no escapes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Text<'de>(pub(crate) Cow<'de, str>);

impl Text<'_> {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// The names already met in one object.
#[derive(Debug, Default)]
pub(crate) struct Members<'de> {
    few: Vec<Text<'de>>,
    many: HashSet<Text<'de>>,
}

/// Up to this many names a scan of a list is faster than a hash.
const FEW: usize = 16;

impl<'de> Members<'de> {
    /// Notes `name`; an error when the object already has it.
    pub(crate) fn insert<E: de::Error>(&mut self, name: Text<'de>) -> Result<(), E> {
        let is_new = if self.few.len() < FEW {
            let is_new = !self.few.contains(&name);
            self.few.push(name);
            is_new
        } else {
            !self.few.contains(&name) && self.many.insert(name)
        };
        if is_new {
            Ok(())
        } else {
            Err(E::custom("expected each member once"))
        }
    }
}

/// Reads any value, proves the invariant of this module for it, and keeps nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Skip {
    depth: usize,
}

impl Skip {
    /// For the value of a member of the outermost object.
    pub(crate) const MEMBER: Self = Self::within(1);

    /// For a value with `open` arrays and objects around it.
    pub(crate) const fn within(open: usize) -> Self {
        Self { depth: open }
    }

    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_JSON_DEPTH {
            return Err(E::custom("expected less nesting"));
        }
        Ok(Self::within(self.depth + 1))
    }
}

impl<'de> DeserializeSeed<'de> for Skip {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        let item = self.deeper()?;
        while sequence.next_element_seed(item)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let value = self.deeper()?;
        let mut members = Members::default();
        while let Some(name) = object.next_key::<Text<'de>>()? {
            members.insert(name)?;
            object.next_value_seed(value)?;
        }
        Ok(())
    }
}

/// Puts `value` into `slot`; an error when the object already had the member.
pub(crate) fn once<T, E: de::Error>(slot: &mut Option<T>, value: T) -> Result<(), E> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::custom("expected each member once")),
    }
}

/// Reads a whole document with `visit`, which sees the members of its one object.
pub(crate) fn object<'de, V: Visitor<'de>>(
    bytes: &'de [u8],
    visit: V,
) -> Result<V::Value, serde_json::Error> {
    // One pass over the bytes; strings borrow from `text` without being checked again.
    let text =
        std::str::from_utf8(bytes).map_err(|_| serde_json::Error::custom("expected UTF-8"))?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = deserializer.deserialize_map(visit)?;
    deserializer.end()?;
    Ok(value)
}
