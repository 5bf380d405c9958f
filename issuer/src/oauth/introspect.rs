//! `POST /api/v1/oauth/introspect`: takes any token, says whether it is live this instant and what it says.
//!
//! **Invariant:** asked of the database at every call: a revoked session, a suspended or erased customer, a
//! dead service token is inactive at once (hazard I8).
//! **Invariant:** an inactive token is `{"active": false}` and nothing else, whatever it is or was; what cannot
//! be decided is a 503, never inactive.
//!
//! RFC 7662.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::client::EndpointCaller;
use super::error::OauthError;
use super::form::Form;
use crate::app::Shared;
use crate::db::Id;
use crate::problem::Problem;
use crate::service_token::identify;
use crate::session;
use crate::token::selfcheck::ReadToken;
use crate::token::service::ServiceIdentity;

pub(super) async fn introspect(
    State(shared): State<Shared>,
    EndpointCaller(caller): EndpointCaller,
    form: Form,
) -> Result<Response, OauthError> {
    caller.require("sessions:introspect")?;
    let Some(token) = form.get("token") else {
        return Err(OauthError::invalid_request("expected a token"));
    };
    let said = match service_token(&shared, token).await? {
        Some(said) => Some(said),
        None => access_token(&shared, token).await?,
    };
    let Some(mut said) = said else {
        return Ok(Json(json!({ "active": false })).into_response());
    };
    said.insert("active".to_owned(), json!(true));
    said.insert("token_type".to_owned(), json!("Bearer"));
    Ok(Json(said).into_response())
}

/// What there is to say of a live service token.
async fn service_token(
    shared: &Shared,
    token: &str,
) -> Result<Option<Map<String, Value>>, Problem> {
    if let Some(client) = shared.services.identify(token) {
        return Ok(Some(Map::from_iter([
            ("iss".to_owned(), json!(shared.settings.url)),
            ("sub".to_owned(), json!(client.client_id)),
            ("client_id".to_owned(), json!(client.client_id)),
            ("scope".to_owned(), json!(client.scopes.join(" "))),
        ])));
    }
    // To look at a token is not to use it.
    let row = identify::stored(shared, token).await?;
    let Some(row) = row.filter(|row| row.is_live(shared.clock.now())) else {
        return Ok(None);
    };
    Ok(Some(Map::from_iter([
        ("iss".to_owned(), json!(shared.settings.url)),
        ("sub".to_owned(), json!(row.client_id)),
        ("client_id".to_owned(), json!(row.client_id)),
        ("scope".to_owned(), json!(row.scopes.join(" "))),
        ("iat".to_owned(), json!(row.created_at.unix_seconds())),
        ("exp".to_owned(), json!(row.expires_at.unix_seconds())),
    ])))
}

/// What a live access token says.
async fn access_token(shared: &Shared, token: &str) -> Result<Option<Map<String, Value>>, Problem> {
    let Some(read) = identify::read(shared, token)? else {
        return Ok(None);
    };
    // Here the issuer's own clock speaks: no leeway.
    let now = shared.clock.now();
    if i64::try_from(read.expires_at()).is_ok_and(|exp| exp <= now.unix_seconds()) {
        return Ok(None);
    }
    let mut said: Map<String, Value> =
        serde_json::from_str(read.claims_json()).map_err(Problem::fault)?;
    if let Some(service) = ServiceIdentity::of(&read) {
        let Some(client) = identify::live(shared, &service).await? else {
            return Ok(None);
        };
        said.insert("scope".to_owned(), json!(client.scopes.join(" ")));
        return Ok(Some(said));
    }
    Ok(is_live(shared, &read).await?.then_some(said))
}

async fn is_live(shared: &Shared, read: &ReadToken) -> Result<bool, Problem> {
    let id = |text: Option<&str>| text.and_then(Id::parse);
    let (Some(sid), Some(customer)) = (id(read.session_id()), id(read.subject())) else {
        return Ok(false);
    };
    let now = shared.clock.now();
    Ok(session::is_live(&shared.db, sid, customer, now).await?)
}
