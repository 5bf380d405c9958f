//! Issue: takes a customer and an audience, gives a kept session and its token, in one transaction.
//!
//! **Invariant:** the token is signed by the key that is active in this very transaction: a snapshot that
//! another process has made old is read again first.
//! **Invariant:** signing happens before the commit, so a token that fails leaves no session behind.

use super::{ACR_LEGACY, Holder, SessionRow, store};
use crate::app::Shared;
use crate::audit::{self, Event};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::db::{DEFAULT_TENANT, Id, Tx};
use crate::idempotency::Attempt;
use crate::problem::{Problem, ProblemCode};
use crate::status_list::{self, PUBLISHED_WITHIN, Place};
use crate::telemetry;
use crate::token::claims::Grant;
use crate::token::{self, AccessToken};

/// A session, its token, and whether the session is new.
pub(crate) struct Issued {
    pub(crate) session: SessionRow,
    pub(crate) token: AccessToken,
    pub(crate) is_new: bool,
    pub(crate) now: Timestamp,
}

/// Issues `session`, or a further token for the session an earlier attempt made.
pub(crate) async fn issue(
    shared: &Shared,
    caller: &Caller,
    session: SessionRow,
    attempt: &Attempt<'_>,
) -> Result<Issued, Problem> {
    let now = session.created_at;
    let mut tx = shared.db.begin().await?;
    let earlier = attempt.claim(&mut tx, now).await?;
    let is_new = earlier.is_none();
    let (session, holder) = match earlier {
        Some(id) => hold_live(&mut tx, &id, now).await?,
        None => {
            let holder = store::holder(&mut tx, session.customer).await?;
            let missing = || Problem::new(ProblemCode::CustomerNotFound);
            (session, holder.ok_or_else(missing)?)
        }
    };
    holder.check_may_sign_in()?;
    if is_new {
        keep(&mut tx, caller, &session, now).await?;
    }
    let Signed { token, opened_list } =
        sign(shared, &mut tx, &session, holder, is_new, now).await?;
    tx.commit().await?;
    if opened_list {
        shared.lists.settled(PUBLISHED_WITHIN).await;
    }
    shared
        .metrics
        .count(telemetry::TOKENS_MINTED, &[("acr", session.acr.clone())]);
    Ok(Issued {
        session,
        token,
        is_new,
        now,
    })
}

/// A session for a customer whom the calling service has authenticated, not kept yet.
pub(crate) fn legacy_session(
    shared: &Shared,
    caller: &Caller,
    customer: Id,
    audience: String,
) -> SessionRow {
    let now = shared.clock.now();
    SessionRow {
        id: Id::new(now),
        customer,
        audience,
        client_id: caller.client_id().to_owned(),
        acr: ACR_LEGACY.to_owned(),
        amr: Vec::new(),
        auth_time: now,
        created_at: now,
        expires_at: now.plus(shared.settings.session_life),
        revoked_at: None,
    }
}

/// The session and its customer, held still until the transaction ends: a revocation that comes at the same
/// time waits, and then finds the place whose bit it has to set.
async fn hold_live(tx: &mut Tx, id: &str, now: Timestamp) -> Result<(SessionRow, Holder), Problem> {
    let missing = || Problem::new(ProblemCode::SessionEnded);
    let id = Id::parse(id).ok_or_else(missing)?;
    let (session, holder) = store::hold(tx, id).await?.ok_or_else(missing)?;
    session.check_live(now)?;
    Ok((session, holder))
}

async fn keep(
    tx: &mut Tx,
    caller: &Caller,
    session: &SessionRow,
    now: Timestamp,
) -> Result<(), Problem> {
    store::insert(tx, session).await?;
    let id = session.id.to_string();
    let event = Event {
        action: "session.minted",
        customer: Some(session.customer),
        target_kind: "session",
        target_id: &id,
    };
    audit::record(tx, &caller.actor(), &event, now).await?;
    Ok(())
}

fn grant(shared: &Shared, session: &SessionRow, holder: Holder, place: Place) -> Grant {
    Grant {
        issuer: shared.settings.url.clone(),
        audience: session.audience.clone(),
        client_id: session.client_id.clone(),
        customer: session.customer,
        session: session.id,
        tenant: DEFAULT_TENANT,
        auth_time: session.auth_time,
        acr: session.acr.clone(),
        amr: session.amr.clone(),
        roles: holder.roles,
        authz_ver: holder.authz_ver,
        status: place.reference(&shared.settings.url),
        session_expires_at: session.expires_at,
    }
}

/// A token, and whether a status list was opened for its session: then verifiers do not know it yet.
pub(super) struct Signed {
    pub(super) token: AccessToken,
    pub(super) opened_list: bool,
}

/// Gives `session` its place in a status list and a token, under the key that is active in `tx`.
pub(super) async fn sign(
    shared: &Shared,
    tx: &mut Tx,
    session: &SessionRow,
    holder: Holder,
    is_new: bool,
    now: Timestamp,
) -> Result<Signed, Problem> {
    let shape = shared.list_shape();
    let status = status_list::assign(tx, session.id, is_new, shape, now).await?;
    let keys = shared.keys.as_of(tx).await?;
    let grant = grant(shared, session, holder, status.place);
    let life = shared.settings.token_life;
    let work = move || token::issue(&keys, &grant, now, life);
    Ok(Signed {
        token: token::sign(shared, work).await?,
        opened_list: status.opened,
    })
}
