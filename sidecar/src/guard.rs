//! Guard: who may talk to the listener at all, before any route.
//!
//! **Invariant:** a web page gets nothing: not by DNS rebinding (`Host`), not by a request of its
//! own (`Origin`, `Sec-Fetch-Site`), and no answer carries a CORS header (hazard S24). No page
//! reaches the unix socket, whose mode says who may: there a proxy hands on whatever `Host` and
//! `Origin` its client sent.
//!
//! Envoy passes on its client's `Host` and `Origin`, so neither is looked at where only Envoy asks.
//! A page that calls there in its place learns nothing: no credential rides along by itself (there
//! is no cookie of this origin, `Authorization` needs a preflight that is refused, no answer can be
//! read across origins), and one that rebinds DNS to read answers has to bring the token it asks
//! about. Browsers do not speak HTTP/2 without TLS, so gRPC they do not reach at all.

use std::net::SocketAddr;

use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderName, Method};

use crate::grpc;
use crate::problem::EdgeCode;
use crate::routes::envoy;
use crate::transport::Door;

/// The names this listener answers to.
#[derive(Debug)]
pub(crate) struct Guard {
    hosts: Vec<String>,
}

impl Guard {
    /// The loopback names of each of `locals`, with its port and without one, and `more`.
    pub(crate) fn new(locals: &[SocketAddr], more: &[String]) -> Self {
        let mut hosts = more.to_vec();
        for local in locals {
            let own = match local {
                SocketAddr::V4(address) => address.ip().to_string(),
                SocketAddr::V6(address) => format!("[{}]", address.ip()),
            };
            let names = ["127.0.0.1", "localhost", "[::1]", &own];
            let port = local.port();
            hosts.extend(names.iter().map(|name| format!("{name}:{port}")));
            hosts.extend(names.iter().map(ToString::to_string));
        }
        Self { hosts }
    }

    /// Whether a request with this head, that came through `door`, may go on.
    ///
    /// # Errors
    /// `host_not_allowed`, `origin_not_allowed`; `method_not_allowed` for CONNECT, which no
    /// route has.
    pub(crate) fn check(&self, head: &Parts, door: Door) -> Result<(), EdgeCode> {
        let is_of_envoy = head.uri.path().starts_with(envoy::PREFIX) || grpc::is_call(head);
        if !is_of_envoy {
            self.check_page(head, door)?;
        }
        if head.method == Method::CONNECT {
            return Err(EdgeCode::MethodNotAllowed);
        }
        Ok(())
    }

    fn check_page(&self, head: &Parts, door: Door) -> Result<(), EdgeCode> {
        // A prober names the address it was given, which is none of ours to know.
        if door == Door::Loopback && !self.is_host_allowed(head) {
            return Err(EdgeCode::HostNotAllowed);
        }
        let headers = &head.headers;
        let is_by_hand = |site: &[u8]| site == b"none" || site == b"same-origin";
        let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
        let is_page =
            headers.contains_key(ORIGIN) || !sites.all(|site| is_by_hand(site.as_bytes()));
        if door != Door::Socket && is_page {
            return Err(EdgeCode::OriginNotAllowed);
        }
        Ok(())
    }

    /// Exactly one `Host` or `:authority`, or both, and each of them ours (RFC 9112 §3.2).
    fn is_host_allowed(&self, head: &Parts) -> bool {
        let mut named = head.headers.get_all(HOST).iter();
        let (host, second) = (named.next(), named.next());
        let authority = head.uri.authority().map(|authority| authority.as_str());
        let is_ours = |name: &[u8]| {
            let mut hosts = self.hosts.iter();
            hosts.any(|ours| ours.as_bytes().eq_ignore_ascii_case(name))
        };
        second.is_none()
            && (host.is_some() || authority.is_some())
            && host.is_none_or(|host| is_ours(host.as_bytes()))
            && authority.is_none_or(|authority| is_ours(authority.as_bytes()))
    }
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
