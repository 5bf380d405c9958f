//! Builder: settings → a [`Verifier`] that is right, or an error before anything starts.

mod error;
mod status;

#[cfg(feature = "fetch")]
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::algorithm::Algorithm;
#[cfg(feature = "fetch")]
use crate::background;
use crate::clock::{Clock, SystemClock};
#[cfg(feature = "fetch")]
use crate::fetch::FetchError;
#[cfg(feature = "fetch")]
use crate::key::cache::KeyCache;
#[cfg(feature = "fetch")]
use crate::key::fetch::Fetcher;
use crate::key::jwk;
use crate::key::pem;
#[cfg(feature = "fetch")]
use crate::key::refresh::Refresher;
#[cfg(feature = "fetch")]
use crate::key::snapshot::Snapshot;
use crate::key::{JwkSet, KeySource, MAX_JWK_SET};
use crate::party::{Keys, Party};
use crate::policy::{
    Audiences, DEFAULT_LEEWAY, HeaderPolicy, MAX_LEEWAY, Profile, Require, ValidationPolicy,
};
use crate::remembered::Remembered;
use crate::signature::CryptoBackend;
use crate::status::StatusLists;
use crate::verifier::{Inner, Verifier};
pub use error::ConfigError;
use status::StatusSettings;

/// How long keys serve past their lifetime while the issuer cannot be reached, unless set.
const DEFAULT_STALE_LIMIT: Duration = Duration::from_secs(3600);
/// The most that can be set.
const MAX_STALE_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// How old a snapshot file may be, unless set.
#[cfg(feature = "fetch")]
const DEFAULT_SNAPSHOT_MAX_AGE: Duration = Duration::from_secs(24 * 3600);
/// The bounds of what can be set.
#[cfg(feature = "fetch")]
const MIN_SNAPSHOT_MAX_AGE: Duration = Duration::from_secs(1);
/// See [`MIN_SNAPSHOT_MAX_AGE`].
#[cfg(feature = "fetch")]
const MAX_SNAPSHOT_MAX_AGE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Settings of a [`Verifier`]; made by [`Verifier::builder`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    issuer: String,
    audiences: Audiences,
    keys: KeySource,
    algorithms: Vec<Algorithm>,
    profile: Profile,
    leeway: Duration,
    stale_limit: Duration,
    #[cfg(feature = "fetch")]
    snapshot: Option<PathBuf>,
    #[cfg(feature = "fetch")]
    snapshot_max_age: Duration,
    status: StatusSettings,
    require: Require,
    backend: CryptoBackend,
    clock: Arc<dyn Clock>,
    remember: usize,
    also: Vec<Builder>,
}

impl Builder {
    pub(crate) fn new(issuer: String, audiences: Audiences) -> Self {
        Self {
            issuer,
            audiences,
            keys: KeySource::default(),
            algorithms: vec![Algorithm::RS256],
            profile: Profile::default(),
            leeway: DEFAULT_LEEWAY,
            stale_limit: DEFAULT_STALE_LIMIT,
            #[cfg(feature = "fetch")]
            snapshot: None,
            #[cfg(feature = "fetch")]
            snapshot_max_age: DEFAULT_SNAPSHOT_MAX_AGE,
            status: StatusSettings::default(),
            require: Require::default(),
            backend: CryptoBackend::default(),
            clock: Arc::new(SystemClock),
            remember: 0,
            also: Vec::new(),
        }
    }

    /// Where the issuer's keys come from; default: discovered from the issuer.
    pub fn keys(mut self, source: KeySource) -> Self {
        self.keys = source;
        self
    }

    /// The algorithms a token may use; default: `RS256` alone.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// The kind of token; default: [`Profile::Session`].
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Tolerance on `exp`, `nbf` and `iat` for clocks that differ; default 30 s, at most 300 s.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// How long keys serve past their lifetime while the issuer cannot be reached; default 1 h,
    /// at most 24 h.
    pub fn stale_limit(mut self, limit: Duration) -> Self {
        self.stale_limit = limit;
        self
    }

    /// A file of this issuer's keys that outlives the process and is shared with the others of this
    /// host: N processes make one fetch, and a start needs no issuer. This user alone may be able to
    /// write its folder. It counts for keys from the network only; default: none.
    #[cfg(feature = "fetch")]
    pub fn snapshot(mut self, path: impl Into<PathBuf>) -> Self {
        self.snapshot = Some(path.into());
        self
    }

