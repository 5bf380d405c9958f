//! OpenAPI: the description of every route for callers, as `GET /openapi.json` serves it.
//!
//! **Invariant:** statuses and codes come from the tables that make the answers, so that a code
//! cannot be documented under another status than its own.
//!
//! OpenAPI 3.1.0.

mod schemas;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use queue_verifier::{ErrorCode, ErrorKind};
use serde_json::{Map, Value, json};

use crate::problem::{EdgeCode, status_of};

/// The document.
#[must_use]
pub fn openapi() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let mut document = document();
        // Whatever other crates of a build ask of serde_json.
        document.sort_all_objects();
        let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
        text.push('\n');
        text
    });
    &TEXT
}

fn document() -> Value {
    let says = "The verifier behind localhost HTTP. Refusals are problems (RFC 9457) whose `code` \
        never changes. Every answer is one of three: valid, invalid, cannot decide (503). A request \
        that names another host or comes from a web page is refused before its route; so is one \
        that is no HTTP. Below `/envoy/` neither is looked at.";
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "queue-sidecar",
            "version": env!("CARGO_PKG_VERSION"),
            "description": says,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths(),
        "components": {
            "schemas": schemas::all(),
            "securitySchemes": {
                "session": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "The token to judge." },
                "callerBasic": { "type": "http", "scheme": "basic", "description": "With `introspect_callers`: client id and secret." },
                "callerBearer": { "type": "http", "scheme": "bearer", "description": "With `introspect_callers`: the secret." },
            },
        },
    })
}

fn paths() -> Value {
    let mut paths = BTreeMap::new();
    for path in ["/livez", "/readyz", "/startupz"] {
        let refusals: &[EdgeCode] = match path {
            "/livez" => &[],
            "/readyz" => &[EdgeCode::NotReady, EdgeCode::Draining],
            _ => &[EdgeCode::NotReady],
        };
        let operation = Operation::new(path, "Probe").answers(
            "text/plain",
            "The answer is yes.",
            &json!({ "type": "string" }),
        );
        paths.insert(
            path,
            json!({ "get": operation.refuses(refusals).document() }),
        );
    }
    let page = Operation::new("page", "The page for people");
    let page = page.answers("text/html", "A page.", &json!({ "type": "string" }));
    paths.insert("/", json!({ "get": page.document() }));
    let metrics = Operation::new("/metrics", "Prometheus text format 0.0.4");
    let metrics = metrics.answers("text/plain", "Samples.", &json!({ "type": "string" }));
    paths.insert("/metrics", json!({ "get": metrics.document() }));
    for (path, summary) in [
        (
            "/v1/status",
            "What is known of each issuer's keys and lists",
        ),
        ("/openapi.json", "This document"),
    ] {
        let operation = Operation::new(path, summary);
        let operation = operation.answers(JSON, "An object.", &json!({ "type": "object" }));
        paths.insert(path, json!({ "get": operation.document() }));
    }
    let validate = Operation::new("/v1/validate", "Judge one token")
        .takes(JSON, "ValidateRequest", false)
        .answers(JSON, "The session.", &schema("Session"))
        .admits(json!([{ "session": [] }, {}]))
        .refuses(BODY)
        .refuses(BEARER)
        .verdicts();
    paths.insert("/v1/validate", json!({ "post": validate.document() }));
    let batch = Operation::new("/v1/validate/batch", "Judge up to 256 tokens")
        .takes(JSON, "BatchRequest", true)
        .answers(
            JSON,
            "A session or a problem for each token, in their order.",
            &schema("BatchAnswer"),
        )
        .refuses(BODY)
        .refuses(&[EdgeCode::BearerMalformed]);
    paths.insert("/v1/validate/batch", json!({ "post": batch.document() }));
    let introspect = Operation::new("/v1/introspect", "Introspect a token (RFC 7662)")
        .takes(
            "application/x-www-form-urlencoded",
            "IntrospectRequest",
            true,
        )
        .answers(
            JSON,
            "`active: false`, or what the token says.",
            &schema("Introspection"),
        )
        .admits(json!([{}, { "callerBasic": [] }, { "callerBearer": [] }]))
        .refuses(BODY)
        .refuses(&[EdgeCode::CallerUnknown])
        .faults();
    paths.insert("/v1/introspect", json!({ "post": introspect.document() }));
    let review = Operation::new("/v1/tokenreviews", "Review a token for Kubernetes")
        .takes(JSON, "TokenReview", true)
        .answers(
            JSON,
            "The same object, less the token, with its status.",
            &schema("ReviewedToken"),
        )
        .refuses(BODY)
        .faults();
    paths.insert("/v1/tokenreviews", json!({ "post": review.document() }));
    forward_auth(&mut paths);
    json!(paths)
}

