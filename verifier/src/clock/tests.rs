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

#[tokio::test]
async fn a_sleep_until_a_moment_that_has_passed_ends_at_once() {
    SystemClock.sleep_until(SystemClock.monotonic()).await;
}
