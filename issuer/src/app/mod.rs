//! App: takes settings and a clock, gives an issuer that listens, serves and drains.
//!
//! **Invariant:** settings, database, migrations and keys are sound before a port is bound.
//! **Invariant:** no task outlives [`App::serve`]: listeners and the background are joined in it.

mod opening;

use std::convert::Infallible;
use std::future::pending;
use std::net::{SocketAddr, TcpListener};
use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum_server::Handle;
use hyper_util::rt::TokioTimer;
use tokio::sync::Semaphore;

use crate::audit;
use crate::background;
use crate::caller::Caller;
use crate::clock::Clock;
use crate::db::Db;
use crate::health::ReadinessCache;
use crate::idempotency::{Attempt, IdempotencyKey};
use crate::key::Keyring;
use crate::mail::Outbox;
use crate::rate_limit::Limits;
use crate::router;
use crate::secret::Secrets;
use crate::service_token::{ServiceTokens, Uses};
use crate::session::Mints;
use crate::settings::{Settings, SettingsError};
use crate::sighting::Sightings;
use crate::status_list::{Lists, Publisher, Shape};
use crate::telemetry::Metrics;
use crate::webauthn::RelyingParty;

pub(crate) use opening::{connect, database, key_error, open_existing};

/// An issuer whose ports are bound and that does not answer yet.
pub struct App {
    shared: Shared,
    publisher: Publisher,
    public: TcpListener,
    operators: TcpListener,
    public_addr: SocketAddr,
    ops_addr: SocketAddr,
}

/// Why an issuer does not start or stops.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// A setting is wrong, or does not fit the database; exit code 64.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The database cannot be opened or migrated.
    #[error("the database cannot be used: {0}")]
    Database(String),
    /// The signing keys cannot be read or made.
    #[error("the signing keys cannot be used: {0}")]
    Keys(String),
    /// A listener cannot be bound or failed.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

impl AppError {
    /// What the process should exit with: 64 (`EX_USAGE`) for settings, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if matches!(self, Self::Settings(_)) {
            64
        } else {
            1
        }
    }
}

/// What every request handler can reach.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Parts>);

/// The parts of a running issuer.
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) db: Db,
    pub(crate) keys: Arc<Keyring>,
    pub(crate) lists: Lists,
    pub(crate) sightings: Sightings,
    pub(crate) progress: audit::Progress,
    pub(crate) services: ServiceTokens,
    /// None without a key-encryption key: then nobody signs in.
    pub(crate) secrets: Option<Secrets>,
    pub(crate) outbox: Outbox,
    pub(crate) uses: Uses,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Limits,
    /// None where the issuer is a bare address: then there are no passkeys.
    pub(crate) relying_party: Option<RelyingParty>,
    pub(crate) readiness: ReadinessCache,
    /// One permit a core: more signatures at once only wait for each other.
    pub(crate) signers: Semaphore,
    pub(crate) cores: usize,
    pub(crate) mints: Mints,
}

impl Deref for Shared {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Shared {
    /// A creating request by `caller`, whose resource will be called `resource_id`.
    pub(crate) fn attempt<'a>(
        &self,
        key: &'a IdempotencyKey,
        caller: &'a Caller,
        route: &'static str,
        request_hash: [u8; 32],
        resource_id: &'a str,
    ) -> Attempt<'a> {
        let life = self.settings.idempotency_life;
        Attempt {
            key,
            client_id: caller.client_id(),
            route,
            request_hash,
            resource_id,
            life,
        }
    }

    /// How a new status list is made.
    pub(crate) fn list_shape(&self) -> Shape {
        Shape {
            size: self.settings.status_list_size,
            longest: self.settings.session_life + self.settings.leeway,
        }
    }
}

