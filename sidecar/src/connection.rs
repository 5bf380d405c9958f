//! Connection: one accepted stream → its requests answered, for as long as it behaves.
//!
//! **Invariant:** a client holds a connection no longer than its phase allows: the head of a
//! request within the header timeout (within twice that on a connection that rested before),
//! rest between requests within the idle timeout. What hyper refuses by itself leaves as the
//! same problem JSON as everything else.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::sync::watch;

use crate::activity::Activity;
use crate::in_force::InForce;
use crate::problem::EdgeCode;
use crate::router;
use crate::stream::{Watched, turn_away};
use crate::transport::{Door, Stream};

/// How connections are served; one for all of them.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) in_force: Arc<InForce>,
    pub(crate) protocol: Builder<TokioExecutor>,
    /// Turns true when no further request shall be read.
    pub(crate) closing: watch::Receiver<bool>,
}

/// HTTP/1.1 and HTTP/2 with prior knowledge, bounded.
pub(crate) fn protocol() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .half_close(true)
        .max_buf_size(MAX_HEAD)
        .header_read_timeout(None);
    let header_list = u32::try_from(MAX_HEAD).expect("64 KiB fit 32 bits");
    builder
        .http2()
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(header_list);
    builder
}

/// Serves `stream`, which came through `door`, until either side is done with it.
pub(crate) async fn serve(stream: Stream, door: Door, mut server: Server) {
    let (clock, metrics) = server.in_force.constants();
    if let Err(code) = admit(&stream, &server.in_force) {
        metrics.refused(code, clock.monotonic());
        turn_away(stream, code).await;
        return;
    }
    stream.hurry();
    let activity = Arc::new(Activity::new(&*clock));
    let watched = Watched::new(stream, Arc::clone(&clock), metrics, Arc::clone(&activity));
    let io = TokioIo::new(watched);
    let service = service_fn(|request| {
        // Looked up for each request: a reload reaches connections that stay open.
        let live = server.in_force.load();
        let (clock, activity) = (Arc::clone(&clock), Arc::clone(&activity));
        activity.begin(request.version());
        async move {
            let response = router::answer(&live, door, request).await;
            activity.end(&*clock);
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = pin!(server.protocol.serve_connection(io, service));
    let (head, rest) = server.in_force.patience();
    let mut expiry = pin!(activity.expire(&*clock, head, rest));
    let mut is_closing = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection_broken");
                }
                return;
            }
            () = expiry.as_mut() => {
                tracing::debug!("connection_expired");
                return;
            }
            _ = server.closing.wait_for(|closing| *closing), if !is_closing => {
                is_closing = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Whether the process at the other end may talk to us; only a unix socket knows who it is.
fn admit(stream: &Stream, in_force: &InForce) -> Result<(), EdgeCode> {
    let Some(peer) = stream.peer() else {
        return Ok(());
    };
    let is_allowed = match &peer {
        Ok(peer) => in_force.load().is_peer_allowed(peer.uid(), peer.gid()),
        Err(_) => false,
    };
    let (pid, uid, gid) = match &peer {
        Ok(peer) => (peer.pid(), Some(peer.uid()), Some(peer.gid())),
        Err(_) => (None, None, None),
    };
    if is_allowed {
        tracing::debug!(pid, uid, gid, "peer_connected");
        Ok(())
    } else {
        tracing::warn!(pid, uid, gid, "peer_not_allowed");
        Err(EdgeCode::PeerNotAllowed)
    }
}

/// Largest head of a request, in bytes: room for a token of every accepted size.
const MAX_HEAD: usize = 64 * 1024;
/// Requests under way on one HTTP/2 connection.
const MAX_STREAMS: u32 = 256;
