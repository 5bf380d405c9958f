//! Claims: [`VerifiedPayload`] → [`Claims`], registered claims judged against the policy.
//!
//! **Invariant:** [`Claims`] is made from a verified payload and in no other way; a claim that
//! is present has the right type, whether or not anybody asks for it (hazard V20).
//!
//! RFC 7519 §4.1, RFC 9068 §2.2 and §4, RFC 9470 §4.

mod raw;

use std::time::Duration;

use crate::policy::{Profile, Require, ValidationPolicy};
use crate::signature::VerifiedPayload;
use crate::token::CompactJws;
pub(crate) use raw::RawClaims;

/// A claims set that passed every check.
#[derive(Debug)]
pub(crate) struct Claims<'a>(RawClaims<'a>);

impl<'a> Claims<'a> {
    /// Reads and judges the claims of `payload` at `now` (Unix seconds).
    ///
    /// # Errors
    /// `claims_malformed`, then the codes of [`CHECKS`] in its order.
    pub(crate) fn validate(
        payload: &'a VerifiedPayload,
        policy: &ValidationPolicy,
        require: &Require,
        now: u64,
    ) -> Result<Self, ClaimsError> {
        let claims = RawClaims::parse(payload.as_bytes())?;
        let question = Question {
            claims: &claims,
            policy,
            require,
            now,
        };
        for check in CHECKS {
            (check.judge)(&question)?;
        }
        Ok(Self(claims))
    }

    /// The members, all of the right type.
    pub(crate) fn into_members(self) -> RawClaims<'a> {
        self.0
    }
}

/// Whether the *unverified* claims of `jws` would pass the issuer, audience and expiry checks.
///
/// Nothing but this yes or no leaves: it decides whether an unknown `kid` is worth a fetch, so
/// that junk cannot spend the fetch budget.
pub(crate) fn is_plausible(jws: &CompactJws<'_>, policy: &ValidationPolicy, now: u64) -> bool {
    let Ok(claims) = RawClaims::parse(jws.unverified_payload()) else {
        return false;
    };
    let question = Question {
        claims: &claims,
        policy,
        require: &Require::default(),
        now,
    };
    [present, issuer, audience, expiry]
        .iter()
        .all(|judge| judge(&question).is_ok())
}

/// One check of the claims room.
pub(crate) struct Check {
    /// What is looked at, for people.
    pub(crate) name: &'static str,
    pub(crate) judge: fn(&Question<'_>) -> Result<(), ClaimsError>,
}

/// Everything a check may look at.
pub(crate) struct Question<'a> {
    pub(crate) claims: &'a RawClaims<'a>,
    pub(crate) policy: &'a ValidationPolicy,
    pub(crate) require: &'a Require,
    pub(crate) now: u64,
}

/// The checks, in the order in which they decide.
pub(crate) const CHECKS: [Check; 13] = [
    Check {
        name: "required claims",
        judge: present,
    },
    Check {
        name: "iss",
        judge: issuer,
    },
    Check {
        name: "aud",
        judge: audience,
    },
    Check {
        name: "exp",
        judge: expiry,
    },
    Check {
        name: "nbf",
        judge: not_before,
    },
    Check {
        name: "iat",
        judge: issued_at,
    },
    Check {
        name: "cnf",
        judge: sender_constraint,
    },
    Check {
        name: "authorized party",
        judge: authorized_party,
    },
    Check {
        name: "tenant",
        judge: tenant,
    },
    Check {
        name: "scope",
        judge: scope,
    },
    Check {
        name: "roles",
        judge: roles,
    },
    Check {
        name: "acr",
        judge: acr,
    },
    Check {
        name: "auth_time",
        judge: authentication_age,
    },
];

fn present(question: &Question<'_>) -> Result<(), ClaimsError> {
    let claims = question.claims;
    let session = matches!(question.policy.profile, Profile::Session);
    let rfc9068 = matches!(question.policy.profile, Profile::Rfc9068);
    // A service's own token names itself twice and belongs to no customer session.
    let is_service = claims.sub.is_some() && claims.sub == claims.client_id;
    let required = [
        ("iss", true, claims.iss.is_some()),
        ("aud", true, claims.aud.is_some()),
        ("exp", true, claims.exp.is_some()),
        ("iat", session || rfc9068, claims.iat.is_some()),
        ("sub", session || rfc9068, claims.sub.is_some()),
        ("client_id", rfc9068, claims.client_id.is_some()),
        ("jti", session || rfc9068, claims.jti.is_some()),
        ("sid", session && !is_service, claims.sid.is_some()),
    ];
    match required
        .into_iter()
        .find(|(_, is_required, is_there)| *is_required && !*is_there)
    {
        Some((claim, ..)) => Err(ClaimsError::Missing { claim }),
        None => Ok(()),
    }
}

