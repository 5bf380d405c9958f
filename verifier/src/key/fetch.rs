//! `jwks_uri` → JWK Set: where it is published, and what of an answer is a set.
//!
//! **Invariant:** discovered keys come from the document of exactly the configured issuer; nothing
//! of an answer is used unless the whole of it is good (hazards V33, V34).
//!
//! OpenID Connect Discovery 1.0 §4.

use std::time::Duration;

use serde::Deserialize;

use super::jwk::{JwkSetError, parse_set};
use super::{JwkSet, MAX_JWK_SET};
use crate::algorithm::Algorithm;
use crate::fetch::{Answer, FetchError, HeaderValue, Headers, Http, Question, Url, safe_url};
use crate::signature::CryptoBackend;

const MIN_LIFETIME: Duration = Duration::from_secs(60);
const MAX_LIFETIME: Duration = Duration::from_secs(3600);
const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);
const ACCEPT_SET: &str = "application/jwk-set+json, application/json";
const ACCEPT_METADATA: &str = "application/json";

/// Fetches one issuer's key set.
#[derive(Debug)]
pub(crate) struct Fetcher {
    http: Http,
    origin: Origin,
    algorithms: Vec<Algorithm>,
    backend: CryptoBackend,
    /// The validator of the set we hold, and where that set came from.
    etag: Option<(Url, HeaderValue)>,
}

/// Where the set is published.
#[derive(Debug)]
enum Origin {
    JwksUri(Url),
    /// To be discovered; asked again at each fetch, as an issuer may move its keys.
    Discovery {
        document: Url,
        issuer: String,
    },
}

/// A good answer.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// 304: the set we hold is the issuer's.
    NotModified { lifetime: Duration },
    /// 200 with a usable set.
    Set { set: JwkSet, lifetime: Duration },
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
        Self::new(Origin::JwksUri(safe_url(uri)?), algorithms, backend)
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
        let issuer = issuer.to_owned();
        Self::new(Origin::Discovery { document, issuer }, algorithms, backend)
    }

    fn new(
        origin: Origin,
        algorithms: Vec<Algorithm>,
        backend: CryptoBackend,
    ) -> Result<Self, FetchError> {
        Ok(Self {
            http: Http::new()?,
            origin,
            algorithms,
            backend,
            etag: None,
        })
    }

    /// The same client, for other documents of the issuer.
    pub(crate) fn http(&self) -> Http {
        self.http.clone()
    }

    /// Asks once.
    ///
    /// # Errors
    /// Whatever kept a usable set from arriving.
    pub(crate) async fn fetch(&mut self) -> Result<Fetched, RefreshError> {
        let uri = match &self.origin {
            Origin::JwksUri(uri) => uri.clone(),
            Origin::Discovery { document, issuer } => self.discover(document, issuer).await?,
        };
        let ours = self.etag.as_ref().filter(|(from, _)| *from == uri);
        let question = Question {
            url: &uri,
            accept: ACCEPT_SET,
            etag: ours.map(|(_, etag)| etag),
            most: MAX_JWK_SET,
        };
        match self.http.get(question).await? {
            Answer::NotModified(headers) => Ok(Fetched::NotModified {
                lifetime: lifetime(&headers),
            }),
            Answer::Document { body, headers } => {
                let set = parse_set(&body, &self.algorithms, self.backend)?;
                self.etag = headers.etag().map(|etag| (uri, etag.clone()));
                let lifetime = lifetime(&headers);
                Ok(Fetched::Set { set, lifetime })
            }
        }
    }

    async fn discover(&self, document: &Url, issuer: &str) -> Result<Url, RefreshError> {
        let question = Question {
            url: document,
            accept: ACCEPT_METADATA,
            etag: None,
            most: MAX_JWK_SET,
        };
        let Answer::Document { body, .. } = self.http.get(question).await? else {
            return Err(FetchError::Status { status: 304 }.into());
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
        Ok(jwks_uri)
    }
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

/// How long the set may be used: the server's word, within our bounds.
fn lifetime(headers: &Headers) -> Duration {
    headers.lifetime().map_or(DEFAULT_LIFETIME, |word| {
        word.clamp(MIN_LIFETIME, MAX_LIFETIME)
    })
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
    /// The body is no usable JWK Set.
    #[error(transparent)]
    Set(#[from] JwkSetError),
}
