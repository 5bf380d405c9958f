//! Raw settings: what flags, environment and a TOML file say, one text or list for each key.
//!
//! **Invariant:** each key is declared once, below; the struct, its names in the environment, the
//! flags and [`REFERENCE`] all come from that declaration.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Deserializer};

use super::SettingsError;

/// One row of the settings reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// Key in the TOML file.
    pub name: &'static str,
    /// The flag, with its dashes.
    pub flag: &'static str,
    /// Name in the environment.
    pub env: &'static str,
    /// Value when nothing says otherwise; empty when there is none.
    pub default: &'static str,
    /// Whether it takes several values: a list in TOML, a repeated flag, or commas between them.
    pub is_list: bool,
    /// What it does.
    pub doc: &'static str,
}

macro_rules! declare {
    ($($(#[doc = $doc:literal])+ $kind:ident $name:ident = $flag:literal or $env:literal or $default:literal;)+) => {
        /// Every key as given, before it means anything.
        #[derive(Default, Clone, PartialEq, Eq, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct RawSettings {
            $(
                $(#[doc = $doc])+
                #[serde(default, deserialize_with = "values")]
                pub(super) $name: Option<Vec<String>>,
            )+
            /// Further issuers, in the file alone: each a table of the keys in [`ISSUER_KEYS`].
            #[serde(default)]
            pub(super) also: Vec<RawSettings>,
        }

        /// Every key, in the order of the manual.
        pub const REFERENCE: &[Reference] = &[$(
            Reference {
                name: stringify!($name),
                flag: $flag,
                env: $env,
                default: $default,
                is_list: declare!(@is_list $kind),
                doc: concat!($($doc),+).trim_ascii(),
            },
        )+];

        impl RawSettings {
            fn has(&self, name: &str) -> bool {
                match name {
                    $(stringify!($name) => self.$name.is_some(),)+
                    _ => false,
                }
            }

            fn slot(&mut self, name: &str) -> Option<&mut Option<Vec<String>>> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)+
                    _ => None,
                }
            }

            fn each_over(self, lower: Self) -> Self {
                let also = if self.also.is_empty() { lower.also } else { self.also };
                Self { $($name: self.$name.or(lower.$name),)+ also }
            }
        }
    };
    (@is_list list) => { true };
    (@is_list text) => { false };
}

