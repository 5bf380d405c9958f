//! Doctor: one token + the verifier's settings → every check in order, passed or failed.
//!
//! **Invariant:** the verdict is that of the walk itself; the list only explains it. Claims seen
//! before a good signature are marked as unverified and judge nothing.

use serde::Serialize;

use crate::claims::{CHECKS, ClaimsError, Question, RawClaims};
use crate::error::Error;
use crate::header::ProtectedHeader;
use crate::json::Text;
use crate::key::Kid;
use crate::party::Party;
use crate::policy::ValidationPolicy;
use crate::session::Freshness;
use crate::signature;
use crate::status::StatusFreshness;
use crate::token::CompactJws;
use crate::verifier::Verifier;

impl Verifier {
    /// Explains what [`Self::validate_session`] says of `token`, for the one who holds it: the
    /// report repeats `iss`, `aud`, `kid` and times.
    #[must_use]
    pub fn doctor(&self, token: impl AsRef<[u8]>) -> Report {
        let token = token.as_ref();
        let code = self
            .validate_session(token)
            .err()
            .map(|error| error.code().as_str());
        let mut checks = Checks::default();
        self.examine(token, &mut checks);
        Report {
            valid: code.is_none(),
            code,
            checks: checks.done,
        }
    }

    fn examine(&self, token: &[u8], checks: &mut Checks) {
        let clock = &*self.inner().clock;
        let Some(jws) = checks.note("token", "compact serialisation", CompactJws::parse(token))
        else {
            return;
        };
        let party = self.party(&jws);
        if self.inner().parties.len() > 1 {
            checks.note(
                "claims",
                "a known iss",
                party.as_ref().map_err(Clone::clone),
            );
        }
        let Ok(party) = party else {
            return;
        };
        let party = &self.inner().parties[party];
        let Party {
            policy,
            keys,
            status,
        } = party;
        let header = checks.note(
            "header",
            "alg, typ, crit, kid",
            ProtectedHeader::parse(&jws, &policy.header),
        );
        let current = checks.note("key", "key set", keys.cache().current(clock));
        let key = match (&header, &current) {
            (Some(header), Some(current)) => {
                checks.note("key", "the key of kid", current.set().select(header))
            }
            _ => checks.skip("key", "the key of kid"),
        };
        let verified = match key {
            Some(key) => {
                // The bytes stay at hand to show the claims of a token with a bad signature.
                let again = CompactJws::parse(token).map_err(Error::from);
                let payload = again.and_then(|jws| Ok(signature::verify(jws, key)?));
                checks.note("signature", "signature", payload)
            }
            None => checks.skip("signature", "signature"),
        };
        let payload = verified
            .as_ref()
            .map_or(jws.unverified_payload(), |payload| payload.as_bytes());
        checks.is_unverified = verified.is_none();
        let Some(claims) = checks.note("claims", "types", RawClaims::parse(payload)) else {
            return;
        };
        let question = Question {
            claims: &claims,
            policy,
            require: &policy.require,
            now: clock.now(),
        };
        for check in CHECKS {
            let outcome = check.judge(&claims, &question);
            let hint = outcome
                .as_ref()
                .err()
                .and_then(|error| hint(error, &claims, policy));
            let clock_notice = match &outcome {
                Err(
                    ClaimsError::Expired { .. }
                    | ClaimsError::NotYetValid { .. }
                    | ClaimsError::IssuedInFuture { .. },
                ) => party.clock_notice(),
                _ => None,
            };
            checks.note("claims", check.name, outcome);
            checks.add_to_last(hint);
            checks.add_to_last(clock_notice);
        }
        if !checks.is_all_well() {
            // Nobody vouches for the list that the token names, or nobody needs it.
            checks.skip::<()>("status", "status list");
            checks.skip::<()>("status", "freshness");
            return;
        }
        let found = status.find(claims.status_list());
        let found = found.and_then(|reference| Ok(reference.check(clock)?));
        let freshness = checks.note("status", "status list", found);
        if let Some(StatusFreshness::Absent) = freshness {
            checks.explain_last("not looked up: revocation shows when the token expires");
        }
        match (current, freshness) {
            (Some(keys), Some(status)) => {
                let freshness = Freshness::new(keys.freshness(), status);
                checks.note("status", "freshness", freshness.judge(policy, None));
            }
            _ => {
                checks.skip::<()>("status", "freshness");
            }
        }
    }
}

