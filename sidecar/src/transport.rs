//! Transport: the listeners as one source of streams, and a stream of either kind.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::UCred;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// How a client came in; it decides what it has to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// Loopback TCP: anything on this machine, a browser too.
    Loopback,
    /// The unix socket: whoever its mode and the allow-list let in, and no browser.
    Socket,
    /// The listener of the probes: anybody.
    Probes,
}

/// Listeners that are accepted from in turn.
#[derive(Debug)]
pub(crate) struct Doors {
    tcp: Vec<TcpListener>,
    unix: Vec<UnixListener>,
    turn: usize,
}

impl Doors {
    pub(crate) fn open(
        tcp: Vec<std::net::TcpListener>,
        unix: Vec<std::os::unix::net::UnixListener>,
    ) -> io::Result<Self> {
        let tcp: io::Result<_> = tcp.into_iter().map(TcpListener::from_std).collect();
        let unix: io::Result<_> = unix.into_iter().map(UnixListener::from_std).collect();
        Ok(Self {
            tcp: tcp?,
            unix: unix?,
            turn: 0,
        })
    }

    /// The next client at any door; each door has its turn to be asked first.
    pub(crate) fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        let count = self.tcp.len() + self.unix.len();
        for offset in 0..count {
            let place = (self.turn + offset) % count;
            let accepted = match self.tcp.get(place) {
                Some(listener) => listener
                    .poll_accept(context)
                    .map_ok(|(stream, _)| Stream::Tcp(stream)),
                None => self.unix[place - self.tcp.len()]
                    .poll_accept(context)
                    .map_ok(|(stream, _)| Stream::Unix(stream)),
            };
            if accepted.is_ready() {
                self.turn = place + 1;
                return accepted;
            }
        }
        Poll::Pending
    }
}

/// One accepted connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    pub(crate) fn door(&self) -> Door {
        match self {
            Self::Tcp(_) => Door::Loopback,
            Self::Unix(_) => Door::Socket,
        }
    }

    /// The process at the other end, as the kernel knows it (`SO_PEERCRED`).
    pub(crate) fn peer(&self) -> Option<io::Result<UCred>> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(stream) => Some(stream.peer_cred()),
        }
    }

    /// Small answers leave at once.
    pub(crate) fn hurry(&self) {
        if let Self::Tcp(stream) = self {
            let _ = stream.set_nodelay(true);
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
