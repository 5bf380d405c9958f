#![doc = include_str!("../README.md")]

mod algorithm;
#[cfg(feature = "fetch")]
mod background;
#[cfg(feature = "fetch")]
mod blocking;
mod builder;
mod claims;
mod clock;
mod doctor;
mod error;
#[cfg(feature = "fetch")]
mod fetch;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod header;
mod health;
mod json;
mod jws;
mod key;
/// A file of `tests/compile_fail`: what must not compile even inside the crate.
#[cfg(misuse)]
mod misuse {
    include!(env!("QUEUE_MISUSE"));
}
mod party;
mod policy;
mod remembered;
mod session;
mod signature;
mod status;
mod token;
mod verifier;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use builder::{Builder, ConfigError};
pub use clock::{Clock, SystemClock};
pub use error::{Error, ErrorCode, ErrorKind};
pub use jws::JwsVerifier;
pub use key::KeySource;
pub use policy::{Audiences, Profile, Require, UnknownProfile};
pub use session::Session;
pub use signature::CryptoBackend;
pub use status::source::{StatusSource, WhenStale};
pub use verifier::Verifier;

/// The error of each room, for callers who look further than [`ErrorCode`].
pub mod errors {
    pub use crate::claims::ClaimsError;
    #[cfg(feature = "fetch")]
    pub use crate::fetch::FetchError;
    pub use crate::header::HeaderError;
    #[cfg(feature = "fetch")]
    pub use crate::key::fetch::RefreshError;
    pub use crate::key::jwk::JwkSetError;
    pub use crate::key::pem::PemError;
    #[cfg(feature = "fetch")]
    pub use crate::key::snapshot::SnapshotError;
    pub use crate::key::{JwkRefused, KeyError, Kid};
    pub use crate::signature::SignatureError;
    pub use crate::status::token::ListError;
    pub use crate::status::{ListUri, StatusError, Unavailable};
    pub use crate::token::TokenError;
}

/// What a verifier says of itself and of a token, for people.
pub mod report {
    pub use crate::doctor::{CheckReport, Outcome, Report};
    pub use crate::health::{
        IssuerStatus, KeyStatus, RefreshStatus, RefusedKey, RememberedStatus, Status,
        StatusListStatus,
    };
    #[cfg(feature = "fetch")]
    pub use crate::key::snapshot::{SnapshotState, SnapshotStatus};
    pub use crate::session::{Freshness, KeySetState, StatusState};
    pub use crate::status::DRAFT as STATUS_LIST_DRAFT;
}
