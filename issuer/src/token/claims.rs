//! Claims: the Claims Set we write.
//!
//! **Invariant:** `iss` comes from the settings, never from a request; `sub` is an id, never an address.
//!
//! RFC 9068 §2.2; contract §1; Token Status List §6.2 for `status`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::db::Id;

/// What a token is about.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) client_id: String,
    pub(crate) customer: Id,
    pub(crate) session: Id,
    pub(crate) tenant: Id,
    pub(crate) auth_time: Timestamp,
    pub(crate) acr: String,
    pub(crate) amr: Vec<String>,
    pub(crate) roles: Vec<String>,
    pub(crate) authz_ver: i64,
    /// Where to look whether the session is revoked.
    pub(crate) status: StatusReference,
    /// The token dies with its session.
    pub(crate) session_expires_at: Timestamp,
}

/// The payload of an access token.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) aud: String,
    pub(crate) sub: String,
    pub(crate) client_id: String,
    pub(crate) iat: i64,
    pub(crate) exp: i64,
    pub(crate) jti: String,
    pub(crate) sid: String,
    pub(crate) auth_time: i64,
    pub(crate) acr: String,
    pub(crate) amr: Vec<String>,
    pub(crate) tenant_id: String,
    pub(crate) scope: &'static str,
    pub(crate) roles: Vec<String>,
    pub(crate) authz_ver: i64,
    pub(crate) status: Status,
}

/// The claim `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) status_list: StatusReference,
}

/// A place in a status list, and where the list is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StatusReference {
    pub(crate) idx: i64,
    pub(crate) uri: String,
}

impl Claims {
    /// The claims of a token for `grant` that lives for `life` from `now`.
    pub(crate) fn new(grant: &Grant, now: Timestamp, life: Duration) -> Self {
        let iat = now.unix_seconds();
        let life = i64::try_from(life.as_secs()).unwrap_or(0);
        Self {
            iss: grant.issuer.clone(),
            aud: grant.audience.clone(),
            sub: grant.customer.to_string(),
            client_id: grant.client_id.clone(),
            iat,
            exp: (iat + life).min(grant.session_expires_at.unix_seconds()),
            jti: Id::new(now).to_string(),
            sid: grant.session.to_string(),
            auth_time: grant.auth_time.unix_seconds(),
            acr: grant.acr.clone(),
            amr: grant.amr.clone(),
            tenant_id: grant.tenant.to_string(),
            scope: SCOPE,
            roles: grant.roles.clone(),
            authz_ver: grant.authz_ver,
            status: Status {
                status_list: grant.status.clone(),
            },
        }
    }
}

/// A customer session acts for its customer; what that customer may do is in its roles.
pub(crate) const SCOPE: &str = "customer";
