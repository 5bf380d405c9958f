//! Stream: a connection that notes when bytes arrive and lends hyper our words.
//!
//! hyper answers what it cannot parse with a bare status line before any route is asked; that
//! answer is recognised on its way out and replaced by problem JSON.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use queue_verifier::Clock;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use crate::activity::Activity;
use crate::metrics::Metrics;
use crate::problem::{EdgeCode, PROBLEM_JSON, Problem};
use crate::transport::Stream;

/// The stream of one connection.
#[derive(Debug)]
pub(crate) struct Watched {
    stream: Stream,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    activity: Arc<Activity>,
    /// Our words, still to be written.
    unsent: Vec<u8>,
}

impl Watched {
    pub(crate) fn new(
        stream: Stream,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        activity: Arc<Activity>,
    ) -> Self {
        Self {
            stream,
            clock,
            metrics,
            activity,
            unsent: Vec::new(),
        }
    }

    fn poll_unsent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &self.unsent))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unsent.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.activity.receive(&*self.clock);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_unsent(context))?;
        let Some(code) = bare_refusal(bytes) else {
            return Pin::new(&mut self.stream).poll_write(context, bytes);
        };
        self.metrics.refused(code, self.clock.monotonic());
        self.unsent = in_our_words(code);
        // What does not fit now is written before anything else, at the latest by the flush.
        match self.poll_unsent(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(bytes.len())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_unsent(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_unsent(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// What hyper refuses by itself: a whole answer without a body, which no route ever gives.
fn bare_refusal(bytes: &[u8]) -> Option<EdgeCode> {
    let status = bytes.strip_prefix(b"HTTP/1.1 ")?.first_chunk::<3>()?;
    let code = match status {
        b"400" => EdgeCode::HttpMalformed,
        b"414" => EdgeCode::UriTooLong,
        b"431" => EdgeCode::HeadersTooLarge,
        _ => return None,
    };
    let is_bare = bytes.ends_with(b"\r\n\r\n")
        && bytes
            .split(|byte| *byte == b'\n')
            .any(|line| line == b"content-length: 0\r");
    is_bare.then_some(code)
}

/// Refuses a whole connection, before a byte of it is read.
pub(crate) async fn turn_away(mut stream: Stream, code: EdgeCode) {
    let _ = stream.write_all(&in_our_words(code)).await;
    let _ = stream.shutdown().await;
}

fn in_our_words(code: EdgeCode) -> Vec<u8> {
    let body = Problem::from(code).body();
    let head = format!(
        "HTTP/1.1 {}\r\ncontent-type: {PROBLEM_JSON}\r\ncache-control: no-store\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n",
        code.status(),
        body.len(),
    );
    [head.into_bytes(), body].concat()
}
