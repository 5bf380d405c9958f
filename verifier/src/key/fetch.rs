//! `jwks_uri` → JWK Set: where it is published, and what of an answer is a set.
//!
//! **Invariant:** discovered keys come from the document of exactly the configured issuer; nothing
//! of an answer is used unless the whole of it is good (hazards V33, V34).
//! **Invariant:** one question has one deadline, and who asks is named by a random number.
//!
//! OpenID Connect Discovery 1.0 §4.

use std::time::Duration;

use base64_simd::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::jwk::{JwkSetError, parse_set};
use super::{JwkSet, MAX_JWK_SET};
use crate::algorithm::Algorithm;
use crate::fetch::{
    Answer, FetchError, HeaderValue, Headers, Http, Question, TOTAL_TIMEOUT, Url, safe_url,
};
use crate::signature::CryptoBackend;

/// The shortest a set is used before asking again.
pub(crate) const MIN_LIFETIME: Duration = Duration::from_secs(60);
/// The longest a set is used without asking again.
pub(crate) const MAX_LIFETIME: Duration = Duration::from_secs(3600);
const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);
const ACCEPT_SET: &str = "application/jwk-set+json, application/json";
const ACCEPT_METADATA: &str = "application/json";

/// How long a discovered `jwks_uri` is used without asking again.
const DISCOVERY_LIFETIME: Duration = Duration::from_secs(3600);
/// How long it is used while the discovery document cannot be had.
const DISCOVERY_STALE_LIMIT: Duration = Duration::from_secs(24 * 3600);
/// For the document when we know where the keys are: the rest of the deadline is theirs.
const REDISCOVERY_TIMEOUT: Duration = Duration::from_secs(2);

/// Fetches one issuer's key set.
#[derive(Debug)]
pub(crate) struct Fetcher {
    http: Http,
    origin: Origin,
    algorithms: Vec<Algorithm>,
    backend: CryptoBackend,
    /// Names this verifier to the issuer.
    verifier: Option<HeaderValue>,
}

/// Where the set is published.
#[derive(Debug)]
enum Origin {
    JwksUri(Url),
    Discovery {
        document: Url,
        issuer: String,
        known: Option<Discovered>,
    },
}

/// What the discovery document said.
#[derive(Debug, Clone)]
struct Discovered {
    jwks_uri: Url,
    etag: Option<HeaderValue>,
    /// Monotonic.
    read_at: Duration,
}

/// What is known when a set is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ask<'a> {
    /// The set at hand is this one.
    pub(crate) held: Option<&'a Validator>,
    /// A copy on the way will not do.
    pub(crate) revalidate: bool,
    /// The keys may have moved.
    pub(crate) rediscover: bool,
}

/// Where a set came from, and what its publisher calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Validator {
    pub(crate) uri: Url,
    pub(crate) etag: Option<HeaderValue>,
}

/// A good answer.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// 304: the set we hold is the issuer's.
    NotModified(Stamp),
    /// 200 with a usable set.
    Set(Box<Offer>),
}

/// A usable set, and whose word it is.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) set: JwkSet,
    /// None when it holds a private key: then nothing keeps it.
    pub(crate) document: Option<Vec<u8>>,
    pub(crate) digest: Digest,
    pub(crate) validator: Validator,
    pub(crate) stamp: Stamp,
}

/// SHA-256 of a document.
pub(crate) type Digest = [u8; 32];

/// What an answer says of its own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// How long the set may be used from now on, within our bounds.
    pub(crate) lifetime: Duration,
    /// How long the answer lay in a cache.
    pub(crate) copy_age: Duration,
    /// When the origin made it, by its own clock; Unix seconds.
    pub(crate) date: Option<u64>,
}

impl Fetcher {
    /// For keys at `uri`.
    ///
    /// # Errors
    /// When `uri` is not https nor loopback, or the machine's trust store cannot be read.
    pub(crate) fn jwks_uri(
        uri: &str,
        algorithms: Vec<Algorithm>,
        backend: CryptoBackend,
    ) -> Result<Self, FetchError> {
        let uri = safe_url(uri)?;
        let http = Http::new()?;
        http.client_for(&uri)?;
        Ok(Self::new(http, Origin::JwksUri(uri), algorithms, backend))
    }

    /// For keys at the `jwks_uri` that `issuer` publishes.
    ///
    /// # Errors
    /// As [`Self::jwks_uri`].
    pub(crate) fn discovery(
        issuer: &str,
        algorithms: Vec<Algorithm>,
        backend: CryptoBackend,
    ) -> Result<Self, FetchError> {
        let base = issuer.strip_suffix('/').unwrap_or(issuer);
        let document = safe_url(&format!("{base}/.well-known/openid-configuration"))?;
        let http = Http::new()?;
        http.client_for(&document)?;
        let origin = Origin::Discovery {
            document,
            issuer: issuer.to_owned(),
            known: None,
        };
        Ok(Self::new(http, origin, algorithms, backend))
    }

    fn new(http: Http, origin: Origin, algorithms: Vec<Algorithm>, backend: CryptoBackend) -> Self {
        let name = backend
            .random()
            .map(|bytes| URL_SAFE_NO_PAD.encode_to_string(bytes));
        Self {
            http,
            origin,
            algorithms,
            backend,
            verifier: name.and_then(|name| HeaderValue::from_str(&name).ok()),
        }
    }

    /// The same client, for other documents of the issuer.
    pub(crate) fn http(&self) -> Http {
        self.http.clone()
    }

    /// Asks once; document and set together have one deadline.
    ///
    /// # Errors
    /// Whatever kept a usable set from arriving.
    pub(crate) async fn fetch(
        &mut self,
        ask: Ask<'_>,
        now: Duration,
    ) -> Result<Fetched, RefreshError> {
        tokio::time::timeout(TOTAL_TIMEOUT, self.fetch_unbounded(ask, now))
            .await
            .unwrap_or(Err(FetchError::Timeout.into()))
    }

