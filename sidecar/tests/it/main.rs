//! The sidecar over real HTTP, its command line and its log.

mod auth;
mod body;
mod cli;
mod faults;
mod guards;
mod health;
mod logs;
mod page;
mod settings;
mod shutdown;
mod support;
mod traces;
mod validate;
mod wire;
