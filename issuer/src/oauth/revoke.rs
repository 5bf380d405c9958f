//! `POST /api/v1/oauth/revoke`: takes any token, ends what it stands for.
//!
//! A session's token ends its session, even when the token itself has just expired: who signs out does not
//! want to hear that five minutes are over. A stored service token ends itself: whoever holds it could do so
//! in its name. Tokens that cannot be ended one by one are told so (RFC 7009 §2.2.1).
//!
//! **Invariant:** an unknown token is a success, so the answer tells nothing of what exists.
//!
//! RFC 7009.

use axum::extract::State;
use http::StatusCode;

use super::client::EndpointCaller;
use super::error::OauthError;
use super::form::Form;
use crate::app::Shared;
use crate::db::Id;
use crate::problem::Problem;
use crate::service_token::{commands, identify};
use crate::session;

/// What a presented token stands for.
enum Target {
    Session(Id),
    ServiceToken(Id),
    /// It is ours and live, and ends by itself or in the settings.
    Fixed,
    Nothing,
}

pub(super) async fn revoke(
    State(shared): State<Shared>,
    EndpointCaller(caller): EndpointCaller,
    form: Form,
) -> Result<StatusCode, OauthError> {
    let Some(token) = form.get("token") else {
        return Err(OauthError::invalid_request("expected a token"));
    };
    match target(&shared, token).await? {
        Target::Session(sid) => {
            caller.require("sessions:revoke")?;
            session::revoke::revoke(&shared, &caller, sid).await?;
        }
        Target::ServiceToken(id) => {
            let mut tx = shared.db.begin().await?;
            commands::revoke(&mut tx, id, &caller.actor(), shared.clock.now())
                .await
                .map_err(Problem::from)?;
            tx.commit().await?;
        }
        Target::Fixed => {
            return Err(OauthError::refused(
                "unsupported_token_type",
                "expected a session's token or a stored service token",
            ));
        }
        Target::Nothing => {}
    }
    Ok(StatusCode::OK)
}

async fn target(shared: &Shared, token: &str) -> Result<Target, Problem> {
    if shared.services.identify(token).is_some() {
        return Ok(Target::Fixed);
    }
    if let Some(row) = identify::stored(shared, token).await? {
        return Ok(Target::ServiceToken(row.id));
    }
    if let Some(read) = identify::read(shared, token)? {
        let sid = read.session_id().and_then(Id::parse);
        return Ok(sid.map_or(Target::Fixed, Target::Session));
    }
    let keys = shared.keys.current()?;
    let expired = keys
        .check
        .as_ref()
        .and_then(|check| check.read_expired(token));
    let sid = expired.and_then(|claims| Id::parse(claims.get("sid")?.as_str()?));
    Ok(sid.map_or(Target::Nothing, Target::Session))
}
