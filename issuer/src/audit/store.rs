//! The SQL of audit events.

use super::{Actor, Event};
use crate::clock::Timestamp;
use crate::db::{DEFAULT_TENANT, DbError, Id, Tx};

pub(super) async fn insert(
    tx: &mut Tx,
    actor: &Actor,
    event: &Event<'_>,
    now: Timestamp,
) -> Result<(), DbError> {
    tx.execute(
        "INSERT INTO customer_audit_events (id, tenant_id, occurred_at, actor_kind, actor_id, action, customer_id,
                                            target_kind, target_id, request_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        &[
            Id::new(now).into(),
            DEFAULT_TENANT.into(),
            now.into(),
            actor.kind.as_str().into(),
            (&actor.id).into(),
            event.action.into(),
            event.customer.into(),
            event.target_kind.into(),
            event.target_id.into(),
            actor.request_id.as_deref().into(),
        ],
    )
    .await?;
    Ok(())
}
