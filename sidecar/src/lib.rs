//! The verifier behind localhost HTTP, for services in any language and for proxies.
//!
//! [`App::build`] checks the settings and binds, [`App::serve`] answers until told to stop.
//!
//! **Invariant:** the sidecar compares no claim: whatever decides lives in `queue_verifier`.
//! Every answer is one of three: valid, invalid (401 or 403), cannot decide (503).

mod activity;
mod bearer;
pub mod cli;
mod connection;
mod guard;
mod listen;
mod metrics;
mod page;
mod problem;
mod report;
mod request_id;
mod router;
mod routes;
mod serve;
pub mod settings;
mod shared;
mod stream;
pub mod telemetry;
mod traces;
mod wire;

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use queue_verifier::{Clock, ConfigError, Verifier};
use tokio::sync::watch;

pub use listen::{LoopbackAddr, NotLoopback};
pub use problem::EdgeCode;
pub use settings::{Settings, SettingsError};

use crate::connection::Server;
use crate::serve::Limits;
use crate::shared::Shared;

/// A sidecar that holds its port and waits to be served.
#[derive(Debug)]
pub struct App {
    listener: TcpListener,
    local_addr: SocketAddr,
    server: Server,
    limits: Limits,
    closing: watch::Sender<bool>,
}

impl App {
    /// Builds the verifier of `settings`, then binds; `clock` judges tokens, key sets and clients.
    ///
    /// # Errors
    /// [`StartError::Config`] before a port is bound, [`StartError::Bind`] when it is taken.
    pub fn build(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let verifier = settings.verifier(Arc::clone(&clock)).build()?;
        let traces = settings.otlp_endpoint.as_deref().map(traces::Traces::new);
        let traces = traces.transpose().map_err(|_| StartError::Traces)?;
        let listener = settings.listen.bind();
        let listener = listener.map_err(|source| StartError::bind(settings.listen, source))?;
        let local_addr = listener.local_addr();
        let local_addr = local_addr.map_err(|source| StartError::bind(settings.listen, source))?;
        let origin = report::Origin::new(settings, clock.monotonic(), clock.now());
        let shared = Arc::new(Shared {
            verifier,
            clock,
            request_ids: request_id::RequestIds::new(origin.began_at),
            origin,
            traces,
            metrics: metrics::Metrics::new(),
            guard: guard::Guard::new(local_addr, &settings.hosts),
            cookie: settings.cookie.clone(),
            deadline: settings.deadline,
            max_in_flight: settings.max_in_flight,
            has_been_ready: AtomicBool::new(false),
            is_draining: AtomicBool::new(false),
        });
        let (closing, watcher) = watch::channel(false);
        let server = Server {
            router: router::router(Arc::clone(&shared)),
            shared,
            protocol: connection::protocol(),
            header_timeout: settings.header_timeout,
            idle_timeout: settings.idle_timeout,
            closing: watcher,
        };
        let limits = Limits {
            max_connections: settings.max_connections,
            drain_timeout: settings.drain_timeout,
        };
        Ok(Self {
            listener,
            local_addr,
            server,
            limits,
            closing,
        })
    }

    /// Where it listens: with the real port, where the settings asked for a free one.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The verifier behind it.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.server.shared.verifier
    }

    /// Answers until `shutdown` completes; then stops accepting, finishes what is under way within
    /// the drain timeout, and returns.
    ///
    /// # Errors
    /// When the runtime has no I/O driver for the listener.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> std::io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let shared = Arc::clone(&self.server.shared);
        if let Some(traces) = &shared.traces {
            traces.start();
        }
        tracing::info!(address = %self.local_addr, "listening");
        serve::serve(listener, self.server, self.limits, self.closing, shutdown).await;
        if shared.traces.is_some() {
            let ending = tokio::task::spawn_blocking(move || {
                shared.traces.as_ref().map(traces::Traces::end);
            });
            let _ = ending.await;
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// The sidecar cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting the verifier refuses.
    #[error("{}: {_0}", _0.code())]
    Config(#[from] ConfigError),
    /// Traces cannot be sent to the collector of the settings.
    #[error("otlp_endpoint: {}", traces::TracesError)]
    Traces,
    /// The address cannot be bound.
    #[error("expected to listen on {address}")]
    Bind {
        /// The address asked for.
        address: LoopbackAddr,
        /// What the system says.
        source: std::io::Error,
    },
}

impl StartError {
    fn bind(address: LoopbackAddr, source: std::io::Error) -> Self {
        Self::Bind { address, source }
    }
}
