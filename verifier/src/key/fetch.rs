//! `jwks_uri` → JWK Set: one bounded GET, conditional when we hold an `ETag`.
//!
//! **Invariant:** https only, except on loopback; no redirect is followed; the body is counted
//! while it arrives; nothing of a response is used unless the whole of it is good (hazards
//! V10, V33, V34).
//!
//! RFC 9110 §13.1.2, RFC 9111 §5.2.2, OpenID Connect Discovery 1.0 §4.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AGE, CACHE_CONTROL, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use reqwest::{Client, Response, StatusCode, Url};
use rustls_platform_verifier::BuilderVerifierExt as _;
use serde::Deserialize;

use super::jwk::{JwkSetError, parse_set};
use super::{JwkSet, MAX_JWK_SET};
use crate::algorithm::Algorithm;
use crate::signature::CryptoBackend;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);
const MIN_LIFETIME: Duration = Duration::from_secs(60);
const MAX_LIFETIME: Duration = Duration::from_secs(3600);
const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);

/// Fetches one issuer's key set.
#[derive(Debug)]
pub(crate) struct Fetcher {
    client: Client,
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
            client: client()?,
            origin,
            algorithms,
            backend,
            etag: None,
        })
    }

    /// Asks once.
    ///
    /// # Errors
    /// Whatever kept a usable set from arriving.
    pub(crate) async fn fetch(&mut self) -> Result<Fetched, FetchError> {
        let uri = match &self.origin {
            Origin::JwksUri(uri) => uri.clone(),
            Origin::Discovery { document, issuer } => self.discover(document, issuer).await?,
        };
        let mut request = self.client.get(uri.clone());
        let ours = self
            .etag
            .as_ref()
            .filter(|(held_from, _)| *held_from == uri);
        if let Some((_, etag)) = ours {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let response = request
            .send()
            .await
            .map_err(|error| FetchError::transport(&error))?;
        let lifetime = lifetime(response.headers());
        if response.status() == StatusCode::NOT_MODIFIED {
            return match ours {
                Some(_) => Ok(Fetched::NotModified { lifetime }),
                None => Err(FetchError::Status { status: 304 }),
            };
        }
        let etag = response.headers().get(ETAG).cloned();
        let body = read(response).await?;
        let set = parse_set(&body, &self.algorithms, self.backend)?;
        self.etag = etag.map(|etag| (uri, etag));
        Ok(Fetched::Set { set, lifetime })
    }

    async fn discover(&self, document: &Url, issuer: &str) -> Result<Url, FetchError> {
        let response = self.client.get(document.clone()).send().await;
        let body = read(response.map_err(|error| FetchError::transport(&error))?).await?;
        let metadata: Metadata =
            serde_json::from_slice(&body).map_err(|_| FetchError::DiscoveryMalformed)?;
        if metadata.issuer != issuer {
            return Err(FetchError::DiscoveryIssuerMismatch);
        }
        let jwks_uri = safe_url(&metadata.jwks_uri)?;
        if document.scheme() == "https" && jwks_uri.scheme() != "https" {
            return Err(FetchError::UnsafeUrl);
        }
        Ok(jwks_uri)
    }
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

fn client() -> Result<Client, FetchError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(rustls::ConfigBuilder::with_platform_verifier)
        .map_err(|_| FetchError::Tls)?
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TOTAL_TIMEOUT)
        .user_agent(concat!("queue-verifier/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|_| FetchError::Tls)
}

/// A URL keys may come from: https, or http where no network lies between.
fn safe_url(text: &str) -> Result<Url, FetchError> {
    let url = Url::parse(text).map_err(|_| FetchError::UnsafeUrl)?;
    let has_userinfo = !url.username().is_empty() || url.password().is_some();
    let is_safe = match url.scheme() {
        "https" => url.has_host(),
        "http" => url.host_str().is_some_and(is_loopback),
        _ => false,
    };
    if is_safe && !has_userinfo {
        Ok(url)
    } else {
        Err(FetchError::UnsafeUrl)
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

async fn read(mut response: Response) -> Result<Vec<u8>, FetchError> {
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status {
            status: response.status().as_u16(),
        });
    }
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| FetchError::transport(&error))?
    {
        if body.len() + chunk.len() > MAX_JWK_SET {
            return Err(FetchError::Set(JwkSetError::TooLarge));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// How long the answer may be used: `max-age` less `Age`, within our bounds.
fn lifetime(headers: &HeaderMap) -> Duration {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let max_age = text(CACHE_CONTROL).and_then(|directives| {
        directives.split(',').find_map(|directive| {
            let (name, seconds) = directive.trim().split_once('=')?;
            let is_max_age = name.eq_ignore_ascii_case("max-age");
            is_max_age
                .then(|| seconds.trim_matches('"').parse().ok())
                .flatten()
        })
    });
    let Some(max_age) = max_age.map(Duration::from_secs) else {
        return DEFAULT_LIFETIME;
    };
    let age = text(AGE)
        .and_then(|age| age.parse().ok())
        .map_or(Duration::ZERO, Duration::from_secs);
    max_age
        .saturating_sub(age)
        .clamp(MIN_LIFETIME, MAX_LIFETIME)
}

/// The key set could not be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Not https, nor http on loopback, or with a user name in it.
    #[error("expected an https URL, or http on a loopback host, without user name")]
    UnsafeUrl,
    /// TLS could not be set up.
    #[error("expected a usable trust store on this machine")]
    Tls,
    /// No answer in time.
    #[error("expected an answer within {} s", TOTAL_TIMEOUT.as_secs())]
    Timeout,
    /// No connection, or it broke.
    #[error("expected a connection to the issuer")]
    Connection,
    /// Neither 200 nor an expected 304; redirects are not followed.
    #[error("expected status 200, found {status}")]
    Status {
        /// HTTP status.
        status: u16,
    },
    /// The discovery document is not one.
    #[error("expected a discovery document with `issuer` and `jwks_uri`")]
    DiscoveryMalformed,
    /// The discovery document is another issuer's.
    #[error("expected the discovery document of the configured issuer")]
    DiscoveryIssuerMismatch,
    /// The body is no usable JWK Set.
    #[error(transparent)]
    Set(#[from] JwkSetError),
    /// The verifier is being dropped.
    #[error("expected a running verifier")]
    Closed,
}

impl FetchError {
    fn transport(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::Timeout
        } else {
            Self::Connection
        }
    }
}
