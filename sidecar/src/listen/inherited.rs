//! Inherited: listeners that a service manager opened and handed over (`sd_listen_fds(3)`).
//!
//! **Invariant:** a TCP listener that others can reach is refused, whoever opened it.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;

use super::LoopbackAddr;

/// Listeners of this process that somebody else opened.
#[derive(Debug, Default)]
pub struct Inherited {
    pub(super) tcp: Vec<TcpListener>,
    pub(super) unix: Vec<UnixListener>,
}

impl Inherited {
    /// Takes those that `LISTEN_FDS` and `LISTEN_PID` speak of; none when they speak of another
    /// process. The variables are gone afterwards: call it before threads are started.
    ///
    /// # Errors
    /// When one is no stream socket, or listens where others can reach it.
    pub fn take() -> Result<Self, InheritedError> {
        #[expect(
            clippy::disallowed_methods,
            reason = "no setting: the service manager's word, in its form"
        )]
        let addressee = std::env::var("LISTEN_PID");
        let is_ours = addressee.is_ok_and(|id| id == std::process::id().to_string());
        if !is_ours {
            return Ok(Self::default());
        }
        let mut handed = ListenFd::from_env();
        if handed.len() > MOST {
            return Err(InheritedError::TooMany);
        }
        let mut inherited = Self::default();
        for place in 0..handed.len() {
            if let Ok(Some(listener)) = handed.take_unix_listener(place) {
                listener.set_nonblocking(true)?;
                inherited.unix.push(listener);
            } else if let Ok(Some(listener)) = handed.take_tcp_listener(place) {
                let address = listener.local_addr()?;
                LoopbackAddr::try_from(address).map_err(|_| InheritedError::Reachable(address))?;
                listener.set_nonblocking(true)?;
                inherited.tcp.push(listener);
            } else {
                return Err(InheritedError::NoListener(FIRST + place));
            }
        }
        Ok(inherited)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tcp.is_empty() && self.unix.is_empty()
    }
}

/// What was handed over cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InheritedError {
    /// Others could reach it.
    #[error("expected inherited listeners on loopback, found {_0}")]
    Reachable(SocketAddr),
    /// Not a stream socket.
    #[error("expected a stream socket as inherited descriptor {_0}")]
    NoListener(usize),
    /// More than anybody would configure.
    #[error("expected at most {MOST} inherited listeners")]
    TooMany,
    /// What the system says.
    #[error("an inherited listener cannot be used: {_0}")]
    System(#[from] std::io::Error),
}

/// `SD_LISTEN_FDS_START`.
const FIRST: usize = 3;
const MOST: usize = 8;
