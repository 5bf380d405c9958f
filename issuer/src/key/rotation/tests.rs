//! The state machine, as a table: what each verb does to each state, and the seconds around each wait.

use std::time::Duration;

use super::{KeyFacts, KeyState, Refusal, Timing, activate, publish, retire, revoke};
use crate::clock::Timestamp;

const STATES: [KeyState; 6] = [
    KeyState::Pending,
    KeyState::Published,
    KeyState::Active,
    KeyState::Retired,
    KeyState::Revoked,
    KeyState::Destroyed,
];

const TIMING: Timing = Timing {
    jwks_max_age: Duration::from_secs(300),
    refresh_allowance: Duration::from_secs(200),
    leeway: Duration::from_secs(30),
    token_life: Duration::from_secs(300),
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_unix_seconds(second)
}

fn key(state: KeyState) -> KeyFacts {
    KeyFacts {
        state,
        published_at: Some(at(1_000)),
        needed_until: Some(at(2_000)),
    }
}

/// `Some(changes)` where a verb is allowed in a state, in the order of [`STATES`].
#[track_caller]
fn check(verb: impl Fn(&KeyFacts) -> Result<bool, Refusal>, expect: [Option<bool>; 6]) {
    for (state, expect) in STATES.into_iter().zip(expect) {
        assert_eq!(verb(&key(state)).ok(), expect, "{state}");
    }
}

#[test]
fn verbs_walk_forward_only() {
    let late = at(1_000_000);
    check(publish, [Some(true), Some(false), None, None, None, None]);
    check(
        |key| activate(key, true, late, &TIMING),
        [None, Some(true), Some(false), None, None, None],
    );
    check(
        |key| retire(key, late),
        [None, None, None, Some(true), Some(true), Some(false)],
    );
    check(
        revoke,
        [
            Some(true),
            Some(true),
            Some(true),
            Some(true),
            Some(false),
            Some(false),
        ],
    );
}

#[test]
fn activation_waits_until_every_verifier_can_know_the_key() {
    let published = key(KeyState::Published);
    let open = TIMING.activatable_at(at(1_000));
    assert_eq!(open, at(1_530));
    let just_before = Timestamp::from_unix_micros(open.unix_micros() - 1);
    assert_eq!(
        activate(&published, true, just_before, &TIMING),
        Err(Refusal::TooEarly { at: open })
    );
    assert_eq!(activate(&published, true, open, &TIMING), Ok(true));
}

#[test]
fn activation_waits_for_nobody_when_nothing_signs() {
    assert_eq!(
        activate(&key(KeyState::Published), false, at(1_000), &TIMING),
        Ok(true)
    );
    assert!(activate(&key(KeyState::Pending), false, at(1_000_000), &TIMING).is_err());
}

#[test]
fn retired_key_stays_until_its_last_token_is_dead() {
    let retired = key(KeyState::Retired);
    assert_eq!(TIMING.needed_until(at(1_670)), at(2_000));
    assert_eq!(
        retire(&retired, at(1_999)),
        Err(Refusal::StillNeeded { until: at(2_000) })
    );
    assert_eq!(retire(&retired, at(2_000)), Ok(true));
    assert_eq!(
        retire(&key(KeyState::Active), at(9_999)),
        Err(Refusal::Signs)
    );
}

#[test]
fn public_states_are_the_three_in_the_middle() {
    let public: Vec<bool> = STATES.iter().map(|state| state.is_public()).collect();
    assert_eq!(public, [false, true, true, true, false, false]);
    for state in STATES {
        assert_eq!(state.as_str().parse(), Ok(state));
    }
    assert!("ACTIVE".parse::<KeyState>().is_err());
}
