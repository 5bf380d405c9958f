//! A server of status lists on loopback: lists, their validators, their events, and every way to
//! misbehave.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

/// What the server says of one list.
#[derive(Debug, Clone)]
pub enum ListReply {
    /// 200 with this token, under an `ETag` of its own; 304 to whoever holds it.
    List(String),
    /// These bytes, as they are.
    Raw(Vec<u8>),
    /// The beginning of an answer, then a byte now and then, for ever.
    Drip,
    /// Nothing until another reply is set.
    Hang,
    /// The connection is closed without a word.
    Close,
}

/// The server; stops when dropped.
#[derive(Debug)]
pub struct StatusServer {
    origin: String,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    replies: Mutex<HashMap<String, ListReply>>,
    hits: Mutex<HashMap<String, Hits>>,
    changed: Notify,
    /// Versions pushed so far; none when there are no events.
    events: watch::Sender<Option<u64>>,
    /// Streams of events are cut when this changes.
    cuts: watch::Sender<u64>,
}

/// Requests for one path so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hits {
    /// All of them.
    pub all: usize,
    /// Those answered 304.
    pub not_modified: usize,
}

impl StatusServer {
    /// Listens on a free loopback port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            replies: Mutex::default(),
            hits: Mutex::default(),
            changed: Notify::new(),
            events: watch::Sender::new(None),
            cuts: watch::Sender::new(0),
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
            origin: format!("http://{address}"),
            shared,
            accepting,
        }
    }

    /// Where everything is.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The URI of the list called `name`.
    #[must_use]
    pub fn uri(&self, name: &str) -> String {
        format!("{}/status-lists/{name}", self.origin)
    }

    /// What every later request for the list called `name` gets.
    pub fn says(&self, name: &str, reply: ListReply) {
        let path = format!("/status-lists/{name}");
        locked(&self.shared.replies).insert(path, reply);
        self.shared.changed.notify_waiters();
    }

    /// Requests for the list called `name` so far.
    #[must_use]
    pub fn hits(&self, name: &str) -> Hits {
        let path = format!("/status-lists/{name}");
        self.hits_of(&path)
    }

    /// Streams of events of the list called `name` opened so far.
    #[must_use]
    pub fn streams(&self, name: &str) -> usize {
        self.hits_of(&format!("/status-lists/{name}/events")).all
    }

    fn hits_of(&self, path: &str) -> Hits {
        let hits = locked(&self.shared.hits);
        hits.get(path).copied().unwrap_or_default()
    }

    /// Waits until `is_enough` says so of the requests for the list called `name`.
    pub async fn hit(&self, name: &str, is_enough: impl Fn(Hits) -> bool) {
        self.until(|| is_enough(self.hits(name))).await;
    }

    /// Waits until `count` streams of events of the list called `name` were opened.
    pub async fn listened(&self, name: &str, count: usize) {
        self.until(|| self.streams(name) >= count).await;
    }

    async fn until(&self, is_reached: impl Fn() -> bool) {
        loop {
            let next = self.shared.changed.notified();
            if is_reached() {
                return;
            }
            next.await;
        }
    }

    /// Serves events from now on; without, they are 404.
    pub fn offer_events(&self) {
        self.shared.events.send_replace(Some(0));
    }

    /// Tells everyone who listens that there is a new version.
    pub fn push(&self) {
        self.shared
            .events
            .send_modify(|version| *version = version.map(|version| version + 1));
    }

    /// Ends every stream of events, as an issuer does when they are old; new ones are welcome.
    pub fn end_streams(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Cuts every stream of events, and refuses new ones.
    pub fn cut(&self) {
        self.shared.events.send_replace(None);
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }
}

impl Drop for StatusServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder panics")
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
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let next = shared.changed.notified();
    let reply = locked(&shared.replies).get(&path).cloned();
    let answer = match &reply {
        Some(ListReply::List(token)) => list(token, &request),
        Some(ListReply::Raw(bytes)) => bytes.clone(),
        _ => Vec::new(),
    };
    let is_not_modified = answer.starts_with(b"HTTP/1.1 304");
    {
        let mut hits = locked(&shared.hits);
        let hits = hits.entry(path.clone()).or_default();
        hits.all += 1;
        hits.not_modified += usize::from(is_not_modified);
    }
    shared.changed.notify_waiters();
    match reply {
        Some(ListReply::Drip) => drip(&mut stream).await,
        Some(ListReply::Hang) => next.await,
        None if path.ends_with("/events") => return events(stream, &shared).await,
        None => {
            let _ = stream
                .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                .await;
        }
        _ => {}
    }
    // The peer may have gone; then nobody misses the answer.
    let _ = stream.write_all(&answer).await;
}

async fn drip(stream: &mut TcpStream) {
    let mut next: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n";
    while stream.write_all(next).await.is_ok() {
        next = b" ";
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn events(mut stream: TcpStream, shared: &Shared) {
    let mut events = shared.events.subscribe();
    let mut cuts = shared.cuts.subscribe();
    if events.borrow_and_update().is_none() {
        let _ = stream
            .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .await;
        return;
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n: hello\n\n";
    if stream.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    loop {
        tokio::select! {
            _ = cuts.changed() => return,
            changed = events.changed() => {
                let version = *events.borrow_and_update();
                let (Ok(()), Some(version)) = (changed, version) else { return };
                let event = format!("event: version\nid: {version}\ndata: {version}\n\n");
                if stream.write_all(event.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn list(token: &str, request: &str) -> Vec<u8> {
    // The signature tells versions apart.
    let etag = format!("\"{}\"", &token[token.len().saturating_sub(24)..]);
    let is_held = request.lines().any(|line| {
        line.split_once(": ").is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("if-none-match") && value == etag
        })
    });
    if is_held {
        return format!("HTTP/1.1 304 Not Modified\r\nETag: {etag}\r\nConnection: close\r\n\r\n")
            .into_bytes();
    }
    let length = token.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/statuslist+jwt\r\nETag: {etag}\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{token}"
    )
    .into_bytes()
}
