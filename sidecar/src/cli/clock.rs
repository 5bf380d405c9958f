//! Clock of the tools: the machine's, or one that stands at `--at`.

use std::sync::Arc;
use std::time::Duration;

use clap::ArgMatches;
use queue_verifier::{Clock, SystemClock};

/// The clock that `matches` asks for.
pub(super) fn at(matches: &ArgMatches) -> Arc<dyn Clock> {
    match matches.get_one::<u64>("at") {
        Some(now) => Arc::new(Standing { now: *now }),
        None => Arc::new(SystemClock),
    }
}

/// A wall clock that stands; ages of key sets still run.
#[derive(Debug)]
struct Standing {
    now: u64,
}

impl Clock for Standing {
    fn now(&self) -> u64 {
        self.now
    }

    fn monotonic(&self) -> Duration {
        SystemClock.monotonic()
    }
}
