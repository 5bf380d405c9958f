//! Settings of one issuer: whose tokens, by which keys, how strictly.

use std::path::{Path, PathBuf};
use std::time::Duration;

use queue_verifier::{
    Algorithm, Builder, CryptoBackend, KeySource, Profile, StatusSource, Verifier, WhenStale,
};

use super::{RawSettings, SettingsError, given, value};

/// What is accepted from one issuer; made by [`IssuerSettings::new`].
///
/// The fields are the keys of [`REFERENCE`](super::REFERENCE) of the same names, or nearly.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "`REFERENCE` holds the one description of each")]
pub struct IssuerSettings {
    pub issuer: String,
    pub audiences: Vec<String>,
    pub keys: KeySource,
    pub profile: Profile,
    pub algorithms: Vec<Algorithm>,
    pub leeway: Duration,
    pub stale_limit: Duration,
    pub snapshot: Option<PathBuf>,
    pub snapshot_max_age: Duration,
    pub status_lists: StatusSource,
    pub status_max_age: Duration,
    pub when_stale: WhenStale,
    pub status_required: bool,
    pub status_origins: Vec<String>,
}

impl IssuerSettings {
    /// The defaults, for tokens of `issuer` that name one of `audiences`, judged by `keys`.
    #[must_use]
    pub fn new<A: Into<String>>(
        issuer: impl Into<String>,
        audiences: impl IntoIterator<Item = A>,
        keys: KeySource,
    ) -> Self {
        Self {
            issuer: issuer.into(),
            audiences: audiences.into_iter().map(Into::into).collect(),
            keys,
            profile: Profile::Session,
            algorithms: vec![Algorithm::RS256],
            leeway: Duration::from_secs(30),
            stale_limit: Duration::from_secs(3600),
            snapshot: None,
            snapshot_max_age: Duration::from_secs(DAY / 1000),
            status_lists: StatusSource::LikeKeys,
            status_max_age: Duration::from_secs(60),
            when_stale: WhenStale::Refuse,
            status_required: false,
            status_origins: Vec::new(),
        }
    }

    /// Gives the keys of one issuer their meaning.
    ///
    /// # Errors
    /// The first that is missing or wrong.
    pub(super) fn resolve(raw: &RawSettings) -> Result<Self, SettingsError> {
        let issuer = given::required(raw.issuer.as_ref(), "issuer")?;
        let audiences = given::required(raw.audience.as_ref(), "audience")?.to_vec();
        let mut settings = Self::new(&issuer[0], audiences, Self::resolve_keys(raw)?);
        let profile = raw.profile.as_ref();
        settings.profile = given::parsed(profile, "profile", settings.profile)?;
        settings.algorithms = Self::resolve_algorithms(raw)?;
        if let Some(text) = given::one(raw.leeway.as_ref(), "leeway")? {
            settings.leeway = value::seconds(text).ok_or_else(|| {
                SettingsError::of("leeway", "expected whole seconds, as `30` or `30s`")
            })?;
        }
        let stale_limit = (raw.stale_limit.as_ref(), "stale_limit");
        settings.stale_limit = given::within(stale_limit, 0, DAY, settings.stale_limit)?;
        settings.resolve_snapshot(raw)?;
        settings.resolve_status(raw)?;
        Ok(settings)
    }

    fn resolve_snapshot(&mut self, raw: &RawSettings) -> Result<(), SettingsError> {
        self.snapshot = given::one(raw.snapshot.as_ref(), "snapshot")?.map(PathBuf::from);
        let max_age = (raw.snapshot_max_age.as_ref(), "snapshot_max_age");
        self.snapshot_max_age = given::within(max_age, 1000, 30 * DAY, self.snapshot_max_age)?;
        Ok(())
    }

