//! What can be wrong with the settings of a verifier.

use super::MAX_STALE_LIMIT;
#[cfg(feature = "fetch")]
use super::{MAX_SNAPSHOT_MAX_AGE, MIN_SNAPSHOT_MAX_AGE};
#[cfg(feature = "fetch")]
use crate::fetch::FetchError;
#[cfg(feature = "fetch")]
use crate::key::fetch::RefreshError;
use crate::key::jwk::JwkSetError;
use crate::key::pem::PemError;
#[cfg(feature = "fetch")]
use crate::key::snapshot::SnapshotError;
use crate::policy::MAX_LEEWAY;
use crate::status::source::{MAX_MAX_AGE, MIN_MAX_AGE};
use crate::status::token::ListError;

/// A setting is wrong; raised before a thread starts or a port is bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// `issuer` is empty or has white space.
    #[error("expected an issuer without white space")]
    Issuer,
    /// No audience, or one that is empty or has white space.
    #[error("expected at least one audience, none of them empty or with white space")]
    Audience,
    /// An empty allow-list.
    #[error("expected at least one algorithm")]
    Algorithms,
    /// Leeway out of bounds.
    #[error("expected a leeway of whole seconds, at most {} s", MAX_LEEWAY.as_secs())]
    Leeway,
    /// Stale limit out of bounds.
    #[error("expected a stale limit of at most {} s", MAX_STALE_LIMIT.as_secs())]
    StaleLimit,
    /// Age bound of the snapshot file out of bounds.
    #[cfg(feature = "fetch")]
    #[error(
        "expected a snapshot age of {} s to {} s",
        MIN_SNAPSHOT_MAX_AGE.as_secs(),
        MAX_SNAPSHOT_MAX_AGE.as_secs()
    )]
    SnapshotMaxAge,
    /// Age bound of status lists out of bounds.
    #[error(
        "expected a status list age of {} s to {} s", MIN_MAX_AGE.as_secs(), MAX_MAX_AGE.as_secs()
    )]
    StatusMaxAge,
    /// Status is required, or lists are given, and the source of keys does not go with that.
    #[error("expected a source of status lists that goes with the source of keys")]
    StatusSource,
    /// A status list that was given cannot be used.
    #[error(transparent)]
    StatusList(#[from] ListError),
    /// An origin of status lists is no safe URL.
    #[error("expected origins of status lists that are https, or http on a loopback host")]
    StatusOrigin,
    /// The JWK Set file cannot be read.
    #[error("expected a readable JWK Set file")]
    KeyFile,
    /// The JWK Set cannot be used.
    #[error(transparent)]
    KeySet(#[from] JwkSetError),
    /// The PEM cannot be used.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The URL of the keys cannot be used.
    #[cfg(feature = "fetch")]
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The keys were to be fetched once, and were not.
    #[cfg(feature = "fetch")]
    #[error(transparent)]
    Refresh(#[from] RefreshError),
    /// The snapshot file must not be used.
    #[cfg(feature = "fetch")]
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Two parts of the settings speak for one issuer.
    #[error("expected each issuer once")]
    IssuerTwice,
    /// Keys from the network were asked of a build without the feature `fetch`.
    #[error("expected keys as a document, as this build has no feature `fetch`")]
    NoNetwork,
    /// The issuer is needed to discover the keys.
    #[error("expected keys as a document or at a URL, as there is no issuer to discover them from")]
    NoIssuer,
    /// The system has no thread to give.
    #[error("expected to start a thread")]
    Thread,
}

impl ConfigError {
    /// The stable code, `config_<what>`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Issuer => "config_issuer_invalid",
            Self::Audience => "config_audience_invalid",
            Self::Algorithms => "config_algorithms_empty",
            Self::Leeway => "config_leeway_out_of_bounds",
            Self::StaleLimit => "config_stale_limit_out_of_bounds",
            #[cfg(feature = "fetch")]
            Self::SnapshotMaxAge => "config_snapshot_max_age_out_of_bounds",
            Self::StatusMaxAge => "config_status_max_age_out_of_bounds",
            Self::StatusSource => "config_status_source_unfit",
            Self::StatusList(_) => "config_status_list_unusable",
            Self::StatusOrigin => "config_status_origin_unusable",
            Self::KeyFile => "config_key_file_unreadable",
            Self::KeySet(_) => "config_key_set_unusable",
            Self::Pem(_) => "config_public_key_unusable",
            #[cfg(feature = "fetch")]
            Self::Fetch(_) | Self::Refresh(_) => "config_jwks_uri_unusable",
            #[cfg(feature = "fetch")]
            Self::Snapshot(_) => "config_snapshot_unusable",
            Self::IssuerTwice => "config_issuer_repeated",
            Self::NoNetwork => "config_fetch_not_built",
            Self::NoIssuer => "config_issuer_missing",
            Self::Thread => "config_thread_unavailable",
        }
    }
}
