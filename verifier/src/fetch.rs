//! URL → bytes: one bounded GET, conditional when the caller holds an `ETag`.
//!
//! **Invariant:** https only, except on loopback; no redirect is followed; a body is counted while
//! it arrives and never expanded; nothing of an answer is used unless the whole of it arrived
//! (hazards V10, V33).
//!
//! RFC 9110 §13.1.2, RFC 9111 §5.2.2.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, UNIX_EPOCH};

use reqwest::header::{
    ACCEPT, AGE, CACHE_CONTROL, CONTENT_TYPE, DATE, ETAG, HeaderMap, HeaderName, IF_NONE_MATCH,
};
use reqwest::{Client, Response, StatusCode};
use rustls::RootCertStore;
use rustls_platform_verifier::BuilderVerifierExt as _;

pub(crate) use reqwest::Url;
pub(crate) use reqwest::header::HeaderValue;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Until the whole of an answer is here, or of several that are asked for together.
pub(crate) const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);
/// Names the asking verifier, one name for each that is built (docs/threat-model.md).
const QUEUE_VERIFIER: HeaderName = HeaderName::from_static("queue-verifier");
/// No answer is taken to be older: past that an age says no more.
pub(crate) const LONGEST_AGE: Duration = Duration::from_secs(365 * 24 * 3600);
/// A stream of events is opened anew after so long.
const STREAM_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
const EVENT_STREAM: &str = "text/event-stream";

/// Asks one party's documents.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    /// Trusts no certificate: it speaks http, on loopback.
    plain: Client,
    /// With the machine's trust store, read when the first https URL needs it.
    secure: Arc<OnceLock<Client>>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) url: &'a Url,
    /// Media type wanted.
    pub(crate) accept: &'static str,
    /// The validator of the copy at hand.
    pub(crate) etag: Option<&'a HeaderValue>,
    /// Most bytes of a body.
    pub(crate) most: usize,
    /// Whether a cache on the way must ask the origin first (RFC 9111 §5.2.1.4).
    pub(crate) revalidate: bool,
    /// Who asks, where the publisher counts it.
    pub(crate) verifier: Option<&'a HeaderValue>,
}

/// A good answer.
#[derive(Debug)]
pub(crate) enum Answer {
    /// 304: the copy at hand is the present one.
    NotModified(Headers),
    /// 200 with the whole body.
    Document {
        /// At most the bytes asked for.
        body: Vec<u8>,
        /// Its headers.
        headers: Headers,
    },
}

/// The headers of an answer that mean something here.
#[derive(Debug, Clone)]
pub(crate) struct Headers(HeaderMap);

impl Http {
    /// Sets the connections up.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(crate) fn new() -> Result<Self, FetchError> {
        let no_trust = |tls: TlsBuilder| Ok(tls.with_root_certificates(RootCertStore::empty()));
        Ok(Self {
            plain: client(no_trust)?,
            secure: Arc::default(),
        })
    }

    /// What `url` is asked with.
    ///
    /// # Errors
    /// When it is https and the machine's trust store cannot be read.
    pub(crate) fn client_for(&self, url: &Url) -> Result<&Client, FetchError> {
        if url.scheme() == "http" {
            return Ok(&self.plain);
        }
        if let Some(client) = self.secure.get() {
            return Ok(client);
        }
        let client = client(TlsBuilder::with_platform_verifier)?;
        Ok(self.secure.get_or_init(|| client))
    }

    /// Asks once.
    ///
    /// # Errors
    /// Whatever kept a whole answer from arriving.
    pub(crate) async fn get(&self, question: Question<'_>) -> Result<Answer, FetchError> {
        let mut request = self
            .client_for(question.url)?
            .get(question.url.clone())
            .header(ACCEPT, question.accept);
        if let Some(etag) = question.etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        if question.revalidate {
            request = request.header(CACHE_CONTROL, "no-cache");
        }
        if let Some(verifier) = question.verifier {
            request = request.header(QUEUE_VERIFIER, verifier);
        }
        let sent = request.send().await;
        let response = sent.map_err(|error| FetchError::transport(&error))?;
        let headers = Headers(response.headers().clone());
        if response.status() == StatusCode::NOT_MODIFIED && question.etag.is_some() {
            return Ok(Answer::NotModified(headers));
        }
        let body = read(response, question.most).await?;
        Ok(Answer::Document { body, headers })
    }
}

