//! Session: [`Claims`] → [`Session`], wire words become domain words here and nowhere else.
//!
//! **Invariant:** making a session cannot fail: everything was decided before.

use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::claims::{Claims, RawClaims};
use crate::json::Text;
use crate::key::cache::KeySetFreshness;

/// A validated session: who called, for whom, with what rights, and how sure we are.
///
/// Times are Unix seconds. The same names are used in Python and in the sidecar's JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Session {
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
    claims: ClaimsText,
    /// How old the knowledge behind this verdict is.
    pub freshness: Freshness,
}

impl Session {
    pub(crate) fn new(claims: Claims<'_>, key_set: KeySetFreshness) -> Self {
        let claims: RawClaims<'_> = claims.into_members();
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
            auth_time: claims.auth_time.map(|time| time.unsigned_seconds()),
            issued_at: claims.iat.map(|time| time.unsigned_seconds()),
            expires_at: claims.exp.map_or(0, |time| time.unsigned_seconds()),
            authz_ver: claims.authz_ver.map(|version| version.unsigned_seconds()),
            claims: ClaimsText(claims.text.into()),
            freshness: Freshness {
                key_set: if key_set.is_stale {
                    KeySetState::Stale
                } else {
                    KeySetState::Fresh
                },
                key_set_age: key_set.age.as_secs(),
                status: StatusState::Absent,
                status_age: None,
                cached: false,
            },
        }
    }

    /// The whole claims set as the issuer wrote it, JSON.
    #[must_use]
    pub fn claims_json(&self) -> &str {
        &self.claims.0
    }

    /// One claim by name; `None` when it is absent or of another type than `T`.
    #[must_use]
    pub fn claim<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let members: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&self.claims.0).ok()?;
        serde_json::from_value(members.get(name)?.clone()).ok()
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

/// Whether revocation was looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StatusState {
    /// No status list was consulted: a revoked session stays good until `exp`.
    Absent,
}

/// A JSON object that was validated, kept as text.
#[derive(Debug, Clone, PartialEq)]
struct ClaimsText(Box<str>);

impl Serialize for ClaimsText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}