/// The routes that answer every method; the same description for each of those OpenAPI knows.
fn forward_auth(paths: &mut BTreeMap<&str, Value>) {
    for (path, summary) in [
        ("/v1/auth", "Forward-auth for nginx, Traefik and Caddy"),
        ("/envoy/{rest}", "Envoy's ext_authz over HTTP"),
    ] {
        let is_envoy = path != "/v1/auth";
        let mut methods = Map::new();
        for method in ["get", "head", "post", "put", "patch", "delete", "options"] {
            let mut operation = Operation::new(&format!("{method} {path}"), summary)
                .identity(is_envoy)
                .admits(json!([{ "session": [] }, {}]))
                .refuses(&[
                    EdgeCode::SessionTooLarge,
                    EdgeCode::Overloaded,
                    EdgeCode::DeadlineExceeded,
                ])
                .refuses(BEARER)
                .verdicts();
            if is_envoy {
                operation = operation.parameters(json!([{
                    "name": "rest", "in": "path", "required": true, "schema": { "type": "string" },
                    "description": "The client's path, slashes and all; it decides nothing.",
                }]));
            } else {
                operation = operation
                    .parameters(schemas::query())
                    .refuses(&[EdgeCode::RequestMalformed]);
            }
            methods.insert(method.to_owned(), operation.document());
        }
        paths.insert(path, methods.into());
    }
}

/// One operation under description.
struct Operation {
    said: Map<String, Value>,
    answer: Value,
    codes: BTreeMap<u16, BTreeSet<&'static str>>,
}

impl Operation {
    fn new(id: &str, summary: &str) -> Self {
        let words = id.split(|c: char| !c.is_ascii_alphanumeric());
        let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
        let mut said = Map::new();
        said.insert("operationId".to_owned(), words.join("_").into());
        said.insert("summary".to_owned(), summary.into());
        said.insert("security".to_owned(), json!([]));
        let (answer, codes) = (Value::Null, BTreeMap::new());
        let operation = Self {
            said,
            answer,
            codes,
        };
        // What is refused before any route, and what a failure of ours is.
        operation.refuses(&[
            EdgeCode::HttpMalformed,
            EdgeCode::HostNotAllowed,
            EdgeCode::OriginNotAllowed,
            EdgeCode::UriTooLong,
            EdgeCode::HeadersTooLarge,
            EdgeCode::Internal,
        ])
    }

    fn takes(mut self, media_type: &str, name: &str, is_required: bool) -> Self {
        let body = json!({ "required": is_required, "content": { media_type: { "schema": schema(name) } } });
        self.said.insert("requestBody".to_owned(), body);
        self
    }

    fn parameters(mut self, parameters: Value) -> Self {
        self.said.insert("parameters".to_owned(), parameters);
        self
    }

    fn admits(mut self, schemes: Value) -> Self {
        self.said.insert("security".to_owned(), schemes);
        self
    }

    fn answers(mut self, media_type: &str, says: &str, schema: &Value) -> Self {
        self.answer =
            json!({ "description": says, "content": { media_type: { "schema": schema } } });
        self
    }

    /// A good answer without a body, the session in its headers.
    fn identity(mut self, is_envoy: bool) -> Self {
        let text = json!({ "required": true, "schema": { "type": "string" } });
        let names = crate::identity::NAMES.iter().map(|name| name.as_str());
        let more = is_envoy.then_some("x-envoy-auth-headers-to-remove");
        let headers: Map<_, _> = names
            .chain(more)
            .map(|name| (name.to_owned(), text.clone()))
            .collect();
        self.answer = json!({ "description": "The session, in headers.", "headers": headers });
        self
    }

    fn refuses(mut self, codes: &[EdgeCode]) -> Self {
        for code in codes {
            self.refuses_with(code.status().as_u16(), code.as_str());
        }
        self
    }

    /// Every verdict on a token, and every fault.
    fn verdicts(mut self) -> Self {
        for code in ErrorCode::ALL {
            self.refuses_with(status_of(*code).as_u16(), code.as_str());
        }
        self
    }

    fn faults(mut self) -> Self {
        let is_fault = |code: &&ErrorCode| code.kind() == ErrorKind::Fault;
        for code in ErrorCode::ALL.iter().filter(is_fault) {
            self.refuses_with(503, code.as_str());
        }
        self
    }

    fn refuses_with(&mut self, status: u16, code: &'static str) {
        self.codes.entry(status).or_default().insert(code);
    }

    fn document(mut self) -> Value {
        let mut responses = Map::from_iter([("200".to_owned(), self.answer)]);
        for (status, codes) in self.codes {
            let listed: Vec<_> = codes.iter().map(|code| format!("`{code}`")).collect();
            let narrowed = json!({ "allOf": [schema("Problem"), {
                "properties": { "status": { "const": status }, "code": { "enum": codes } },
            }] });
            let response = json!({
                "description": listed.join(", "),
                "content": { "application/problem+json": { "schema": narrowed } },
            });
            responses.insert(status.to_string(), response);
        }
        self.said.insert("responses".to_owned(), responses.into());
        self.said.into()
    }
}

fn schema(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

const JSON: &str = "application/json";
/// What a route that reads a body may say of it.
const BODY: &[EdgeCode] = &[
    EdgeCode::RequestMalformed,
    EdgeCode::RequestTooLarge,
    EdgeCode::RequestUnsupportedMediaType,
    EdgeCode::RequestTimeout,
    EdgeCode::Overloaded,
    EdgeCode::DeadlineExceeded,
];
const BEARER: &[EdgeCode] = &[EdgeCode::BearerMissing, EdgeCode::BearerMalformed];
