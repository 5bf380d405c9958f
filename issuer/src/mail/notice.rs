//! Notice: tells a customer what was done with its account, at an address of its own.

use std::time::Duration;

use super::{Mail, Outgoing, enqueue};
use crate::app::Shared;
use crate::clock::Timestamp;
use crate::customers::addresses::Address;
use crate::db::Tx;
use crate::problem::Problem;

/// Queues `mail` to the owner of `address`, if there is one; wake the outbox after the commit.
pub(crate) async fn notify(
    shared: &Shared,
    tx: &mut Tx,
    address: Option<&Address>,
    mail: &Mail,
    now: Timestamp,
) -> Result<(), Problem> {
    let Some(address) = address else {
        return Ok(());
    };
    let outgoing = Outgoing {
        to: &address.email,
        customer: Some(address.customer),
        mail,
        expires_at: now.plus(LIFE),
    };
    enqueue(tx, shared.keys.kek.as_ref(), &outgoing, now).await?;
    Ok(())
}

/// How long a notice is worth sending: a mail server may be away over a weekend.
const LIFE: Duration = Duration::from_secs(3 * 86_400);