declare! {
    /// Address to listen on: loopback only, or `none` beside a socket.
    text listen = "--listen" or "QUEUE_SIDECAR_LISTEN" or "127.0.0.1:4140";
    /// Path of a unix socket to listen on too; its mode is 0660. Default: none.
    text socket = "--socket" or "QUEUE_SIDECAR_SOCKET" or "";
    /// Users (numbers) whose processes may use the socket. Default: whoever its mode lets in.
    list socket_allow_uid = "--socket-allow-uid" or "QUEUE_SIDECAR_SOCKET_ALLOW_UID" or "";
    /// Groups (numbers) whose processes may use the socket, besides those users.
    list socket_allow_gid = "--socket-allow-gid" or "QUEUE_SIDECAR_SOCKET_ALLOW_GID" or "";
    /// Address, of any interface, that answers `/livez` and `/readyz` and nothing else. Default: none.
    text probe_listen = "--probe-listen" or "QUEUE_SIDECAR_PROBE_LISTEN" or "";
    /// The issuer: `iss` of every accepted token, byte for byte. Required.
    text issuer = "--issuer" or "QUEUE_SIDECAR_ISSUER" or "";
    /// The audiences this service answers to; a token must name one in `aud`. Required.
    list audience = "--audience" or "QUEUE_SIDECAR_AUDIENCE" or "";
    /// The issuer's keys: URL, file or text of a JWK Set. Default: discovered from the issuer.
    text jwks = "--jwks" or "QUEUE_SIDECAR_JWKS" or "";
    /// The issuer's one public key: file or text, PEM. Also taken from `QUEUE_JWT_PUBLIC_KEY`.
    text public_key = "--public-key" or "QUEUE_SIDECAR_PUBLIC_KEY" or "";
    /// Kind of token: `session`, `rfc9068` or `jwt`.
    text profile = "--profile" or "QUEUE_SIDECAR_PROFILE" or "session";
    /// Allowed signature algorithms.
    list alg = "--alg" or "QUEUE_SIDECAR_ALG" or "RS256";
    /// Tolerance on `exp`, `nbf` and `iat` for clocks that differ; at most 300s.
    text leeway = "--leeway" or "QUEUE_SIDECAR_LEEWAY" or "30s";
    /// How long keys serve past their lifetime while the issuer cannot be reached; at most 24h.
    text stale_limit = "--stale-limit" or "QUEUE_SIDECAR_STALE_LIMIT" or "1h";
    /// File that keeps the issuer's keys over restarts, shared by the processes of this host. Default: none.
    text snapshot = "--snapshot" or "QUEUE_SIDECAR_SNAPSHOT" or "";
    /// How old the keys of that file may be. 1s to 30 days.
    text snapshot_max_age = "--snapshot-max-age" or "QUEUE_SIDECAR_SNAPSHOT_MAX_AGE" or "24h";
    /// Signed status lists, file or text each, beside keys given as file or text; `named`: fetched as tokens name them. Default: `named` where keys are fetched, else none.
    list status_list = "--status-list" or "QUEUE_SIDECAR_STATUS_LIST" or "";
    /// How old a status list may be. 1s to 24h.
    text status_max_age = "--status-max-age" or "QUEUE_SIDECAR_STATUS_MAX_AGE" or "60s";
    /// What happens to sessions when their list is older: `refuse` or `accept`.
    text when_stale = "--when-stale" or "QUEUE_SIDECAR_WHEN_STALE" or "refuse";
    /// Whether a token that names no status list is refused: `true` or `false`.
    text status_required = "--status-required" or "QUEUE_SIDECAR_STATUS_REQUIRED" or "false";
    /// Further origins (`https://lists.example.com`) that status lists may be fetched from.
    list status_origin = "--status-origin" or "QUEUE_SIDECAR_STATUS_ORIGIN" or "";
    /// Good tokens remembered, so that one met again costs no signature; what moves is judged each time. 0 to 1000000.
    text remember = "--remember" or "QUEUE_SIDECAR_REMEMBER" or "10000";
    /// Name of a cookie that may carry the token where a proxy asks: at `/v1/auth`, `/envoy/` and over gRPC. Default: none.
    text cookie = "--cookie" or "QUEUE_SIDECAR_COOKIE" or "";
    /// File of `client_id:secret` lines: who alone may ask `/v1/introspect`. Default: whoever reaches the listener.
    text introspect_callers = "--introspect-callers" or "QUEUE_SIDECAR_INTROSPECT_CALLERS" or "";
    /// What is asked of every session Envoy asks about, as the query of `/v1/auth` (`scope=openid&role=billing`). Default: nothing.
    text envoy_require = "--envoy-require" or "QUEUE_SIDECAR_ENVOY_REQUIRE" or "";
    /// Whether forward-auth (`/v1/auth`, `/envoy/`, gRPC) refuses nobody and only counts whom it would have: `true` or `false`.
    text shadow = "--shadow" or "QUEUE_SIDECAR_SHADOW" or "false";
    /// Further `Host` values to answer to, besides the loopback names of the listener.
    list hosts = "--hosts" or "QUEUE_SIDECAR_HOSTS" or "";
    /// Longest time one request may take; after it the answer is 503. 10ms to 1m.
    text deadline = "--deadline" or "QUEUE_SIDECAR_DEADLINE" or "5s";
    /// Longest time a client may take to send the head of a request. 10ms to 1m.
    text header_timeout = "--header-timeout" or "QUEUE_SIDECAR_HEADER_TIMEOUT" or "5s";
    /// How long a connection may rest between requests. 10ms to 1h.
    text idle_timeout = "--idle-timeout" or "QUEUE_SIDECAR_IDLE_TIMEOUT" or "75s";
    /// Longest time a shutdown waits for requests under way. 0s to 5m.
    text drain_timeout = "--drain-timeout" or "QUEUE_SIDECAR_DRAIN_TIMEOUT" or "10s";
    /// Requests judged at a time; beyond it the answer is 503. 1 to 65536.
    text max_in_flight = "--max-in-flight" or "QUEUE_SIDECAR_MAX_IN_FLIGHT" or "512";
    /// Connections held at a time; further ones wait to be accepted. 1 to 65536.
    text max_connections = "--max-connections" or "QUEUE_SIDECAR_MAX_CONNECTIONS" or "960";
    /// Threads that serve requests, 1 to 64. Default: one for each CPU, at most 4.
    text workers = "--workers" or "QUEUE_SIDECAR_WORKERS" or "";
    /// What is logged, in the syntax of `tracing` (`info`, `queue_sidecar=debug`).
    text log = "--log" or "QUEUE_SIDECAR_LOG" or "info";
    /// Form of the log on standard error: `text` or `json`.
    text log_format = "--log-format" or "QUEUE_SIDECAR_LOG_FORMAT" or "text";
    /// OpenTelemetry collector that gets a span of each request (OTLP/HTTP, protobuf): an http or https URL, as `http://127.0.0.1:4318`; `/v1/traces` is added. Default: none.
    text otlp_endpoint = "--otlp-endpoint" or "QUEUE_SIDECAR_OTLP_ENDPOINT" or "";
}

