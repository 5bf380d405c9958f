//! The issuer through its public interface: one suite, run on SQLite and on Postgres alike.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backup_codes;
mod customers;
mod discovery;
mod email;
mod events;
mod harness;
mod http;
mod key;
mod mail;
mod mail_operators;
mod mailbox;
mod migrations;
mod postgres;
mod problem;
mod recovery;
mod replicas;
mod server;
mod service_token;
mod session;
mod settings;
mod sighting;
mod smtp;
mod status_list;
mod status_list_life;
