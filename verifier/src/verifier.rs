//! The walk: token → header → key → signature → claims → status → session.
//!
//! **Invariant:** [`Verifier::validate_session`] does no I/O and awaits nothing; the walk takes no lock.
//! A refusal for an unknown `kid` may leave a note for the thread that fetches keys.

use std::sync::Arc;

use crate::builder::Builder;
use crate::claims::{self, Claims, ClaimsError};
use crate::clock::Clock;
use crate::error::Error;
use crate::header::ProtectedHeader;
use crate::key::KeyError;
use crate::party::Party;
use crate::policy::{Audiences, Require};
use crate::remembered::Remembered;
use crate::session::{Freshness, JudgedBy, Session};
use crate::signature;
use crate::status::StatusError;
use crate::token::CompactJws;

/// Validates sessions offline; cheap to clone, shared by all threads.
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
    /// One for each issuer, at least one.
    pub(crate) parties: Vec<Party>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) remembered: Option<Remembered>,
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
    /// Of the rooms, in the order of the walk: `token_*`, `header_*`, `key_*`, `signature_*`,
    /// `claims_*`, `status_*`; each code is an [`ErrorCode`](crate::ErrorCode). Nobody can tell
    /// ([`ErrorKind::Fault`](crate::ErrorKind::Fault)) under `key_set_unavailable` and
    /// `status_unavailable`, every other code is a verdict on the token.
    pub fn validate_session(&self, token: impl AsRef<[u8]>) -> Result<Session, Error> {
        self.validate(token.as_ref(), None)
    }

    /// As [`Self::validate_session`], with requirements of this call beside the builder's.
    ///
    /// # Errors
    /// As [`Self::validate_session`]; what the call requires and the token lacks is
    /// `claims_scope_missing`, `claims_role_missing`, `claims_tenant_mismatch`,
    /// `claims_acr_insufficient`, `claims_auth_too_old`, `claims_client_not_allowed`, and where it
    /// must be fresh `key_set_unavailable` or `status_unavailable`.
    pub fn validate_session_requiring(
        &self,
        token: impl AsRef<[u8]>,
        require: &Require,
    ) -> Result<Session, Error> {
        self.validate(token.as_ref(), Some(require))
    }

    /// What [`Self::validate_session_requiring`] says of a token it remembers, in a microsecond; none
    /// when the token has to walk. For callers who pay for leaving their thread while it walks.
    ///
    /// # Errors
    /// As [`Self::validate_session_requiring`]: what moves is judged again.
    pub fn validate_remembered(
        &self,
        token: impl AsRef<[u8]>,
        require: &Require,
    ) -> Option<Result<Session, Error>> {
        self.recall(token.as_ref(), Some(require))
    }

    /// As [`Self::validate_session_requiring`], but when the key or the status list is not at
    /// hand, waits for it once each and walks again, three times at most.
    ///
    /// With an issuer that answers that is one round trip for each. With one that does not, every fetch
    /// ends after 5 s; one of keys may before that wait 5 s for another process of the same snapshot
    /// file. A wait for a key is at most five of them: the one under way, one that is due, one of
    /// [`Self::refresh`], and two for unknown `kid`s, which is their budget in 30 s. A wait for a list
    /// is at most two, and a wait for a key within each where the list is signed by a key that is not
    /// at hand: 85 s in all, 160 s with a snapshot file. Whoever cannot wait so long drops the future,
    /// which cancels no fetch.
    ///
    /// # Errors
    /// As [`Self::validate_session_requiring`].
    pub async fn validate_session_with_refresh(
        &self,
        token: impl AsRef<[u8]> + Send,
        require: &Require,
    ) -> Result<Session, Error> {
        let token = token.as_ref();
        let mut verdict = self.judge(token, Some(require));
        if let Err(Error::Key(error)) = &verdict {
            if !self.await_key(token, error).await {
                return verdict;
            }
            verdict = self.judge(token, Some(require));
        }
        if let Err(Error::Status(StatusError::Unavailable { list, .. })) = &verdict
            && let Some(party) = self.party_of(token)
        {
            party.status.settle(list).await;
            verdict = self.judge(token, Some(require));
        }
        verdict
    }

    /// Waits for the key that `error` misses; whether there was anything to wait for.
    async fn await_key(&self, token: &[u8], error: &KeyError) -> bool {
        match error {
            KeyError::NotFound { .. } => match self.unknown_kid(token) {
                Some((party, kid)) => party.keys.resolve_unknown(&kid).await,
                None => return false,
            },
            KeyError::SetUnavailable => match self.party_of(token) {
                Some(party) => party.keys.settle().await,
                None => return false,
            },
            KeyError::Unusable { .. } => return false,
        }
        true
    }

    fn validate(&self, token: &[u8], require: Option<&Require>) -> Result<Session, Error> {
        self.judge(token, require).inspect_err(|error| {
            if matches!(error, Error::Key(KeyError::NotFound { .. }))
                && let Some((party, kid)) = self.unknown_kid(token)
            {
                party.keys.note_unknown(&kid);
            }
        })
    }

    /// Recalls `token`, or walks and remembers it.
    fn judge(&self, token: &[u8], require: Option<&Require>) -> Result<Session, Error> {
        let Some(remembered) = &self.inner.remembered else {
            return self.walk(token, require);
        };
        if let Some(verdict) = self.recall(token, require) {
            return verdict;
        }
        let session = self.walk(token, require)?;
        let leeway = self.inner.parties[session.judged_by().party].policy.leeway;
        let end = session.expires_at().saturating_add(leeway);
        remembered.remember(token, &session, self.inner.clock.now(), end);
        Ok(session)
    }

    /// The verdict on a token that is remembered, judged again.
    fn recall(&self, token: &[u8], require: Option<&Require>) -> Option<Result<Session, Error>> {
        let session = self.inner.remembered.as_ref()?.recall(token)?;
        self.judge_again(session, require)
    }

    /// What moves of a token that was good; none when it has to walk again: its key set is no
    /// longer the current one, or its status list is no longer kept.
    fn judge_again(
        &self,
        session: Session,
        require: Option<&Require>,
    ) -> Option<Result<Session, Error>> {
        let clock = &*self.inner.clock;
        let judged_by = session.judged_by();
        let Party { policy, keys, .. } = &self.inner.parties[judged_by.party];
        let keys = keys.cache().current(clock).ok()?;
        if keys.set().id() != judged_by.key_set {
            return None;
        }
        let verdict = claims::judge_again(session.stated(), policy, require, clock.now());
        if let Err(error) = verdict {
            return Some(Err(error.into()));
        }
        let status = match judged_by.status.check(clock) {
            Ok(status) => status,
            Err(StatusError::Unavailable { .. }) => return None,
            Err(error) => return Some(Err(error.into())),
        };
        let freshness = Freshness::new(keys.freshness(), status);
        let verdict = freshness.judge(policy, require);
        Some(verdict.map(|()| session.recalled(freshness)))
    }

    fn walk(&self, token: &[u8], require: Option<&Require>) -> Result<Session, Error> {
        let clock = &*self.inner.clock;
        let jws = CompactJws::parse(token)?; // three segments, bounded, untrusted
        let party = self.party(&jws)?; // whose token it claims to be
        let Party {
            policy,
            keys,
            status,
        } = &self.inner.parties[party];
        let keys = keys.cache().current(clock); // in memory, within its bound
        let header = jws.header_segment();
        let known = keys.as_ref().ok();
        let key = match known.and_then(|keys| keys.set().select_again(header)) {
            Some(key) => key, // a header that was read before, byte for byte
            None => {
                let header = ProtectedHeader::parse(&jws, &policy.header)?; // allowed alg, typ, no crit
                let keys = keys.as_ref().map_err(Clone::clone)?;
                keys.set().select(&header)? // exactly one key agrees
            }
        };
        let payload = signature::verify(jws, key)?; // the only maker of a verified payload
        key.saw_header(header);
        let claims = Claims::validate(&payload, policy, require, clock.now())?;
        let status = status.find(claims.members().status_list())?; // the entry that speaks of it, if any
        let status_freshness = status.check(clock)?; // in memory: not revoked, within its bound
        let keys = keys?;
        let freshness = Freshness::new(keys.freshness(), status_freshness);
        freshness.judge(policy, require)?;
        let key_set = keys.set().id();
        let judged_by = JudgedBy {
            party,
            key_set,
            status,
        };
        Ok(Session::new(&claims, judged_by, freshness))
    }

    /// Place of the issuer whose keys and policy judge `jws`: the only one, or that of its exact
    /// `iss`.
    pub(crate) fn party(&self, jws: &CompactJws<'_>) -> Result<usize, ClaimsError> {
        match &self.inner.parties[..] {
            [_] => Ok(0),
            several => claims::names_issuer(jws, |iss| {
                several.iter().position(|party| party.policy.issuer == iss)
            })
            .ok_or(ClaimsError::IssMismatch),
        }
    }

    fn party_of(&self, token: &[u8]) -> Option<&Party> {
        let party = self.party(&CompactJws::parse(token).ok()?).ok()?;
        self.inner.parties.get(party)
    }

    /// The `kid` to look for, and at whom: only that of a token that would otherwise pass.
    fn unknown_kid(&self, token: &[u8]) -> Option<(&Party, String)> {
        let jws = CompactJws::parse(token).ok()?;
        let party = &self.inner.parties[self.party(&jws).ok()?];
        if !party.keys.can_refresh() {
            return None;
        }
        let policy = &party.policy;
        let header = ProtectedHeader::parse(&jws, &policy.header).ok()?;
        let kid = header.kid()?.to_owned();
        claims::is_plausible(&jws, policy, self.inner.clock.now()).then_some((party, kid))
    }
}