/// Near misses, explained.
fn hint(error: &ClaimsError, claims: &RawClaims<'_>, policy: &ValidationPolicy) -> Option<String> {
    match error {
        ClaimsError::IssMismatch => {
            let found = claims.iss.as_ref()?.as_str();
            let slash = found.trim_end_matches('/') == policy.issuer.trim_end_matches('/');
            let case = found.eq_ignore_ascii_case(&policy.issuer);
            let near = match (slash, case) {
                (true, _) => "; they differ in a trailing slash only",
                (_, true) => "; they differ in letter case only",
                _ => "",
            };
            Some(format!(
                "found `{}`, configured `{}`{near}",
                Kid::new(found),
                policy.issuer
            ))
        }
        ClaimsError::AudMismatch => {
            let found: Vec<_> = claims
                .aud
                .iter()
                .flatten()
                .take(8)
                .map(|aud| format!("`{}`", Kid::new(aud.as_str())))
                .collect();
            Some(format!(
                "found {}, configured `{}`",
                found.join(" "),
                policy.audiences.join("` `")
            ))
        }
        ClaimsError::Expired { exp, now } => {
            let ago = i64::try_from(*now).ok()?.saturating_sub(*exp);
            Some(format!(
                "expired {ago} s ago; leeway is {} s",
                policy.leeway
            ))
        }
        ClaimsError::NotYetValid { nbf: at, now }
        | ClaimsError::IssuedInFuture { iat: at, now } => {
            let ahead = at.saturating_sub(i64::try_from(*now).ok()?);
            Some(format!(
                "{ahead} s ahead of this clock; leeway is {} s",
                policy.leeway
            ))
        }
        ClaimsError::ScopeMissing { .. } => Some(format!(
            "granted: {}",
            claims
                .scope
                .as_ref()
                .map_or("none", Text::as_str)
                .escape_default()
        )),
        _ => None,
    }
}

/// Every check of one token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// What the walk says.
    pub valid: bool,
    /// The code it refuses with.
    pub code: Option<&'static str>,
    /// In the order of the walk.
    pub checks: Vec<CheckReport>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CheckReport {
    /// The room of the walk: token, header, key, signature, claims, status.
    pub room: &'static str,
    /// What is looked at.
    pub check: &'static str,
    /// How it went.
    pub outcome: Outcome,
    /// The code, where it failed.
    pub code: Option<&'static str>,
    /// What was expected, and what was nearly right.
    pub detail: Option<String>,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// As it should be.
    Pass,
    /// Not as it should be.
    Fail,
    /// As it should be, in claims nobody vouches for.
    UnverifiedPass,
    /// Not as it should be, in claims nobody vouches for.
    UnverifiedFail,
    /// Could not be looked at, as an earlier check failed.
    Skipped,
}

#[derive(Default)]
struct Checks {
    done: Vec<CheckReport>,
    is_unverified: bool,
}

impl Checks {
    fn note<T, E: Into<Error>>(
        &mut self,
        room: &'static str,
        check: &'static str,
        result: Result<T, E>,
    ) -> Option<T> {
        let result = result.map_err(Into::into);
        let error = result.as_ref().err();
        let outcome = match (error, self.is_unverified) {
            (None, false) => Outcome::Pass,
            (Some(_), false) => Outcome::Fail,
            (None, true) => Outcome::UnverifiedPass,
            (Some(_), true) => Outcome::UnverifiedFail,
        };
        self.done.push(CheckReport {
            room,
            check,
            outcome,
            code: error.map(|error| error.code().as_str()),
            detail: error.map(ToString::to_string),
        });
        result.ok()
    }

    fn skip<T>(&mut self, room: &'static str, check: &'static str) -> Option<T> {
        let (outcome, code, detail) = (Outcome::Skipped, None, None);
        self.done.push(CheckReport {
            room,
            check,
            outcome,
            code,
            detail,
        });
        None
    }

    fn is_all_well(&self) -> bool {
        let is_well = |check: &CheckReport| check.outcome == Outcome::Pass;
        self.done.iter().all(is_well)
    }

    fn explain_last(&mut self, detail: &str) {
        if let Some(last) = self.done.last_mut() {
            last.detail = Some(detail.to_owned());
        }
    }

    fn add_to_last(&mut self, hint: Option<String>) {
        if let (Some(hint), Some(last)) = (hint, self.done.last_mut()) {
            let detail = last.detail.take().unwrap_or_default();
            last.detail = Some(format!("{detail}: {hint}"));
        }
    }
}
