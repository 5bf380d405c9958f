//! Refresh: takes a refresh token, gives its successor and a new access token, or ends the session.
//!
//! **Invariant:** a generation is rotated once. Whoever presents it again because the answer was lost, or
//! because fifty requests went out at once, gets the same successor; nobody is signed out by a retry.
//! **Invariant:** a token older than that was copied: the session ends, for the thief and for its owner.
//! **Invariant:** the new token is signed before the rotation is committed, so a crash between the two leaves
//! the presented generation good.
//!
//! RFC 9700 §4.14.2 (rotation and its detection of theft).

use super::open::{self, Opened};
use super::progress::{self, Verdict};
use super::refresh_token::{self, Claimed};
use super::{SessionRow, store};
use crate::app::Shared;
use crate::audit::{self, Actor, Event};
use crate::browser::{Page, cookies};
use crate::clock::Timestamp;
use crate::db::Tx;
use crate::problem::{Problem, ProblemCode};
use crate::rate_limit::Class;
use crate::request_id::RequestId;
use crate::status_list::PUBLISHED_WITHIN;
use crate::telemetry;

/// Judges `token` and does what follows.
pub(super) async fn refresh(
    shared: &Shared,
    page: &Page,
    token: Option<&str>,
    request_id: &RequestId,
) -> Result<Opened, Problem> {
    let secrets = shared.secrets()?;
    let claimed = token.and_then(Claimed::parse).ok_or_else(refuse)?;
    // Before anything is charged or held: whoever only knows a session's id spends nothing of its owner's.
    let salt = progress::salt(&shared.db, claimed.session).await?;
    let key = secrets.refresh_key(claimed.session, &salt.ok_or_else(refuse)?);
    if !claimed.is_made_with(&key) {
        return Err(refuse());
    }
    // Who is told to wait keeps the token.
    let account = claimed.session.to_string();
    let limits = &shared.limits;
    limits.check(Class::Refresh, &page.address, Some(&account))?;
    let now = shared.clock.now();
    let mut tx = shared.db.begin().await?;
    let (session, holder) = store::hold(&mut tx, claimed.session)
        .await?
        .ok_or_else(refuse)?;
    let progress = progress::find(&mut tx, session.id)
        .await?
        .ok_or_else(refuse)?;
    let is_over = session.check_live(now).is_err() || holder.check_may_sign_in().is_err();
    if is_over || !shared.settings.flag.admits(session.customer) {
        return Err(refuse());
    }
    let verdict = progress.judge(claimed.generation, now);
    let generation = match verdict {
        Verdict::Rotate => {
            progress::rotate(&mut tx, session.id, progress.generation + 1, now).await?;
            progress.generation + 1
        }
        Verdict::Repeat => {
            progress::replay(&mut tx, session.id, now).await?;
            progress.generation
        }
        Verdict::Burst => progress.generation,
        Verdict::Ahead => return Err(refuse()),
        Verdict::Stolen => {
            let actor = Actor::customer(session.customer, request_id);
            end(shared, tx, &session, &actor, now).await?;
            return Err(refuse());
        }
    };
    let opened = open::again(shared, &mut tx, session, holder, now).await?;
    if verdict != Verdict::Burst {
        audit_refresh(&mut tx, &opened.session, request_id, now).await?;
    }
    tx.commit().await?;
    let successor = refresh_token::make(opened.session.id, generation, &key);
    Ok(opened.with_refresh_token(successor))
}

/// The live session that `token` speaks for at a sign-out; one that was copied ends its session here too, and
/// speaks for no other.
pub(super) async fn owner(
    shared: &Shared,
    token: Option<&str>,
    request_id: &RequestId,
) -> Result<Option<SessionRow>, Problem> {
    let secrets = shared.secrets()?;
    let Some(claimed) = token.and_then(Claimed::parse) else {
        return Ok(None);
    };
    let now = shared.clock.now();
    let Some(salt) = progress::salt(&shared.db, claimed.session).await? else {
        return Ok(None);
    };
    if !claimed.is_made_with(&secrets.refresh_key(claimed.session, &salt)) {
        return Ok(None);
    }
    let mut tx = shared.db.begin().await?;
    let Some((session, _)) = store::hold(&mut tx, claimed.session).await? else {
        return Ok(None);
    };
    let Some(progress) = progress::find(&mut tx, session.id).await? else {
        return Ok(None);
    };
    if session.check_live(now).is_err() {
        return Ok(None);
    }
    match progress.judge(claimed.generation, now) {
        Verdict::Rotate | Verdict::Repeat | Verdict::Burst => Ok(Some(session)),
        Verdict::Ahead => Ok(None),
        Verdict::Stolen => {
            let actor = Actor::customer(session.customer, request_id);
            end(shared, tx, &session, &actor, now).await?;
            Ok(None)
        }
    }
}

async fn audit_refresh(
    tx: &mut Tx,
    session: &SessionRow,
    request_id: &RequestId,
    now: Timestamp,
) -> Result<(), Problem> {
    let id = session.id.to_string();
    let event = Event {
        action: "session.refreshed",
        customer: Some(session.customer),
        target_kind: "session",
        target_id: &id,
    };
    let actor = Actor::customer(session.customer, request_id);
    Ok(audit::record(tx, &actor, &event, now).await?)
}

async fn end(
    shared: &Shared,
    mut tx: Tx,
    session: &SessionRow,
    actor: &Actor,
    now: Timestamp,
) -> Result<(), Problem> {
    store::end(&mut tx, session, actor, now, REUSED).await?;
    tx.commit().await?;
    tracing::warn!(session = %session.id, "refresh_token_reused");
    shared.lists.settled(PUBLISHED_WITHIN).await;
    let labels = [("reason", REUSED.to_owned())];
    shared.metrics.count(telemetry::SESSIONS_REVOKED, &labels);
    Ok(())
}

/// One answer for every cause; the browser forgets what is of no use.
fn refuse() -> Problem {
    Problem::new(ProblemCode::RefreshTokenInvalid).header(cookies::clear_refresh_token())
}

const REUSED: &str = "refresh_token_reused";
