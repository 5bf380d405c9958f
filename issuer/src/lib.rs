//! The issuer of Queue: keeps customers, sessions and signing keys, and mints the access tokens that
//! relying services check offline.
//!
//! [`Settings`] say how, [`App::build`] opens the database and binds the ports, [`App::serve`] answers.
//!
//! **Invariant:** the only holder of private keys is this crate; no route, log line or database column
//! shows one unsealed.
//! **Invariant:** one transaction a request; nothing is half-written.

mod app;
mod audit;
mod background;
mod backup_codes;
#[doc(hidden)]
pub mod bench;
mod browser;
mod caller;
pub mod cli;
mod clock;
mod customers;
mod db;
mod discovery;
mod email;
mod extract;
mod flag;
mod health;
mod idempotency;
mod key;
mod mail;
mod oauth;
mod openapi;
mod operators;
mod problem;
mod rate_limit;
mod rbac;
mod request_id;
mod route_table;
mod router;
mod secret;
mod secret_source;
mod service_token;
mod session;
pub mod settings;
mod sighting;
mod signed_in;
mod status_list;
pub mod telemetry;
mod token;
mod webauthn;

pub use app::{App, AppError};
pub use clock::{Clock, SystemClock, Timestamp};
pub use openapi::openapi;
pub use problem::ProblemCode;
pub use route_table::{Listener, Route};
pub use router::routes;
pub use settings::{Settings, SettingsError};
