//! Health: takes the state of database and keys, answers `/livez`, `/readyz`, `/metrics` and `/`.
//!
//! **Invariant:** ready means that a mint would work: a write is accepted, every migration is applied,
//! a usable active key was confirmed within seconds; and that due mails are tried. Nothing here needs a caller's token, so nothing
//! here tells more than that.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::Shared;
use crate::db::migrate;
use crate::{mail, telemetry};

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(crate) struct Readiness {
    ready: bool,
    database: bool,
    migrations: bool,
    keys: bool,
    mail: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Liveness {
    live: bool,
}

/// `GET /livez`: the process answers.
pub(crate) async fn live() -> Response {
    ([(CACHE_CONTROL, "no-store")], Json(Liveness { live: true })).into_response()
}

/// `GET /readyz`: 200 when a mint would work, else 503 and what is missing.
pub(crate) async fn ready(State(shared): State<Shared>) -> Response {
    let readiness = check(&shared).await;
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, [(CACHE_CONTROL, "no-store")], Json(readiness)).into_response()
}

/// `GET /metrics`: Prometheus text.
pub(crate) async fn metrics(State(shared): State<Shared>) -> Response {
    if let Ok(keys) = shared.keys.current() {
        shared
            .metrics
            .set(telemetry::KEY_SET_GENERATION, keys.generation);
    }
    let waited = shared.progress.age(&*shared.clock).as_secs();
    shared.metrics.set(
        telemetry::AUDIT_UNCHAINED_AGE,
        i64::try_from(waited).unwrap_or(i64::MAX),
    );
    let (waiting, at_work) = shared.mints.waiting_and_at_work();
    for (name, count) in [
        (telemetry::MINTS_WAITING, waiting),
        (telemetry::MINTS_AT_WORK, at_work),
    ] {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        shared.metrics.set(name, count);
    }
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        shared.metrics.render(),
    )
        .into_response()
}

/// `GET /`: a page for people who found the port.
pub(crate) async fn page(State(shared): State<Shared>) -> Response {
    let readiness = check(&shared).await;
    let state = if readiness.ready {
        "ready"
    } else {
        "not ready"
    };
    let keys = shared.keys.current().map_or(0, |keys| keys.generation);
    // Nothing in the page comes from a request; the URL was validated to need no escaping.
    let html = PAGE
        .replace("{issuer}", &shared.settings.url)
        .replace("{version}", env!("CARGO_PKG_VERSION"))
        .replace("{state}", state)
        .replace("{flag}", &shared.settings.flag.to_string())
        .replace("{generation}", &keys.to_string());
    let headers = [
        (CACHE_CONTROL, "no-store"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'",
        ),
    ];
    (headers, Html(html)).into_response()
}

/// The last finding and when it was made, so that whoever reaches the port cannot keep the database busy
/// with probes: one probe a second, however many ask.
#[derive(Debug, Default)]
pub(crate) struct ReadinessCache(tokio::sync::Mutex<Option<(Duration, Readiness)>>);

async fn check(shared: &Shared) -> Readiness {
    let mut last = shared.readiness.0.lock().await;
    let now = shared.clock.monotonic();
    match *last {
        Some((at, readiness)) if now.saturating_sub(at) < PROBE_EVERY => readiness,
        _ => {
            let readiness = probe(shared).await;
            *last = Some((now, readiness));
            readiness
        }
    }
}

async fn probe(shared: &Shared) -> Readiness {
    let database = shared.db.check_writable().await.is_ok();
    let migrations = migrate::pending(&shared.db)
        .await
        .is_ok_and(|pending| pending.is_empty());
    let keys = shared.keys.is_ready();
    let mail = mail::is_keeping_up(&shared.db, shared.clock.now())
        .await
        .unwrap_or(false);
    Readiness {
        ready: database && migrations && keys && mail,
        database,
        migrations,
        keys,
        mail,
    }
}

const PROBE_EVERY: Duration = Duration::from_secs(1);
const PAGE: &str = include_str!("page.html");
