//! Rounds on command, so that one driver can interleave subjects of several languages.
//!
//! The first line out is JSON: the subjects and the fixture. Then each line in, `ID CALLS`, is
//! answered by one line, the nanoseconds a call took.

use std::io::{BufRead as _, Write as _};

use serde_json::json;

use crate::fixture::Fixture;
use crate::subjects::Subject;

/// Serves until the input ends.
pub(crate) fn run(subjects: &[Subject], fixture: &Fixture) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let names: Vec<[&str; 2]> = subjects
        .iter()
        .map(|subject| [subject.id, subject.name])
        .collect();
    let ready = json!({"subjects": names, "fixture": fixture.to_json()});
    writeln!(out, "{ready}")?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (id, calls) = line.split_once(' ').expect("`ID CALLS`");
        let subject = subjects.iter().find(|subject| subject.id == id);
        let subject = subject.expect("one of the subjects named");
        let round = subject.round(calls.parse().expect("a number of calls"));
        writeln!(out, "{}", round.as_secs_f64() * 1e9)?;
        out.flush()?;
    }
    Ok(())
}
