//! Settings: flags, environment and a TOML file → one typed, valid [`Settings`].
//!
//! **Invariant:** flag > environment > file > default, key by key; resolved once, before a port is
//! bound; nothing below reads the environment.

mod raw;
mod show;
mod value;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use queue_verifier::{Algorithm, Builder, Clock, CryptoBackend, KeySource, Profile, Verifier};

pub use raw::{CONFIG_ENV, PUBLIC_KEY_ENV, REFERENCE, RawSettings, Reference, environment};

use crate::listen::LoopbackAddr;

/// What the sidecar runs with; made by [`Settings::for_issuer`] or [`Settings::resolve`].
///
/// The fields are the keys of [`REFERENCE`], which says what they mean.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[allow(missing_docs, reason = "`REFERENCE` holds the one description of each")]
pub struct Settings {
    pub listen: LoopbackAddr,
    pub issuer: String,
    pub audiences: Vec<String>,
    pub keys: KeySource,
    pub profile: Profile,
    pub algorithms: Vec<Algorithm>,
    pub leeway: Duration,
    pub stale_limit: Duration,
    pub cookie: Option<String>,
    pub hosts: Vec<String>,
    pub deadline: Duration,
    pub header_timeout: Duration,
    pub idle_timeout: Duration,
    pub drain_timeout: Duration,
    pub max_in_flight: usize,
    pub max_connections: usize,
    pub workers: usize,
    pub log: String,
    pub log_format: LogFormat,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// One line for people.
    Text,
}

impl Settings {
    /// The defaults, for tokens of `issuer` that name one of `audiences`, judged by `keys`; the
    /// keys are checked when the [`App`](crate::App) is built.
    #[must_use]
    pub fn for_issuer<A: Into<String>>(
        issuer: impl Into<String>,
        audiences: impl IntoIterator<Item = A>,
        keys: KeySource,
    ) -> Self {
        Self {
            listen: LoopbackAddr::DEFAULT,
            issuer: issuer.into(),
            audiences: audiences.into_iter().map(Into::into).collect(),
            keys,
            profile: Profile::Session,
            algorithms: vec![Algorithm::RS256],
            leeway: Duration::from_secs(30),
            stale_limit: Duration::from_secs(3600),
            cookie: None,
            hosts: Vec::new(),
            deadline: Duration::from_secs(5),
            header_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(75),
            drain_timeout: Duration::from_secs(10),
            max_in_flight: 512,
            max_connections: 960,
            workers: default_workers(),
            log: "info".to_owned(),
            log_format: LogFormat::Text,
        }
    }

    /// Gives every key its meaning.
    ///
    /// # Errors
    /// The first key that is missing or wrong.
    pub fn resolve(raw: &RawSettings) -> Result<Self, SettingsError> {
        let issuer = required(raw.issuer.as_ref(), "issuer")?;
        let audiences = required(raw.audience.as_ref(), "audience")?.to_vec();
        let mut settings = Self::for_issuer(&issuer[0], audiences, Self::resolve_keys(raw)?);
        settings.listen = Self::resolve_listen(raw)?;
        settings.profile = parsed(raw.profile.as_ref(), "profile", settings.profile)?;
        settings.algorithms = Self::resolve_algorithms(raw)?;
        settings.leeway = match one(raw.leeway.as_ref(), "leeway")? {
            Some(text) => value::seconds(text).ok_or_else(|| {
                SettingsError::of("leeway", "expected whole seconds, as `30` or `30s`")
            })?,
            None => settings.leeway,
        };
        settings.resolve_http(raw)?;
        settings.resolve_log(raw)?;
        Ok(settings)
    }

    fn resolve_http(&mut self, raw: &RawSettings) -> Result<(), SettingsError> {
        const DAY: u64 = 24 * 3_600_000;
        self.stale_limit = within(
            raw.stale_limit.as_ref(),
            "stale_limit",
            0,
            DAY,
            self.stale_limit,
        )?;
        self.deadline = within(raw.deadline.as_ref(), "deadline", 10, 60_000, self.deadline)?;
        let header_timeout = raw.header_timeout.as_ref();
        self.header_timeout = within(
            header_timeout,
            "header_timeout",
            10,
            60_000,
            self.header_timeout,
        )?;
        let idle_timeout = raw.idle_timeout.as_ref();
        self.idle_timeout = within(
            idle_timeout,
            "idle_timeout",
            10,
            3_600_000,
            self.idle_timeout,
        )?;
        let drain_timeout = raw.drain_timeout.as_ref();
        self.drain_timeout = within(
            drain_timeout,
            "drain_timeout",
            0,
            300_000,
            self.drain_timeout,
        )?;
        self.max_in_flight = count(
            raw.max_in_flight.as_ref(),
            "max_in_flight",
            65_536,
            self.max_in_flight,
        )?;
        let max_connections = raw.max_connections.as_ref();
        self.max_connections = count(
            max_connections,
            "max_connections",
            65_536,
            self.max_connections,
        )?;
        self.workers = count(raw.workers.as_ref(), "workers", 64, self.workers)?;
        self.cookie = one(raw.cookie.as_ref(), "cookie")?.map(str::to_owned);
        if self
            .cookie
            .as_deref()
            .is_some_and(|name| !value::is_cookie_name(name))
        {
            return Err(SettingsError::of("cookie", "expected the name of a cookie"));
        }
        self.hosts = raw.hosts.clone().unwrap_or_default();
        if !self.hosts.iter().all(|host| value::is_host(host)) {
            return Err(SettingsError::of(
                "hosts",
                "expected names or addresses, as `sidecar:4140`",
            ));
        }
        Ok(())
    }

