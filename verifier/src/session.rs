//! Session: [`Claims`] → [`Session`], wire words become domain words here and nowhere else.
//!
//! **Invariant:** making a session cannot fail: everything was decided before.

use std::ops::Deref;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::claims::{Claims, NumericDate, RawClaims, Stated, Times};
use crate::json::Text;
use crate::key::cache::KeySetFreshness;
use crate::status::StatusFreshness;

/// A validated session: who called, for whom, with what rights, and how sure we are.
///
/// It reads as its [`Facts`] (`session.subject`) and adds how fresh they are; a copy costs a
/// counter.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Session {
    facts: Arc<Facts>,
    /// How old the knowledge behind this verdict is.
    pub freshness: Freshness,
}

/// What the issuer says of a session; the same at every validation of one token.
///
/// Times are Unix seconds. The same names are used in Python and in the sidecar's JSON.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub struct Facts {
    /// `iss`.
    pub issuer: String,
    /// `sub`: the customer's UUID, or the `client_id` of a service. Always there but under
    /// [`Profile::Jwt`](crate::Profile::Jwt), where the issuer may leave it out.
    pub subject: Option<String>,
    /// `aud`, as a list.
    pub audience: Vec<String>,
    /// `client_id`: to whom the token was issued (RFC 9068 §2.2).
    pub client_id: Option<String>,
    /// `sid`: the customer's session; none for a service's own token.
    pub session_id: Option<String>,
    /// `jti`.
    pub token_id: Option<String>,
    /// `tenant_id`.
    pub tenant_id: Option<String>,
    /// `roles`: names; empty when absent.
    pub roles: Vec<String>,
    /// `scope`, split at spaces; empty when absent.
    pub scope: Vec<String>,
    /// `acr`: how the customer authenticated (RFC 9470 §6.2).
    pub acr: Option<String>,
    /// `amr` (RFC 8176); empty when absent.
    pub amr: Vec<String>,
    /// `auth_time`: when the customer authenticated.
    pub auth_time: Option<u64>,
    /// `iat`.
    pub issued_at: Option<u64>,
    /// `exp`: the first second in which the token is dead, leeway aside.
    pub expires_at: u64,
    /// `authz_ver`: version of the customer's role assignments.
    pub authz_ver: Option<u64>,
    claims: Box<str>,
    azp: Option<String>,
    times: Times,
}

impl Deref for Session {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.facts
    }
}

impl Session {
    pub(crate) fn new(
        claims: Claims<'_>,
        key_set: KeySetFreshness,
        status: StatusFreshness,
    ) -> Self {
        Self {
            facts: Arc::new(Facts::new(claims.into_members())),
            freshness: Freshness::new(key_set, status),
        }
    }
}

impl Facts {
    fn new(claims: RawClaims<'_>) -> Self {
        let times = claims.times();
        let seconds = |time: Option<NumericDate>| time.map(NumericDate::unsigned_seconds);
        Self {
            issuer: owned(claims.iss).unwrap_or_default(),
            subject: owned(claims.sub),
            audience: list(claims.aud),
            client_id: owned(claims.client_id),
            session_id: owned(claims.sid),
            token_id: owned(claims.jti),
            tenant_id: owned(claims.tenant_id),
            roles: list(claims.roles),
            scope: claims.scope.map_or_else(Vec::new, |scope| {
                scope
                    .as_str()
                    .split(' ')
                    .filter(|value| !value.is_empty())
                    .map(str::to_owned)
                    .collect()
            }),
            acr: owned(claims.acr),
            amr: list(claims.amr),
            auth_time: seconds(times.auth_time),
            issued_at: seconds(times.iat),
            expires_at: seconds(times.exp).unwrap_or(0),
            authz_ver: seconds(claims.authz_ver),
            claims: claims.text.into(),
            azp: owned(claims.azp),
            times,
        }
    }

    /// The whole claims set as the issuer wrote it, JSON.
    #[must_use]
    pub fn claims_json(&self) -> &str {
        &self.claims
    }

    /// One claim by name; `None` when it is absent or of another type than `T`.
    #[must_use]
    pub fn claim<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let members: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&self.claims).ok()?;
        serde_json::from_value(members.get(name)?.clone()).ok()
    }
}

