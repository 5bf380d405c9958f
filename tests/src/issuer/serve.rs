//! One connection: a request is read, remembered and answered.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{FakeIssuer, Reply, Request, Shared};

pub(super) async fn answer(mut stream: TcpStream, shared: Arc<Shared>) {
    let Some(request) = read(&mut stream).await else {
        return;
    };
    let released = shared.released.notified();
    let reply = {
        let mut state = shared.state();
        let earlier = state.requests.iter();
        let turn = earlier.filter(|seen| seen.path == request.path).count();
        let replies = &state.replies;
        let reply = replies
            .get(&request.path)
            .or_else(|| replies.get(FakeIssuer::ANYWHERE))
            .map(|reply| reply.in_turn(turn));
        state.requests.push(request.clone());
        reply
    };
    let under_way = shared.under_way.fetch_add(1, Ordering::SeqCst) + 1;
    shared.busiest.fetch_max(under_way, Ordering::SeqCst);
    shared.hit.notify_waiters();
    let bytes = match reply.unwrap_or_else(|| Reply::status("404 Not Found", "", "")) {
        Reply::Document {
            body,
            etag,
            headers,
        } => document(&body, etag.as_deref(), &headers, &request),
        Reply::Raw(bytes) => bytes,
        Reply::Drip(start) => {
            drip(&mut stream, &start).await;
            Vec::new()
        }
        Reply::Hang => {
            released.await;
            Vec::new()
        }
        Reply::Close | Reply::Turns(_) => Vec::new(),
    };
    shared.under_way.fetch_sub(1, Ordering::SeqCst);
    // The peer may have gone; then nobody misses the answer.
    let _ = stream.write_all(&bytes).await;
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut chunk = [0; 1024];
        match stream.read(&mut chunk).await {
            Ok(read) if read > 0 => request.extend_from_slice(&chunk[..read]),
            _ => return None,
        }
    }
    let head = String::from_utf8(request).ok()?;
    let path = head.split(' ').nth(1)?.to_owned();
    Some(Request { path, head })
}

fn document(body: &str, etag: Option<&str>, headers: &str, request: &Request) -> Vec<u8> {
    let validator = etag.map_or_else(String::new, |etag| format!("ETag: {etag}\r\n"));
    let common = format!("{validator}{headers}Connection: close\r\n");
    if etag.is_some() && request.header("if-none-match") == etag {
        return format!("HTTP/1.1 304 Not Modified\r\n{common}\r\n").into_bytes();
    }
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{common}\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Until the peer has enough of it.
async fn drip(stream: &mut TcpStream, start: &[u8]) {
    let mut next = start;
    while stream.write_all(next).await.is_ok() {
        next = b" ";
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
