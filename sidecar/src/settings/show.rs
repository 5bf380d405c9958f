//! Show: resolved settings → TOML a person can read and a file can hold, without key material.

use std::fmt;
use std::time::Duration;

use queue_verifier::KeySource;

use super::{LogFormat, Settings, value};

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let list = |texts: &[String]| {
            let texts: Vec<_> = texts.iter().map(|one| text(one)).collect();
            format!("[{}]", texts.join(", "))
        };
        let span = |duration: Duration| text(&value::display(duration));
        writeln!(f, "listen = {}", text(&self.listen.to_string()))?;
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
        match &self.cookie {
            Some(cookie) => writeln!(f, "cookie = {}", text(cookie))?,
            None => writeln!(f, "# cookie: none")?,
        }
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
        writeln!(f, "log_format = {}", text(format))
    }
}

const REDACTED: &str = "<redacted>";
