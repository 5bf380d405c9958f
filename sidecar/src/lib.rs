//! The verifier behind localhost HTTP, for services in any language and for proxies.
//!
//! [`App::build`] checks the settings and binds, [`App::serve`] answers until told to stop.
//!
//! **Invariant:** the sidecar compares no claim: whatever decides lives in `queue_verifier`.
//! Every answer is one of three: valid, invalid (401 or 403), cannot decide (503).

mod activity;
mod bearer;
mod callers;
pub mod cli;
mod connection;
mod grpc;
mod guard;
mod identity;
mod in_force;
mod listen;
mod metrics;
mod openapi;
mod page;
mod problem;
mod reload;
mod report;
mod request_id;
mod router;
mod routes;
mod serve;
pub mod settings;
mod shadow;
mod shared;
mod stream;
mod systemd;
pub mod telemetry;
mod traces;
mod transport;
mod wire;

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use queue_verifier::{Clock, ConfigError, Verifier};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use callers::Callers;
pub use listen::{Inherited, InheritedError, LoopbackAddr, NotLoopback, SocketError};
pub use openapi::openapi;
pub use problem::EdgeCode;
pub use reload::{ReloadError, Reloader};
pub use settings::{Settings, SettingsError};

use crate::connection::Server;
use crate::in_force::InForce;
use crate::listen::Listeners;
use crate::transport::Doors;

/// A sidecar that holds its listeners and waits to be served.
#[derive(Debug)]
pub struct App {
    listeners: Listeners,
    in_force: Arc<InForce>,
}

impl App {
    /// Builds the verifier of `settings`, then binds; `clock` judges tokens, key sets and clients.
    ///
    /// # Errors
    /// [`StartError::Config`] and [`StartError::Settings`] before anything is bound, the others when
    /// something cannot be.
    pub fn build(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        Self::build_on(Inherited::default(), settings, clock)
    }

    /// As [`Self::build`], on listeners that somebody else opened; where there are any, `listen`
    /// and `socket` of the settings open nothing.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn build_on(
        inherited: Inherited,
        settings: &Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let verifier = settings.verifier(Arc::clone(&clock)).build()?;
        let traces = settings.otlp_endpoint.as_deref().map(traces::Traces::new);
        let traces = traces.transpose().map_err(|_| StartError::Traces)?;
        let listeners = Listeners::open(settings, inherited)?;
        let in_force = InForce::new(settings, verifier, clock, listeners.addresses(), traces)?;
        Ok(Self {
            listeners,
            in_force: Arc::new(in_force),
        })
    }

    /// Where it listens: with the real port, where the settings asked for a free one; `None` when
    /// it has a unix socket alone.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.in_force.addresses().first().copied()
    }

    /// Where the probes are answered, if they have a listener of their own.
    #[must_use]
    pub fn probe_addr(&self) -> Option<SocketAddr> {
        self.listeners.probes.as_ref()?.local_addr().ok()
    }

    /// The verifier behind it, until a reload replaces it.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        self.in_force.load().shared.verifier.clone()
    }

    /// What puts other settings in force while it serves.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        Reloader(Arc::clone(&self.in_force))
    }

    /// Answers until `shutdown` completes; then stops accepting, finishes what is under way within
    /// the drain timeout, and returns.
    ///
    /// # Errors
    /// When the runtime has no I/O driver for the listeners.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> std::io::Result<()> {
        let (closing, watcher) = watch::channel(false);
        let server = Server {
            in_force: Arc::clone(&self.in_force),
            protocol: connection::protocol(),
            closing: watcher,
        };
        let traces = self.in_force.load().shared.traces.clone();
        if let Some(traces) = &traces {
            traces.start();
        }
        self.announce();
        let Listeners {
            tcp,
            unix,
            file,
            probes,
        } = self.listeners;
        // Ends when this does.
        let mut probing = JoinSet::new();
        if let Some(listener) = probes {
            let doors = Doors::open(vec![listener], Vec::new())?;
            probing.spawn(serve::serve_probes(doors, server.clone()));
        }
        let doors = Doors::open(tcp, unix)?;
        serve::serve(doors, file, server, closing, shutdown).await;
        if let Some(traces) = traces {
            // It waits for the collector.
            let _ = tokio::task::spawn_blocking(move || traces.end()).await;
        }
        tracing::info!("stopped");
        Ok(())
    }

    fn announce(&self) {
        for address in self.in_force.addresses() {
            tracing::info!(%address, "listening");
        }
        let live = self.in_force.load();
        for listener in &self.listeners.unix {
            let address = listener.local_addr().ok();
            // The name it was bound under is not the one it has now.
            let path = match &self.listeners.file {
                Some(_) => live.settings.socket.as_deref(),
                None => address.as_ref().and_then(|address| address.as_pathname()),
            };
            let path = path.map(Path::display).map(tracing::field::display);
            tracing::info!(path, "listening");
        }
        if let Some(address) = self.probe_addr() {
            tracing::info!(%address, "probes_listening");
        }
    }
}

/// The sidecar cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting of the sidecar that means nothing.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A setting the verifier refuses.
    #[error("{}: {_0}", _0.code())]
    Config(#[from] ConfigError),
    /// Traces cannot be sent to the collector of the settings.
    #[error("otlp_endpoint: {}", traces::TracesError)]
    Traces,
    /// The address cannot be bound.
    #[error("expected to listen on {address}: {source}")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The unix socket cannot be made.
    #[error("expected to listen on {}: {source}", path.display())]
    Socket {
        /// The path asked for.
        path: PathBuf,
        /// Why not.
        source: SocketError,
    },
    /// What the service manager handed over cannot be served.
    #[error("{_0}")]
    Inherited(#[from] InheritedError),
}

impl StartError {
    fn bind(address: SocketAddr, source: std::io::Error) -> Self {
        Self::Bind { address, source }
    }
}
