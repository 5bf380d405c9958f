//! gRPC on the same port: `envoy.service.auth.v3.Authorization/Check` and
//! `grpc.health.v1.Health/Check`, over HTTP/2 with prior knowledge.
//!
//! **Invariant:** an answer to Envoy is a decision or says that there is none. A request that
//! cannot be read is denied, not failed: Envoy lets through what fails where `failure_mode_allow`
//! is set, and what a client can break would open that door (hazards S6, S29).
//!
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>

mod check;
mod frame;
mod health;
mod messages;

use http::Version;
use http::request::Parts;

pub(crate) use check::check;
pub(crate) use health::health;

/// Whether `head` calls one of the methods.
pub(crate) fn is_call(head: &Parts) -> bool {
    head.version == Version::HTTP_2 && [CHECK, HEALTH].contains(&head.uri.path())
}

/// Envoy asks whether a request may go on.
pub(crate) const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
/// Whether a token could be judged now.
pub(crate) const HEALTH: &str = "/grpc.health.v1.Health/Check";
