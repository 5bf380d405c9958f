//! The checks of the claims room: what a policy decides for good, and what moves with the clock and
//! with what a call requires.
//!
//! **Invariant:** whoever remembers a verdict judges again what moves; a fixed check depends on
//! nothing but the token and the policy (hazard V43).

use super::ClaimsError;
use super::raw::{RawClaims, Stated};
use crate::policy::{Profile, Require, ValidationPolicy};

/// One check of the claims room.
pub(crate) struct Check {
    /// What is looked at, for people.
    pub(crate) name: &'static str,
    judge: Judge,
}

/// How a check decides, and how long its decision lasts.
enum Judge {
    /// By the policy alone: for good.
    Fixed(fn(&RawClaims<'_>, &ValidationPolicy) -> Result<(), ClaimsError>),
    /// By the clock: anew at every call.
    Clock(fn(&Question<'_>) -> Result<(), ClaimsError>),
    /// By what is required: anew at every call.
    Required(fn(&Question<'_>) -> Result<(), ClaimsError>),
}

/// Everything a check may look at that decides anew.
pub(crate) struct Question<'a> {
    pub(crate) claims: &'a dyn Stated,
    pub(crate) policy: &'a ValidationPolicy,
    pub(crate) require: &'a Require,
    pub(crate) now: u64,
}

/// The checks, in the order in which they decide.
pub(crate) const CHECKS: &[Check] = &[
    Check::new("required claims", Judge::Fixed(present)),
    Check::new("iss", Judge::Fixed(issuer)),
    Check::new("aud", Judge::Fixed(audience)),
    Check::new("exp", Judge::Clock(expiry)),
    Check::new("nbf", Judge::Clock(not_before)),
    Check::new("iat", Judge::Clock(issued_at)),
    Check::new("cnf", Judge::Fixed(sender_constraint)),
    Check::new("authorized party", Judge::Required(authorized_party)),
    Check::new("tenant", Judge::Required(tenant)),
    Check::new("scope", Judge::Required(scope)),
    Check::new("roles", Judge::Required(roles)),
    Check::new("acr", Judge::Required(acr)),
    Check::new("auth_time", Judge::Required(authentication_age)),
];

impl Check {
    const fn new(name: &'static str, judge: Judge) -> Self {
        Self { name, judge }
    }

    /// Judges claims that were just read.
    pub(crate) fn judge(
        &self,
        claims: &RawClaims<'_>,
        question: &Question<'_>,
    ) -> Result<(), ClaimsError> {
        match self.judge {
            Judge::Fixed(judge) => judge(claims, question.policy),
            Judge::Clock(judge) | Judge::Required(judge) => judge(question),
        }
    }
}

/// Judges claims that were good, as far as they can have changed: by the clock, by the policy's
/// requirements and by those of a call.
///
/// # Errors
/// As [`super::Claims::validate`], without those of a fixed check.
pub(crate) fn judge_again(
    claims: &dyn Stated,
    policy: &ValidationPolicy,
    require: Option<&Require>,
    now: u64,
) -> Result<(), ClaimsError> {
    let question = Question {
        claims,
        policy,
        require: &policy.require,
        now,
    };
    for check in CHECKS {
        match check.judge {
            Judge::Fixed(_) => {}
            Judge::Clock(judge) | Judge::Required(judge) => judge(&question)?,
        }
    }
    judge_required(&question, require)
}

/// Judges what a call requires beside the policy.
pub(super) fn judge_required(
    question: &Question<'_>,
    require: Option<&Require>,
) -> Result<(), ClaimsError> {
    let Some(require) = require else {
        return Ok(());
    };
    let question = Question {
        require,
        ..*question
    };
    CHECKS.iter().try_for_each(|check| match check.judge {
        Judge::Fixed(_) | Judge::Clock(_) => Ok(()),
        Judge::Required(judge) => judge(&question),
    })
}

/// Whether issuer, audience and expiry would pass.
pub(super) fn is_plausible(claims: &RawClaims<'_>, policy: &ValidationPolicy, now: u64) -> bool {
    let require = &Require::default();
    let question = Question {
        claims,
        policy,
        require,
        now,
    };
    [present, issuer, audience]
        .iter()
        .all(|judge| judge(claims, policy).is_ok())
        && expiry(&question).is_ok()
}

fn present(claims: &RawClaims<'_>, policy: &ValidationPolicy) -> Result<(), ClaimsError> {
    let session = matches!(policy.profile, Profile::Session);
    let rfc9068 = matches!(policy.profile, Profile::Rfc9068);
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
fn issuer(claims: &RawClaims<'_>, policy: &ValidationPolicy) -> Result<(), ClaimsError> {
    match &claims.iss {
        Some(iss) if iss.as_str() == policy.issuer => Ok(()),
        _ => Err(ClaimsError::IssMismatch),
    }
}

fn audience(claims: &RawClaims<'_>, policy: &ValidationPolicy) -> Result<(), ClaimsError> {
    let named = claims.aud.iter().flatten();
    let is_ours = |aud: &str| policy.audiences.iter().any(|ours| ours == aud);
    if named.into_iter().any(|aud| is_ours(aud.as_str())) {
        Ok(())
    } else {
        Err(ClaimsError::AudMismatch)
    }
}

/// Expired from the very second of `exp` on, leeway granted (RFC 7519 §4.1.4).
fn expiry(question: &Question<'_>) -> Result<(), ClaimsError> {
    let (now, leeway) = (question.now, question.policy.leeway);
    match question.claims.times().exp {
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
    match question.claims.times().nbf {
        Some(nbf) if nbf.is_after(now, leeway) => Err(ClaimsError::NotYetValid {
            nbf: nbf.seconds(),
            now,
        }),
        _ => Ok(()),
    }
}

fn issued_at(question: &Question<'_>) -> Result<(), ClaimsError> {
    let (now, leeway) = (question.now, question.policy.leeway);
    match question.claims.times().iat {
        Some(iat) if iat.is_after(now, leeway) => Err(ClaimsError::IssuedInFuture {
            iat: iat.seconds(),
            now,
        }),
        _ => Ok(()),
    }
}

/// A token bound to a key is worth nothing without proof of that key (RFC 7800 §3.1).
fn sender_constraint(claims: &RawClaims<'_>, _: &ValidationPolicy) -> Result<(), ClaimsError> {
    if claims.has_cnf {
        Err(ClaimsError::SenderConstrained)
    } else {
        Ok(())
    }
}

fn authorized_party(question: &Question<'_>) -> Result<(), ClaimsError> {
    let parties = &question.require.authorized_parties;
    let found = question.claims.party();
    if parties.is_empty() || found.is_some_and(|found| parties.iter().any(|party| party == found)) {
        Ok(())
    } else {
        Err(ClaimsError::ClientNotAllowed)
    }
}

fn tenant(question: &Question<'_>) -> Result<(), ClaimsError> {
    match question.require.tenant.as_deref() {
        Some(expected) if question.claims.tenant() != Some(expected) => {
            Err(ClaimsError::TenantMismatch)
        }
        _ => Ok(()),
    }
}

fn scope(question: &Question<'_>) -> Result<(), ClaimsError> {
    let mut needed = question.require.scope.iter();
    match needed.find(|value| !question.claims.has_scope(value)) {
        Some(scope) => Err(ClaimsError::ScopeMissing {
            scope: scope.clone(),
        }),
        None => Ok(()),
    }
}

fn roles(question: &Question<'_>) -> Result<(), ClaimsError> {
    let mut needed = question.require.roles.iter();
    match needed.find(|role| !question.claims.has_role(role)) {
        Some(role) => Err(ClaimsError::RoleMissing { role: role.clone() }),
        None => Ok(()),
    }
}

fn acr(question: &Question<'_>) -> Result<(), ClaimsError> {
    let accepted = &question.require.acr;
    let found = question.claims.acr();
    if accepted.is_empty() || found.is_some_and(|found| accepted.iter().any(|acr| acr == found)) {
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
    match question.claims.times().auth_time {
        // A time ahead of ours proves no recent authentication.
        Some(auth_time)
            if !auth_time.is_before(now, allowance) && !auth_time.is_after(now, leeway) =>
        {
            Ok(())
        }
        _ => Err(ClaimsError::AuthTooOld { max_age }),
    }
}
