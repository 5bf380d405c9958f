//! The issuer through its public interface: one suite, run on SQLite and on Postgres alike.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod authenticator;
mod browser;
mod customers;
mod discovery;
mod events;
mod harness;
mod http;
mod key;
mod migrations;
mod postgres;
mod problem;
mod replicas;
mod server;
mod service_token;
mod session;
mod settings;
mod sighting;
mod status_list;
mod status_list_life;
mod webauthn;
mod webauthn_foreign;
mod webauthn_forged;
mod webauthn_hazards;
