//! Revoke: takes a session, ends it for every verifier, in one audited transaction.

use super::{SessionRow, store};
use crate::app::Shared;
use crate::audit::{self, Event};
use crate::caller::Caller;
use crate::db::Id;
use crate::problem::{Problem, ProblemCode};
use crate::status_list::PUBLISHED_WITHIN;
use crate::telemetry;

/// Revokes the session `sid`; no error when it was revoked before.
pub(crate) async fn revoke(
    shared: &Shared,
    caller: &Caller,
    sid: Id,
) -> Result<SessionRow, Problem> {
    let missing = || Problem::new(ProblemCode::SessionNotFound);
    let now = shared.clock.now();
    let mut tx = shared.db.begin().await?;
    let is_new = store::revoke(&mut tx, sid, now, caller.client_id(), "service").await?;
    let session = store::find(&mut tx, sid).await?.ok_or_else(missing)?;
    if is_new {
        let id = sid.to_string();
        let event = Event {
            action: "session.revoked",
            customer: Some(session.customer),
            target_kind: "session",
            target_id: &id,
        };
        audit::record(&mut tx, &caller.actor(), &event, now).await?;
    }
    tx.commit().await?;
    if is_new {
        shared.lists.settled(PUBLISHED_WITHIN).await;
        shared.metrics.count(
            telemetry::SESSIONS_REVOKED,
            &[("reason", "service".to_owned())],
        );
    }
    Ok(session)
}
