//! Service: the access token a service gets for its own credentials, and how it is told from a session.
//!
//! **Invariant:** it names its client twice (`sub` = `client_id`) and has no `sid`, `acr`, `auth_time` or
//! `roles`; its scopes are those of services, never `customer`. Whoever requires any of these refuses it.
//! **Invariant:** a client id has no hyphen and at most 32 characters, so it is never a customer's id.
//!
//! RFC 9068 §2.2; RFC 6749 §4.4.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::claims::SCOPE;
use super::selfcheck::ReadToken;
use super::{AccessToken, TokenError, mint, shortened};
use crate::clock::Timestamp;
use crate::db::Id;
use crate::key::KeySnapshot;

/// What a service's token is about.
#[derive(Debug, Clone)]
pub(crate) struct ServiceGrant {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) client_id: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) tenant: Id,
    /// The stored token it was got with, and when that dies: it dies then too.
    pub(crate) stored: Option<(Id, Timestamp)>,
}

/// The payload of a service's token.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ServiceClaims {
    pub(crate) iss: String,
    pub(crate) aud: String,
    pub(crate) sub: String,
    pub(crate) client_id: String,
    pub(crate) iat: i64,
    pub(crate) exp: i64,
    pub(crate) jti: String,
    pub(crate) tenant_id: String,
    pub(crate) scope: String,
    /// The stored token it was got with; none when that was one of the environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) credential_id: Option<String>,
}

/// Whom a service's token names.
#[derive(Debug, Clone)]
pub(crate) struct ServiceIdentity {
    pub(crate) client_id: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) credential: Option<Id>,
}

impl ServiceClaims {
    fn new(grant: &ServiceGrant, now: Timestamp, life: Duration) -> Self {
        let iat = now.unix_seconds();
        let exp = iat + i64::try_from(life.as_secs()).unwrap_or(0);
        Self {
            iss: grant.issuer.clone(),
            aud: grant.audience.clone(),
            sub: grant.client_id.clone(),
            client_id: grant.client_id.clone(),
            iat,
            exp: grant
                .stored
                .map_or(exp, |(_, dies)| exp.min(dies.unix_seconds())),
            jti: Id::new(now).to_string(),
            tenant_id: grant.tenant.to_string(),
            scope: grant.scopes.join(" "),
            credential_id: grant.stored.map(|(id, _)| id.to_string()),
        }
    }
}

impl ServiceIdentity {
    /// The service `session` names; none when it is a customer's, or neither.
    pub(crate) fn of(session: &ReadToken) -> Option<Self> {
        let client_id = session.client_id()?;
        let is_service = session.subject() == Some(client_id)
            && session.session_id().is_none()
            && session.acr().is_none()
            && session.auth_time().is_none()
            && session.roles().len() == 0
            && !session.has_scope(SCOPE);
        if !is_service {
            return None;
        }
        let credential = match session.claim::<Value>("credential_id") {
            None => None,
            Some(Value::String(text)) => Some(Id::parse(&text)?),
            Some(_) => return None,
        };
        Some(Self {
            client_id: client_id.to_owned(),
            scopes: session.scope().map(str::to_owned).collect(),
            credential,
        })
    }
}

/// Signs `grant` with the snapshot's active key and checks the token against the snapshot's set.
pub(crate) fn issue(
    snapshot: &KeySnapshot,
    grant: &ServiceGrant,
    now: Timestamp,
    life: Duration,
) -> Result<AccessToken, TokenError> {
    let (Some(key), Some(check)) = (&snapshot.active, &snapshot.check) else {
        return Err(TokenError::NoKey);
    };
    let claims = ServiceClaims::new(grant, now, shortened(life));
    let jws = mint::mint(&claims, key)?;
    check.check_service(&jws, &claims)?;
    Ok(AccessToken {
        jws,
        expires_at: claims.exp,
    })
}