    fn resolve_log(&mut self, raw: &RawSettings) -> Result<(), SettingsError> {
        if let Some(filter) = one(raw.log.as_ref(), "log")? {
            if !value::is_log_filter(filter) {
                let expected = "expected levels, as `info` or `warn,queue_sidecar=debug`";
                return Err(SettingsError::of("log", expected));
            }
            filter.clone_into(&mut self.log);
        }
        self.log_format = match one(raw.log_format.as_ref(), "log_format")? {
            Some("json") => LogFormat::Json,
            Some("text") | None => LogFormat::Text,
            Some(_) => return Err(SettingsError::of("log_format", "expected `json` or `text`")),
        };
        Ok(())
    }

    /// The listener alone, for a probe that needs no issuer.
    ///
    /// # Errors
    /// When it is no loopback address.
    pub fn resolve_listen(raw: &RawSettings) -> Result<LoopbackAddr, SettingsError> {
        parsed(raw.listen.as_ref(), "listen", LoopbackAddr::DEFAULT)
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
        let jwks = one(raw.jwks.as_ref(), "jwks")?.map(str::trim);
        let public_key = one(raw.public_key.as_ref(), "public_key")?.map(str::trim);
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

    /// A verifier of these settings, yet to be built.
    pub(crate) fn verifier(&self, clock: Arc<dyn Clock>) -> Builder {
        Verifier::builder(self.issuer.clone(), self.audiences.clone())
            .keys(self.keys.clone())
            .algorithms(self.algorithms.iter().copied())
            .profile(self.profile)
            .leeway(self.leeway)
            .stale_limit(self.stale_limit)
            .backend(CryptoBackend::AwsLcRs)
            .clock(clock)
    }
}

/// Few threads serve many requests; more would only take the CPU from the service next door.
fn default_workers() -> usize {
    std::thread::available_parallelism()
        .map_or(1, NonZeroUsize::get)
        .min(4)
}

fn required<'a>(given: Option<&'a Vec<String>>, name: &str) -> Result<&'a [String], SettingsError> {
    match given {
        Some(values) if !values.is_empty() => Ok(values),
        _ => {
            let key = row(name);
            let expected = format!(
                "expected a value: set {} or {}, or `{name}` in the file of --config",
                key.flag, key.env
            );
            Err(SettingsError::new(name, expected))
        }
    }
}

fn one<'a>(given: Option<&'a Vec<String>>, name: &str) -> Result<Option<&'a str>, SettingsError> {
    match given.map(Vec::as_slice) {
        None => Ok(None),
        Some([value]) => Ok(Some(value)),
        Some(_) => Err(SettingsError::of(name, "expected one value")),
    }
}

fn parsed<T>(given: Option<&Vec<String>>, name: &str, default: T) -> Result<T, SettingsError>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    one(given, name)?.map_or(Ok(default), |text| {
        text.parse()
            .map_err(|error: T::Err| SettingsError::of(name, error.to_string()))
    })
}

fn within(
    given: Option<&Vec<String>>,
    name: &str,
    least_millis: u64,
    most_millis: u64,
    default: Duration,
) -> Result<Duration, SettingsError> {
    let (least, most) = (
        Duration::from_millis(least_millis),
        Duration::from_millis(most_millis),
    );
    let Some(text) = one(given, name)? else {
        return Ok(default);
    };
    value::duration(text)
        .filter(|duration| (least..=most).contains(duration))
        .ok_or_else(|| {
            let (least, most) = (value::display(least), value::display(most));
            let expected = format!("expected a duration with its unit, {least} to {most}");
            SettingsError::of(name, expected)
        })
}

fn count(
    given: Option<&Vec<String>>,
    name: &str,
    most: usize,
    default: usize,
) -> Result<usize, SettingsError> {
    let Some(text) = one(given, name)? else {
        return Ok(default);
    };
    text.parse()
        .ok()
        .filter(|number| (1..=most).contains(number))
        .ok_or_else(|| SettingsError::of(name, format!("expected a number, 1 to {most}")))
}

fn row(name: &str) -> &'static Reference {
    REFERENCE
        .iter()
        .find(|key| key.name == name)
        .expect("settings are resolved by names of the declaration")
}

/// A setting is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {expected}")]
pub struct SettingsError {
    key: String,
    expected: String,
}

impl SettingsError {
    pub(crate) fn new(key: &str, expected: impl Into<String>) -> Self {
        let (key, expected) = (key.to_owned(), expected.into());
        Self { key, expected }
    }

    /// Of a declared key: named as it can be set.
    fn of(name: &str, expected: impl Into<String>) -> Self {
        let key = row(name);
        Self::new(&format!("{name} ({}, {})", key.flag, key.env), expected)
    }
}
