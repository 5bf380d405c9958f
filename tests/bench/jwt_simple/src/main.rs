//! jwt-simple on BoringSSL, timed on command; the protocol is that of `serve.rs` in the
//! verifier's benchmark, with the fixture as the first line in.

use std::collections::HashSet;
use std::error::Error;
use std::hint::black_box;
use std::io::{BufRead as _, Write as _};
use std::time::Instant;

use jwt_simple::prelude::{RS256PublicKey, RSAPublicKeyLike as _, VerificationOptions};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What is not registered in RFC 7519 and so left to the caller.
#[derive(Serialize, Deserialize)]
struct Custom {
    client_id: String,
    auth_time: u64,
    sid: String,
    scope: String,
    roles: Vec<String>,
    authz_ver: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut lines = std::io::stdin().lock().lines();
    let fixture: Value = serde_json::from_str(&lines.next().ok_or("no fixture")??)?;
    let key = RS256PublicKey::from_jwk(&fixture["jwks"]["keys"][0].to_string())?;
    let text = |name: &str| fixture[name].as_str().unwrap_or_default().to_owned();
    let token = text("token");
    let options = VerificationOptions {
        allowed_issuers: Some(HashSet::from([text("issuer")])),
        allowed_audiences: Some(HashSet::from([text("audience")])),
        required_signature_type: Some("at+jwt".to_owned()),
        ..VerificationOptions::default()
    };
    let mut out = std::io::stdout().lock();
    let ready = json!({"subjects": [["jwt_simple", "jwt-simple on BoringSSL"]]});
    writeln!(out, "{ready}")?;
    out.flush()?;
    for line in lines {
        let line = line?;
        let (_, calls) = line.split_once(' ').ok_or("expected `ID CALLS`")?;
        let calls: u32 = calls.parse()?;
        let start = Instant::now();
        for _ in 0..calls {
            let options = Some(options.clone());
            black_box(key.verify_token::<Custom>(black_box(&token), options)?);
        }
        let elapsed = start.elapsed() / calls;
        writeln!(out, "{}", elapsed.as_secs_f64() * 1e9)?;
        out.flush()?;
    }
    Ok(())
}
