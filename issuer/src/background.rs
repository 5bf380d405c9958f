//! Background: what an issuer does beside answering, for as long as anyone polls it.
//!
//! **Invariant:** nothing here is spawned, so nothing outlives [`crate::App::serve`].

use std::convert::Infallible;
use std::time::Duration;

use crate::app::Shared;
use crate::db::DbError;
use crate::key::keyring::POLL;
use crate::status_list::{self, Publisher};
use crate::{audit, email, idempotency, mail, telemetry, webauthn};

/// Does all of it.
pub(crate) async fn run(shared: &Shared, publisher: Publisher) -> Infallible {
    tokio::select! {
        never = watch_keys(shared) => never,
        never = publisher.run(shared) => never,
        never = status_list::follow(shared) => never,
        never = write_sightings(shared) => never,
        never = mail::run(shared) => never,
        never = write_uses(shared) => never,
        never = audit::run(shared) => never,
        never = sweep(shared) => never,
    }
}

/// Follows key changes of other processes.
async fn watch_keys(shared: &Shared) -> Infallible {
    loop {
        tokio::time::sleep(POLL).await;
        let outcome = match shared.keys.poll().await {
            Ok(false) => continue,
            Ok(true) => {
                shared.lists.wake();
                "changed"
            }
            Err(error) => {
                tracing::warn!(
                    error = crate::problem::chain(&error),
                    "key set cannot be confirmed"
                );
                "failed"
            }
        };
        shared.metrics.count(
            telemetry::KEY_SET_RELOADS,
            &[("outcome", outcome.to_owned())],
        );
    }
}

/// Writes down which verifiers asked for the key set.
async fn write_sightings(shared: &Shared) -> Infallible {
    loop {
        tokio::time::sleep(SIGHTINGS).await;
        let silent_since = shared.keys.timing.silent_since(shared.clock.now());
        let written = shared.sightings.flush(&shared.db, silent_since).await;
        report(written, "sightings of verifiers cannot be written");
    }
}

/// Writes down which stored service tokens were used.
async fn write_uses(shared: &Shared) -> Infallible {
    loop {
        tokio::time::sleep(USES).await;
        let written = shared.uses.flush(&shared.db).await;
        report(written, "uses of service tokens cannot be written");
    }
}

/// Removes what nobody needs any more: expired idempotency keys and challenges, places of retired
/// status lists, expired proofs of addresses.
async fn sweep(shared: &Shared) -> Infallible {
    loop {
        let swept = idempotency::sweep(&shared.db, shared.clock.now()).await;
        report(swept, "expired idempotency keys cannot be removed");
        let swept = webauthn::sweep(&shared.db, shared.clock.now()).await;
        report(swept, "expired challenges cannot be removed");
        let swept = status_list::sweep(&shared.db).await;
        report(swept, "places of retired status lists cannot be removed");
        let swept = email::sweep(&shared.db, shared.clock.now()).await;
        report(swept, "expired proofs of addresses cannot be removed");
        tokio::time::sleep(SWEEP).await;
    }
}

fn report(done: Result<(), DbError>, what: &'static str) {
    if let Err(error) = done {
        tracing::warn!(error = crate::problem::chain(&error), "{what}");
    }
}

/// How often sightings are written: other replicas see them that much later.
const SIGHTINGS: Duration = Duration::from_secs(1);
/// How often uses of service tokens are looked through; each is written once a minute.
const USES: Duration = Duration::from_secs(1);
/// How often expired rows are removed; nothing that counts waits for it.
const SWEEP: Duration = Duration::from_secs(60);
