//! `POST /api/v1/oauth/token`: takes a service's secret, gives it a short access token with what it asks for
//! of what it may do.
//!
//! **Invariant:** a token's scope is a part of its client's; its audience is one of ours, by default this
//! issuer's own API, named by its URL.
//!
//! RFC 6749 §4.4; RFC 8707 §2 for `resource`; `audience` is another name of the same.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::PRAGMA;
use http::request::Parts;
use serde::Serialize;
use utoipa::ToSchema;

use super::client;
use super::error::OauthError;
use super::form::Form;
use super::metadata::GRANT_TYPES;
use crate::app::Shared;
use crate::audit::{self, Event};
use crate::caller::Caller;
use crate::db::DEFAULT_TENANT;
use crate::service_token::ServiceClient;
use crate::service_token::identify::Credential;
use crate::telemetry;
use crate::token::service::ServiceGrant;
use crate::token::{self, AccessToken};

/// RFC 6749 §5.1.
#[derive(Serialize, ToSchema)]
#[schema(as = OauthToken)]
pub(super) struct TokenResponse {
    access_token: String,
    token_type: &'static str,
    expires_in: i64,
    scope: String,
}

pub(super) async fn token(
    State(shared): State<Shared>,
    parts: Parts,
    form: Form,
) -> Result<Response, OauthError> {
    let Some(grant_type) = form.get("grant_type") else {
        return Err(OauthError::invalid_request("expected a grant_type"));
    };
    let is_known = GRANT_TYPES.contains(&grant_type);
    let Credential { client, stored } =
        client::authenticate(&shared, &parts.headers, &form).await?;
    // Charged once it has proved itself: nobody else spends what is a service's.
    let caller = Caller::admit(client.clone(), &parts, &shared)?;
    if !is_known {
        return Err(OauthError::refused(
            "unsupported_grant_type",
            "expected client_credentials",
        ));
    }
    let scopes = scopes(&form, &client)?;
    let grant = ServiceGrant {
        issuer: shared.settings.url.clone(),
        audience: audience(&shared, &form)?,
        client_id: client.client_id,
        scopes: scopes.clone(),
        tenant: DEFAULT_TENANT,
        stored,
    };
    let (issued, expires_in) = issue(&shared, &caller, grant).await?;
    let body = TokenResponse {
        access_token: issued.jws,
        token_type: "Bearer",
        expires_in,
        scope: scopes.join(" "),
    };
    let pragma = [(PRAGMA, HeaderValue::from_static("no-cache"))];
    Ok((pragma, Json(body)).into_response())
}

/// Signs by the key that is active in the transaction that records it.
async fn issue(
    shared: &Shared,
    caller: &Caller,
    grant: ServiceGrant,
) -> Result<(AccessToken, i64), OauthError> {
    let now = shared.clock.now();
    let life = shared.settings.token_life;
    let mut tx = shared.db.begin().await?;
    let keys = shared.keys.as_of(&mut tx).await?;
    let work = move || token::service::issue(&keys, &grant, now, life);
    let issued = token::sign(shared, work).await?;
    let event = Event {
        action: "service.token_issued",
        customer: None,
        target_kind: "service_client",
        target_id: caller.client_id(),
    };
    audit::record(&mut tx, &caller.actor(), &event, now).await?;
    tx.commit().await?;
    let acr = "service".to_owned();
    shared
        .metrics
        .count(telemetry::TOKENS_MINTED, &[("acr", acr)]);
    let expires_in = issued.expires_at - now.unix_seconds();
    Ok((issued, expires_in))
}

/// What is asked for, which the client must hold; all it holds, when nothing is.
fn scopes(form: &Form, client: &ServiceClient) -> Result<Vec<String>, OauthError> {
    let Some(asked) = form.get("scope") else {
        return Ok(client.scopes.clone());
    };
    let asked: BTreeSet<&str> = asked.split(' ').filter(|scope| !scope.is_empty()).collect();
    if asked.is_empty() || asked.iter().any(|scope| !client.has(scope)) {
        return Err(OauthError::refused(
            "invalid_scope",
            "expected scopes the client holds",
        ));
    }
    Ok(asked.into_iter().map(str::to_owned).collect())
}

fn audience(shared: &Shared, form: &Form) -> Result<String, OauthError> {
    let ours = &shared.settings.url;
    let (asked, resource) = (form.get("audience"), form.get("resource"));
    let Some(asked) = asked.or(resource) else {
        return Ok(ours.clone());
    };
    let is_known = asked == ours || shared.settings.audiences.iter().any(|known| known == asked);
    if !is_known || resource.is_some_and(|resource| resource != asked) {
        return Err(OauthError::refused(
            "invalid_target",
            "expected one audience of this issuer",
        ));
    }
    Ok(asked.to_owned())
}
