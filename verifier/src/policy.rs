//! Policy: what a verifier expects of a token; resolved once, immutable afterwards.
//!
//! **Invariant:** no field switches a check off. A profile fixes `typ` and the required claims
//! and nothing else.

use std::time::Duration;

use crate::algorithm::Algorithm;

/// Longest token read, in bytes.
pub(crate) const MAX_TOKEN: usize = 16 * 1024;
/// Longest decoded header, in bytes.
pub(crate) const MAX_HEADER: usize = 4 * 1024;
/// Longest `kid`, in bytes.
pub(crate) const MAX_KID: usize = 256;
/// Deepest nesting of JSON arrays and objects.
pub(crate) const MAX_JSON_DEPTH: usize = 16;
/// Tolerance on `exp`, `nbf` and `iat` unless set otherwise.
pub(crate) const DEFAULT_LEEWAY: Duration = Duration::from_secs(30);
/// Widest tolerance that can be set: beyond it a token's life means little.
pub(crate) const MAX_LEEWAY: Duration = Duration::from_secs(300);

/// Which kind of token is expected: its `typ` and its required claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Queue's own access tokens: `typ` `at+jwt`; `iss aud exp iat sub jti`, and `sid` unless the
    /// token is a service's own (`client_id` = `sub`).
    #[default]
    Session,
    /// Any RFC 9068 access token: `typ` `at+jwt`; `iss aud exp iat sub client_id jti`.
    Rfc9068,
    /// A foreign issuer's JWT: `typ` `JWT` or absent; `iss aud exp`.
    Jwt,
}

impl Profile {
    /// The name used in settings: `session`, `rfc9068`, `jwt`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Rfc9068 => "rfc9068",
            Self::Jwt => "jwt",
        }
    }
}

impl std::str::FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(name: &str) -> Result<Self, UnknownProfile> {
        match name {
            "session" => Ok(Self::Session),
            "rfc9068" => Ok(Self::Rfc9068),
            "jwt" => Ok(Self::Jwt),
            _ => Err(UnknownProfile),
        }
    }
}

/// A name that is no profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected one of session, rfc9068, jwt")]
pub struct UnknownProfile;

/// The `aud` values a verifier answers to; a token must name at least one (RFC 7519 §4.1.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audiences(pub(crate) Vec<String>);

impl From<&str> for Audiences {
    fn from(audience: &str) -> Self {
        Self(vec![audience.to_owned()])
    }
}

impl From<String> for Audiences {
    fn from(audience: String) -> Self {
        Self(vec![audience])
    }
}

impl From<Vec<String>> for Audiences {
    fn from(audiences: Vec<String>) -> Self {
        Self(audiences)
    }
}

impl<const N: usize> From<[&str; N]> for Audiences {
    fn from(audiences: [&str; N]) -> Self {
        Self(audiences.map(str::to_owned).to_vec())
    }
}

/// What a route asks of a session beyond its being valid.
///
/// ```
/// use queue_verifier::Require;
/// let require = Require::new().scope("invoices:read").role("billing");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Require {
    pub(crate) scope: Vec<String>,
    pub(crate) roles: Vec<String>,
    pub(crate) tenant: Option<String>,
    pub(crate) acr: Vec<String>,
    pub(crate) max_auth_age: Option<Duration>,
    pub(crate) authorized_parties: Vec<String>,
    pub(crate) fresh: bool,
}

impl Require {
    /// Asks nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for every scope value in `scope`, space-separated (RFC 6749 §3.3).
    #[must_use]
    pub fn scope(mut self, scope: &str) -> Self {
        self.scope
            .extend(scope.split_ascii_whitespace().map(str::to_owned));
        self
    }

    /// Asks for `role` among the session's roles; call again to ask for several.
    #[must_use]
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.roles.push(role.into());
        self
    }

    /// Asks for exactly this tenant.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// Asks for this authentication context; call again to accept several (RFC 9470 §3).
    #[must_use]
    pub fn acr(mut self, acr: impl Into<String>) -> Self {
        self.acr.push(acr.into());
        self
    }

    /// Asks that the customer authenticated no longer ago than this (RFC 9470 §3).
    #[must_use]
    pub fn max_auth_age(mut self, age: Duration) -> Self {
        self.max_auth_age = Some(age);
        self
    }

    /// Asks for fresh knowledge: a key set within its lifetime, and the session's status in a list
    /// within its age bound; what else would serve in an outage does not serve this call.
    #[must_use]
    pub fn fresh(mut self) -> Self {
        self.fresh = true;
        self
    }

    /// Accepts only tokens issued to this client (`azp`, else `client_id`); call again to accept
    /// several.
    #[must_use]
    pub fn authorized_party(mut self, client_id: impl Into<String>) -> Self {
        self.authorized_parties.push(client_id.into());
        self
    }
}

/// Which header a token may have.
#[derive(Debug, Clone)]
pub(crate) struct HeaderPolicy {
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) typ: TypRule,
}

/// Which `typ` a header may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TypRule {
    /// `at+jwt` or `application/at+jwt` (RFC 9068 §4).
    AccessToken,
    /// `JWT` or absent (RFC 7519 §5.1).
    Jwt,
    /// `statuslist+jwt` or `application/statuslist+jwt` (Token Status List §5.1).
    StatusList,
    /// Anything: the signature layer alone.
    Any,
}

impl From<Profile> for TypRule {
    fn from(profile: Profile) -> Self {
        match profile {
            Profile::Session | Profile::Rfc9068 => Self::AccessToken,
            Profile::Jwt => Self::Jwt,
        }
    }
}

/// Everything a token is held against.
#[derive(Debug, Clone)]
pub(crate) struct ValidationPolicy {
    pub(crate) issuer: String,
    pub(crate) audiences: Vec<String>,
    pub(crate) header: HeaderPolicy,
    pub(crate) profile: Profile,
    /// Seconds.
    pub(crate) leeway: u64,
    pub(crate) require: Require,
}
