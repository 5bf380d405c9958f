//! Where the sidecar listens: a type that cannot hold an address others can reach.
//!
//! **Invariant:** a [`LoopbackAddr`] is loopback; there is no setting and no constructor for
//! anything else. A container shares the network namespace of the service it serves. What answers
//! on any address are the probes alone, and they judge nothing.

mod inherited;
mod socket;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::str::FromStr;

pub use inherited::{Inherited, InheritedError};
pub use socket::SocketError;
pub(crate) use socket::SocketFile;

use crate::StartError;
use crate::settings::Settings;

/// Every listener of one sidecar, bound.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) tcp: Vec<TcpListener>,
    pub(crate) unix: Vec<UnixListener>,
    /// The socket's file, where this process made it.
    pub(crate) file: Option<SocketFile>,
    pub(crate) probes: Option<TcpListener>,
}

impl Listeners {
    /// Takes what was `inherited`, or else opens what `settings` name; the probes' in any case.
    pub(crate) fn open(settings: &Settings, inherited: Inherited) -> Result<Self, StartError> {
        let is_inherited = !inherited.is_empty();
        let mut listeners = Self {
            tcp: inherited.tcp,
            unix: inherited.unix,
            file: None,
            probes: None,
        };
        if let Some(address) = settings.listen.filter(|_| !is_inherited) {
            let listener = bind(address.0).map_err(|error| StartError::bind(address.0, error))?;
            listeners.tcp.push(listener);
        }
        if let Some(address) = settings.probe_listen {
            let listener = bind(address).map_err(|error| StartError::bind(address, error))?;
            listeners.probes = Some(listener);
        }
        if let Some(path) = settings.socket.as_ref().filter(|_| !is_inherited) {
            let opened = socket::open(path);
            let path: PathBuf = path.clone();
            let (listener, file) = opened.map_err(|source| StartError::Socket { path, source })?;
            listeners.unix.push(listener);
            listeners.file = Some(file);
        }
        Ok(listeners)
    }

    /// The addresses of the TCP listeners.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let addresses = self.tcp.iter().map(TcpListener::local_addr);
        addresses.filter_map(Result::ok).collect()
    }
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

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
