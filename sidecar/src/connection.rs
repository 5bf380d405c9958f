//! Connection: one accepted stream → its requests answered, for as long as it behaves.
//!
//! **Invariant:** a client holds a connection no longer than its phase allows: the head of a
//! request within the header timeout (within twice that on a connection that rested before),
//! rest between requests within the idle timeout. What hyper refuses by itself leaves as the
//! same problem JSON as everything else.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::activity::Activity;
use crate::router;
use crate::shared::Shared;
use crate::stream::Watched;

/// How connections are served; one for all of them.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) shared: Arc<Shared>,
    pub(crate) router: Router,
    pub(crate) protocol: Builder<TokioExecutor>,
    pub(crate) header_timeout: Duration,
    pub(crate) idle_timeout: Duration,
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

/// Serves `stream` until either side is done with it.
pub(crate) async fn serve(stream: TcpStream, mut server: Server) {
    let _ = stream.set_nodelay(true);
    let activity = Arc::new(Activity::new(&*server.shared.clock));
    let (shared, watching) = (Arc::clone(&server.shared), Arc::clone(&activity));
    let io = TokioIo::new(Watched::new(stream, shared, watching));
    let service = service_fn(|request| {
        let (shared, router) = (Arc::clone(&server.shared), server.router.clone());
        let activity = Arc::clone(&activity);
        activity.begin(request.version());
        async move {
            let response = router::answer(&shared, router, request).await;
            activity.end(&*shared.clock);
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = pin!(server.protocol.serve_connection(io, service));
    let (head, rest) = (server.header_timeout, server.idle_timeout);
    let mut expiry = pin!(activity.expire(&*server.shared.clock, head, rest));
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

/// Largest head of a request, in bytes: room for a token of every accepted size.
const MAX_HEAD: usize = 64 * 1024;
/// Requests under way on one HTTP/2 connection.
const MAX_STREAMS: u32 = 256;
