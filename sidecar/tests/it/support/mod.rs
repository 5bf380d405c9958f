//! The harness: keys made on the spot, a clock set by hand, a sidecar on a free port, and a client
//! that sends exactly the bytes it is given.

mod client;
mod clock;
mod envoy;
mod forge;
mod grpc;
mod issuer;
mod process;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use queue_sidecar::{App, LoopbackAddr, Reloader, Settings};
use queue_verifier::{Clock, KeySource, SystemClock, Verifier};
use serde_json::json;
use tokio::sync::oneshot;

pub(crate) use client::{Client, Response};
pub(crate) use clock::{FakeClock, NOW};
pub(crate) use envoy::{CHECK, Decision, bearing, check, decision, number_of, request};
pub(crate) use forge::{claims, forge, jwk_set, other_forge};
pub(crate) use grpc::{Field, GrpcClient, fields, message};
pub(crate) use issuer::Issuer;
pub(crate) use process::{Sidecar, file, run};

pub(crate) const ISSUER: &str = "https://auth.example.com";
pub(crate) const AUDIENCE: &str = "raptor";

/// Settings of a test: a free port, keys of [`forge`].
pub(crate) fn settings() -> Settings {
    let keys = KeySource::jwk_set(jwk_set(&[forge()]));
    let mut settings = Settings::for_issuer(ISSUER, [AUDIENCE], keys);
    settings.listen = Some(LoopbackAddr::port(0));
    // A session says whether its token was met before; here every token is new.
    settings.remember = 0;
    settings
}

/// A sidecar being served by a thread of its own.
pub(crate) struct TestApp {
    pub(crate) port: u16,
    pub(crate) verifier: Verifier,
    pub(crate) reloader: Reloader,
    pub(crate) probe_port: Option<u16>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TestApp {
    /// One with [`settings`], at [`NOW`].
    pub(crate) fn start() -> Self {
        Self::with(&settings())
    }

    pub(crate) fn with(settings: &Settings) -> Self {
        Self::at(settings, FakeClock::at(NOW))
    }

    pub(crate) fn at(settings: &Settings, clock: Arc<dyn Clock>) -> Self {
        let app = App::build(settings, clock).expect("the settings of a test are right");
        let port = app.local_addr().map_or(0, |address| address.port());
        let probe_port = app.probe_addr().map(|address| address.port());
        let (verifier, reloader) = (app.verifier(), app.reloader());
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime starts");
            let shutdown = async {
                let _ = stopped.await;
            };
            runtime
                .block_on(app.serve(shutdown))
                .expect("the listener is served");
        });
        Self {
            port,
            verifier,
            reloader,
            probe_port,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.port)
    }

    /// Sends `request` on a connection of its own; `{HOST}` stands for the listener's name.
    pub(crate) fn send(&self, request: impl AsRef<[u8]>) -> Response {
        self.connect().send(request)
    }

    /// `GET path` with further header lines, each ending in CRLF.
    pub(crate) fn get(&self, path: &str, headers: &str) -> Response {
        self.send(format!(
            "GET {path} HTTP/1.1\r\nHost: {{HOST}}\r\n{headers}\r\n"
        ))
    }

    /// `POST /v1/validate` with a JSON body.
    pub(crate) fn post(&self, body: impl AsRef<[u8]>) -> Response {
        self.connect().post(body.as_ref())
    }

    /// `POST /v1/validate` with `token` in the header.
    pub(crate) fn validate(&self, token: &str) -> Response {
        self.send(format!(
            "POST /v1/validate HTTP/1.1\r\nHost: {{HOST}}\r\nAuthorization: Bearer {token}\r\n\r\n"
        ))
    }

    /// The value of a sample on the metrics page; of the one issuer, where it has that label.
    pub(crate) fn metric(&self, sample: &str) -> u64 {
        let page = self.get("/metrics", "").text();
        let label = format!("{{issuer=\"{ISSUER}\"}}");
        let value = page.lines().find_map(|line| {
            let rest = line.strip_prefix(sample)?;
            rest.strip_prefix(&label).unwrap_or(rest).strip_prefix(' ')
        });
        value
            .unwrap_or_else(|| panic!("no sample {sample} in\n{page}"))
            .parse()
            .expect("a counter is a whole number")
    }

    /// Tells it to stop, without waiting.
    pub(crate) fn tell_to_stop(&mut self) {
        drop(self.stop.take());
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits until it has stopped.
    pub(crate) fn join(mut self) {
        self.tell_to_stop();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the sidecar ends without a panic");
        }
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.tell_to_stop();
    }
}

/// A directory of its own for the test called `name`, short enough for a socket's path.
pub(crate) fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("qs{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir(&path).expect("the directory for temporary files can be written");
    path
}

/// A token that is good by the clock on the wall, for processes that have no other.
pub(crate) fn good_today() -> String {
    let now = SystemClock.now();
    let times = json!({"iat": now, "exp": now + 600, "auth_time": now});
    forge().sign(&claims(times))
}

/// Waits until `condition` holds; a test that waits in vain fails.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        std::thread::yield_now();
        std::thread::park_timeout(std::time::Duration::from_millis(1));
    }
    panic!("waited in vain: {what}");
}