impl App {
    /// Opens and migrates the database, makes sure there is a signing key, signs the status lists, binds
    /// both ports.
    ///
    /// # Errors
    /// See [`AppError`].
    pub async fn build(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, AppError> {
        let (db, keys) = opening::open(&settings, &clock).await?;
        let services = ServiceTokens::new(&settings.callers)
            .map_err(|_| AppError::Keys("no randomness".to_owned()))?;
        if settings.callers.is_empty() {
            tracing::warn!("no service caller is configured: set QUEUE_SERVICE_TOKEN_<NAME>");
        }
        let (public, public_addr) = bind(settings.listen)?;
        let (operators, ops_addr) = bind(settings.ops_listen)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let lists = Lists::new(&settings);
        let secrets = keys.kek.as_ref().map(Secrets::new);
        if secrets.is_none() {
            tracing::warn!("no customer can sign in: set QUEUE_ISSUER_KEK");
        }
        let outbox = Outbox::new(&settings)?;
        let metrics = Arc::new(Metrics::new());
        let limits = Limits::new(&settings.rates, Arc::clone(&clock), Arc::clone(&metrics));
        let progress = audit::Progress::new(&*clock);
        let relying_party = RelyingParty::of(&settings)
            .map_err(|error| SettingsError::new("QUEUE_ISSUER_RP_ID (rp_id)", error.to_string()))?;
        if relying_party.is_none() {
            tracing::warn!("no passkeys: the issuer's URL has no domain; set QUEUE_ISSUER_RP_ID");
        }
        let parts = Parts {
            settings,
            clock,
            db,
            keys: Arc::new(keys),
            lists,
            sightings: Sightings::default(),
            progress,
            services,
            secrets,
            outbox,
            uses: Uses::default(),
            metrics,
            limits,
            relying_party,
            readiness: ReadinessCache::default(),
            signers: Semaphore::new(cores),
            cores,
            mints: Mints::default(),
        };
        let shared = Shared(Arc::new(parts));
        let mut publisher = Publisher::default();
        publisher
            .pass(&shared)
            .await
            .map_err(|error| database(&error))?;
        Ok(Self {
            shared,
            publisher,
            public,
            operators,
            public_addr,
            ops_addr,
        })
    }

    /// Where the public listener is bound.
    #[must_use]
    pub fn public_addr(&self) -> SocketAddr {
        self.public_addr
    }

    /// Where the operators' listener is bound.
    #[must_use]
    pub fn ops_addr(&self) -> SocketAddr {
        self.ops_addr
    }

    /// Answers requests until `shutdown` completes, then finishes those under way.
    ///
    /// # Errors
    /// [`AppError::Listen`] when a listener fails.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), AppError> {
        let shared = self.shared;
        let (public, operators) = (Handle::new(), Handle::new());
        let serving = async {
            tokio::try_join!(
                listen(
                    self.public,
                    self.public_addr,
                    router::public(&shared),
                    &public,
                    &shared
                ),
                listen(
                    self.operators,
                    self.ops_addr,
                    router::operators(&shared),
                    &operators,
                    &shared
                ),
            )
        };
        let stop = async {
            shutdown.await;
            tracing::info!("draining");
            shared.lists.drain();
            let limit = Some(shared.settings.drain_timeout);
            public.graceful_shutdown(limit);
            operators.graceful_shutdown(limit);
            pending::<Infallible>().await
        };
        tracing::info!(public = %self.public_addr, operators = %self.ops_addr, "listening");
        let served = tokio::select! {
            served = serving => served.map(drop),
            never = stop => match never {},
            never = background::run(&shared, self.publisher) => match never {},
        };
        shared.mints.end().await;
        shared.outbox.close().await;
        shared.db.close().await;
        served
    }
}

fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), AppError> {
    let listen = |source| AppError::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(listen)?;
    listener.set_nonblocking(true).map_err(listen)?;
    let bound = listener.local_addr().map_err(listen)?;
    Ok((listener, bound))
}

/// Serves one listener. `axum::serve` has no limit on how long a client may take to send its first line,
/// so a few slow clients would hold every connection; this server has.
async fn listen(
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    handle: &Handle<SocketAddr>,
    shared: &Shared,
) -> Result<(), AppError> {
    let failed = |source| AppError::Listen { address, source };
    let timeout = shared.settings.header_timeout;
    let mut server = axum_server::from_tcp(listener)
        .map_err(failed)?
        .http1_only()
        .handle(handle.clone());
    server
        .http_builder()
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(timeout)
        .max_buf_size(MAX_HEAD);
    server
        .serve(router.into_make_service_with_connect_info::<SocketAddr>())
        .await
        .map_err(failed)
}

/// Longest head of a request.
const MAX_HEAD: usize = 32 * 1024;
