//! A `jwks_uri` on loopback that answers what a test tells it to, and counts who asks.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What the server says next.
#[derive(Debug, Clone)]
pub enum Reply {
    /// 200 with this JWK Set, under this `ETag` when given; 304 to whoever holds it.
    Set {
        /// The document.
        document: String,
        /// Its validator.
        etag: Option<String>,
    },
    /// These bytes, as they are.
    Raw(Vec<u8>),
    /// Nothing until [`KeyServer::release`].
    Hang,
    /// The connection is closed without a word.
    Close,
}

impl Reply {
    /// 200 with `document`.
    #[must_use]
    pub fn set(document: impl Into<String>) -> Self {
        Self::Set {
            document: document.into(),
            etag: None,
        }
    }

    /// `status` with `body`.
    #[must_use]
    pub fn status(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::Raw(
            format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
                .into_bytes(),
        )
    }
}

/// The server; stops when dropped.
#[derive(Debug)]
pub struct KeyServer {
    url: String,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    reply: Mutex<Reply>,
    hits: AtomicUsize,
    under_way: AtomicUsize,
    busiest: AtomicUsize,
    hit: Notify,
    released: Notify,
}

impl KeyServer {
    /// Listens on a free loopback port.
    pub async fn start(reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            reply: Mutex::new(reply),
            hits: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            busiest: AtomicUsize::new(0),
            hit: Notify::new(),
            released: Notify::new(),
        });
        let state = Arc::clone(&shared);
        #[expect(
            clippy::disallowed_methods,
            reason = "aborted when the server is dropped"
        )]
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&state)));
            }
        });
        Self {
            url: format!("http://{address}/jwks.json"),
            shared,
            accepting,
        }
    }

    /// Where the set is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What every later request gets.
    ///
    /// # Panics
    /// Never: no holder of the lock panics.
    pub fn says(&self, reply: Reply) {
        *self.shared.reply.lock().expect("no holder panics") = reply;
    }

    /// Requests so far.
    #[must_use]
    pub fn hits(&self) -> usize {
        self.shared.hits.load(Ordering::SeqCst)
    }

    /// The most requests that were under way at once.
    #[must_use]
    pub fn busiest(&self) -> usize {
        self.shared.busiest.load(Ordering::SeqCst)
    }

    /// Waits until `count` requests have come.
    pub async fn hit(&self, count: usize) {
        loop {
            let next = self.shared.hit.notified();
            if self.hits() >= count {
                return;
            }
            next.await;
        }
    }

    /// Lets every hanging request end without an answer.
    pub fn release(&self) {
        self.shared.released.notify_waiters();
    }
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut chunk = [0; 1024];
        match stream.read(&mut chunk).await {
            Ok(read) if read > 0 => request.extend_from_slice(&chunk[..read]),
            _ => return,
        }
    }
    let released = shared.released.notified();
    let reply = shared.reply.lock().expect("no holder panics").clone();
    shared.hits.fetch_add(1, Ordering::SeqCst);
    let under_way = shared.under_way.fetch_add(1, Ordering::SeqCst) + 1;
    shared.busiest.fetch_max(under_way, Ordering::SeqCst);
    shared.hit.notify_waiters();
    let answer = match reply {
        Reply::Set { document, etag } => answer(&document, etag.as_deref(), &request),
        Reply::Raw(bytes) => bytes,
        Reply::Hang => {
            released.await;
            Vec::new()
        }
        Reply::Close => Vec::new(),
    };
    shared.under_way.fetch_sub(1, Ordering::SeqCst);
    // The peer may have gone; then nobody misses the answer.
    let _ = stream.write_all(&answer).await;
}

fn answer(document: &str, etag: Option<&str>, request: &[u8]) -> Vec<u8> {
    let request = String::from_utf8_lossy(request).to_lowercase();
    let validator = etag.map_or_else(String::new, |etag| format!("ETag: {etag}\r\n"));
    if etag.is_some_and(|etag| request.contains(&format!("if-none-match: {}", etag.to_lowercase())))
    {
        return format!("HTTP/1.1 304 Not Modified\r\n{validator}Connection: close\r\n\r\n")
            .into_bytes();
    }
    let length = document.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/jwk-set+json\r\nCache-Control: max-age=300\r\n\
         {validator}Content-Length: {length}\r\nConnection: close\r\n\r\n{document}"
    )
    .into_bytes()
}
