//! The sidecar over real HTTP, its command line and its log.

mod support;
mod validate;
