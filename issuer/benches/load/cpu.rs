//! Seconds of processor time that the three parties have spent so far.

use std::fs::read_to_string;

pub(crate) struct Cpu {
    pub(crate) issuer: f64,
    pub(crate) postgres: f64,
    pub(crate) client: f64,
}

impl Cpu {
    pub(crate) fn now(issuer: u32, postmaster: u32) -> Self {
        let children = format!("/proc/{postmaster}/task/{postmaster}/children");
        let children = read_to_string(children).expect("a running postmaster");
        let children = children.split_ascii_whitespace();
        // Those it has waited for are in its own count.
        let postgres =
            ticks(&postmaster.to_string(), 4) + children.map(|child| ticks(child, 2)).sum::<u64>();
        Self {
            issuer: seconds(ticks(&issuer.to_string(), 2)),
            postgres: seconds(postgres),
            client: seconds(ticks("self", 2)),
        }
    }
}

/// Of a process: `utime` and `stime`, and with four fields those of its children too (proc(5)).
fn ticks(pid: &str, fields: usize) -> u64 {
    // A backend that has just ended has no time left to tell.
    let stat = read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields = after_name.split_ascii_whitespace().skip(UTIME).take(fields);
    fields
        .map(|field| field.parse::<u64>().expect("a number"))
        .sum()
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / TICKS_A_SECOND
}

/// Its place behind the name.
const UTIME: usize = 11;
/// `USER_HZ`, the same on every Linux.
const TICKS_A_SECOND: f64 = 100.0;
