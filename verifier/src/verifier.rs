//! The walk: token → header → key → signature → claims → session.
//!
//! **Invariant:** [`Verifier::validate_session`] does no I/O and awaits nothing; the walk takes no lock.
//! A refusal for an unknown `kid` may leave a note for the thread that fetches keys.

use std::sync::Arc;

use crate::builder::{Builder, Keys};
use crate::claims::{self, Claims};
use crate::clock::Clock;
use crate::error::Error;
use crate::header::ProtectedHeader;
use crate::key::KeyError;
use crate::policy::{Audiences, Require, ValidationPolicy};
use crate::session::Session;
use crate::signature;
use crate::token::CompactJws;

/// Validates sessions of one issuer offline; cheap to clone, shared by all threads.
///
/// ```
/// # fn main() -> Result<(), queue_verifier::ConfigError> {
/// # let jwk_set = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/jwk_set.json"));
/// use queue_verifier::{KeySource, Verifier};
///
/// let verifier = Verifier::builder("https://auth.example.com", "raptor")
///     .keys(KeySource::jwk_set(jwk_set))
///     .build()?;
/// let refused = verifier.validate_session("not.a.token").unwrap_err();
/// assert_eq!(refused.code().as_str(), "token_malformed");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Verifier {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) policy: ValidationPolicy,
    pub(crate) keys: Keys,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Verifier {
    /// Starts a verifier for tokens of `issuer` that name `audience`; both compare byte for byte.
    pub fn builder(issuer: impl Into<String>, audience: impl Into<Audiences>) -> Builder {
        Builder::new(issuer.into(), audience.into())
    }

    pub(crate) fn from_parts(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// Validates `token` (ASCII text or its bytes) against the policy the verifier was built with.
    ///
    /// # Errors
    /// Any code but the requirements': `token_`, `header_`, `key_`, `signature_`, `claims_`.
    pub fn validate_session(&self, token: impl AsRef<[u8]>) -> Result<Session, Error> {
        self.validate_session_requiring(token, &self.inner.policy.require)
    }

    /// As [`Self::validate_session`], with requirements of this call in place of the builder's.
    ///
    /// # Errors
    /// Any code.
    pub fn validate_session_requiring(
        &self,
        token: impl AsRef<[u8]>,
        require: &Require,
    ) -> Result<Session, Error> {
        let token = token.as_ref();
        self.walk(token, require).inspect_err(|error| {
            if let Some(kid) = self.unknown_kid(token, error) {
                self.inner.keys.note_unknown(&kid);
            }
        })
    }

    /// As [`Self::validate_session_requiring`], but when the key is not at hand, waits for one
    /// bounded refresh and walks again.
    ///
    /// # Errors
    /// Any code.
    pub async fn validate_session_with_refresh(
        &self,
        token: impl AsRef<[u8]> + Send,
        require: &Require,
    ) -> Result<Session, Error> {
        let token = token.as_ref();
        let verdict = self.walk(token, require);
        let Err(error) = &verdict else {
            return verdict;
        };
        if let Some(kid) = self.unknown_kid(token, error) {
            self.inner.keys.resolve_unknown(&kid).await;
        } else if matches!(error, Error::Key(KeyError::SetUnavailable)) {
            self.inner.keys.settle().await;
        } else {
            return verdict;
        }
        self.walk(token, require)
    }

    fn walk(&self, token: &[u8], require: &Require) -> Result<Session, Error> {
        let Inner {
            policy,
            keys,
            clock,
        } = &*self.inner;
        let jws = CompactJws::parse(token)?; // three segments, bounded, untrusted
        let header = ProtectedHeader::parse(&jws, &policy.header)?; // allowed alg, typ, no crit
        let keys = keys.cache().current(&**clock)?; // in memory, within its bound
        let key = keys.set().select(&header)?; // exactly one key agrees
        let payload = signature::verify(jws, key)?; // the only maker of a verified payload
        let claims = Claims::validate(&payload, policy, require, clock.now())?;
        Ok(Session::new(claims, keys.freshness()))
    }

    /// The `kid` to look for after `error`: only that of a token that would otherwise pass.
    fn unknown_kid(&self, token: &[u8], error: &Error) -> Option<String> {
        if !matches!(error, Error::Key(KeyError::NotFound { .. })) || !self.inner.keys.can_refresh()
        {
            return None;
        }
        let Inner { policy, clock, .. } = &*self.inner;
        let jws = CompactJws::parse(token).ok()?;
        let kid = ProtectedHeader::parse(&jws, &policy.header).ok()?.kid?;
        claims::is_plausible(&jws, policy, clock.now()).then_some(kid)
    }
}