impl Http {
    /// Opens a stream of server-sent events.
    ///
    /// # Errors
    /// Whatever kept it from opening.
    pub(crate) async fn listen(&self, url: &Url) -> Result<EventStream, FetchError> {
        let client = self.client_for(url)?;
        let request = client.get(url.clone()).header(ACCEPT, EVENT_STREAM);
        let sent = request.timeout(STREAM_TIMEOUT).send();
        let sent = tokio::time::timeout(TOTAL_TIMEOUT, sent).await;
        let sent = sent.map_err(|_| FetchError::Timeout)?;
        let response = sent.map_err(|error| FetchError::transport(&error))?;
        expect_ok(&response)?;
        let media_type = response.headers().get(CONTENT_TYPE);
        let is_stream = media_type
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| {
                let essence = value.split(';').next().unwrap_or_default();
                essence.trim().eq_ignore_ascii_case(EVENT_STREAM)
            });
        if is_stream {
            Ok(EventStream(response))
        } else {
            Err(FetchError::MediaType)
        }
    }
}

/// An open stream of events; dropping it closes it.
#[derive(Debug)]
pub(crate) struct EventStream(Response);

impl EventStream {
    /// The next bytes; none at the end. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// When the connection broke.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Vec<u8>>, FetchError> {
        let chunk = self.0.chunk().await;
        let chunk = chunk.map_err(|error| FetchError::transport(&error))?;
        Ok(chunk.map(Vec::from))
    }
}

impl Headers {
    /// The validator of the document.
    pub(crate) fn etag(&self) -> Option<&HeaderValue> {
        self.0.get(ETAG)
    }

    /// How long the document may be used, by the server's word: `max-age` less `Age`.
    pub(crate) fn lifetime(&self) -> Option<Duration> {
        let max_age = self.text(CACHE_CONTROL)?.split(',').find_map(|directive| {
            let (name, seconds) = directive.trim().split_once('=')?;
            let is_max_age = name.eq_ignore_ascii_case("max-age");
            is_max_age
                .then(|| seconds.trim_matches('"').parse().ok())
                .flatten()
        })?;
        Some(Duration::from_secs(max_age).saturating_sub(self.age()))
    }

    /// How long the answer lay in a cache, by the cache's word, [`LONGEST_AGE`] at most; zero from
    /// the origin itself.
    pub(crate) fn age(&self) -> Duration {
        let digits = self.text(AGE).map(str::trim).unwrap_or_default();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Duration::ZERO;
        }
        // More seconds than can be counted are no fewer than the bound (RFC 9111 §1.2.2).
        let seconds = digits.parse().unwrap_or(u64::MAX);
        Duration::from_secs(seconds).min(LONGEST_AGE)
    }

    /// When the origin made the answer, by its own clock; Unix seconds.
    pub(crate) fn date(&self) -> Option<u64> {
        let date = httpdate::parse_http_date(self.text(DATE)?).ok()?;
        Some(date.duration_since(UNIX_EPOCH).ok()?.as_secs())
    }

    fn text(&self, name: HeaderName) -> Option<&str> {
        self.0.get(name).and_then(|value| value.to_str().ok())
    }
}

type TlsBuilder = rustls::ConfigBuilder<rustls::ClientConfig, rustls::WantsVerifier>;
type TrustingBuilder = rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert>;

fn client(
    trust: impl FnOnce(TlsBuilder) -> Result<TrustingBuilder, rustls::Error>,
) -> Result<Client, FetchError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(trust)
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

/// A URL documents may come from: https, or http where no network lies between.
///
/// # Errors
/// [`FetchError::UnsafeUrl`].
pub(crate) fn safe_url(text: &str) -> Result<Url, FetchError> {
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

fn expect_ok(response: &Response) -> Result<(), FetchError> {
    match response.status() {
        StatusCode::OK => Ok(()),
        status => Err(FetchError::Status {
            status: status.as_u16(),
        }),
    }
}

async fn read(mut response: Response, most: usize) -> Result<Vec<u8>, FetchError> {
    expect_ok(&response)?;
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| FetchError::transport(&error))?
    {
        if body.len() + chunk.len() > most {
            return Err(FetchError::TooLarge { most });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A document could not be fetched.
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
    /// An answer of another kind.
    #[error("expected media type {EVENT_STREAM}")]
    MediaType,
    /// A body beyond its bound.
    #[error("expected a body of at most {most} bytes")]
    TooLarge {
        /// Bytes allowed.
        most: usize,
    },
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

#[cfg(test)]
mod tests;
