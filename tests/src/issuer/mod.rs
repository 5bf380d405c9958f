//! An issuer on loopback that does to its verifiers whatever a test tells it to, and remembers who
//! asked for what.
//!
//! ```no_run
//! # async fn example() {
//! use queue_tests::{FakeIssuer, Forge, Reply};
//!
//! let (old, new) = (Forge::new("k1"), Forge::new("k2"));
//! let issuer = FakeIssuer::start().await;
//! issuer.publish(&[&old]); // generation 1, under an ETag that says so
//! issuer.publish(&[&old, &new]); // a rotation
//! issuer.says(FakeIssuer::JWKS, Reply::Hang); // an outage
//! # }
//! ```

mod reply;
mod serve;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::forge::{Forge, jwk_set};
use crate::wait::patiently;
pub use reply::Reply;

/// The issuer; stops when dropped.
#[derive(Debug)]
pub struct FakeIssuer {
    name: String,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// A request, as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// From the host on.
    pub path: String,
    head: String,
}

impl Request {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    under_way: AtomicUsize,
    busiest: AtomicUsize,
    hit: Notify,
    released: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// By path; the empty path is every other.
    replies: HashMap<String, Reply>,
    requests: Vec<Request>,
    generation: u64,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

impl FakeIssuer {
    /// Where the key set is.
    pub const JWKS: &str = "/.well-known/jwks.json";
    /// Where the discovery document is.
    pub const DISCOVERY: &str = "/.well-known/openid-configuration";
    const ANYWHERE: &str = "";

    /// Listens on a free loopback port; its discovery document is there, everything else is 404.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let shared = Arc::new(Shared::default());
        let state = Arc::clone(&shared);
        #[expect(
            clippy::disallowed_methods,
            reason = "aborted when the issuer is dropped"
        )]
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve::answer(stream, Arc::clone(&state)));
            }
        });
        let issuer = Self {
            name: format!("http://{address}"),
            shared,
            accepting,
        };
        let metadata = json!({ "issuer": issuer.name, "jwks_uri": issuer.jwks_uri() });
        issuer.says(Self::DISCOVERY, Reply::set(metadata.to_string()));
        issuer
    }

    /// Its `iss`, and where it listens.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The URL of its key set.
    #[must_use]
    pub fn jwks_uri(&self) -> String {
        self.url(Self::JWKS)
    }

    /// The URL of any path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.name)
    }

    /// What every later request for `path` gets.
    pub fn says(&self, path: &str, reply: Reply) {
        self.shared.state().replies.insert(path.to_owned(), reply);
    }

    /// Publishes `keys` as the next generation, as our issuer does; what it says of them.
    pub fn publish(&self, keys: &[&Forge]) -> Reply {
        let generation = {
            let mut state = self.shared.state();
            state.generation += 1;
            state.generation
        };
        let reply = Reply::generation(generation, jwk_set(keys));
        self.says(Self::JWKS, reply.clone());
        reply
    }

    /// Requests so far, for everything.
    #[must_use]
    pub fn hits(&self) -> usize {
        self.shared.state().requests.len()
    }

    /// Requests so far for `path`, oldest first.
    #[must_use]
    pub fn requests(&self, path: &str) -> Vec<Request> {
        let state = self.shared.state();
        let requests = state.requests.iter();
        requests.filter(|seen| seen.path == path).cloned().collect()
    }

    /// The most requests that were under way at once.
    #[must_use]
    pub fn busiest(&self) -> usize {
        self.shared.busiest.load(Ordering::SeqCst)
    }

    /// Waits until `count` requests have come.
    pub async fn hit(&self, count: usize) {
        self.until(|| self.hits() >= count).await;
    }

    /// Waits until `count` requests for `path` have come.
    pub async fn hit_at(&self, path: &str, count: usize) {
        self.until(|| self.requests(path).len() >= count).await;
    }

    async fn until(&self, is_reached: impl Fn() -> bool) {
        let waiting = async {
            loop {
                let next = self.shared.hit.notified();
                if is_reached() {
                    return;
                }
                next.await;
            }
        };
        patiently("a request", waiting).await;
    }

    /// Lets every hanging request end without an answer.
    pub fn release(&self) {
        self.shared.released.notify_waiters();
    }
}

impl Drop for FakeIssuer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// One document that answers at every path.
#[derive(Debug)]
pub struct KeyServer {
    issuer: FakeIssuer,
    url: String,
}

impl KeyServer {
    /// Listens on a free loopback port.
    pub async fn start(reply: Reply) -> Self {
        let issuer = FakeIssuer::start().await;
        issuer.shared.state().replies.clear();
        issuer.says(FakeIssuer::ANYWHERE, reply);
        let url = issuer.url("/jwks.json");
        Self { issuer, url }
    }

    /// Where the document is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What every later request gets.
    pub fn says(&self, reply: Reply) {
        self.issuer.says(FakeIssuer::ANYWHERE, reply);
    }

    /// See [`FakeIssuer::hits`].
    #[must_use]
    pub fn hits(&self) -> usize {
        self.issuer.hits()
    }

    /// See [`FakeIssuer::busiest`].
    #[must_use]
    pub fn busiest(&self) -> usize {
        self.issuer.busiest()
    }

    /// See [`FakeIssuer::hit`].
    pub async fn hit(&self, count: usize) {
        self.issuer.hit(count).await;
    }

    /// See [`FakeIssuer::release`].
    pub fn release(&self) {
        self.issuer.release();
    }
}
