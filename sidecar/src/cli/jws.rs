//! `queue-sidecar jws`: the signature layer alone, for any compact JWS on standard input.

use std::process::ExitCode;

use queue_verifier::{CryptoBackend, JwsVerifier};
use serde::Serialize;

use super::Failure;
use super::lines::{self, Kind};
use crate::settings::{IssuerSettings, RawSettings, SettingsError};

#[derive(Serialize)]
struct Found {
    payload_b64: String,
}

pub(super) fn run(raw: &RawSettings) -> Result<ExitCode, Failure> {
    let algorithms = IssuerSettings::resolve_algorithms(raw)?;
    let keys = IssuerSettings::resolve_keys(raw)?;
    let verifier = JwsVerifier::new(&keys, &algorithms, CryptoBackend::AwsLcRs)
        .map_err(|error| SettingsError::new("--jwks", error.to_string()))?;
    lines::judge_all(Kind::Jws, |jws| {
        let payload = verifier.verify(jws);
        let payload = payload.map_err(|error| error.code().as_str())?;
        let payload_b64 = base64_simd::STANDARD.encode_to_string(payload);
        Ok(Found { payload_b64 })
    })
}
