//! The committed seeds through every target, and inputs of the right shape that chance makes.

use std::path::Path;

use base64_simd::URL_SAFE_NO_PAD;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use super::{TARGETS, claims, compact_jws, header_of, protected_header};
use crate::algorithm::Algorithm;
use crate::claims::RawClaims;
use crate::json;
use crate::policy::{HeaderPolicy, MAX_JSON_DEPTH, TypRule};
use crate::token::CompactJws;

#[test]
fn every_seed_keeps_its_room_s_promises() {
    for (name, target) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/seeds")
            .join(name);
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            target(&std::fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count >= 10, "{name} has {count} seeds");
    }
}

/// Any JSON value, small.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((any::<String>(), inner), 0..4)
                .prop_map(|members| members.into_iter().collect::<Value>()),
        ]
    })
}

/// A number around each bound that a time has; the leeway is 30 s.
fn time() -> impl Strategy<Value = Value> {
    let around = |middle: i64| (-1..=1_i64).prop_map(move |off| Value::from(middle + off));
    prop_oneof![
        3 => around(1_799_999_970),
        3 => around(1_800_000_030),
        1 => around(0),
        1 => around(1 << 53),
        1 => around(-(1 << 53)),
        1 => (1_799_999_960.0..1_800_000_040.0_f64).prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
    ]
}

/// Members of an object, as text: one may be there twice.
fn object(members: &[(String, Value)]) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("{}:{value}", Value::from(name.as_str())))
        .collect();
    format!("{{{}}}", members.join(","))
}

fn text(values: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop_oneof![
        8 => select(values).prop_map(Value::from),
        1 => value(),
    ]
}

fn header_member() -> impl Strategy<Value = (String, Value)> {
    let named = |name: &'static str| (Just(name.to_owned()), value());
    prop_oneof![
        4 => (Just("alg".to_owned()), text(&["RS256", "EdDSA", "rs256", "none", "HS256"])),
        4 => (Just("typ".to_owned()), text(&["at+jwt", "JWT", "APPLICATION/AT+JWT", ""])),
        2 => named("kid"),
        1 => named("crit"),
        1 => named("b64"),
        2 => (any::<String>(), value()),
    ]
}

fn claim() -> impl Strategy<Value = (String, Value)> {
    let times = &["exp", "nbf", "iat", "auth_time", "authz_ver"];
    let texts = &[
        "sub",
        "jti",
        "client_id",
        "azp",
        "sid",
        "tenant_id",
        "scope",
        "acr",
    ];
    let named = |names: &'static [&'static str]| select(names).prop_map(str::to_owned);
    prop_oneof![
        6 => (named(times), time()),
        4 => (named(texts), text(&["raptor", "a b", ""])),
        2 => (named(&["iss"]), text(&["https://issuer.queue.test"])),
        2 => (named(&["aud", "roles", "amr"]), vec(text(&["raptor", "x"]), 0..3).prop_map(Value::from)),
        1 => (named(&["aud"]), text(&["raptor"])),
        1 => (named(&["cnf", "status"]), value()),
        1 => (any::<String>(), value()),
    ]
}

/// A claims set that passes in every profile.
fn good_claims() -> Vec<(String, Value)> {
    let members = json!({
        "iss": "https://issuer.queue.test", "aud": "raptor", "sub": "s", "client_id": "c",
        "iat": 1_800_000_000, "exp": 1_800_000_300, "jti": "j", "sid": "i",
    });
    let members = members.as_object().unwrap().clone();
    members.into_iter().collect()
}

