//! Details: takes a small flat JSON object of codes, ids, numbers and truth values, gives its one canonical text.
//!
//! **Invariant:** no value can hold a name or an address: text has neither spaces nor `@`, and is short.
//!
//! RFC 8785 for the canonical form; with ASCII keys and whole numbers its order and `BTreeMap`'s agree.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::problem::{Problem, ProblemCode};

/// What an event says besides its columns.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Details(BTreeMap<String, Value>);

impl Details {
    /// Refuses what is too large or could hold more than codes.
    pub(super) fn check(&self) -> Result<(), Problem> {
        let is_sound = self
            .0
            .iter()
            .all(|(key, value)| is_code(key, MAX_KEY) && is_plain(value));
        if self.0.len() > MAX_MEMBERS || !is_sound || self.canonical().len() > MAX_BYTES {
            return Err(Problem::new(ProblemCode::AuditEventInvalid).detail(format!(
                "expected details of at most {MAX_MEMBERS} members and {MAX_BYTES} bytes: \
                     snake_case names, values that are ids, codes, whole numbers or truth values"
            )));
        }
        Ok(())
    }

    /// The text that is stored and hashed.
    pub(super) fn canonical(&self) -> String {
        let members = self.0.iter();
        let members: serde_json::Map<String, Value> = members
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        Value::Object(members).to_string()
    }
}

/// Refuses a member that comes twice, which a map would take silently.
impl<'de> Deserialize<'de> for Details {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Details;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with each member once")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Details, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if members.insert(key, value).is_some() {
                        return Err(de::Error::custom("expected each member of details once"));
                    }
                }
                Ok(Details(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// Whether `text` is a code: lower-case letters, digits and `_`, a letter first.
pub(super) fn is_code(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Whether `text` is an id: letters, digits and `-._:/`.
pub(super) fn is_id(text: &str) -> bool {
    (1..=MAX_TEXT).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._:/".contains(&byte))
}

fn is_plain(value: &Value) -> bool {
    match value {
        Value::Bool(_) => true,
        Value::Number(number) => number
            .as_i64()
            .is_some_and(|number| number.unsigned_abs() < MAX_NUMBER),
        Value::String(text) => is_id(text),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

const MAX_MEMBERS: usize = 16;
const MAX_KEY: usize = 32;
const MAX_TEXT: usize = 128;
const MAX_BYTES: usize = 1_024;
/// 2^53: beyond it, readers of JSON disagree.
const MAX_NUMBER: u64 = 1 << 53;
