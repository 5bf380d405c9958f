//! Session: [`Claims`] → [`Session`], wire words become domain words here and nowhere else.
//!
//! **Invariant:** making a session cannot fail: everything was decided before.

mod facts;

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::claims::{Claims, NumericDate, Stated};
use crate::error::Error;
use crate::key::KeyError;
use crate::key::cache::KeySetFreshness;
use crate::policy::{Require, ValidationPolicy};
use crate::status::{StatusError, StatusFreshness};
use facts::Facts;
pub(crate) use facts::JudgedBy;

/// A validated session: who called, for whom, with what rights, and how sure we are.
///
/// Times are Unix seconds. The same names are used in Python and in the sidecar's JSON. A copy
/// costs a counter.
#[derive(Clone, PartialEq)]
pub struct Session {
    facts: Arc<Facts>,
    freshness: Freshness,
}

impl Session {
    pub(crate) fn new(claims: &Claims<'_>, judged_by: JudgedBy, freshness: Freshness) -> Self {
        Self {
            facts: Arc::new(Facts::new(claims.members(), judged_by)),
            freshness,
        }
    }

    /// This session, validated again as far as it can have changed.
    pub(crate) fn recalled(mut self, freshness: Freshness) -> Self {
        self.freshness = Freshness {
            cached: true,
            ..freshness
        };
        self
    }

    pub(crate) fn judged_by(&self) -> &JudgedBy {
        &self.facts.judged_by
    }

    pub(crate) fn stated(&self) -> &dyn Stated {
        &*self.facts
    }

    /// `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.text(self.facts.issuer).unwrap_or_default()
    }

    /// `sub`: the customer's UUID, or the `client_id` of a service. Always there but under
    /// [`Profile::Jwt`](crate::Profile::Jwt), where the issuer may leave it out.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.text(self.facts.subject)
    }

    /// `aud`, as a list.
    pub fn audience(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.facts.list(self.facts.audience)
    }

    /// `client_id`: to whom the token was issued (RFC 9068 §2.2).
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.text(self.facts.client_id)
    }

    /// `sid`: the customer's session; none for a service's own token.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.text(self.facts.session_id)
    }

    /// `jti`.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.text(self.facts.token_id)
    }

    /// `tenant_id`.
    #[must_use]
    pub fn tenant_id(&self) -> Option<&str> {
        self.text(self.facts.tenant_id)
    }

    /// `roles`: names; empty when absent.
    pub fn roles(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.facts.list(self.facts.roles)
    }

    /// Whether [`Self::roles`] has `name`.
    #[must_use]
    pub fn has_role(&self, name: &str) -> bool {
        self.facts.has_role(name)
    }

    /// `scope`, split at spaces; empty when absent.
    pub fn scope(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.facts.list(self.facts.scope)
    }

    /// Whether [`Self::scope`] has `value`.
    #[must_use]
    pub fn has_scope(&self, value: &str) -> bool {
        self.facts.has_scope(value)
    }

    /// `acr`: how the customer authenticated (RFC 9470 §6.2).
    #[must_use]
    pub fn acr(&self) -> Option<&str> {
        self.text(self.facts.acr)
    }

    /// `amr` (RFC 8176); empty when absent.
    pub fn amr(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.facts.list(self.facts.amr)
    }

    /// `auth_time`: when the customer authenticated.
    #[must_use]
    pub fn auth_time(&self) -> Option<u64> {
        self.facts
            .times
            .auth_time
            .map(NumericDate::unsigned_seconds)
    }

    /// `iat`.
    #[must_use]
    pub fn issued_at(&self) -> Option<u64> {
        self.facts.times.iat.map(NumericDate::unsigned_seconds)
    }

    /// `exp`: the first second in which the token is dead, leeway aside.
    #[must_use]
    pub fn expires_at(&self) -> u64 {
        self.facts
            .times
            .exp
            .map_or(0, NumericDate::unsigned_seconds)
    }

    /// `authz_ver`: version of the customer's role assignments.
    #[must_use]
    pub fn authz_ver(&self) -> Option<u64> {
        self.facts.authz_ver
    }

    /// How old the knowledge behind this verdict is.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// The whole claims set as the issuer wrote it, JSON.
    #[must_use]
    pub fn claims_json(&self) -> &str {
        self.facts.claims()
    }

    /// One claim by name; `None` when it is absent or of another type than `T`.
    #[must_use]
    pub fn claim<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let members: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(self.claims_json()).ok()?;
        serde_json::from_value(members.get(name)?.clone()).ok()
    }

    fn text(&self, span: Option<facts::Span>) -> Option<&str> {
        self.facts.text(span)
    }
}

impl fmt::Debug for Session {
    /// Ids and times; the rest of a session may be personal, and ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("issuer", &self.issuer())
            .field("subject", &self.subject())
            .field("session_id", &self.session_id())
            .field("expires_at", &self.expires_at())
            .field("freshness", &self.freshness)
            .finish_non_exhaustive()
    }
}

impl Serialize for Session {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let claims: &RawValue =
            serde_json::from_str(self.claims_json()).map_err(serde::ser::Error::custom)?;
        let mut members = serializer.serialize_struct("Session", 17)?;
        members.serialize_field("issuer", self.issuer())?;
        members.serialize_field("subject", &self.subject())?;
        members.serialize_field("audience", &Items(self.audience()))?;
        members.serialize_field("client_id", &self.client_id())?;
        members.serialize_field("session_id", &self.session_id())?;
        members.serialize_field("token_id", &self.token_id())?;
        members.serialize_field("tenant_id", &self.tenant_id())?;
        members.serialize_field("roles", &Items(self.roles()))?;
        members.serialize_field("scope", &Items(self.scope()))?;
        members.serialize_field("acr", &self.acr())?;
        members.serialize_field("amr", &Items(self.amr()))?;
        members.serialize_field("auth_time", &self.auth_time())?;
        members.serialize_field("issued_at", &self.issued_at())?;
        members.serialize_field("expires_at", &self.expires_at())?;
        members.serialize_field("authz_ver", &self.authz_ver())?;
        members.serialize_field("claims", claims)?;
        members.serialize_field("freshness", &self.freshness)?;
        members.end()
    }
}

/// A list on its way to the wire.
struct Items<I>(I);

impl<'a, I: Iterator<Item = &'a str> + Clone> Serialize for Items<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.clone())
    }
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
    pub(crate) fn new(key_set: KeySetFreshness, status: StatusFreshness) -> Self {
        Self {
            key_set: key_set.into(),
            key_set_age: key_set.age.as_secs(),
            status: status.into(),
            status_age: status.age().map(|age| age.as_secs()),
            cached: false,
        }
    }
}

impl Freshness {
    /// Whether it is as fresh as the policy and the call ask.
    ///
    /// # Errors
    /// `key_set_unavailable`, `status_unavailable`.
    pub(crate) fn judge(
        self,
        policy: &ValidationPolicy,
        require: Option<&Require>,
    ) -> Result<(), Error> {
        let is_asked = policy.require.fresh || require.is_some_and(|require| require.fresh);
        match (is_asked, self.key_set, self.status) {
            (false, ..) | (true, KeySetState::Fresh, StatusState::Fresh) => Ok(()),
            (true, KeySetState::Stale, _) => Err(KeyError::SetUnavailable.into()),
            (true, KeySetState::Fresh, _) => Err(StatusError::NotFresh.into()),
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
