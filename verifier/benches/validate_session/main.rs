//! The hot path beside what it is made of: rounds of each subject in turn, medians, ratios.
//!
//! A benchmark runner that times one subject after the other compares two moods of the machine;
//! here every round times every subject, so a ratio is taken within one mood.
//!
//! Without an argument it reports on its own; `serve` lets `tests/bench/run.py` set its rounds
//! among those of other languages; `memory` judges a million distinct tokens.

mod fixture;
mod memory;
mod report;
mod serve;
mod subjects;

use fixture::Fixture;

fn main() -> std::io::Result<()> {
    // cargo adds `--bench`.
    let mut arguments = std::env::args().skip(1);
    let mode = arguments.find(|argument| !argument.starts_with('-'));
    if mode.as_deref() == Some("memory") {
        memory::run();
        return Ok(());
    }
    let fixture = Fixture::new();
    let subjects = subjects::all(&fixture);
    if mode.as_deref() == Some("serve") {
        return serve::run(&subjects, &fixture);
    }
    report::run(&subjects, fixture.token.len());
    Ok(())
}
