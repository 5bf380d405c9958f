//! What one issuer's tokens are held against, as Python says it → a builder.

use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use queue_verifier::{
    Algorithm, Builder, CryptoBackend, KeySource, Profile, StatusSource, WhenStale,
};

use crate::errors;
use crate::require::Require;

/// Settings that `queue_verifier.Issuer` checked for type; seconds where they are times.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct IssuerSettings {
    issuer: String,
    audience: Vec<String>,
    source: String,
    keys: String,
    algorithms: Vec<String>,
    profile: String,
    leeway: u64,
    stale_limit: u64,
    snapshot: Option<String>,
    snapshot_max_age: u64,
    status_lists: Option<Vec<String>>,
    fetch_status_lists: bool,
    status_max_age: u64,
    when_stale: String,
    status_required: bool,
    status_origins: Vec<String>,
    require: Option<Py<Require>>,
}

impl IssuerSettings {
    /// The builder of a verifier for this issuer.
    ///
    /// # Errors
    /// `ConfigError` for a name that no setting knows.
    pub(crate) fn builder(self, py: Python<'_>) -> PyResult<Builder> {
        let unknown = |code, error: &dyn std::fmt::Display| {
            errors::unknown_setting(py, code, error.to_string())
        };
        let algorithms = self
            .algorithms
            .iter()
            .map(|name| name.parse::<Algorithm>())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| unknown("config_algorithm_unknown", &error))?;
        let profile: Profile = self
            .profile
            .parse()
            .map_err(|error| unknown("config_profile_unknown", &error))?;
        let when_stale = match &*self.when_stale {
            "refuse" => WhenStale::Refuse,
            "accept" => WhenStale::Accept,
            _ => {
                let expected = "expected one of refuse, accept";
                return Err(unknown("config_when_stale_unknown", &expected));
            }
        };
        let status = match self.status_lists {
            Some(lists) => StatusSource::Documents(lists),
            None if self.fetch_status_lists => StatusSource::Named,
            None => StatusSource::LikeKeys,
        };
        let require = self.require.as_ref();
        let builder = queue_verifier::Verifier::builder(self.issuer, self.audience)
            .keys(key_source(&self.source, self.keys)?)
            .algorithms(algorithms)
            .profile(profile)
            .leeway(Duration::from_secs(self.leeway))
            .stale_limit(Duration::from_secs(self.stale_limit))
            .snapshot_max_age(Duration::from_secs(self.snapshot_max_age))
            .status_lists(status)
            .status_max_age(Duration::from_secs(self.status_max_age))
            .when_stale(when_stale)
            .status_required(self.status_required)
            .status_origins(self.status_origins)
            .require(require.map_or_else(Default::default, |own| own.get().inner.clone()))
            .backend(CryptoBackend::AwsLcRs);
        Ok(match self.snapshot {
            Some(path) => builder.snapshot(path),
            None => builder,
        })
    }
}

fn key_source(source: &str, keys: String) -> PyResult<KeySource> {
    match source {
        "discovery" => Ok(KeySource::Discovery),
        "jwks_uri" => Ok(KeySource::jwks_uri(keys)),
        "jwks" => Ok(KeySource::jwk_set(keys)),
        "jwks_file" => Ok(KeySource::jwk_set_file(keys)),
        "public_key" => Ok(KeySource::public_key_pem(keys)),
        _ => Err(PyTypeError::new_err("expected a key source")),
    }
}