/// Compared byte for byte (RFC 9068 §4): no slash is added, no case folded.
fn issuer(question: &Question<'_>) -> Result<(), ClaimsError> {
    match &question.claims.iss {
        Some(iss) if iss.as_str() == question.policy.issuer => Ok(()),
        _ => Err(ClaimsError::IssMismatch),
    }
}

fn audience(question: &Question<'_>) -> Result<(), ClaimsError> {
    let named = question.claims.aud.iter().flatten();
    let is_ours = |aud: &str| question.policy.audiences.iter().any(|ours| ours == aud);
    if named.into_iter().any(|aud| is_ours(aud.as_str())) {
        Ok(())
    } else {
        Err(ClaimsError::AudMismatch)
    }
}

/// Expired from the very second of `exp` on, leeway granted (RFC 7519 §4.1.4).
fn expiry(question: &Question<'_>) -> Result<(), ClaimsError> {
    let (now, leeway) = (question.now, question.policy.leeway);
    match question.claims.exp {
        Some(exp) if !exp.is_at_or_before(now, leeway) => Ok(()),
        Some(exp) => Err(ClaimsError::Expired {
            exp: exp.seconds(),
            now,
        }),
        None => Err(ClaimsError::Missing { claim: "exp" }),
    }
}

fn not_before(question: &Question<'_>) -> Result<(), ClaimsError> {
    let (now, leeway) = (question.now, question.policy.leeway);
    match question.claims.nbf {
        Some(nbf) if nbf.is_after(now, leeway) => Err(ClaimsError::NotYetValid {
            nbf: nbf.seconds(),
            now,
        }),
        _ => Ok(()),
    }
}

fn issued_at(question: &Question<'_>) -> Result<(), ClaimsError> {
    let (now, leeway) = (question.now, question.policy.leeway);
    match question.claims.iat {
        Some(iat) if iat.is_after(now, leeway) => Err(ClaimsError::IssuedInFuture {
            iat: iat.seconds(),
            now,
        }),
        _ => Ok(()),
    }
}

/// A token bound to a key is worth nothing without proof of that key (RFC 7800 §3.1).
fn sender_constraint(question: &Question<'_>) -> Result<(), ClaimsError> {
    if question.claims.has_cnf {
        Err(ClaimsError::SenderConstrained)
    } else {
        Ok(())
    }
}

fn authorized_party(question: &Question<'_>) -> Result<(), ClaimsError> {
    let parties = &question.require.authorized_parties;
    let client = question
        .claims
        .azp
        .as_ref()
        .or(question.claims.client_id.as_ref());
    let is_named =
        client.is_some_and(|client| parties.iter().any(|party| party == client.as_str()));
    if parties.is_empty() || is_named {
        Ok(())
    } else {
        Err(ClaimsError::ClientNotAllowed)
    }
}

fn tenant(question: &Question<'_>) -> Result<(), ClaimsError> {
    let found = question
        .claims
        .tenant_id
        .as_ref()
        .map(|tenant| tenant.as_str());
    match question.require.tenant.as_deref() {
        Some(expected) if found != Some(expected) => Err(ClaimsError::TenantMismatch),
        _ => Ok(()),
    }
}

fn scope(question: &Question<'_>) -> Result<(), ClaimsError> {
    let granted = || {
        question
            .claims
            .scope
            .as_ref()
            .map_or("", |scope| scope.as_str())
            .split(' ')
    };
    match question
        .require
        .scope
        .iter()
        .find(|needed| !granted().any(|value| value == **needed))
    {
        Some(needed) => Err(ClaimsError::ScopeMissing {
            scope: needed.clone(),
        }),
        None => Ok(()),
    }
}

fn roles(question: &Question<'_>) -> Result<(), ClaimsError> {
    let mut needed = question.require.roles.iter();
    let has = |role: &str| {
        question
            .claims
            .roles
            .iter()
            .flatten()
            .any(|held| held.as_str() == role)
    };
    match needed.find(|role| !has(role)) {
        Some(role) => Err(ClaimsError::RoleMissing { role: role.clone() }),
        None => Ok(()),
    }
}

fn acr(question: &Question<'_>) -> Result<(), ClaimsError> {
    let accepted = &question.require.acr;
    let found = question.claims.acr.as_ref();
    let is_enough = found.is_some_and(|found| accepted.iter().any(|acr| acr == found.as_str()));
    if accepted.is_empty() || is_enough {
        Ok(())
    } else {
        Err(ClaimsError::AcrInsufficient)
    }
}

fn authentication_age(question: &Question<'_>) -> Result<(), ClaimsError> {
    let Some(max_age) = question.require.max_auth_age else {
        return Ok(());
    };
    let allowance = max_age.as_secs().saturating_add(question.policy.leeway);
    let (now, leeway) = (question.now, question.policy.leeway);
    match question.claims.auth_time {
        // A time ahead of ours proves no recent authentication.
        Some(auth_time)
            if !auth_time.is_before(now, allowance) && !auth_time.is_after(now, leeway) =>
        {
            Ok(())
        }
        _ => Err(ClaimsError::AuthTooOld { max_age }),
    }
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
