//! Settings: takes flags, environment and a TOML file, gives one typed, valid [`Settings`].
//!
//! **Invariant:** flag > environment > file > default, key by key; resolved once, before any port is
//! bound; nothing below reads the environment.
//! **Invariant:** no message and no `Debug` output contains the value of a secret.

mod callers;
mod given;
mod limits;
mod mail;
mod pages;
mod raw;
mod value;

use std::fmt;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use callers::CallerSettings;
pub use callers::{DEFAULT_SCOPES, SCOPE_NAMES};
use given::{Environment, read_file};
pub(crate) use mail::{MailSettings, MailTarget, SmtpTarget, SmtpTls};
pub use raw::{REFERENCE, RawSettings, Reference};

use crate::db::Target;
use crate::flag::Flag;
use crate::key::rotation::SHORTEST_LIFETIME;
use crate::rate_limit::{ForwardedHeader, Rates, TrustedProxies};
use crate::secret_source::Source;

/// What the issuer runs with; made by [`Settings::resolve`] or [`Settings::from_env`].
pub struct Settings {
    pub(crate) url: String,
    pub(crate) listen: SocketAddr,
    pub(crate) ops_listen: SocketAddr,
    pub(crate) data_dir: PathBuf,
    pub(crate) database: Target,
    pub(crate) database_connections: u32,
    pub(crate) audiences: Vec<String>,
    /// Where pages that sign customers in are served from.
    pub(crate) origins: Vec<String>,
    /// The domain passkeys are made for; none where the issuer is a bare address, which can have no passkey.
    pub(crate) rp_id: Option<String>,
    pub(crate) rp_name: String,
    pub(crate) flag: Flag,
    pub(crate) kek: Option<Source>,
    pub(crate) kek_file: Option<PathBuf>,
    pub(crate) signing_key: Option<Source>,
    pub(crate) rsa_bits: u32,
    pub(crate) token_life: Duration,
    pub(crate) session_life: Duration,
    pub(crate) jwks_max_age: Duration,
    pub(crate) refresh_allowance: Duration,
    pub(crate) leeway: Duration,
    pub(crate) status_list_size: u32,
    pub(crate) status_list_ttl: Duration,
    pub(crate) status_list_subscribers: u32,
    pub(crate) audit_checkpoint_events: u32,
    pub(crate) audit_checkpoint_interval: Duration,
    pub(crate) idempotency_life: Duration,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) forwarded_header: ForwardedHeader,
    pub(crate) rates: Rates,
    pub(crate) request_timeout: Duration,
    pub(crate) header_timeout: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) log: String,
    pub(crate) log_json: bool,
    pub(crate) mail: MailSettings,
    pub(crate) callers: Vec<CallerSettings>,
    /// The resolved keys as text, secrets already replaced, in the order of [`REFERENCE`].
    shown: Vec<(&'static str, String)>,
}

/// A setting is wrong: the process must end with exit code 64.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {what}")]
pub struct SettingsError {
    key: String,
    what: String,
}

impl SettingsError {
    pub(crate) fn new(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            what: what.into(),
        }
    }

    /// The key that is wrong, as the operator wrote it.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl Settings {
    /// Resolves the environment alone, and the TOML file it names.
    ///
    /// # Errors
    /// Names the first key that is wrong.
    pub fn from_env(
        vars: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        Self::resolve(RawSettings::default(), None, vars)
    }

    /// Resolves `flags` over the environment `vars` over the TOML file `config`
    /// (or the one `QUEUE_ISSUER_CONFIG` names) over the defaults.
    ///
    /// # Errors
    /// Names the first key that is wrong.
    pub fn resolve(
        flags: RawSettings,
        config: Option<&Path>,
        vars: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        let env = Environment(vars.into_iter().collect());
        let file = match config
            .map(Path::to_owned)
            .or_else(|| env.get(CONFIG).map(PathBuf::from))
        {
            Some(path) => read_file(&path)?,
            None => RawSettings::default(),
        };
        let mut raw = flags.over(env.raw()).over(file);
        let mut shown = Vec::new();
        for key in REFERENCE {
            let given = raw.value(key.name).is_some_and(|value| !value.is_empty());
            if !given {
                raw.set(key.name, key.default.to_owned());
            }
            let text = raw.value(key.name).unwrap_or_default();
            let text = if key.secret && !text.is_empty() {
                "<redacted>"
            } else {
                text
            };
            shown.push((key.name, text.to_owned()));
        }
        let reader = Reader { raw: &raw };
        reader.settings(&env, shown)
    }

    /// The resolved settings as TOML, secrets as `<redacted>`.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.shown {
            text.push_str(&format!(
                "{name} = {}\n",
                toml::Value::String(value.clone())
            ));
        }
        for caller in &self.callers {
            let scopes = caller.scopes.join(" ");
            text.push_str(&format!(
                "# caller {}: token <redacted>, scopes {scopes}\n",
                caller.client_id
            ));
        }
        text
    }

    /// What `tracing` should log.
    #[must_use]
    pub fn log_filter(&self) -> &str {
        &self.log
    }

    /// Whether the log is JSON lines.
    #[must_use]
    pub fn log_is_json(&self) -> bool {
        self.log_json
    }

    /// Whether the database is a SQLite file.
    pub(crate) fn has_sqlite(&self) -> bool {
        matches!(self.database, Target::Sqlite(_))
    }

    /// Makes the data directory, readable by its owner alone.
    pub(crate) fn make_data_dir(&self) -> Result<(), SettingsError> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.data_dir)
            .map_err(|error| {
                SettingsError::new(shown_name("data_dir"), format!("cannot be made: {error}"))
            })
    }

    /// The audience a token gets when none is asked for.
    pub(crate) fn default_audience(&self) -> &str {
        // `value::audiences` refuses an empty list.
        self.audiences.first().map_or("", String::as_str)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.shown.iter().map(|(name, value)| (name, value)))
            .finish()
    }
}

