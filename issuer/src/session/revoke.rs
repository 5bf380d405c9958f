//! Revoke: takes a session, ends it for every verifier, in one audited transaction.

use super::{SessionRow, store};
use crate::app::Shared;
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
    let session = store::find(&mut tx, sid).await?.ok_or_else(missing)?;
    let is_new = store::end(&mut tx, &session, &caller.actor(), now, "service").await?;
    let session = store::find(&mut tx, sid).await?.ok_or_else(missing)?;
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
