use std::time::Duration;

use proptest::prelude::*;

use super::{Budget, MAX_UNKNOWN, UNKNOWN_ATTEMPTS, UNKNOWN_WINDOW, UnknownKids};

proptest! {
    #[test]
    fn no_window_has_more_attempts_than_the_budget(waits in prop::collection::vec(0_u64..20, 1..200)) {
        let (mut budget, mut now, mut spent) = (Budget::default(), Duration::ZERO, Vec::new());
        for wait in waits {
            now += Duration::from_secs(wait);
            let is_spent = budget.is_spent(now);
            prop_assert_eq!(budget.spend(now), !is_spent);
            if !is_spent {
                spent.push(now);
            }
            let in_window = spent.iter().filter(|at| now - **at < UNKNOWN_WINDOW).count();
            prop_assert!(in_window <= UNKNOWN_ATTEMPTS);
            prop_assert!(!is_spent || in_window == UNKNOWN_ATTEMPTS, "and none is held back");
        }
    }
}

#[test]
fn a_flood_leaves_a_bounded_memory() {
    let unknown = UnknownKids::new();
    for number in 0..4 * MAX_UNKNOWN {
        unknown.remember(&format!("x{number}"), UNKNOWN_WINDOW);
    }
    unknown.0.run_pending_tasks();
    assert!(unknown.0.entry_count() <= MAX_UNKNOWN);
}

#[test]
fn a_kid_is_unknown_until_its_time_or_a_new_set() {
    let unknown = UnknownKids::new();
    unknown.remember("a", UNKNOWN_WINDOW);
    assert!(unknown.contains("a", UNKNOWN_WINDOW - Duration::from_nanos(1)));
    assert!(!unknown.contains("a", UNKNOWN_WINDOW));
    unknown.forget_all();
    assert!(!unknown.contains("a", Duration::ZERO));
}
