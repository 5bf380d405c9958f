//! Verifiers in a process of their own, for tests of what processes share.
//!
//! Reads one JSON object a line: `{issuer, jwks_uri, snapshot}`; builds a verifier, waits for its
//! keys, writes the verifier's status as one line. Ends with its standard input.

use std::io::{BufRead as _, Write as _};
use std::time::Duration;

use queue_verifier::{KeySource, Verifier};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    issuer: String,
    jwks_uri: String,
    snapshot: String,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout();
    let mut verifiers = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let wanted: Wanted = serde_json::from_str(&line?)?;
        let verifier = Verifier::builder(wanted.issuer, "raptor")
            .keys(KeySource::jwks_uri(wanted.jwks_uri))
            .snapshot(wanted.snapshot)
            .build()?;
        if !verifier.wait_ready(Duration::from_secs(30)) {
            return Err("no keys".into());
        }
        writeln!(out, "{}", serde_json::to_string(&verifier.status())?)?;
        out.flush()?;
        verifiers.push(verifier);
    }
    Ok(())
}
