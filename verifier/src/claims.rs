//! Claims: [`VerifiedPayload`] → [`Claims`], registered claims judged against the policy.
//!
//! **Invariant:** [`Claims`] is made from a verified payload and in no other way; a claim that
//! is present has the right type, whether or not anybody asks for it (hazard V20).
//!
//! RFC 7519 §4.1, RFC 9068 §2.2 and §4, RFC 9470 §4.

mod checks;
mod raw;
mod status;

use std::time::Duration;

use crate::policy::{Require, ValidationPolicy};
use crate::signature::VerifiedPayload;
use crate::token::CompactJws;
pub(crate) use checks::{CHECKS, Question, judge_again};
pub(crate) use raw::{NumericDate, RawClaims, Stated, Times};
pub(crate) use status::ListReference;

/// A claims set that passed every check.
#[derive(Debug)]
pub(crate) struct Claims<'a>(RawClaims<'a>);

impl<'a> Claims<'a> {
    /// Reads and judges the claims of `payload` at `now` (Unix seconds).
    ///
    /// # Errors
    /// `claims_malformed`, then the codes of [`CHECKS`] in its order, then those of `require`.
    pub(crate) fn validate(
        payload: &'a VerifiedPayload,
        policy: &ValidationPolicy,
        require: Option<&Require>,
        now: u64,
    ) -> Result<Self, ClaimsError> {
        let claims = RawClaims::parse(payload.as_bytes())?;
        let question = Question {
            claims: &claims,
            policy,
            require: &policy.require,
            now,
        };
        for check in CHECKS {
            check.judge(&claims, &question)?;
        }
        checks::judge_required(&question, require)?;
        Ok(Self(claims))
    }

    /// The members, all of the right type.
    pub(crate) fn members(&self) -> &RawClaims<'a> {
        &self.0
    }
}

/// Whether the *unverified* claims of `jws` would pass the issuer, audience and expiry checks.
///
/// Nothing but this yes or no leaves: it decides whether an unknown `kid` is worth a fetch, so
/// that junk cannot spend the fetch budget.
pub(crate) fn is_plausible(jws: &CompactJws<'_>, policy: &ValidationPolicy, now: u64) -> bool {
    RawClaims::parse(jws.unverified_payload())
        .is_ok_and(|claims| checks::is_plausible(&claims, policy, now))
}

/// What `ours` has for the *unverified* `iss` of `jws`; compared byte for byte.
///
/// The one look at a claim before the signature that picks anything: whose keys and policy judge
/// the token. Whoever lies here is judged by the keys of the issuer named, and fails.
pub(crate) fn names_issuer<T>(jws: &CompactJws<'_>, ours: impl Fn(&str) -> Option<T>) -> Option<T> {
    let claims = RawClaims::parse(jws.unverified_payload()).ok()?;
    ours(claims.iss.as_ref()?.as_str())
}

/// The claims are not acceptable; no value of a claim is repeated but times.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimsError {
    /// Not one JSON object, a member twice, or a claim of the wrong type.
    #[error("expected a JSON object whose registered claims have their types, each member once")]
    Malformed,
    /// A claim the profile requires is absent.
    #[error("expected claim `{claim}`")]
    Missing {
        /// The first one missing.
        claim: &'static str,
    },
    /// `iss` is another issuer.
    #[error("expected `iss` to equal the configured issuer")]
    IssMismatch,
    /// `aud` does not name us.
    #[error("expected `aud` to name a configured audience")]
    AudMismatch,
    /// The token's life is over.
    #[error("expected `exp` after now, found exp {exp} at {now}")]
    Expired {
        /// `exp`, whole Unix seconds.
        exp: i64,
        /// The verifier's clock, Unix seconds.
        now: u64,
    },
    /// The token's life has not begun.
    #[error("expected `nbf` no later than now, found nbf {nbf} at {now}; check both clocks")]
    NotYetValid {
        /// `nbf`, whole Unix seconds.
        nbf: i64,
        /// The verifier's clock, Unix seconds.
        now: u64,
    },
    /// The token was issued in our future.
    #[error("expected `iat` no later than now, found iat {iat} at {now}; check both clocks")]
    IssuedInFuture {
        /// `iat`, whole Unix seconds.
        iat: i64,
        /// The verifier's clock, Unix seconds.
        now: u64,
    },
    /// `cnf` binds the token to a key whose proof nobody checked.
    #[error("expected no `cnf`, as sender-constraint checking is off")]
    SenderConstrained,
    /// `azp`, else `client_id`, is not an authorized party.
    #[error("expected an authorized party in `azp` or `client_id`")]
    ClientNotAllowed,
    /// `tenant_id` is another tenant, or none.
    #[error("expected `tenant_id` to equal the required tenant")]
    TenantMismatch,
    /// A required scope value is not granted.
    #[error("expected scope `{scope}`")]
    ScopeMissing {
        /// The first one missing.
        scope: String,
    },
    /// A required role is not held.
    #[error("expected role `{role}`")]
    RoleMissing {
        /// The first one missing.
        role: String,
    },
    /// `acr` is none of those accepted (RFC 9470 §4).
    #[error("expected `acr` to be one of those required")]
    AcrInsufficient,
    /// The customer authenticated too long ago (RFC 9470 §4).
    #[error("expected `auth_time` within the last {} s", max_age.as_secs())]
    AuthTooOld {
        /// What was asked for.
        max_age: Duration,
    },
}
