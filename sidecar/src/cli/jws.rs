//! `queue-sidecar jws`: the signature layer alone, for any compact JWS on standard input.

use std::process::ExitCode;

use queue_verifier::{CryptoBackend, JwsVerifier, KeySource};
use serde::Serialize;

use super::Failure;
use super::lines::{self, Kind};
use crate::settings::{RawSettings, Settings, SettingsError};

#[derive(Serialize)]
struct Found {
    payload_b64: String,
}

pub(super) fn run(raw: &RawSettings) -> Result<ExitCode, Failure> {
    let algorithms = Settings::resolve_algorithms(raw)?;
    let document = match Settings::resolve_keys(raw)? {
        KeySource::JwkSet(document) => document,
        KeySource::JwkSetFile(path) => std::fs::read_to_string(path)
            .map_err(|_| SettingsError::new("--jwks", "expected a readable JWK Set file"))?,
        KeySource::PublicKeyPem(_) => {
            let expected = "expected a JWK Set in its place: `jws` selects keys by `kid`";
            return Err(SettingsError::new("--public-key", expected).into());
        }
        _ => {
            let expected = "expected the file or the text of a JWK Set: `jws` fetches nothing";
            return Err(SettingsError::new("--jwks", expected).into());
        }
    };
    let verifier = JwsVerifier::new(&document, &algorithms, CryptoBackend::AwsLcRs)
        .map_err(|error| SettingsError::new("--jwks", error.to_string()))?;
    lines::judge_all(Kind::Jws, |jws| {
        let payload = verifier.verify(jws);
        let payload = payload.map_err(|error| error.code().as_str())?;
        let payload_b64 = base64_simd::STANDARD.encode_to_string(payload);
        Ok(Found { payload_b64 })
    })
}
