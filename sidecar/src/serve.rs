//! Serve: a bound listener → connections, until told to stop; then the drain.
//!
//! **Invariant:** every connection is a task this loop joins or aborts; none outlives it. The
//! drain stops accepting, answers what was accepted, tells clients to go (`Connection: close`)
//! and ends within its bound.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::connection::{self, Server};

/// Limits of one listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) max_connections: usize,
    pub(crate) drain_timeout: Duration,
}

/// Accepts and serves until `shutdown` completes, then drains.
pub(crate) async fn serve(
    listener: TcpListener,
    server: Server,
    limits: Limits,
    closing: watch::Sender<bool>,
    shutdown: impl Future<Output = ()>,
) {
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    let mut ready = pin!(server.shared.verifier.ready());
    let mut is_starting = true;
    loop {
        server
            .shared
            .metrics
            .connections
            .store(connections.len(), Relaxed);
        let has_room = connections.len() < limits.max_connections;
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept(), if has_room => match accepted {
                Ok((stream, _)) => start(&mut connections, stream, &server),
                Err(error) => rest_after(&error).await,
            },
            Some(_ended) = connections.join_next() => {}
            () = &mut ready, if is_starting => {
                is_starting = false;
                server.shared.has_been_ready.store(true, Relaxed);
                tracing::info!("ready");
            }
        }
    }
    tracing::info!(connections = connections.len(), "draining");
    server.shared.is_draining.store(true, Relaxed);
    // Clients whose handshake the kernel completed are answered, not reset.
    while let Some(Ok((stream, _))) = listener.accept().now_or_never() {
        start(&mut connections, stream, &server);
    }
    drop(listener);
    drain(connections, limits.drain_timeout, &closing).await;
}

fn start(connections: &mut JoinSet<()>, stream: TcpStream, server: &Server) {
    connections.spawn(connection::serve(stream, server.clone()));
}

/// Out of descriptors, usually: others will close some.
async fn rest_after(error: &std::io::Error) {
    tracing::warn!(%error, "accept_failed");
    tokio::time::sleep(ACCEPT_REST).await;
}

async fn drain(mut connections: JoinSet<()>, timeout: Duration, closing: &watch::Sender<bool>) {
    let drained = tokio::time::timeout(timeout, async {
        let linger = tokio::time::timeout(LINGER, async {
            while connections.join_next().await.is_some() {}
        });
        if linger.await.is_err() {
            closing.send_replace(true);
        }
        while connections.join_next().await.is_some() {}
    });
    if drained.await.is_err() {
        tracing::warn!(connections = connections.len(), "drain_cut_short");
    }
    connections.shutdown().await;
}

/// How long a client may still use a connection it holds: it is told to close it with the next
/// answer, instead of finding it closed under a request it is sending.
const LINGER: Duration = Duration::from_millis(250);
const ACCEPT_REST: Duration = Duration::from_millis(50);
