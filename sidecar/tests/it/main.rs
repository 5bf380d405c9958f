//! The sidecar over real HTTP, its command line and its log.

mod activation;
mod auth;
mod body;
mod cli;
mod faults;
mod guards;
mod health;
mod logs;
mod probes;
mod reload;
mod settings;
mod shadow;
mod shutdown;
mod smuggling;
mod socket;
mod support;
mod validate;
mod wire;
