//! Traces: one span a request, sent to an OpenTelemetry collector where the settings name one.
//!
//! **Invariant:** a span carries the method, the class of the route, the status and the code; nothing
//! a caller wrote but the two numbers of `traceparent` (hazard S28). Spans are made here by hand and
//! not out of events, so that no field of a log becomes an attribute.
//!
//! W3C Trace Context; OTLP/HTTP with protobuf. `OTEL_*` variables of the SDK (headers, sampler, batch,
//! resource) mean what its manual says.

mod client;

use std::time::Duration;

use http::request::Parts;
use http::{Response, StatusCode};
use opentelemetry::trace::{
    Span as _, SpanContext, SpanKind, Status, TraceContextExt as _, TraceState, Tracer as _,
    TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use opentelemetry::propagation::TextMapPropagator as _;

use crate::metrics::RouteClass;
use crate::problem::Refused;
use client::Client;

/// The way to the collector.
#[derive(Debug)]
pub(crate) struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    client: Client,
}

/// The span of one request.
pub(crate) struct RequestSpan(opentelemetry_sdk::trace::Span);

impl Traces {
    /// Sends to the collector at `endpoint`, a URL without the path of the signal.
    ///
    /// # Errors
    /// When the URL is none or TLS cannot be set up.
    pub(crate) fn new(endpoint: &str) -> Result<Self, TracesError> {
        let client = Client::new(endpoint.starts_with("https:"))?;
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(client.clone())
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .build()
            .map_err(|_| TracesError)?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder()
            .with_service_name("queue-sidecar")
            .with_attribute(version)
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        let tracer = provider.tracer("queue-sidecar");
        Ok(Self {
            provider,
            tracer,
            client,
        })
    }

    /// Sends from now on by the runtime this is called in.
    pub(crate) fn start(&self) {
        self.client.run_here();
    }

    /// Begins the span of a request, within the trace its caller names.
    pub(crate) fn begin(&self, head: &Parts, route: RouteClass) -> RequestSpan {
        let method = match head.method.as_str() {
            known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known,
            _ => "_OTHER",
        };
        let attributes = vec![
            KeyValue::new("http.request.method", method.to_owned()),
            KeyValue::new("queue.route", route.as_str()),
        ];
        let span = self
            .tracer
            .span_builder(format!("{method} {}", route.as_str()))
            .with_kind(SpanKind::Server)
            .with_attributes(attributes)
            .start_with_context(&self.tracer, &parent(head));
        RequestSpan(span)
    }

    /// Sends what is left; blocks, so never on a thread that serves.
    pub(crate) fn end(&self) {
        if self.provider.shutdown_with_timeout(PATIENCE).is_err() {
            tracing::warn!("traces_lost");
        }
    }
}

impl RequestSpan {
    /// Ends it with what was answered.
    pub(crate) fn end<B>(mut self, response: &Response<B>) {
        let status = response.status();
        let code = response.extensions().get::<Refused>().map(|code| code.0);
        let number = i64::from(status.as_u16());
        let attribute = KeyValue::new("http.response.status_code", number);
        self.0.set_attribute(attribute);
        let code = code.or((status == StatusCode::OK).then_some("ok"));
        if let Some(code) = code {
            self.0.set_attribute(KeyValue::new("queue.code", code));
        }
        if status.is_server_error() {
            self.0.set_status(Status::error(code.unwrap_or_default()));
        }
        self.0.end();
    }
}

/// Whoever asks; its `tracestate` is left behind: it may hold anything.
fn parent(head: &Parts) -> Context {
    let named = TraceContextPropagator::new()
        .extract_with_context(&Context::new(), &HeaderExtractor(&head.headers));
    let span = named.span();
    let known = span.span_context();
    if !known.is_valid() {
        return Context::new();
    }
    Context::new().with_remote_span_context(SpanContext::new(
        known.trace_id(),
        known.span_id(),
        known.trace_flags(),
        true,
        TraceState::default(),
    ))
}

/// Traces cannot be sent there.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("expected an http or https URL of a collector, as `http://127.0.0.1:4318`")]
pub(crate) struct TracesError;

/// How long a shutdown waits for a collector.
const PATIENCE: Duration = Duration::from_secs(2);
