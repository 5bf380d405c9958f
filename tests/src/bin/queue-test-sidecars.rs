//! Sidecars whose clocks are stopped, for tests in other languages.
//!
//! Reads one JSON object a line: `{issuer, audience, jwks, algorithms, leeway, profile, now}`, where
//! `jwks` is a JWK Set, as an object or as text; writes one line for each, `{url}` or
//! `{config_error}`. Serves until its standard input ends.

use std::future::pending;
use std::io::{BufRead as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use queue_sidecar::{App, Settings};
use queue_tests::FakeClock;
use queue_verifier::KeySource;
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
                let url = format!("http://{}", app.local_addr());
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
        let keys = KeySource::jwk_set(jwks);
        let mut settings = Settings::for_issuer(self.issuer, [self.audience], keys);
        settings.listen = "127.0.0.1:0".parse()?;
        // An algorithm that does not exist here cannot be allowed.
        settings.algorithms = self
            .algorithms
            .iter()
            .filter_map(|name| name.parse().ok())
            .collect();
        settings.leeway = Duration::from_secs(self.leeway);
        settings.profile = self.profile.parse()?;
        match App::build(&settings, FakeClock::at(self.now) as Arc<_>) {
            Ok(app) => Ok(Ok(app)),
            Err(queue_sidecar::StartError::Config(error)) => Ok(Err(error.code().to_owned())),
            Err(error) => Err(error.into()),
        }
    }
}
