//! Pages: takes where pages are served from and what their passkeys are made for, gives both, held against
//! each other.

use super::{Reader, SettingsError, shown_name, value};

impl Reader<'_> {
    /// Without any, the pages are the issuer's own.
    pub(super) fn origins(&self) -> Result<Vec<String>, SettingsError> {
        let given = Some(self.text("origins")).filter(|text| !text.is_empty());
        match given {
            Some(_) => self.read("origins", value::origins),
            None => self.read("url", value::origins),
        }
    }

    /// Browsers let a page use the passkeys of its own domain and of those above it.
    pub(super) fn rp_id(
        &self,
        url: &str,
        origins: &[String],
    ) -> Result<Option<String>, SettingsError> {
        let is_given = !self.text("rp_id").is_empty();
        if !is_given && value::host(url).is_some_and(value::is_address) {
            return Ok(None);
        }
        let id = if is_given {
            self.text("rp_id")
        } else {
            value::host(url).unwrap_or_default()
        };
        let checked = value::rp_id(id, origins);
        checked.map_err(|what| SettingsError::new(shown_name("rp_id"), what))?;
        Ok(Some(id.to_owned()))
    }
}
