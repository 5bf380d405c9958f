//! Traces, as a collector gets them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::json;

use crate::support::{Sidecar, TestApp, claims, forge, jwk_set, run, settings};

/// A request line and its body.
type Sent = (String, Vec<u8>);

/// A collector on loopback, and what it was sent.
#[derive(Clone, Default)]
struct Collector {
    bodies: Arc<Mutex<Vec<Sent>>>,
    port: u16,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        let collector = Self {
            port,
            ..Self::default()
        };
        let bodies = Arc::clone(&collector.bodies);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut reader = BufReader::new(&stream);
                let (mut target, mut length) = (String::new(), 0);
                reader.read_line(&mut target).expect("a request line");
                let mut has_type = false;
                for line in reader.by_ref().lines() {
                    let line = line.expect("a header").to_ascii_lowercase();
                    if line.is_empty() {
                        break;
                    }
                    has_type |= line == "content-type: application/x-protobuf";
                    if let Some(text) = line.strip_prefix("content-length: ") {
                        length = text.parse().expect("a length");
                    }
                }
                assert!(has_type, "it is said to be protobuf");
                let mut body = vec![0; length];
                reader.read_exact(&mut body).expect("the whole body");
                let target = target.trim_end().to_owned();
                bodies
                    .lock()
                    .expect("no reader panics")
                    .push((target, body));
                let _ = (&stream).write_all(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                );
            }
        });
        collector
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn spans(&self) -> Vec<Span> {
        let bodies = self.bodies.lock().expect("the collector does not panic");
        let mut spans = Vec::new();
        for (target, body) in bodies.iter() {
            assert_eq!(target, "POST /v1/traces HTTP/1.1");
            let request = ExportTraceServiceRequest::decode(body.as_slice()).expect("OTLP");
            for resource in request.resource_spans {
                let about = resource.resource.expect("a resource").attributes;
                assert!(about.iter().any(|pair| pair.key == "service.name"));
                spans.extend(
                    resource
                        .scope_spans
                        .into_iter()
                        .flat_map(|scope| scope.spans),
                );
            }
        }
        spans
    }

    /// Everything that was sent, as it was sent.
    fn bytes(&self) -> Vec<u8> {
        let bodies = self.bodies.lock().expect("the collector does not panic");
        bodies.iter().flat_map(|(_, body)| body.clone()).collect()
    }
}

fn attribute(span: &Span, key: &str) -> String {
    let pair = span.attributes.iter().find(|pair| pair.key == key);
    match pair.and_then(|pair| pair.value.clone()?.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{key} is {other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

#[test]
fn a_request_is_a_span_of_the_trace_its_caller_names() {
    let collector = Collector::start();
    let mut traced = settings();
    traced.otlp_endpoint = Some(collector.url());
    let app = TestApp::with(&traced);
    let token = forge().sign(&claims(json!({})));
    let parent = format!("traceparent: 00-{TRACE}-{PARENT}-01\r\ntracestate: x={token}\r\n");
    app.get(
        "/v1/auth",
        &format!("{parent}Authorization: Bearer {token}\r\n"),
    );
    app.get("/v1/auth?scope=a", "Authorization: Bearer a.b.c\r\n");
    app.get("/livez", &format!("traceparent: 00-{token}-01\r\n"));
    app.get(&format!("/{token}"), "");
    app.join();
    let spans = collector.spans();
    let said: Vec<_> = spans
        .iter()
        .map(|span| {
            let status = attribute(span, "http.response.status_code");
            (span.name.as_str(), status, attribute(span, "queue.code"))
        })
        .collect();
    let expected = [
        ("GET auth", "200", "ok"),
        ("GET auth", "401", "token_malformed"),
        ("GET probe", "200", "ok"),
        ("GET other", "404", "route_not_found"),
    ]
    .map(|(name, status, code)| (name, status.to_owned(), code.to_owned()));
    assert_eq!(said, expected);
    assert_eq!(
        (hex(&spans[0].trace_id), hex(&spans[0].parent_span_id)),
        (TRACE.to_owned(), PARENT.to_owned())
    );
    assert_eq!(spans[0].trace_state, "");
    for span in &spans[1..] {
        assert!(span.parent_span_id.is_empty());
        assert_ne!(hex(&span.trace_id), TRACE);
    }
    // What a caller wrote is nowhere in what was sent.
    let sent = collector.bytes();
    for part in token.split('.').chain([crate::support::ISSUER]) {
        let half = &part.as_bytes()[..part.len().min(20)];
        assert!(!sent.windows(half.len()).any(|bytes| bytes == half));
    }
}

#[test]
fn a_caller_that_samples_nothing_is_obeyed() {
    let collector = Collector::start();
    let mut traced = settings();
    traced.otlp_endpoint = Some(collector.url());
    let app = TestApp::with(&traced);
    app.get(
        "/livez",
        &format!("traceparent: 00-{TRACE}-{PARENT}-00\r\n"),
    );
    app.get("/readyz", "");
    app.join();
    assert_eq!(collector.spans().len(), 1);
}

#[test]
fn a_collector_that_is_gone_costs_no_answer_and_no_shutdown() {
    let gone = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    let port = gone.local_addr().expect("it has an address").port();
    drop(gone);
    let keys = jwk_set(&[forge()]);
    let endpoint = format!("--otlp-endpoint=http://127.0.0.1:{port}");
    let arguments = [
        "--issuer=https://auth.example.com",
        "--audience=raptor",
        "--jwks",
        &keys,
        &endpoint,
    ];
    let sidecar = Sidecar::start(&arguments, &[]);
    let request = "GET /livez HTTP/1.1\r\nHost: {HOST}\r\n\r\n";
    assert_eq!(sidecar.connect().send(request).status, 200);
    sidecar.signal("TERM");
    let (code, log) = sidecar.wait();
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn an_endpoint_that_is_no_url_of_a_collector_is_refused() {
    for endpoint in [
        "127.0.0.1:4318",
        "grpc://127.0.0.1:4317",
        "http://user:secret@127.0.0.1:4318",
        "http://127.0.0.1:4318?x=1",
    ] {
        let flag = format!("--otlp-endpoint={endpoint}");
        let base = ["--issuer=https://a.example", "--audience=b", &flag];
        let output = run(&[&["check-config"], &base[..]].concat(), &[], b"");
        assert_eq!(output.code, Some(64), "{endpoint}: {}", output.stdout);
        assert!(output.stderr.contains("otlp_endpoint"), "{}", output.stderr);
        assert!(!output.stderr.contains("secret"), "{}", output.stderr);
    }
}
