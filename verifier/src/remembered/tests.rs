use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::Remembered;
use crate::{Clock, KeySource, Session, Verifier};

const NOW: u64 = 1_800_000_000;

#[derive(Debug)]
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> u64 {
        NOW
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// Some session: what is remembered, not what it says, is looked at here.
fn session() -> Session {
    let signed = include_str!("../../fuzz/signed.json");
    let signed: Value = serde_json::from_str(signed).unwrap();
    let verifier = Verifier::builder(signed["issuer"].as_str().unwrap(), "raptor")
        .keys(KeySource::jwk_set(signed["jwks"].to_string()))
        .clock(Arc::new(Stopped))
        .build()
        .unwrap();
    let tokens = signed["tokens"].as_array().unwrap();
    let mut sessions = tokens
        .iter()
        .filter_map(|token| verifier.validate_session(token.as_str().unwrap()).ok());
    sessions.next().unwrap()
}

fn ends(remembered: &Remembered) -> usize {
    remembered.ends.lock().unwrap().len()
}

#[test]
fn a_token_that_is_remembered_again_under_each_new_key_set_has_one_end() {
    let (remembered, session) = (Remembered::new(20), session());
    for _set in 0..50 {
        for number in 0..10 {
            let token = format!("header.claims.{number}");
            remembered.remember(token.as_bytes(), &session, NOW, NOW + 330 + number);
        }
        assert_eq!(ends(&remembered), 10);
    }
    assert_eq!(remembered.count(NOW + 329), 10);
    assert_eq!((remembered.count(NOW + 335), ends(&remembered)), (4, 4));
}

#[test]
fn the_ends_of_what_was_pushed_out_are_let_go() {
    let (remembered, session) = (Remembered::new(20), session());
    for number in 0..5000 {
        let token = format!("header.claims.{number}");
        remembered.remember(token.as_bytes(), &session, NOW, NOW + 330);
        assert!(ends(&remembered) <= 41, "{number}");
    }
}
