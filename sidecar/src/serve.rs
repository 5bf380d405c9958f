//! Serve: bound listeners → connections, until told to stop; then the drain.
//!
//! **Invariant:** every connection is a task this loop joins or aborts; none outlives it. The
//! drain stops accepting, answers what was accepted, tells clients to go (`Connection: close`)
//! and ends within its bound. Probes are answered to the end, apart from everybody else: nobody
//! crowds them out, and who watches sees the drain.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::connection::{self, Server};
use crate::listen::SocketFile;
use crate::transport::{Door, Doors, Stream};

/// Accepts at `doors` and serves until `shutdown` completes, then drains; `file` goes with the
/// doors.
pub(crate) async fn serve(
    mut doors: Doors,
    file: Option<SocketFile>,
    server: Server,
    closing: watch::Sender<bool>,
    shutdown: impl Future<Output = ()>,
) {
    let mut connections = JoinSet::new();
    let (_, metrics) = server.in_force.constants();
    let mut shutdown = pin!(shutdown);
    let mut ready = pin!(server.in_force.ready());
    let mut is_starting = true;
    loop {
        metrics.connections.store(connections.len(), Relaxed);
        let has_room = connections.len() < server.in_force.load().settings.max_connections;
        tokio::select! {
            () = &mut shutdown => break,
            accepted = poll_fn(|context| doors.poll_accept(context)), if has_room => match accepted {
                Ok(stream) => start(&mut connections, stream, &server),
                Err(error) => rest_after(&error).await,
            },
            Some(_ended) = connections.join_next() => {}
            () = &mut ready, if is_starting => {
                is_starting = false;
                tracing::info!("ready");
            }
        }
    }
    tracing::info!(connections = connections.len(), "draining");
    server.in_force.start_draining();
    // Clients whose handshake the kernel completed are answered, not reset.
    while let Some(Ok(stream)) = poll_fn(|context| doors.poll_accept(context)).now_or_never() {
        start(&mut connections, stream, &server);
    }
    drop(doors);
    drop(file);
    let timeout = server.in_force.load().settings.drain_timeout;
    drain(connections, timeout, &closing).await;
}

/// Answers probes until it is dropped.
pub(crate) async fn serve_probes(mut doors: Doors, server: Server) {
    let mut connections = JoinSet::new();
    loop {
        let has_room = connections.len() < MAX_PROBES;
        tokio::select! {
            accepted = poll_fn(|context| doors.poll_accept(context)), if has_room => match accepted {
                Ok(stream) => {
                    connections.spawn(connection::serve(stream, Door::Probes, server.clone()));
                }
                Err(error) => rest_after(&error).await,
            },
            Some(_ended) = connections.join_next() => {}
        }
    }
}

fn start(connections: &mut JoinSet<()>, stream: Stream, server: &Server) {
    let door = stream.door();
    connections.spawn(connection::serve(stream, door, server.clone()));
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
/// Connections of the probes' listener.
const MAX_PROBES: usize = 64;
const ACCEPT_REST: Duration = Duration::from_millis(50);