    fn resolve_status(&mut self, raw: &RawSettings) -> Result<(), SettingsError> {
        self.status_lists = match raw.status_list.as_deref() {
            None => StatusSource::LikeKeys,
            Some([word]) if word == "named" => StatusSource::Named,
            Some(lists) => {
                let lists: Option<_> = lists.iter().map(|list| read_list(list)).collect();
                StatusSource::Documents(lists.ok_or_else(|| {
                    SettingsError::of(
                        "status_list",
                        "expected a signed list, a readable file of one, or `named`",
                    )
                })?)
            }
        };
        let max_age = (raw.status_max_age.as_ref(), "status_max_age");
        self.status_max_age = given::within(max_age, 1000, DAY, self.status_max_age)?;
        self.when_stale = match given::one(raw.when_stale.as_ref(), "when_stale")? {
            None | Some("refuse") => WhenStale::Refuse,
            Some("accept") => WhenStale::Accept,
            Some(_) => {
                return Err(SettingsError::of(
                    "when_stale",
                    "expected `refuse` or `accept`",
                ));
            }
        };
        let is_required = raw.status_required.as_ref();
        self.status_required = given::parsed(is_required, "status_required", false)?;
        self.status_origins = raw.status_origin.clone().unwrap_or_default();
        Ok(())
    }

    /// The algorithms alone, for the signature layer.
    ///
    /// # Errors
    /// When a name is none of those we know.
    pub fn resolve_algorithms(raw: &RawSettings) -> Result<Vec<Algorithm>, SettingsError> {
        let Some(names) = &raw.alg else {
            return Ok(vec![Algorithm::RS256]);
        };
        names
            .iter()
            .map(|name| name.parse())
            .collect::<Result<_, _>>()
            .map_err(|error: queue_verifier::UnknownAlgorithm| {
                SettingsError::of("alg", error.to_string())
            })
    }

    /// The key source alone, for the signature layer.
    ///
    /// # Errors
    /// When two are given, or a file of a public key cannot be read.
    pub fn resolve_keys(raw: &RawSettings) -> Result<KeySource, SettingsError> {
        let jwks = given::one(raw.jwks.as_ref(), "jwks")?.map(str::trim);
        let public_key = given::one(raw.public_key.as_ref(), "public_key")?.map(str::trim);
        match (jwks, public_key) {
            (None, None) => Ok(KeySource::Discovery),
            (Some(document), None) if document.starts_with('{') => Ok(KeySource::jwk_set(document)),
            (Some(uri), None) if uri.contains("://") => Ok(KeySource::jwks_uri(uri)),
            (Some(path), None) => Ok(KeySource::jwk_set_file(PathBuf::from(path))),
            (None, Some(pem)) if pem.starts_with("-----BEGIN") => {
                Ok(KeySource::public_key_pem(pem))
            }
            (None, Some(path)) => match std::fs::read_to_string(path) {
                Ok(pem) => Ok(KeySource::public_key_pem(pem)),
                Err(_) => Err(SettingsError::of(
                    "public_key",
                    "expected a readable PEM file",
                )),
            },
            (Some(_), Some(_)) => Err(SettingsError::of(
                "public_key",
                "expected either this or a JWK Set, not both",
            )),
        }
    }

    /// A verifier for this issuer, yet to be built.
    pub(super) fn builder(&self) -> Builder {
        let builder = Verifier::builder(self.issuer.clone(), self.audiences.clone())
            .keys(self.keys.clone())
            .algorithms(self.algorithms.iter().copied())
            .profile(self.profile)
            .leeway(self.leeway)
            .stale_limit(self.stale_limit)
            .snapshot_max_age(self.snapshot_max_age)
            .status_lists(self.status_lists.clone())
            .status_max_age(self.status_max_age)
            .when_stale(self.when_stale)
            .status_required(self.status_required)
            .status_origins(self.status_origins.iter().cloned())
            .backend(CryptoBackend::AwsLcRs);
        match &self.snapshot {
            Some(path) => builder.snapshot(path),
            None => builder,
        }
    }
}

/// The list that `given` is, or that of the file it names.
fn read_list(given: &str) -> Option<String> {
    let given = given.trim();
    // Every compact JWS begins so: `{"` in base64url.
    if given.starts_with("eyJ") {
        return Some(given.to_owned());
    }
    let text = value::read_bounded(Path::new(given), MAX_LIST_FILE)?;
    Some(text.trim().to_owned())
}

/// Milliseconds.
const DAY: u64 = 24 * 3_600_000;
/// Bytes; more than a list may have.
const MAX_LIST_FILE: u64 = 4 * 1024 * 1024;
