//! The settings of the status room: where lists come from and how old they may be.

use std::time::Duration;

use super::{Builder, ConfigError};
#[cfg(feature = "fetch")]
use crate::background::Worker;
#[cfg(feature = "fetch")]
use crate::fetch::{Http, safe_url};
use crate::key::JwkSet;
#[cfg(feature = "fetch")]
use crate::key::KeySource;
#[cfg(feature = "fetch")]
use crate::party::Keys;
use crate::policy::{HeaderPolicy, TypRule};
use crate::status::StatusLists;
#[cfg(feature = "fetch")]
use crate::status::fetched::{FetchedLists, Judge};
use crate::status::source::{
    AgePolicy, DEFAULT_MAX_AGE, MAX_MAX_AGE, MIN_MAX_AGE, StatusSource, WhenStale,
};
use crate::status::token::ListPolicy;

/// What a builder was told of status lists.
#[derive(Debug)]
pub(super) struct StatusSettings {
    source: StatusSource,
    age: AgePolicy,
    is_required: bool,
    origins: Vec<String>,
}

impl Default for StatusSettings {
    fn default() -> Self {
        Self {
            source: StatusSource::default(),
            age: AgePolicy {
                max_age: DEFAULT_MAX_AGE,
                when_stale: WhenStale::default(),
            },
            is_required: false,
            origins: Vec::new(),
        }
    }
}

impl Builder {
    /// Where the issuer's status lists come from; default: [`StatusSource::LikeKeys`].
    pub fn status_lists(mut self, source: StatusSource) -> Self {
        self.status.source = source;
        self
    }

    /// How old a status list may be; default 60 s, from 1 s to 24 h.
    pub fn status_max_age(mut self, age: Duration) -> Self {
        self.status.age.max_age = age;
        self
    }

    /// What happens to sessions when their list is older than that; default: they are refused.
    pub fn when_stale(mut self, policy: WhenStale) -> Self {
        self.status.age.when_stale = policy;
        self
    }

    /// Refuses tokens that name no status list, `claims_missing`; default: they pass, and their
    /// sessions say that revocation was not looked up.
    pub fn status_required(mut self, is_required: bool) -> Self {
        self.status.is_required = is_required;
        self
    }

    /// Further origins (`https://lists.example.com`) from which lists may be fetched; default: that
    /// of the issuer and that of a `jwks_uri` given as such.
    pub fn status_origins(mut self, origins: impl IntoIterator<Item = String>) -> Self {
        self.status.origins = origins.into_iter().collect();
        self
    }

    pub(super) fn check_status(&self) -> Result<(), ConfigError> {
        if (MIN_MAX_AGE..=MAX_MAX_AGE).contains(&self.status.age.max_age) {
            Ok(())
        } else {
            Err(ConfigError::StatusMaxAge)
        }
    }

    /// The lists beside keys that are given.
    pub(super) fn given_status(&self, keys: &JwkSet) -> Result<StatusLists, ConfigError> {
        let lists = match &self.status.source {
            StatusSource::Documents(documents) => {
                let judge = (&self.list_policy(), self.status.age);
                StatusLists::given(documents, keys, judge, &*self.clock)?
            }
            StatusSource::LikeKeys if self.status.is_required => {
                return Err(ConfigError::StatusSource);
            }
            StatusSource::LikeKeys => StatusLists::none(),
            StatusSource::Named => return Err(ConfigError::NoNetwork),
        };
        Ok(lists.required(self.status.is_required))
    }

    fn list_policy(&self) -> ListPolicy {
        ListPolicy {
            issuer: self.issuer.clone(),
            header: HeaderPolicy {
                algorithms: self.algorithms.clone(),
                typ: TypRule::StatusList,
            },
            leeway: self.leeway.as_secs(),
        }
    }
}

#[cfg(feature = "fetch")]
impl Builder {
    /// The lists beside `keys`, and the work that keeps them fresh.
    pub(super) fn status(
        &self,
        keys: &Keys,
        http: Option<Http>,
        work: &mut Vec<Worker>,
    ) -> Result<StatusLists, ConfigError> {
        let is_named = match self.status.source {
            StatusSource::Named => true,
            StatusSource::LikeKeys => keys.can_refresh(),
            StatusSource::Documents(_) if keys.can_refresh() => {
                return Err(ConfigError::StatusSource);
            }
            StatusSource::Documents(_) => false,
        };
        if !is_named {
            let set = keys.cache().set().unwrap_or_default();
            return self.given_status(&set);
        }
        let http = http.map_or_else(Http::new, Ok)?;
        let judge = Judge {
            policy: self.list_policy(),
            keys: keys.cache().clone(),
            refresher: keys.refresher().cloned(),
            clock: self.clock.clone(),
        };
        let (lists, worker) = FetchedLists::new(self.origins()?, self.status.age, http, judge);
        work.push(worker);
        Ok(StatusLists::fetched(lists).required(self.status.is_required))
    }

    /// Where lists may lie.
    fn origins(&self) -> Result<Vec<crate::fetch::Url>, ConfigError> {
        let mut origins = Vec::new();
        origins.extend(safe_url(&self.issuer)); // An issuer may be any name.
        if let KeySource::JwksUri(uri) = &self.keys {
            origins.push(safe_url(uri)?);
        }
        for origin in &self.status.origins {
            origins.push(safe_url(origin).map_err(|_| ConfigError::StatusOrigin)?);
        }
        Ok(origins)
    }
}
