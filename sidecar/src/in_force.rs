//! In force: the settings requests are answered by, replaced as a whole.
//!
//! **Invariant:** a request sees one set of settings from its head to its answer. Nothing of the
//! old stays behind once its last request is answered, its verifier included.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use queue_verifier::{Clock, Verifier};
use tokio::sync::watch;

use crate::guard::Guard;
use crate::metrics::Metrics;
use crate::report::Origin;
use crate::request_id::RequestIds;
use crate::router;
use crate::settings::{Settings, SettingsError};
use crate::shared::Shared;
use crate::traces::Traces;

/// One set of settings and what was made of it.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) settings: Settings,
    pub(crate) shared: Arc<Shared>,
    pub(crate) router: Router,
    pub(crate) probes: Router,
}

impl Live {
    /// Whether a process of this user and group may use the unix socket: everybody its mode lets
    /// in, or those listed.
    pub(crate) fn is_peer_allowed(&self, uid: u32, gid: u32) -> bool {
        let (uids, gids) = (
            &self.settings.socket_allow_uid,
            &self.settings.socket_allow_gid,
        );
        (uids.is_empty() && gids.is_empty()) || uids.contains(&uid) || gids.contains(&gid)
    }
}

/// The set in force, and what outlives it.
#[derive(Debug)]
pub(crate) struct InForce {
    live: ArcSwap<Live>,
    /// Counts the sets so far.
    generation: watch::Sender<u64>,
    process: Process,
}

/// What no reload touches.
#[derive(Debug)]
struct Process {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    addresses: Vec<SocketAddr>,
    began: (Duration, u64),
    request_ids: Arc<RequestIds>,
    traces: Option<Arc<Traces>>,
    has_been_ready: Arc<AtomicBool>,
    is_draining: Arc<AtomicBool>,
}

impl Process {
    fn live(&self, settings: &Settings, verifier: Verifier) -> Result<Live, SettingsError> {
        if settings.shadow {
            tracing::warn!("shadow_mode");
        }
        let (began, began_at) = self.began;
        let shared = Arc::new(Shared {
            verifier,
            origin: Origin::new(settings, began, began_at),
            request_ids: Arc::clone(&self.request_ids),
            traces: self.traces.clone(),
            clock: Arc::clone(&self.clock),
            metrics: Arc::clone(&self.metrics),
            guard: Guard::new(&self.addresses, &settings.hosts),
            cookie: settings.cookie.clone(),
            callers: settings.introspect_callers.clone(),
            envoy: settings.envoy_requirement()?,
            issuers: settings.audiences(),
            deadline: settings.deadline,
            max_in_flight: settings.max_in_flight,
            is_shadow: settings.shadow,
            has_been_ready: Arc::clone(&self.has_been_ready),
            is_draining: Arc::clone(&self.is_draining),
        });
        Ok(Live {
            settings: settings.clone(),
            router: router::router(Arc::clone(&shared)),
            probes: router::probes(Arc::clone(&shared)),
            shared,
        })
    }
}

impl InForce {
    /// The first set, of a sidecar that listens on `addresses`.
    pub(crate) fn new(
        settings: &Settings,
        verifier: Verifier,
        clock: Arc<dyn Clock>,
        addresses: Vec<SocketAddr>,
        traces: Option<Traces>,
    ) -> Result<Self, SettingsError> {
        let began = (clock.monotonic(), clock.now());
        let process = Process {
            clock,
            metrics: Arc::new(Metrics::new()),
            addresses,
            began,
            request_ids: Arc::new(RequestIds::new(began.1)),
            traces: traces.map(Arc::new),
            has_been_ready: Arc::new(AtomicBool::new(false)),
            is_draining: Arc::new(AtomicBool::new(false)),
        };
        Ok(Self {
            live: ArcSwap::from_pointee(process.live(settings, verifier)?),
            generation: watch::Sender::new(0),
            process,
        })
    }

    pub(crate) fn load(&self) -> Arc<Live> {
        self.live.load_full()
    }

    /// From here on requests are answered by `settings` and `verifier`.
    ///
    /// # Errors
    /// When a setting is wrong; nothing has changed then.
    pub(crate) fn replace(
        &self,
        settings: &Settings,
        verifier: Verifier,
    ) -> Result<(), SettingsError> {
        let live = self.process.live(settings, verifier)?;
        self.live.store(Arc::new(live));
        self.generation.send_modify(|generation| *generation += 1);
        Ok(())
    }

    pub(crate) fn constants(&self) -> (Arc<dyn Clock>, Arc<Metrics>) {
        let Process { clock, metrics, .. } = &self.process;
        (Arc::clone(clock), Arc::clone(metrics))
    }

    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.process.addresses
    }

    /// How long a connection may take for a head, and rest.
    pub(crate) fn patience(&self) -> (Duration, Duration) {
        let settings = &self.load().settings;
        (settings.header_timeout, settings.idle_timeout)
    }

    /// Waits until what is in force can judge tokens, whatever is put in force meanwhile.
    pub(crate) async fn ready(&self) {
        let mut generation = self.generation.subscribe();
        loop {
            let verifier = self.load().shared.verifier.clone();
            tokio::select! {
                () = verifier.ready() => break,
                _ = generation.changed() => {}
            }
        }
        self.process.has_been_ready.store(true, Relaxed);
    }

    pub(crate) fn start_draining(&self) {
        self.process.is_draining.store(true, Relaxed);
    }
}
