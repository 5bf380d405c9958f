//! The issuer through its public interface: one suite, run on SQLite and on Postgres alike.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit;
mod audit_chain;
mod audit_command;
mod audit_routes;
mod audit_tamper;
mod backup_codes;
mod customer_lifecycle;
mod customers;
mod devices;
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
mod oauth;
mod oauth_forgery;
mod oauth_tokens;
mod postgres;
mod problem;
mod rate_limit;
mod rbac;
mod rbac_lists;
mod rbac_rules;
mod recovery;
mod refresh;
mod replicas;
mod route_table;
mod server;
mod service_clients;
mod service_clients_rules;
mod service_token;
mod session;
mod settings;
mod sighting;
mod smtp;
mod status_list;
mod status_list_life;