    /// How old the keys of a snapshot file may be, by the wall clock and whatever the stale limit;
    /// default 24 h, from 1 s to 30 days.
    #[cfg(feature = "fetch")]
    pub fn snapshot_max_age(mut self, max_age: Duration) -> Self {
        self.snapshot_max_age = max_age;
        self
    }

    /// What every session must have; default: nothing more than to be valid.
    pub fn require(mut self, require: Require) -> Self {
        self.require = require;
        self
    }

    /// The library that does the arithmetic; default: ring where it is compiled in.
    pub fn backend(mut self, backend: CryptoBackend) -> Self {
        self.backend = backend;
        self
    }

    /// Accepts tokens of a further issuer as well, judged by that issuer's own keys and policy and
    /// never by another's; what is the verifier's as a whole (the clock, [`Self::remember`]) is taken
    /// from `self`.
    pub fn also(mut self, issuer: Self) -> Self {
        self.also.push(issuer);
        self
    }

    /// Remembers up to `tokens` tokens that were good, so that one met again costs no signature;
    /// default: 0, none.
    ///
    /// A remembered token is held against the clock, the requirements, the key set and the status
    /// list again at every call; see [`Freshness::cached`](crate::report::Freshness::cached). What
    /// is kept is no token: the signature is not kept.
    pub fn remember(mut self, tokens: usize) -> Self {
        self.remember = tokens;
        self
    }

    /// The source of time; default: the machine's clocks.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Checks the settings and makes the verifier; with keys from the network, starts the thread
    /// that keeps them fresh and returns without waiting for it.
    ///
    /// # Errors
    /// The first setting that is wrong, under a code of the family `config_*`:
    ///
    /// - of the token: `config_issuer_invalid`, `config_issuer_repeated`, `config_audience_invalid`,
    ///   `config_algorithms_empty`, `config_leeway_out_of_bounds`;
    /// - of the keys: `config_key_file_unreadable`, `config_key_set_unusable`,
    ///   `config_public_key_unusable`, `config_jwks_uri_unusable`, `config_stale_limit_out_of_bounds`,
    ///   `config_snapshot_max_age_out_of_bounds`, `config_snapshot_unusable`;
    /// - of the status lists: `config_status_max_age_out_of_bounds`, `config_status_source_unfit`,
    ///   `config_status_list_unusable`, `config_status_origin_unusable`;
    /// - of the build and the machine: `config_fetch_not_built`, `config_thread_unavailable`.
    pub fn build(mut self) -> Result<Verifier, ConfigError> {
        let clock = Arc::clone(&self.clock);
        let remembered = (self.remember > 0).then(|| Remembered::new(self.remember));
        let mut parties = Vec::new();
        let mut waiting = std::mem::take(&mut self.also);
        waiting.insert(0, self);
        while !waiting.is_empty() {
            let mut builder = waiting.remove(0);
            waiting.append(&mut builder.also);
            let is_known = |party: &Party| party.policy.issuer == builder.issuer;
            if parties.iter().any(is_known) {
                return Err(ConfigError::IssuerTwice);
            }
            builder.clock = Arc::clone(&clock);
            parties.push(builder.party()?);
        }
        Ok(Verifier::from_parts(Inner {
            parties,
            clock,
            remembered,
        }))
    }

    fn party(self) -> Result<Party, ConfigError> {
        self.check()?;
        let (keys, status) = self.load()?;
        let policy = ValidationPolicy {
            issuer: self.issuer,
            audiences: self.audiences.0,
            header: HeaderPolicy {
                algorithms: self.algorithms,
                typ: self.profile.into(),
            },
            profile: self.profile,
            leeway: self.leeway.as_secs(),
            require: self.require,
        };
        Ok(Party {
            policy,
            keys,
            status,
        })
    }

