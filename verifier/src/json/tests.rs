//! Our reading beside serde_json's: the same documents pass, and say the same.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::{Malformed, Number, Reader, Text, object};

/// The document as serde_json has it, members twice and depth aside.
fn tree<'a>(reader: &mut Reader<'a>) -> Result<Value, Malformed> {
    Ok(match reader.next() {
        Some(b'"') => Value::String(reader.text()?.as_str().to_owned()),
        Some(b'{') => {
            let mut members = serde_json::Map::new();
            reader.object(|reader, name| {
                members.insert(name.as_str().to_owned(), tree(reader)?);
                Ok(())
            })?;
            Value::Object(members)
        }
        Some(b'[') => {
            let mut items = Vec::new();
            reader.array(|reader| {
                items.push(tree(reader)?);
                Ok(())
            })?;
            Value::Array(items)
        }
        Some(b'-' | b'0'..=b'9') => match reader.number()? {
            Number::Whole(number) => number.into(),
            Number::Real(number) => number.into(),
        },
        Some(b't') => reader.word("true").map(|()| true.into())?,
        Some(b'f') => reader.word("false").map(|()| false.into())?,
        _ => reader.word("null").map(|()| Value::Null)?,
    })
}

fn ours(bytes: &[u8]) -> Option<Value> {
    let mut members = serde_json::Map::new();
    let read = object(bytes, |reader, name| {
        members.insert(name.as_str().to_owned(), tree(reader)?);
        Ok(())
    });
    read.ok().map(|()| Value::Object(members))
}

/// serde_json's reading.
fn theirs(bytes: &[u8]) -> Option<Value> {
    let members: BTreeMap<String, Value> = serde_json::from_slice(bytes).ok()?;
    Some(Value::Object(members.into_iter().collect()))
}

/// Equal but for the last bits of a double, where serde_json rounds faster than right.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            let (one, other) = (one.as_f64().unwrap(), other.as_f64().unwrap());
            (one - other).abs() <= one.abs() * 8.0 * f64::EPSILON + f64::MIN_POSITIVE
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let has = |(name, value)| other.get(name).is_some_and(|found| is_same(value, found));
            one.len() == other.len() && one.iter().all(has)
        }
        (one, other) => one == other,
    }
}

/// Skipping reads as strictly as reading.
fn skips(bytes: &[u8]) -> bool {
    object(bytes, |reader, _| reader.skip()).is_ok()
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_serde_json_writes_is_read_as_it_was_meant(
        members in prop::collection::btree_map(any::<String>(), value(), 0..6)
    ) {
        let document = Value::Object(members.into_iter().collect());
        for text in [document.to_string(), format!("{document:#}")] {
            let read = ours(text.as_bytes());
            prop_assert!(read.is_some_and(|read| is_same(&read, &document)), "{}", text);
            prop_assert!(skips(text.as_bytes()));
        }
    }

    /// A byte changed, dropped or added: whatever both readers accept, they read alike, and ours
    /// accepts nothing that the other refuses.
    #[test]
    fn a_damaged_document_is_read_as_serde_json_reads_it_or_refused(
        members in prop::collection::btree_map("[a-c\\\\\"é]{0,3}", value(), 1..4),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        how in 0..3,
    ) {
        let document = Value::Object(members.into_iter().collect());
        let mut bytes = document.to_string().into_bytes();
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] = byte,
            1 => drop(bytes.remove(at)),
            _ => bytes.insert(at, byte),
        }
        let read = ours(&bytes);
        prop_assert_eq!(skips(&bytes), read.is_some());
        if let Some(read) = read {
            prop_assert!(theirs(&bytes).is_some_and(|theirs| is_same(&read, &theirs)));
        }
    }
}

#[track_caller]
fn check(document: &str, is_good: bool) {
    assert_eq!(skips(document.as_bytes()), is_good, "{document}");
    assert_eq!(ours(document.as_bytes()).is_some(), is_good, "{document}");
}

#[test]
fn the_bounds_hold_at_both_sides() {
    let nested = |depth: usize| format!("{{\"a\":{}0{}}}", "[".repeat(depth), "]".repeat(depth));
    check(&nested(15), true);
    check(&nested(16), false);
    check(r#"{"a":1e308}"#, true);
    check(r#"{"a":1e309}"#, false);
    check(r#"{"a":-1e309}"#, false);
    check(r#"{"a":99999999999999999999}"#, true);
    check(r#"{"a":1}{}"#, false);
    check("\u{feff}{}", false);
    check(" \t\r\n{ } \n", true);
    check("{}\u{a0}", false);
}

#[test]
fn a_member_twice_is_refused_wherever_it_stands() {
    let names = |count: usize| {
        (0..count)
            .map(|n| format!("\"n{n}\":0,"))
            .collect::<String>()
    };
    for count in [0, 1, 23, 24, 25, 200] {
        let names = names(count);
        check(&format!("{{{names}\"x\":1}}"), true);
        check(&format!("{{{names}\"x\":1,\"x\":1}}"), false);
        check(&format!("{{\"x\":1,{names}\"x\":1}}"), false);
        check(
            &format!("{{\"a\":[{{{names}\"x\":1,\"\\u0078\":1}}]}}"),
            false,
        );
    }
}

#[test]
fn a_string_is_plain_up_to_its_first_special_byte() {
    for special in ["\"", "\\n", "\\u00e9", "\\ud83d\\ude00"] {
        for before in 0..20 {
            let document = format!("{{\"{}{special}", "é".repeat(before));
            let document = document + if special == "\"" { ":0}" } else { "\":0}" };
            check(&document, true);
        }
    }
    for control in 0..0x20_u8 {
        for before in 0..10 {
            let name = "a".repeat(before) + &char::from(control).to_string();
            check(&format!("{{\"{name}\":0}}"), false);
        }
    }
    for lone in [
        "\\ud800",
        "\\udc00",
        "\\ud800x",
        "\\ud800\\n",
        "\\ud800\\ud800",
        "\\u12g4",
        "\\u+123",
        "\\x",
    ] {
        check(&format!("{{\"{lone}\":0}}"), false);
    }
}

#[test]
fn a_text_is_borrowed_where_it_can_be() {
    let mut kinds = Vec::new();
    object(br#"{"plain":"x","esc\u0061ped":"\/"}"#, |reader, name| {
        let value = reader.text()?;
        kinds.extend([name, value].map(|Text(text)| matches!(text, std::borrow::Cow::Borrowed(_))));
        Ok(())
    })
    .expect("a good document");
    assert_eq!(kinds, [true, true, false, false]);
}
