//! The fake issuer, for tests in other languages.
//!
//! Writes `{issuer, jwks_uri}` as its first line. Then reads one JSON object a line and answers each
//! with one line; ends with its standard input.
//!
//! - `{"publish": ["k1", "k2"]}`: the next generation, of keys with these kids, made when first named
//! - `{"fault": NAME, "path"?}`: `error` `hang` `close` `slow_loris` `oversize` `gzip_bomb` `html`
//!   `empty_set`; `publish` ends it
//! - `{"redirect": URL, "path"?}`
//! - `{"sign": KID, "claims": {…}}`: `{token}`
//! - `{"requests": PATH}`: `{count}`
//! - `{"release": true}`: lets what hangs end

use std::collections::BTreeMap;
use std::io::{BufRead as _, Write as _};

use queue_tests::{Claims, FakeIssuer, Forge, Reply};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Wanted {
    Publish {
        publish: Vec<String>,
    },
    Fault {
        fault: String,
        path: Option<String>,
    },
    Redirect {
        redirect: String,
        path: Option<String>,
    },
    Sign {
        sign: String,
        claims: Claims,
    },
    Requests {
        requests: String,
    },
    Release {
        release: bool,
    },
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let issuer = runtime.block_on(FakeIssuer::start());
    let mut keys = BTreeMap::new();
    let mut out = std::io::stdout();
    let hello = json!({"issuer": issuer.name(), "jwks_uri": issuer.jwks_uri()});
    writeln!(out, "{hello}")?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        let answer = obey(serde_json::from_str(&line?)?, &issuer, &mut keys)?;
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    runtime.shutdown_background();
    Ok(())
}

fn obey(
    wanted: Wanted,
    issuer: &FakeIssuer,
    keys: &mut BTreeMap<String, Forge>,
) -> Result<Value, Box<dyn std::error::Error>> {
    let path = |path: Option<String>| path.unwrap_or_else(|| FakeIssuer::JWKS.to_owned());
    match wanted {
        Wanted::Publish { publish } => {
            for kid in &publish {
                keys.entry(kid.clone()).or_insert_with(|| Forge::new(kid));
            }
            let published: Vec<&Forge> = publish.iter().map(|kid| &keys[kid]).collect();
            issuer.publish(&published);
        }
        Wanted::Fault { fault, path: at } => issuer.says(&path(at), named(&fault)?),
        Wanted::Redirect { redirect, path: at } => {
            issuer.says(&path(at), Reply::redirect(&redirect));
        }
        Wanted::Sign { sign, claims } => {
            let key = keys.get(&sign).ok_or("no key of this kid")?;
            return Ok(json!({ "token": key.sign(&claims) }));
        }
        Wanted::Requests { requests } => {
            return Ok(json!({ "count": issuer.requests(&requests).len() }));
        }
        Wanted::Release { release } => {
            if release {
                issuer.release();
            }
        }
    }
    Ok(json!({}))
}

fn named(fault: &str) -> Result<Reply, String> {
    Ok(match fault {
        "error" => Reply::error(),
        "hang" => Reply::Hang,
        "close" => Reply::Close,
        "slow_loris" => Reply::slow_loris(),
        "oversize" => Reply::oversize(),
        "gzip_bomb" => Reply::gzip_bomb(),
        "html" => Reply::html(),
        "empty_set" => Reply::empty_set(),
        other => return Err(format!("no fault is called {other}")),
    })
}
