//! Notice: tells a customer what was done with its account, at its own address.

use std::time::Duration;

use super::{Mail, Outgoing, enqueue};
use crate::app::Shared;
use crate::clock::Timestamp;
use crate::customers::addresses;
use crate::db::{Id, Tx};
use crate::problem::Problem;

/// Queues `mail` to the customer, if it has an address; wake the outbox after the commit.
pub(crate) async fn notify(
    shared: &Shared,
    tx: &mut Tx,
    customer: Id,
    mail: &Mail,
    now: Timestamp,
) -> Result<(), Problem> {
    let Some(address) = addresses::primary(tx, customer).await? else {
        return Ok(());
    };
    let outgoing = Outgoing {
        to: &address.email,
        customer: Some(customer),
        mail,
        expires_at: now.plus(LIFE),
    };
    enqueue(tx, shared.keys.kek.as_ref(), &outgoing, now).await?;
    Ok(())
}

/// How long a notice is worth sending.
const LIFE: Duration = Duration::from_secs(86_400);