impl RawSettings {
    /// Takes each key from `self`, else from `lower`. The key source is one decision: whoever
    /// names one of `jwks` and `public_key` overrules both of a lower layer.
    #[must_use]
    pub fn over(self, mut lower: Self) -> Self {
        if self.jwks.is_some() || self.public_key.is_some() {
            (lower.jwks, lower.public_key) = (None, None);
        }
        self.each_over(lower)
    }

    /// Refuses what speaks for the process where one issuer is described.
    ///
    /// # Errors
    /// The first such key.
    pub(super) fn only_of_an_issuer(&self) -> Result<(), SettingsError> {
        let is_foreign = |key: &&Reference| self.has(key.name) && !ISSUER_KEYS.contains(&key.name);
        let foreign = REFERENCE.iter().find(is_foreign).map(|key| key.name);
        match foreign.or((!self.also.is_empty()).then_some("also")) {
            Some(name) => Err(SettingsError::new(
                name,
                "expected it outside of `[[also]]`",
            )),
            None => Ok(()),
        }
    }

    /// Reads the TOML file at `path`.
    ///
    /// # Errors
    /// When it cannot be read, is no TOML, or has a key that does not exist.
    pub fn from_file(path: &Path) -> Result<Self, SettingsError> {
        let document = std::fs::read_to_string(path);
        let unreadable = |_| SettingsError::new("--config", "expected a readable TOML file");
        Self::from_toml(&document.map_err(unreadable)?)
    }

    /// Reads a TOML document.
    ///
    /// # Errors
    /// When it is no TOML, or has a key that does not exist.
    pub fn from_toml(document: &str) -> Result<Self, SettingsError> {
        toml::from_str(document)
            .map_err(|error| SettingsError::new("--config", error.message().to_owned()))
    }

    /// Picks the keys out of `variables`, the environment.
    ///
    /// # Errors
    /// When a variable is set to nothing.
    pub fn from_env(variables: &BTreeMap<String, String>) -> Result<Self, SettingsError> {
        let mut raw = Self::default();
        for key in REFERENCE {
            let given = variables.get_key_value(key.env).or_else(|| {
                let is_key = key.name == "public_key";
                is_key.then(|| variables.get_key_value(PUBLIC_KEY_ENV))?
            });
            let Some((variable, text)) = given else {
                continue;
            };
            if text.trim().is_empty() {
                let expected = "expected a value, or no variable of that name".to_owned();
                return Err(SettingsError::new(variable, expected));
            }
            raw.set(key, vec![text.clone()]);
        }
        Ok(raw)
    }

    /// Sets `key` to `texts`, each split at commas where the key is a list.
    pub fn set(&mut self, key: &Reference, texts: Vec<String>) {
        let values = if key.is_list {
            texts.iter().flat_map(|text| split(text)).collect()
        } else {
            texts
        };
        if let Some(slot) = self.slot(key.name) {
            *slot = Some(values);
        }
    }
}

/// The environment's variables that may be settings; the one place that reads it.
///
/// # Errors
/// When one of them is not UTF-8.
pub fn environment() -> Result<BTreeMap<String, String>, SettingsError> {
    let mut variables = BTreeMap::new();
    for (name, value) in std::env::vars_os() {
        let Some(name) = name.to_str().filter(|name| name.starts_with("QUEUE_")) else {
            continue;
        };
        if let Ok(value) = value.into_string() {
            variables.insert(name.to_owned(), value);
        } else if REFERENCE.iter().any(|key| key.env == name) || name == PUBLIC_KEY_ENV {
            return Err(SettingsError::new(name, "expected UTF-8"));
        }
    }
    Ok(variables)
}

fn split(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(',').map(|item| item.trim().to_owned())
}

/// TOML may write a text, a number or a list; a text of a list key is one value.
fn values<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "expected a text, a whole number, true, false or a list of texts"
    )]
    enum Given {
        Text(String),
        Number(i64),
        Truth(bool),
        List(Vec<String>),
    }
    Ok(Some(match Given::deserialize(deserializer)? {
        Given::Text(text) => vec![text],
        Given::Number(number) => vec![number.to_string()],
        Given::Truth(truth) => vec![truth.to_string()],
        Given::List(list) => list,
    }))
}

/// The variable that names the TOML file, where the flag `--config` does not.
pub const CONFIG_ENV: &str = "QUEUE_SIDECAR_CONFIG";
/// The name under which a public key is handed to every relying service.
pub const PUBLIC_KEY_ENV: &str = "QUEUE_JWT_PUBLIC_KEY";

/// The keys that describe one issuer: those a verdict on its tokens depends on.
pub const ISSUER_KEYS: [&str; 15] = [
    "issuer",
    "audience",
    "jwks",
    "public_key",
    "profile",
    "alg",
    "leeway",
    "stale_limit",
    "snapshot",
    "snapshot_max_age",
    "status_list",
    "status_max_age",
    "when_stale",
    "status_required",
    "status_origin",
];
