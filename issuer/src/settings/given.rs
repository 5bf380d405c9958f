//! Given: what the process environment and the TOML file say, as text.

use std::collections::BTreeMap;
use std::path::Path;

use super::{REFERENCE, RawSettings, SettingsError};

/// The process environment, collected once in `main`.
pub(super) struct Environment(pub(super) BTreeMap<String, String>);

impl Environment {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    pub(super) fn with_prefix(&self, prefix: &str) -> BTreeMap<String, String> {
        self.0
            .iter()
            .filter_map(|(name, value)| {
                Some((name.strip_prefix(prefix)?.to_owned(), value.clone()))
            })
            .collect()
    }

    pub(super) fn raw(&self) -> RawSettings {
        let mut raw = RawSettings::default();
        for key in REFERENCE {
            // An empty variable counts as absent: compose files pass those for what is not set.
            if let Some(value) = self.get(key.env) {
                raw.set(key.name, value.to_owned());
            }
        }
        raw
    }
}

pub(super) fn read_file(path: &Path) -> Result<RawSettings, SettingsError> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        SettingsError::new(&shown, format!("expected a readable file: {error}"))
    })?;
    toml::from_str(&text).map_err(|error| {
        let line = error
            .span()
            .map_or(0, |span| text[..span.start].matches('\n').count() + 1);
        // The message names the key; the excerpt that `Display` adds could show a secret.
        SettingsError::new(format!("{shown}:{line}"), error.message())
    })
}