/// The same answers as the claims gave when they were read.
impl Stated for Facts {
    fn times(&self) -> Times {
        self.times
    }

    fn party(&self) -> Option<&str> {
        self.azp.as_deref().or(self.client_id.as_deref())
    }

    fn tenant(&self) -> Option<&str> {
        self.tenant_id.as_deref()
    }

    fn acr(&self) -> Option<&str> {
        self.acr.as_deref()
    }

    fn has_scope(&self, value: &str) -> bool {
        self.scope.iter().any(|granted| granted == value)
    }

    fn has_role(&self, name: &str) -> bool {
        self.roles.iter().any(|role| role == name)
    }
}

impl Serialize for Session {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let facts = &*self.facts;
        let claims: &RawValue =
            serde_json::from_str(&facts.claims).map_err(serde::ser::Error::custom)?;
        let mut members = serializer.serialize_struct("Session", 17)?;
        members.serialize_field("issuer", &facts.issuer)?;
        members.serialize_field("subject", &facts.subject)?;
        members.serialize_field("audience", &facts.audience)?;
        members.serialize_field("client_id", &facts.client_id)?;
        members.serialize_field("session_id", &facts.session_id)?;
        members.serialize_field("token_id", &facts.token_id)?;
        members.serialize_field("tenant_id", &facts.tenant_id)?;
        members.serialize_field("roles", &facts.roles)?;
        members.serialize_field("scope", &facts.scope)?;
        members.serialize_field("acr", &facts.acr)?;
        members.serialize_field("amr", &facts.amr)?;
        members.serialize_field("auth_time", &facts.auth_time)?;
        members.serialize_field("issued_at", &facts.issued_at)?;
        members.serialize_field("expires_at", &facts.expires_at)?;
        members.serialize_field("authz_ver", &facts.authz_ver)?;
        members.serialize_field("claims", claims)?;
        members.serialize_field("freshness", &self.freshness)?;
        members.end()
    }
}

fn owned(text: Option<Text<'_>>) -> Option<String> {
    text.map(|text| text.0.into_owned())
}

fn list(texts: Option<Vec<Text<'_>>>) -> Vec<String> {
    texts
        .into_iter()
        .flatten()
        .map(|text| text.0.into_owned())
        .collect()
}

/// How old the knowledge behind a verdict is; ages in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Freshness {
    /// Whether the key set is within its lifetime.
    pub key_set: KeySetState,
    /// Since the issuer last confirmed the key set; 0 for keys given as settings.
    pub key_set_age: u64,
    /// Whether revocation was looked up.
    pub status: StatusState,
    /// Age of the status list; none when it was not looked up.
    pub status_age: Option<u64>,
    /// Whether the verdict was remembered from an earlier call.
    pub cached: bool,
}

impl Freshness {
    fn new(key_set: KeySetFreshness, status: StatusFreshness) -> Self {
        Self {
            key_set: key_set.into(),
            key_set_age: key_set.age.as_secs(),
            status: status.into(),
            status_age: status.age().map(|age| age.as_secs()),
            cached: false,
        }
    }
}

impl From<KeySetFreshness> for KeySetState {
    fn from(freshness: KeySetFreshness) -> Self {
        if freshness.is_stale {
            Self::Stale
        } else {
            Self::Fresh
        }
    }
}

/// Whether a key set is within its lifetime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KeySetState {
    /// Within its lifetime.
    Fresh,
    /// Past it, within the stale limit: the issuer could not be reached.
    Stale,
}

impl From<StatusFreshness> for StatusState {
    fn from(freshness: StatusFreshness) -> Self {
        match freshness {
            StatusFreshness::Absent => Self::Absent,
            StatusFreshness::Known { is_stale: true, .. } => Self::Stale,
            StatusFreshness::Known { .. } => Self::Fresh,
        }
    }
}

/// Whether revocation was looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StatusState {
    /// In a list within its age bound.
    Fresh,
    /// In a list past it, as the settings accept: the issuer could not be reached.
    Stale,
    /// No status list was consulted: a revoked session stays good until `exp`.
    Absent,
}
