//! Sidecars whose clocks are stopped, for tests in other languages.
//!
//! Reads one JSON object a line: `{issuer, audience, jwks, algorithms, leeway, profile, now,
//! status_lists?, status_policy?}`, where `jwks` is a JWK Set, as an object or as text; writes one line for each, `{url}` or
//! `{config_error}`. Serves until its standard input ends.

use std::future::pending;
use std::io::{BufRead as _, Write as _};
use std::sync::Arc;

use queue_sidecar::App;
use queue_tests::FakeClock;
use queue_tests::vectors::{Setup, StatusPolicy};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    issuer: String,
    audience: String,
    jwks: Value,
    algorithms: Vec<String>,
    leeway: u64,
    profile: String,
    now: u64,
    status_lists: Option<Vec<String>>,
    #[serde(default)]
    status_policy: StatusPolicy,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let mut out = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        let wanted: Wanted = serde_json::from_str(&line?)?;
        let answer = match wanted.build()? {
            Ok(app) => {
                let url = format!("http://{}", app.local_addr().ok_or("no TCP listener")?);
                runtime.spawn(app.serve(pending()));
                json!({ "url": url })
            }
            Err(code) => json!({ "config_error": code }),
        };
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    runtime.shutdown_background();
    Ok(())
}

impl Wanted {
    /// The sidecar, or the code its settings are refused with.
    fn build(self) -> Result<Result<App, String>, Box<dyn std::error::Error>> {
        let jwks = match self.jwks {
            Value::String(text) => text,
            object => object.to_string(),
        };
        let setup = Setup {
            issuer: self.issuer,
            audience: self.audience,
            jwk_set: jwks,
            // An algorithm that does not exist here cannot be allowed.
            algorithms: self
                .algorithms
                .iter()
                .filter_map(|name| name.parse().ok())
                .collect(),
            leeway: self.leeway,
            profile: self.profile.parse()?,
            now: self.now,
            status_lists: self.status_lists,
            status_policy: self.status_policy,
        };
        match App::build(&setup.sidecar(), FakeClock::at(self.now) as Arc<_>) {
            Ok(app) => Ok(Ok(app)),
            Err(queue_sidecar::StartError::Config(error)) => Ok(Err(error.code().to_owned())),
            Err(error) => Err(error.into()),
        }
    }
}
