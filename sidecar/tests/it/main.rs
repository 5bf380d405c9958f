//! The sidecar over real HTTP, its command line and its log.

mod activation;
mod auth;
mod batch;
mod body;
mod cli;
mod doors;
mod envoy;
mod faults;
mod grpc;
mod guards;
mod health;
mod http_vectors;
mod introspect;
mod logs;
mod openapi;
mod probes;
mod reload;
mod settings;
mod shadow;
mod shutdown;
mod smuggling;
mod socket;
mod support;
mod tokenreviews;
mod validate;
mod wire;
