//! Settings: flags, environment and a TOML file → one typed, valid [`Settings`].
//!
//! **Invariant:** flag > environment > file > default, key by key; resolved once, before a port is
//! bound; nothing below reads the environment.

mod given;
mod issuer;
mod listeners;
mod raw;
mod show;
mod value;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use queue_verifier::{Builder, Clock, KeySource};

pub use issuer::IssuerSettings;
pub use raw::{
    CONFIG_ENV, ISSUER_KEYS, PUBLIC_KEY_ENV, REFERENCE, RawSettings, Reference, environment,
};

pub(crate) use value::read_bounded;

use crate::callers::Callers;
use crate::listen::LoopbackAddr;
use crate::wire::Requirement;

/// What the sidecar runs with; made by [`Settings::for_issuer`] or [`Settings::resolve`].
///
/// The fields are the keys of [`REFERENCE`], which says what they mean.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[allow(missing_docs, reason = "`REFERENCE` holds the one description of each")]
pub struct Settings {
    pub listen: Option<LoopbackAddr>,
    pub socket: Option<PathBuf>,
    pub socket_allow_uid: Vec<u32>,
    pub socket_allow_gid: Vec<u32>,
    pub probe_listen: Option<SocketAddr>,
    pub issuer: IssuerSettings,
    /// Further issuers: the file's `[[also]]`.
    pub also: Vec<IssuerSettings>,
    pub remember: usize,
    pub cookie: Option<String>,
    pub introspect_callers: Option<Callers>,
    pub envoy_require: Option<String>,
    pub shadow: bool,
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
    pub otlp_endpoint: Option<String>,
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
        Self::of(IssuerSettings::new(issuer, audiences, keys))
    }

    fn of(issuer: IssuerSettings) -> Self {
        Self {
            listen: Some(LoopbackAddr::DEFAULT),
            socket: None,
            socket_allow_uid: Vec::new(),
            socket_allow_gid: Vec::new(),
            probe_listen: None,
            issuer,
            also: Vec::new(),
            remember: 10_000,
            cookie: None,
            introspect_callers: None,
            envoy_require: None,
            shadow: false,
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
            otlp_endpoint: None,
        }
    }

    /// Gives every key its meaning.
    ///
    /// # Errors
    /// The first key that is missing or wrong.
    pub fn resolve(raw: &RawSettings) -> Result<Self, SettingsError> {
        let mut settings = Self::of(IssuerSettings::resolve(raw)?);
        for (place, raw) in raw.also.iter().enumerate() {
            let issuer = raw
                .only_of_an_issuer()
                .and_then(|()| IssuerSettings::resolve(raw));
            settings
                .also
                .push(issuer.map_err(|error| error.within_also(place))?);
        }
        settings.resolve_listeners(raw)?;
        let remember = (raw.remember.as_ref(), "remember");
        settings.remember = given::count(remember, 0, MAX_REMEMBER, settings.remember)?;
        settings.resolve_http(raw)?;
        settings.resolve_doors(raw)?;
        settings.resolve_log(raw)?;
        Ok(settings)
    }

    fn resolve_http(&mut self, raw: &RawSettings) -> Result<(), SettingsError> {
        let deadline = (raw.deadline.as_ref(), "deadline");
        self.deadline = given::within(deadline, 10, 60_000, self.deadline)?;
        let header_timeout = (raw.header_timeout.as_ref(), "header_timeout");
        self.header_timeout = given::within(header_timeout, 10, 60_000, self.header_timeout)?;
        let idle_timeout = (raw.idle_timeout.as_ref(), "idle_timeout");
        self.idle_timeout = given::within(idle_timeout, 10, 3_600_000, self.idle_timeout)?;
        let drain_timeout = (raw.drain_timeout.as_ref(), "drain_timeout");
        self.drain_timeout = given::within(drain_timeout, 0, 300_000, self.drain_timeout)?;
        let max_in_flight = (raw.max_in_flight.as_ref(), "max_in_flight");
        self.max_in_flight = given::count(max_in_flight, 1, 65_536, self.max_in_flight)?;
        let max_connections = (raw.max_connections.as_ref(), "max_connections");
        self.max_connections = given::count(max_connections, 1, 65_536, self.max_connections)?;
        let workers = (raw.workers.as_ref(), "workers");
        self.workers = given::count(workers, 1, 64, self.workers)?;
        self.cookie = given::one(raw.cookie.as_ref(), "cookie")?.map(str::to_owned);
        if self
            .cookie
            .as_deref()
            .is_some_and(|name| !value::is_cookie_name(name))
        {
            return Err(SettingsError::of("cookie", "expected the name of a cookie"));
        }
        self.shadow = given::parsed(raw.shadow.as_ref(), "shadow", false)?;
        self.hosts = raw.hosts.clone().unwrap_or_default();
        if !self.hosts.iter().all(|host| value::is_host(host)) {
            return Err(SettingsError::of(
                "hosts",
                "expected names or addresses, as `sidecar:4140`",
            ));
        }
        Ok(())
    }

    fn resolve_doors(&mut self, raw: &RawSettings) -> Result<(), SettingsError> {
        if let Some(file) = given::one(raw.introspect_callers.as_ref(), "introspect_callers")? {
            let callers = Callers::read(Path::new(file));
            let callers =
                callers.map_err(|expected| SettingsError::of("introspect_callers", expected));
            self.introspect_callers = Some(callers?);
        }
        let require = given::one(raw.envoy_require.as_ref(), "envoy_require")?;
        self.envoy_require = require.map(str::to_owned);
        self.envoy_requirement().map(|_| ())
    }

    /// What [`Self::envoy_require`] means; nothing said asks nothing, but an empty text is no query.
    pub(crate) fn envoy_requirement(&self) -> Result<Requirement, SettingsError> {
        let Some(query) = &self.envoy_require else {
            return Ok(Requirement::default());
        };
        let asked = Requirement::from_query(query).ok();
        asked
            .filter(|asked| *asked != Requirement::default())
            .ok_or_else(|| {
                SettingsError::of(
                    "envoy_require",
                    "expected a query, as `scope=openid&role=billing`",
                )
            })
    }

    /// Each issuer and what its tokens have to name.
    pub(crate) fn audiences(&self) -> Vec<(String, Vec<String>)> {
        let issuers = std::iter::once(&self.issuer).chain(&self.also);
        issuers
            .map(|issuer| (issuer.issuer.clone(), issuer.audiences.clone()))
            .collect()
    }

    fn resolve_log(&mut self, raw: &RawSettings) -> Result<(), SettingsError> {
        if let Some(filter) = given::one(raw.log.as_ref(), "log")? {
            if !value::is_log_filter(filter) {
                let expected = "expected levels, as `info` or `warn,queue_sidecar=debug`";
                return Err(SettingsError::of("log", expected));
            }
            filter.clone_into(&mut self.log);
        }
        self.log_format = match given::one(raw.log_format.as_ref(), "log_format")? {
            Some("json") => LogFormat::Json,
            Some("text") | None => LogFormat::Text,
            Some(_) => return Err(SettingsError::of("log_format", "expected `json` or `text`")),
        };
        let endpoint = given::one(raw.otlp_endpoint.as_ref(), "otlp_endpoint")?;
        if endpoint.is_some_and(|url| !value::is_collector(url)) {
            let expected = "expected an http or https URL without user, query or fragment, as \
                `http://127.0.0.1:4318`";
            return Err(SettingsError::of("otlp_endpoint", expected));
        }
        self.otlp_endpoint = endpoint.map(str::to_owned);
        Ok(())
    }

    /// A verifier of these settings, yet to be built.
    pub(crate) fn verifier(&self, clock: Arc<dyn Clock>) -> Builder {
        let builder = self.issuer.builder();
        let builder = builder.remember(self.remember).clock(clock);
        self.also
            .iter()
            .fold(builder, |builder, issuer| builder.also(issuer.builder()))
    }
}

/// Few threads serve many requests; more would only take the CPU from the service next door.
fn default_workers() -> usize {
    std::thread::available_parallelism()
        .map_or(1, NonZeroUsize::get)
        .min(4)
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

    /// Of the `[[also]]` at `place` in the file.
    fn within_also(self, place: usize) -> Self {
        let key = format!("also[{place}].{}", self.key);
        Self { key, ..self }
    }

    /// Of a declared key: named as it can be set.
    fn of(name: &str, expected: impl Into<String>) -> Self {
        let key = row(name);
        Self::new(&format!("{name} ({}, {})", key.flag, key.env), expected)
    }
}

/// A million tokens are about 1.5 GB.
const MAX_REMEMBER: usize = 1_000_000;