    async fn fetch_unbounded(
        &mut self,
        ask: Ask<'_>,
        now: Duration,
    ) -> Result<Fetched, RefreshError> {
        let uri = self.locate(ask.rediscover, now).await?;
        let held = ask.held.filter(|held| held.uri == uri);
        let question = Question {
            url: &uri,
            accept: ACCEPT_SET,
            etag: held.and_then(|held| held.etag.as_ref()),
            most: MAX_JWK_SET,
            revalidate: ask.revalidate,
            verifier: self.verifier.as_ref(),
        };
        match self.http.get(question).await? {
            Answer::NotModified(headers) => Ok(Fetched::NotModified(Stamp::of(&headers))),
            Answer::Document { body, headers } => {
                let etag = headers.etag().cloned();
                let validator = Validator { uri, etag };
                let offer = self.read(body, validator, Stamp::of(&headers))?;
                Ok(Fetched::Set(Box::new(offer)))
            }
        }
    }

    /// The set in `document`, whoever brings it.
    ///
    /// # Errors
    /// When it is no usable JWK Set.
    pub(crate) fn read(
        &self,
        document: Vec<u8>,
        validator: Validator,
        stamp: Stamp,
    ) -> Result<Offer, JwkSetError> {
        let set = parse_set(&document, &self.algorithms, self.backend)?;
        Ok(Offer {
            digest: self.backend.sha256(&document),
            document: (!set.is_leaky).then_some(document),
            set,
            validator,
            stamp,
        })
    }

    /// Whether a set from `uri` may be the configured issuer's; what is discovered may be anywhere.
    pub(crate) fn may_come_from(&self, uri: &Url) -> bool {
        match &self.origin {
            Origin::JwksUri(configured) => configured == uri,
            Origin::Discovery { .. } => true,
        }
    }

    /// Where the keys are: as configured, as discovered lately, or as the document says now.
    async fn locate(&mut self, rediscover: bool, now: Duration) -> Result<Url, RefreshError> {
        let (document, issuer, known) = match &mut self.origin {
            Origin::JwksUri(uri) => return Ok(uri.clone()),
            Origin::Discovery {
                document,
                issuer,
                known,
            } => (document, issuer, known),
        };
        let asking = discover(&self.http, document, issuer, known.as_ref(), now);
        let Some(before) = known.as_ref() else {
            let found = asking.await?;
            return Ok(known.insert(found).jwks_uri.clone());
        };
        let age = now.saturating_sub(before.read_at);
        if age <= DISCOVERY_LIFETIME && !rediscover {
            return Ok(before.jwks_uri.clone());
        }
        let found = tokio::time::timeout(REDISCOVERY_TIMEOUT, asking)
            .await
            .unwrap_or(Err(FetchError::Timeout.into()));
        match found {
            Ok(found) => Ok(known.insert(found).jwks_uri.clone()),
            // Like keys, their address outlives a document that cannot be had, for a while.
            Err(error) if age <= DISCOVERY_STALE_LIMIT => {
                tracing::warn!(%error, "key_set_discovery_failed");
                Ok(before.jwks_uri.clone())
            }
            Err(error) => Err(error),
        }
    }
}

async fn discover(
    http: &Http,
    document: &Url,
    issuer: &str,
    known: Option<&Discovered>,
    now: Duration,
) -> Result<Discovered, RefreshError> {
    let question = Question {
        url: document,
        accept: ACCEPT_METADATA,
        etag: known.and_then(|known| known.etag.as_ref()),
        most: MAX_JWK_SET,
        revalidate: false,
        verifier: None,
    };
    let (body, headers) = match (http.get(question).await?, known) {
        (Answer::Document { body, headers }, _) => (body, headers),
        (Answer::NotModified(_), Some(known)) => {
            let known = known.clone();
            return Ok(Discovered {
                read_at: now,
                ..known
            });
        }
        (Answer::NotModified(_), None) => return Err(FetchError::Status { status: 304 }.into()),
    };
    let metadata: Metadata =
        serde_json::from_slice(&body).map_err(|_| RefreshError::DiscoveryMalformed)?;
    if metadata.issuer != issuer {
        return Err(RefreshError::DiscoveryIssuerMismatch);
    }
    let jwks_uri = safe_url(&metadata.jwks_uri)?;
    if document.scheme() == "https" && jwks_uri.scheme() != "https" {
        return Err(FetchError::UnsafeUrl.into());
    }
    Ok(Discovered {
        jwks_uri,
        etag: headers.etag().cloned(),
        read_at: now,
    })
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

impl Stamp {
    fn of(headers: &Headers) -> Self {
        Self {
            lifetime: headers.lifetime().map_or(DEFAULT_LIFETIME, |word| {
                word.clamp(MIN_LIFETIME, MAX_LIFETIME)
            }),
            copy_age: headers.age(),
            date: headers.date(),
        }
    }
}

/// The key set could not be refreshed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshError {
    /// No whole answer.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The discovery document is not one.
    #[error("expected a discovery document with `issuer` and `jwks_uri`")]
    DiscoveryMalformed,
    /// The discovery document is another issuer's.
    #[error("expected the discovery document of the configured issuer")]
    DiscoveryIssuerMismatch,
    /// The answer is an older set than the one at hand: a copy, or a restored issuer.
    #[error("expected a set no older than the one at hand")]
    Superseded,
    /// The refresh ended in a panic, a fault of this library; the log names it.
    #[error("expected the refresh to come to its end")]
    Panicked,
    /// The body is no usable JWK Set.
    #[error(transparent)]
    Set(#[from] JwkSetError),
}
