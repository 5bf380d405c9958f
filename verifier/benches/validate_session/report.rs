//! Rounds of every subject in turn → medians, and ratios taken within a round.

use std::time::Duration;

use crate::subjects::Subject;

const ROUNDS: usize = 41;
const CALLS: u32 = 400;

/// Times every subject in every round and prints the table.
#[expect(clippy::print_stdout, reason = "the report")]
pub(crate) fn run(subjects: &[Subject], token_length: usize) {
    let mut rounds = vec![Vec::with_capacity(ROUNDS); subjects.len()];
    for _ in 0..ROUNDS {
        for (subject, rounds) in subjects.iter().zip(&mut rounds) {
            rounds.push(subject.round(CALLS));
        }
    }
    println!(
        "validate_session, one {token_length}-byte token, {ROUNDS} interleaved rounds of {CALLS}"
    );
    println!(
        "{:<32} {:>9} {:>9} {:>7}",
        "", "median µs", "p90 µs", "÷ bare"
    );
    let bare = |id: &str| subjects.iter().position(|subject| subject.id == id);
    for (subject, own) in subjects.iter().zip(&rounds) {
        let bare = match (subject.id.starts_with("ring"), subject.threads) {
            (true, _) => bare("ring_bare"),
            (false, 1) => bare("aws_bare"),
            (false, _) => bare("aws_bare_2"),
        };
        let bare = &rounds[bare.expect("every bare subject is there")];
        let mut sorted = own.clone();
        sorted.sort();
        let micros = |at: usize| sorted[at].as_secs_f64() * 1e6;
        println!(
            "{:<32} {:>9.2} {:>9.2} {:>7.3}",
            subject.name,
            micros(ROUNDS / 2),
            micros(ROUNDS * 9 / 10),
            median_ratio(own, bare)
        );
    }
}

fn median_ratio(own: &[Duration], bare: &[Duration]) -> f64 {
    let pairs = own.iter().zip(bare);
    let mut ratios: Vec<f64> = pairs
        .map(|(own, bare)| own.as_secs_f64() / bare.as_secs_f64())
        .collect();
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}
