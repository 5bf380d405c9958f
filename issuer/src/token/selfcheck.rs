//! Self-check: takes a minted token, passes it through `queue-verifier` with the published JWK Set.
//!
//! **Invariant:** the verifier is built from the bytes that are served, not from the keys in memory, so
//! a set that would not verify our tokens is found here and not at the relying services.

use std::sync::Arc;
use std::time::Duration;

use queue_verifier::{ConfigError, KeySource, Verifier};

use super::claims::Claims;
use crate::clock::Clock;

/// A verifier over one published set.
pub(crate) struct SelfCheck {
    verifier: Verifier,
}

/// The verifier does not take the set.
#[derive(Debug, thiserror::Error)]
#[error("expected a set a verifier takes")]
pub(crate) struct SetRefused(#[source] ConfigError);

/// The verifier does not take the token, or reads something else in it than was written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenRefused {
    #[error("the verifier refused it: {}", .0.code().as_str())]
    Verdict(#[source] queue_verifier::Error),
    #[error("the verifier read another session in it")]
    Differs,
}

impl SelfCheck {
    pub(crate) fn new(
        issuer: &str,
        audiences: &[String],
        jwk_set: &str,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, SetRefused> {
        let verifier = Verifier::builder(issuer, audiences.to_vec())
            .keys(KeySource::jwk_set(jwk_set))
            .clock(Arc::new(VerifierClock(Arc::clone(clock))))
            .build()
            .map_err(SetRefused)?;
        Ok(Self { verifier })
    }

    /// Accepts `jws` as a relying service would, and as saying what `claims` say.
    pub(crate) fn check(&self, jws: &str, claims: &Claims) -> Result<(), TokenRefused> {
        let session = self
            .verifier
            .validate_session(jws)
            .map_err(TokenRefused::Verdict)?;
        let text = |found: Option<&str>, written: &str| found == Some(written);
        let time = |found: Option<u64>, written: i64| {
            found.and_then(|found| i64::try_from(found).ok()) == Some(written)
        };
        let same = session.issuer() == claims.iss
            && session.audience().eq([claims.aud.as_str()])
            && text(session.subject(), &claims.sub)
            && text(session.client_id(), &claims.client_id)
            && text(session.session_id(), &claims.sid)
            && text(session.token_id(), &claims.jti)
            && text(session.tenant_id(), &claims.tenant_id)
            && text(session.acr(), &claims.acr)
            && session.roles().eq(claims.roles.iter())
            && session.scope().eq(claims.scope.split(' '))
            && session.amr().eq(claims.amr.iter())
            && time(Some(session.expires_at()), claims.exp)
            && time(session.issued_at(), claims.iat)
            && time(session.auth_time(), claims.auth_time)
            && time(session.authz_ver(), claims.authz_ver);
        if same {
            Ok(())
        } else {
            Err(TokenRefused::Differs)
        }
    }
}

/// Our clock, as the verifier reads it.
#[derive(Debug)]
struct VerifierClock(Arc<dyn Clock>);

impl queue_verifier::Clock for VerifierClock {
    fn now(&self) -> u64 {
        u64::try_from(self.0.now().unix_seconds()).unwrap_or(0)
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }
}
