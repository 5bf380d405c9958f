//! Show: resolved settings → TOML a person can read and a file can hold, without key material.

use std::fmt;
use std::time::Duration;

use queue_verifier::{KeySource, StatusSource, WhenStale};

use super::{IssuerSettings, LogFormat, Settings, value};

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.listen {
            Some(address) => writeln!(f, "listen = {}", text(&address.to_string()))?,
            None => writeln!(f, "listen = \"none\"")?,
        }
        match &self.socket {
            Some(path) => writeln!(f, "socket = {}", text(&path.to_string_lossy()))?,
            None => writeln!(f, "# socket: none")?,
        }
        writeln!(f, "socket_allow_uid = {}", numbers(&self.socket_allow_uid))?;
        writeln!(f, "socket_allow_gid = {}", numbers(&self.socket_allow_gid))?;
        match self.probe_listen {
            Some(address) => writeln!(f, "probe_listen = {}", text(&address.to_string()))?,
            None => writeln!(f, "# probe_listen: none")?,
        }
        write!(f, "{}", self.issuer)?;
        writeln!(f, "remember = {}", self.remember)?;
        match &self.cookie {
            Some(cookie) => writeln!(f, "cookie = {}", text(cookie))?,
            None => writeln!(f, "# cookie: none")?,
        }
        match &self.introspect_callers {
            Some(callers) => {
                let file = callers.file().to_string_lossy();
                writeln!(f, "introspect_callers = {}", text(&file))?;
            }
            None => writeln!(f, "# introspect_callers: whoever reaches the listener")?,
        }
        match &self.envoy_require {
            Some(require) => writeln!(f, "envoy_require = {}", text(require))?,
            None => writeln!(f, "# envoy_require: nothing")?,
        }
        writeln!(f, "shadow = {}", self.shadow)?;
        writeln!(f, "hosts = {}", list(&self.hosts))?;
        writeln!(f, "deadline = {}", span(self.deadline))?;
        writeln!(f, "header_timeout = {}", span(self.header_timeout))?;
        writeln!(f, "idle_timeout = {}", span(self.idle_timeout))?;
        writeln!(f, "drain_timeout = {}", span(self.drain_timeout))?;
        writeln!(f, "max_in_flight = {}", self.max_in_flight)?;
        writeln!(f, "max_connections = {}", self.max_connections)?;
        writeln!(f, "workers = {}", self.workers)?;
        writeln!(f, "log = {}", text(&self.log))?;
        let format = match self.log_format {
            LogFormat::Json => "json",
            LogFormat::Text => "text",
        };
        writeln!(f, "log_format = {}", text(format))?;
        match &self.otlp_endpoint {
            Some(endpoint) => writeln!(f, "otlp_endpoint = {}", text(endpoint))?,
            None => writeln!(f, "# otlp_endpoint: none")?,
        }
        for issuer in &self.also {
            write!(f, "\n[[also]]\n{issuer}")?;
        }
        Ok(())
    }
}

impl fmt::Display for IssuerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "issuer = {}", text(&self.issuer))?;
        writeln!(f, "audience = {}", list(&self.audiences))?;
        match &self.keys {
            KeySource::JwksUri(uri) => writeln!(f, "jwks = {}", text(uri))?,
            KeySource::JwkSetFile(path) => {
                writeln!(f, "jwks = {}", text(&path.to_string_lossy()))?;
            }
            KeySource::JwkSet(_) => writeln!(f, "jwks = \"{REDACTED}\"")?,
            KeySource::PublicKeyPem(_) => writeln!(f, "public_key = \"{REDACTED}\"")?,
            _ => writeln!(f, "# jwks: discovered from the issuer")?,
        }
        writeln!(f, "profile = {}", text(self.profile.as_str()))?;
        let algorithms: Vec<_> = self.algorithms.iter().map(ToString::to_string).collect();
        writeln!(f, "alg = {}", list(&algorithms))?;
        writeln!(f, "leeway = {}", span(self.leeway))?;
        writeln!(f, "stale_limit = {}", span(self.stale_limit))?;
        match &self.snapshot {
            Some(path) => writeln!(f, "snapshot = {}", text(&path.to_string_lossy()))?,
            None => writeln!(f, "# snapshot: none")?,
        }
        writeln!(f, "snapshot_max_age = {}", span(self.snapshot_max_age))?;
        match &self.status_lists {
            StatusSource::Named => writeln!(f, "status_list = [\"named\"]")?,
            StatusSource::Documents(lists) => {
                writeln!(
                    f,
                    "status_list = {}",
                    list(&vec![REDACTED.to_owned(); lists.len()])
                )?;
            }
            _ => writeln!(f, "# status_list: as the keys")?,
        }
        writeln!(f, "status_max_age = {}", span(self.status_max_age))?;
        let when_stale = match self.when_stale {
            WhenStale::Refuse => "refuse",
            WhenStale::Accept => "accept",
        };
        writeln!(f, "when_stale = {}", text(when_stale))?;
        writeln!(f, "status_required = {}", self.status_required)?;
        writeln!(f, "status_origin = {}", list(&self.status_origins))
    }
}

fn text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn list(texts: &[String]) -> String {
    let texts: Vec<_> = texts.iter().map(|one| text(one)).collect();
    format!("[{}]", texts.join(", "))
}

fn numbers(numbers: &[u32]) -> String {
    list(&numbers.iter().map(ToString::to_string).collect::<Vec<_>>())
}

fn span(duration: Duration) -> String {
    text(&value::display(duration))
}

const REDACTED: &str = "<redacted>";
