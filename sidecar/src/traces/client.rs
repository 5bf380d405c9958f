//! Client: sends what the exporter hands over, by the runtime that serves requests.
//!
//! The exporter lives on a thread of its own that has no runtime; a request is spawned where there
//! is one, and waited for from there.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use rustls::RootCertStore;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::runtime::Handle;

use super::TracesError;

#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    runtime: Arc<OnceLock<Handle>>,
}

impl Client {
    /// With the machine's trust store where `is_secure`, else with none.
    pub(super) fn new(is_secure: bool) -> Result<Self, TracesError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|tls| {
                if is_secure {
                    tls.with_platform_verifier()
                } else {
                    Ok(tls.with_root_certificates(RootCertStore::empty()))
                }
            })
            .map_err(|_| TracesError)?
            .with_no_client_auth();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(TIMEOUT)
            .build()
            .map_err(|_| TracesError)?;
        let runtime = Arc::default();
        Ok(Self { http, runtime })
    }

    /// Sends from now on by the runtime this is called in.
    pub(super) fn run_here(&self) {
        let _ = self.runtime.set(Handle::current());
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let runtime = self.runtime.get().ok_or("not served yet")?;
        let (http, request) = (self.http.clone(), request.try_into()?);
        let sending = runtime.spawn(async move {
            let response = http.execute(request).await?;
            // Whatever else a collector says is not read.
            Ok::<_, reqwest::Error>(response.status())
        });
        let mut answer = Response::new(Bytes::new());
        *answer.status_mut() = sending.await??;
        Ok(answer)
    }
}

const TIMEOUT: Duration = Duration::from_secs(5);