proptest! {
    #[test]
    fn any_three_parts_are_read_back(parts in vec(vec(any::<u8>(), 0..60), 3)) {
        let encoded: Vec<String> =
            parts.iter().map(|part| URL_SAFE_NO_PAD.encode_to_string(part)).collect();
        let token = encoded.join(".");
        match CompactJws::parse(token.as_bytes()) {
            Ok(jws) => {
                prop_assert_eq!(jws.header(), parts[0].as_slice());
                prop_assert_eq!(jws.unverified_payload(), parts[1].as_slice());
                prop_assert_eq!(jws.signature(), parts[2].as_slice());
            }
            Err(_) => prop_assert!(parts[0].is_empty()),
        }
    }

    #[test]
    fn a_token_changed_in_one_place_is_judged_by_the_letter(
        parts in vec(vec(any::<u8>(), 1..30), 3),
        place in any::<Index>(),
        byte in prop_oneof![select(b"=.+/ \n%-_AQ".as_slice()), any::<u8>()],
        is_replaced in any::<bool>(),
    ) {
        let encode = |part: &Vec<u8>| URL_SAFE_NO_PAD.encode_to_string(part);
        let mut token = parts.iter().map(encode).collect::<Vec<_>>().join(".").into_bytes();
        let place = place.index(token.len());
        if is_replaced {
            token[place] = byte;
        } else {
            token.insert(place, byte);
        }
        compact_jws(&token);
    }

    #[test]
    fn a_header_is_read_as_a_plain_parser_reads_it(members in vec(header_member(), 0..6)) {
        protected_header(object(&members).as_bytes());
    }

    #[test]
    fn a_header_member_we_do_not_know_changes_nothing(
        algorithm in select(Algorithm::ALL.as_slice()),
        kid in proptest::option::of("[ -~]{0,80}"),
        others in vec(("[c-z]{6,12}", value()), 0..20),
    ) {
        let mut members = serde_json::Map::from_iter(others);
        members.insert("alg".to_owned(), algorithm.as_str().into());
        if let Some(kid) = &kid {
            members.insert("kid".to_owned(), kid.as_str().into());
        }
        let text = Value::from(members).to_string();
        prop_assume!(text.len() <= crate::policy::MAX_HEADER);
        let policy = HeaderPolicy { algorithms: Algorithm::ALL.to_vec(), typ: TypRule::Any };
        let parsed = header_of(text.as_bytes(), &policy).expect("nothing to object to");
        prop_assert_eq!(parsed, (algorithm, kid));
    }

    #[test]
    fn claims_are_read_and_judged_as_the_rfcs_have_it(
        changes in vec(claim(), 0..4),
        is_whole in proptest::bool::weighted(0.9),
        is_override in proptest::bool::weighted(0.9),
    ) {
        let mut members = if is_whole { good_claims() } else { Vec::new() };
        if is_override {
            members.retain(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
        }
        members.extend(changes);
        claims(object(&members).as_bytes());
    }

    #[test]
    fn a_time_counts_to_the_second(
        name in select(&["exp", "nbf", "iat", "auth_time"]),
        time in time(),
    ) {
        let mut members = good_claims();
        members.retain(|(other, _)| other != name);
        members.push((name.to_owned(), time));
        claims(object(&members).as_bytes());
    }

    #[test]
    fn a_member_twice_is_refused_wherever_it_stands(
        names in proptest::collection::btree_set("[a-z]{1,3}x", 1..40),
        twice in any::<Index>(),
        level in 0..MAX_JSON_DEPTH - 1,
    ) {
        let members: Vec<(String, Value)> = names.into_iter().map(|name| (name, json!(0))).collect();
        let mut repeated = members.clone();
        repeated.push(members[twice.index(members.len())].clone());
        let nested = |members: &[(String, Value)]| {
            let (open, close) = ("{\"n\":".repeat(level), "}".repeat(level));
            format!("{open}{}{close}", object(members))
        };
        let is_read = |text: &str| {
            let seen = json::object(text.as_bytes(), |reader, _| reader.skip()).is_ok();
            assert_eq!(RawClaims::parse(text.as_bytes()).is_ok(), seen);
            seen
        };
        prop_assert!(is_read(&nested(&members)));
        prop_assert!(!is_read(&nested(&repeated)));
    }
}
