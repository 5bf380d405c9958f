//! Self-check: takes a minted token, passes it through `queue-verifier` with the published JWK Set.
//!
//! **Invariant:** the verifier is built from the bytes that are served, not from the keys in memory, so
//! a set that would not verify our tokens is found here and not at the relying services.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use jsonwebtoken::jwk::{AlgorithmParameters, JwkSet};
use queue_verifier::{Algorithm, ConfigError, CryptoBackend, ErrorCode, ErrorKind};
use queue_verifier::{JwsVerifier, KeySource, Verifier};
use serde_json::Value;

use super::claims::Claims;
use super::service::{ServiceClaims, ServiceIdentity};
use crate::clock::Clock;

/// What the verifier read in a token of ours.
pub(crate) use queue_verifier::Session as ReadToken;

/// A verifier over one published set.
pub(crate) struct SelfCheck {
    verifier: Verifier,
    /// The same, for every audience there is: ours too.
    every: Verifier,
    jws: JwsVerifier,
    set: JwkSet,
}

/// The verifier does not take the set.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetRefused {
    #[error("expected a set a verifier takes")]
    Config(#[source] ConfigError),
    #[error("expected a JWK Set")]
    Malformed(#[source] serde_json::Error),
}

/// The verifier does not take the token, or reads something else in it than was written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenRefused {
    #[error("the verifier refused it: {}", .0.code().as_str())]
    Verdict(#[source] queue_verifier::Error),
    #[error("the verifier read something else in it")]
    Differs,
    #[error("no published key verifies it")]
    Signature,
}

impl SelfCheck {
    pub(crate) fn new(
        issuer: &str,
        audiences: &[String],
        jwk_set: &str,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, SetRefused> {
        let keys = KeySource::jwk_set(jwk_set);
        let jws = JwsVerifier::new(&keys, &[Algorithm::RS256], CryptoBackend::AwsLcRs);
        let build = |audiences: Vec<String>| {
            Verifier::builder(issuer, audiences)
                .keys(keys.clone())
                .clock(Arc::new(VerifierClock(Arc::clone(clock))))
                .build()
                .map_err(SetRefused::Config)
        };
        let mut every = audiences.to_vec();
        every.push(issuer.to_owned());
        Ok(Self {
            verifier: build(audiences.to_vec())?,
            every: build(every)?,
            jws: jws.map_err(SetRefused::Config)?,
            set: serde_json::from_str(jwk_set).map_err(SetRefused::Malformed)?,
        })
    }

    /// Accepts the signed list or checkpoint `jws` as carrying `payload`.
    ///
    /// The verifier's signature layer takes a JWS as long as a token may be. A longer list, one with
    /// thousands of revocations, is held against the same published key without it.
    pub(crate) fn check_jws(&self, jws: &str, payload: &[u8]) -> Result<(), TokenRefused> {
        match self.jws.verify(jws) {
            Ok(read) if read == payload => Ok(()),
            Ok(_) => Err(TokenRefused::Differs),
            Err(error) if error.code() == ErrorCode::TokenTooLarge => self
                .verify_long(jws)
                .filter(|read| read == payload)
                .map(drop)
                .ok_or(TokenRefused::Signature),
            Err(error) => Err(TokenRefused::Verdict(error)),
        }
    }

    /// The payload of `jws`, if a key of the set signed it.
    fn verify_long(&self, jws: &str) -> Option<Vec<u8>> {
        let decode = |text: &str| base64_simd::URL_SAFE_NO_PAD.decode_to_vec(text).ok();
        let (input, signature) = jws.rsplit_once('.')?;
        let (_, payload) = input.split_once('.')?;
        let header = jsonwebtoken::decode_header(jws).ok()?;
        let AlgorithmParameters::RSA(rsa) = &self.set.find(&header.kid?)?.algorithm else {
            return None;
        };
        let key = RsaPublicKeyComponents {
            n: decode(&rsa.n)?,
            e: decode(&rsa.e)?,
        };
        let signature = decode(signature)?;
        key.verify(&RSA_PKCS1_2048_8192_SHA256, input.as_bytes(), &signature)
            .ok()?;
        decode(payload)
    }

    /// The session `jws` stands for, as a relying service would read it.
    pub(crate) fn session(
        &self,
        jws: &str,
    ) -> Result<queue_verifier::Session, queue_verifier::Error> {
        self.verifier.validate_session(jws)
    }

    /// What a token of ours says, whatever its audience; none when it is none, an error when that cannot
    /// be told.
    pub(crate) fn read(&self, jws: &str) -> Result<Option<ReadToken>, TokenRefused> {
        match self.every.validate_session(jws) {
            Ok(read) => Ok(Some(read)),
            Err(error) if error.kind() == ErrorKind::Fault => Err(TokenRefused::Verdict(error)),
            Err(_) => Ok(None),
        }
    }

    /// The claims of a token of ours that is good but for its expiry, which the verifier judges after
    /// header, signature, issuer and audience.
    pub(crate) fn read_expired(&self, jws: &str) -> Option<serde_json::Map<String, Value>> {
        match self.every.validate_session(jws) {
            Err(error) if error.code() == ErrorCode::ClaimsExpired => {
                serde_json::from_slice(&self.jws.verify(jws).ok()?).ok()
            }
            _ => None,
        }
    }

    /// Accepts the service's token `jws` as a relying service would, as saying what `claims` say, and as
    /// nothing that could be taken for a customer's.
    pub(crate) fn check_service(
        &self,
        jws: &str,
        claims: &ServiceClaims,
    ) -> Result<(), TokenRefused> {
        let session = self
            .every
            .validate_session(jws)
            .map_err(TokenRefused::Verdict)?;
        let service = ServiceIdentity::of(&session).ok_or(TokenRefused::Differs)?;
        let same = session.issuer() == claims.iss
            && session.audience().eq([claims.aud.as_str()])
            && service.client_id == claims.client_id
            && session.token_id() == Some(&claims.jti)
            && session.tenant_id() == Some(&claims.tenant_id)
            && session.scope().eq(claims.scope.split(' '))
            && service.credential.map(|id| id.to_string()) == claims.credential_id
            && i64::try_from(session.expires_at()) == Ok(claims.exp)
            && session.issued_at().map(i64::try_from) == Some(Ok(claims.iat));
        if same {
            Ok(())
        } else {
            Err(TokenRefused::Differs)
        }
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
            && time(session.authz_ver(), claims.authz_ver)
            && session.claim("status").as_ref() == Some(&claims.status);
        if same {
            Ok(())
        } else {
            Err(TokenRefused::Differs)
        }
    }
}

/// The payload of `jws`, which has to be of type `typ` and signed by the key of `jwk_set`, published or not any more.
pub(crate) fn verify_jws(jwk_set: &str, typ: &str, jws: &str) -> Result<Vec<u8>, TokenRefused> {
    let keys = KeySource::jwk_set(jwk_set);
    let verifier = JwsVerifier::new(&keys, &[Algorithm::RS256], CryptoBackend::AwsLcRs)
        .map_err(|_| TokenRefused::Signature)?;
    let payload = verifier.verify(jws).map_err(TokenRefused::Verdict)?;
    // The signature covers the header, so what it says is true now.
    let header = jsonwebtoken::decode_header(jws).map_err(|_| TokenRefused::Differs)?;
    if header.typ.as_deref() != Some(typ) {
        return Err(TokenRefused::Differs);
    }
    Ok(payload)
}

/// The `kid` that `jws` names, before anything is verified.
pub(crate) fn named_kid(jws: &str) -> Option<String> {
    jsonwebtoken::decode_header(jws).ok()?.kid
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