struct Reader<'a> {
    raw: &'a RawSettings,
}

impl Reader<'_> {
    fn settings(
        &self,
        env: &Environment,
        shown: Vec<(&'static str, String)>,
    ) -> Result<Settings, SettingsError> {
        let data_dir = PathBuf::from(self.text("data_dir"));
        let database = if self.text("database_url").is_empty() {
            Target::Sqlite(data_dir.join("queue.db"))
        } else {
            self.read("database_url", value::database)?
        };
        let token_life = self.duration("token_life", SECOND * 30, HOUR)?;
        let jwks_max_age = self.duration("jwks_max_age", SECOND, HOUR)?;
        let url = self.read("url", value::issuer_url)?;
        let origins = self.origins()?;
        Ok(Settings {
            rp_id: self.rp_id(&url, &origins)?,
            rp_name: self.read("rp_name", value::rp_name)?,
            mail: mail::resolve(self, &url)?,
            url,
            listen: self.read("listen", value::address)?,
            ops_listen: self.read("ops_listen", value::address)?,
            data_dir,
            database,
            database_connections: self
                .read("database_connections", |text| value::number(text, 2, 1_000))?,
            audiences: self.read("audiences", value::audiences)?,
            origins,
            flag: self.read("flag", str::parse)?,
            kek: self.secret("kek")?,
            kek_file: Some(self.text("kek_file"))
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            signing_key: self.signing_key()?,
            rsa_bits: self.read("rsa_bits", |text| match text {
                "2048" => Ok(2048),
                "3072" => Ok(3072),
                "4096" => Ok(4096),
                _ => Err("expected 2048, 3072 or 4096".to_owned()),
            })?,
            token_life,
            session_life: self.duration("session_life", token_life, DAY * 90)?,
            jwks_max_age,
            refresh_allowance: self.refresh_allowance(jwks_max_age)?,
            leeway: self.duration("leeway", Duration::ZERO, SECOND * 300)?,
            status_list_size: self.read("status_list_size", value::list_size)?,
            status_list_ttl: self.duration("status_list_ttl", SECOND, SECOND * 300)?,
            status_list_subscribers: self.read("status_list_subscribers", |text| {
                value::number(text, 0, 65_536)
            })?,
            audit_checkpoint_events: self.read("audit_checkpoint_events", |text| {
                value::number(text, 1, 1_000_000)
            })?,
            audit_checkpoint_interval: self.duration(
                "audit_checkpoint_interval",
                SECOND * 60,
                DAY,
            )?,
            idempotency_life: self.duration("idempotency_life", SECOND * 60, DAY * 7)?,
            trusted_proxies: self.read("trusted_proxies", str::parse)?,
            forwarded_header: self.read("forwarded_header", str::parse)?,
            rates: self.rates()?,
            request_timeout: self.duration("request_timeout", TENTH, SECOND * 300)?,
            header_timeout: self.duration("header_timeout", TENTH, SECOND * 60)?,
            drain_timeout: self.duration("drain_timeout", Duration::ZERO, SECOND * 300)?,
            log: self.text("log").to_owned(),
            log_json: self.read("log_format", |text| match text {
                "text" => Ok(false),
                "json" => Ok(true),
                _ => Err("expected text or json".to_owned()),
            })?,
            callers: callers::resolve(env)?,
            shown,
        })
    }

    fn text(&self, name: &'static str) -> &str {
        self.raw.value(name).unwrap_or_default()
    }

    fn secret(&self, name: &'static str) -> Result<Option<Source>, SettingsError> {
        if self.text(name).is_empty() {
            return Ok(None);
        }
        self.read(name, Source::parse).map(Some)
    }

    fn read<T>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, SettingsError> {
        parse(self.text(name)).map_err(|what| SettingsError::new(shown_name(name), what))
    }

    fn duration(
        &self,
        name: &'static str,
        least: Duration,
        most: Duration,
    ) -> Result<Duration, SettingsError> {
        self.read(name, |text| value::duration(text, least, most))
    }

    /// A verifier keeps a set for at least a minute: a key that signs earlier is one it cannot know.
    fn refresh_allowance(&self, jwks_max_age: Duration) -> Result<Duration, SettingsError> {
        let name = "refresh_allowance";
        let allowance = self.duration(name, SECOND, DAY)?;
        if jwks_max_age + allowance < SHORTEST_LIFETIME {
            let what = "expected at least 60s together with jwks_max_age";
            return Err(SettingsError::new(shown_name(name), what));
        }
        Ok(allowance)
    }

    fn signing_key(&self) -> Result<Option<Source>, SettingsError> {
        let name = "signing_key";
        let text = self.text(name);
        let is_pem = text.trim_start().starts_with("-----BEGIN ");
        if !text.is_empty() && !is_pem && !Source::is_elsewhere(text) {
            let what = "expected PEM, file:/path or ssm:/path";
            return Err(SettingsError::new(shown_name(name), what));
        }
        self.secret(name)
    }
}

/// A key under the names an operator may have used.
fn shown_name(name: &'static str) -> String {
    REFERENCE
        .iter()
        .find(|key| key.name == name)
        .map_or_else(|| name.to_owned(), |key| format!("{} ({name})", key.env))
}

/// Names the TOML file.
pub const CONFIG: &str = "QUEUE_ISSUER_CONFIG";

const TENTH: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests;