    fn check(&self) -> Result<(), ConfigError> {
        let is_blank = |text: &str| {
            text.is_empty() || text.contains(|c: char| c.is_control() || c.is_whitespace())
        };
        if is_blank(&self.issuer) {
            return Err(ConfigError::Issuer);
        }
        if self.audiences.0.is_empty() || self.audiences.0.iter().any(|audience| is_blank(audience))
        {
            return Err(ConfigError::Audience);
        }
        if self.algorithms.is_empty() {
            return Err(ConfigError::Algorithms);
        }
        if self.leeway > MAX_LEEWAY || self.leeway.subsec_nanos() != 0 {
            return Err(ConfigError::Leeway);
        }
        if self.stale_limit > MAX_STALE_LIMIT {
            return Err(ConfigError::StaleLimit);
        }
        #[cfg(feature = "fetch")]
        if !(MIN_SNAPSHOT_MAX_AGE..=MAX_SNAPSHOT_MAX_AGE).contains(&self.snapshot_max_age) {
            return Err(ConfigError::SnapshotMaxAge);
        }
        self.check_status()
    }

    /// Keys and status lists, and one thread for what keeps them fresh.
    #[cfg(feature = "fetch")]
    fn load(&self) -> Result<(Keys, StatusLists), ConfigError> {
        let mut work = Vec::new();
        let (keys, http) = match given_set(&self.keys, &self.algorithms, self.backend)? {
            Some(set) => (Keys::fixed(set), None),
            None => {
                let fetcher = self.fetcher()?;
                let http = fetcher.http();
                (self.fetched(fetcher, &mut work)?, Some(http))
            }
        };
        let status = self.status(&keys, http, &mut work)?;
        if !work.is_empty() {
            background::start(work).map_err(|_| ConfigError::Thread)?;
        }
        Ok((keys, status))
    }

    #[cfg(feature = "fetch")]
    fn fetcher(&self) -> Result<Fetcher, FetchError> {
        let algorithms = self.algorithms.clone();
        match &self.keys {
            KeySource::JwksUri(uri) => Fetcher::jwks_uri(uri, algorithms, self.backend),
            _ => Fetcher::discovery(&self.issuer, algorithms, self.backend),
        }
    }

    #[cfg(feature = "fetch")]
    fn fetched(
        &self,
        fetcher: Fetcher,
        work: &mut Vec<background::Worker>,
    ) -> Result<Keys, ConfigError> {
        let cache = Arc::new(KeyCache::empty(self.stale_limit));
        let snapshot = self.snapshot.clone().map(|path| {
            let (issuer, max_age) = (self.issuer.clone(), self.snapshot_max_age);
            Snapshot::open(path, issuer, max_age, self.leeway, self.backend)
        });
        let (refresher, worker) = Refresher::new(
            fetcher,
            Arc::clone(&cache),
            Arc::clone(&self.clock),
            snapshot.transpose()?,
        );
        work.push(worker);
        Ok(Keys::fetched(cache, Arc::new(refresher)))
    }

    #[cfg(not(feature = "fetch"))]
    fn load(&self) -> Result<(Keys, StatusLists), ConfigError> {
        let set = given_set(&self.keys, &self.algorithms, self.backend)?;
        let set = set.ok_or(ConfigError::NoNetwork)?;
        let status = self.given_status(&set)?;
        Ok((Keys::fixed(set), status))
    }
}

/// The keys of a source that holds them; none where they are to be fetched.
pub(crate) fn given_set(
    source: &KeySource,
    algorithms: &[Algorithm],
    backend: CryptoBackend,
) -> Result<Option<JwkSet>, ConfigError> {
    let set = match source {
        KeySource::JwkSet(document) => jwk::parse_set(document.as_bytes(), algorithms, backend)?,
        KeySource::JwkSetFile(path) => jwk::parse_set(&read_bounded(path)?, algorithms, backend)?,
        KeySource::PublicKeyPem(text) => pem::parse(text, algorithms, backend)?,
        KeySource::JwksUri(_) | KeySource::Discovery => return Ok(None),
    };
    Ok(Some(set))
}

fn read_bounded(path: &std::path::Path) -> Result<Vec<u8>, ConfigError> {
    use std::io::Read as _;
    let mut document = Vec::new();
    let bound = u64::try_from(MAX_JWK_SET).unwrap_or(u64::MAX) + 1;
    std::fs::File::open(path)
        .and_then(|file| file.take(bound).read_to_end(&mut document))
        .map_err(|_| ConfigError::KeyFile)?;
    Ok(document)
}
