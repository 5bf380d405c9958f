//! JSON as serde_json has it, held to I-JSON (RFC 7493): what our own reader is measured against.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::json;
use crate::policy::MAX_JSON_DEPTH;

/// Our reader lets `document` pass if and only if serde_json reads one object in it that repeats no
/// member at any level and nests no deeper than we allow.
pub(super) fn agrees(document: &[u8]) {
    let ours = json::object(document, |reader, _| reader.skip()).is_ok();
    let text = std::str::from_utf8(document).unwrap_or_default();
    let theirs = serde_json::from_str::<Plain>(text).is_ok_and(|Plain(is_object)| is_object);
    assert_eq!(ours, theirs, "{text}");
}

/// The number in member `name` of an object, exact to the last bit.
pub(super) fn number(document: &str, name: &str) -> Option<f64> {
    let members: HashMap<String, &RawValue> = serde_json::from_str(document).ok()?;
    members.get(name)?.get().parse().ok()
}

/// A value that passes; whether it is an object.
struct Plain(bool);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Level(0).deserialize(deserializer)
    }
}

/// Reads a value inside this many arrays and objects.
#[derive(Clone, Copy)]
struct Level(usize);

impl Level {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        match self.0 {
            MAX_JSON_DEPTH => Err(E::custom("too deep")),
            level => Ok(Self(level + 1)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Plain;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Plain, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Plain;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<Plain, E> {
        Ok(Plain(false))
    }
    fn visit_i64<E>(self, _: i64) -> Result<Plain, E> {
        Ok(Plain(false))
    }
    fn visit_u64<E>(self, _: u64) -> Result<Plain, E> {
        Ok(Plain(false))
    }
    fn visit_f64<E>(self, _: f64) -> Result<Plain, E> {
        Ok(Plain(false))
    }
    fn visit_str<E>(self, _: &str) -> Result<Plain, E> {
        Ok(Plain(false))
    }
    fn visit_unit<E>(self) -> Result<Plain, E> {
        Ok(Plain(false))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Plain, A::Error> {
        let item = self.deeper()?;
        while items.next_element_seed(item)?.is_some() {}
        Ok(Plain(false))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Plain, A::Error> {
        let value = self.deeper()?;
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            members.next_value_seed(value)?;
            if !names.insert(name) {
                return Err(A::Error::custom("a member twice"));
            }
        }
        Ok(Plain(true))
    }
}
