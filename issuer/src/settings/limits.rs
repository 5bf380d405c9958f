//! Limits: take the rates of the settings, give those of every class.

use super::{Reader, SettingsError};
use crate::rate_limit::{ClassRates, Rate, Rates};

impl Reader<'_> {
    pub(super) fn rates(&self) -> Result<Rates, SettingsError> {
        Ok(Rates {
            auth: ClassRates {
                address: self.rate("limit_auth_address")?,
                account: self.rate("limit_auth_account")?,
                pair: Some(self.rate("limit_auth_pair")?),
            },
            refresh: ClassRates {
                address: self.rate("limit_refresh_address")?,
                account: self.rate("limit_refresh_account")?,
                pair: Some(self.rate("limit_refresh_pair")?),
            },
            service: ClassRates {
                address: self.rate("limit_service_address")?,
                account: self.rate("limit_service_client")?,
                pair: None,
            },
        })
    }

    fn rate(&self, name: &'static str) -> Result<Rate, SettingsError> {
        self.read(name, str::parse)
    }
}
