use std::time::Duration;

use super::{Clock as _, SystemClock};

/// `/proc/uptime` counts the time asleep (proc(5)), as `CLOCK_MONOTONIC` does not.
#[cfg(target_os = "linux")]
#[test]
fn the_monotonic_clock_counts_from_the_machines_start() {
    let uptime = || {
        let text = std::fs::read_to_string("/proc/uptime").expect("Linux has it");
        let seconds = text.split(' ').next().and_then(|word| word.parse().ok());
        Duration::from_secs_f64(seconds.expect("seconds"))
    };
    let tick = Duration::from_millis(10);
    let before = uptime();
    let now = SystemClock.monotonic();
    assert!(before <= now + tick && now <= uptime() + tick, "{now:?}");
}

/// Whole seconds of the exact clock; a machine that is kept waiting ticks late.
#[test]
fn the_wall_clock_is_that_of_the_system() {
    #[expect(clippy::disallowed_methods, reason = "what it is compared with")]
    let exact = || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.expect("after 1970")
    };
    let before = (exact() - Duration::from_secs(1)).as_secs();
    let now = SystemClock.now();
    assert!(before <= now && now <= exact().as_secs(), "{now}");
}

#[tokio::test]
async fn a_sleep_until_a_moment_that_has_passed_ends_at_once() {
    SystemClock.sleep_until(SystemClock.monotonic()).await;
}
