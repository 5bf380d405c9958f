//! Where the sidecar listens: a type that cannot hold an address others can reach.
//!
//! **Invariant:** a [`LoopbackAddr`] is loopback; there is no setting and no constructor for
//! anything else. A container shares the network namespace of the service it serves.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::str::FromStr;

/// A loopback address and a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoopbackAddr(SocketAddr);

impl LoopbackAddr {
    /// The default: `127.0.0.1:4140`.
    pub const DEFAULT: Self = Self::port(4140);

    /// `127.0.0.1` and `port`; 0 takes a free one.
    #[must_use]
    pub const fn port(port: u16) -> Self {
        Self(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
    }

    pub(crate) const fn address(self) -> SocketAddr {
        self.0
    }

    pub(crate) fn bind(self) -> std::io::Result<TcpListener> {
        let listener = TcpListener::bind(self.0)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }
}

impl TryFrom<SocketAddr> for LoopbackAddr {
    type Error = NotLoopback;

    fn try_from(address: SocketAddr) -> Result<Self, NotLoopback> {
        if address.ip().is_loopback() {
            Ok(Self(address))
        } else {
            Err(NotLoopback)
        }
    }
}

impl FromStr for LoopbackAddr {
    type Err = NotLoopback;

    /// `127.0.0.1:4140`, `[::1]:4140` or `localhost:4140`, which is 127.0.0.1: no name is resolved.
    fn from_str(text: &str) -> Result<Self, NotLoopback> {
        if let Some(port) = text.strip_prefix("localhost:") {
            return port.parse().map(Self::port).map_err(|_| NotLoopback);
        }
        let address: SocketAddr = text.parse().map_err(|_| NotLoopback)?;
        address.try_into()
    }
}

impl fmt::Display for LoopbackAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Not a loopback address with a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a loopback address and a port, as `127.0.0.1:4140`: others must not reach it")]
pub struct NotLoopback;
