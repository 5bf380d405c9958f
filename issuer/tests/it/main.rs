//! The issuer through its public interface: one suite, run on SQLite and on Postgres alike.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod customers;
mod discovery;
mod events;
mod harness;
mod http;
mod key;
mod migrations;
mod oauth;
mod oauth_forgery;
mod oauth_tokens;
mod postgres;
mod problem;
mod replicas;
mod server;
mod service_clients;
mod service_clients_rules;
mod service_token;
mod session;
mod settings;
mod sighting;
mod status_list;
mod status_list_life;
