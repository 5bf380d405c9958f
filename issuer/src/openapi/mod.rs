//! OpenAPI: takes the route tables, gives each listener's document: `GET /openapi.json`.
//!
//! **Invariant:** the document is made of the table that serves: a route cannot be served and left out.
//!
//! OpenAPI 3.1.0.

mod operation;
mod problems;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

pub(crate) use operation::Operation;

use crate::discovery::{Cacheable, cacheable};
use crate::extract::sha256;
use crate::problem::{Problem, ProblemCode};
use crate::route_table::{Described, Listener, RouteTable, routing};
use crate::router::{self, API};

/// The document of `listener`, as it is served.
#[must_use]
pub fn openapi(listener: Listener) -> String {
    let mut text = serde_json::to_string_pretty(&document(listener)).unwrap_or_default();
    text.push('\n');
    text
}

pub(crate) fn routes(listener: Listener) -> RouteTable {
    let operation = Operation::new("getOpenapi", "This document")
        .ok::<Document>()
        .revalidated();
    let served = match listener {
        Listener::Public => routing::get(public),
        Listener::Operators => routing::get(operators),
    };
    RouteTable::new().route("/openapi.json", served.says(operation))
}

/// An OpenAPI document.
#[derive(utoipa::ToSchema)]
#[schema(as = OpenapiDocument)]
#[expect(
    dead_code,
    reason = "says what a document has, which is made of values"
)]
struct Document {
    openapi: String,
    info: Value,
    paths: Value,
    components: Value,
}

async fn public(headers: HeaderMap) -> Result<Response, Problem> {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| openapi(Listener::Public).into());
    serve(&headers, &TEXT)
}

async fn operators(headers: HeaderMap) -> Result<Response, Problem> {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| openapi(Listener::Operators).into());
    serve(&headers, &TEXT)
}

fn serve(headers: &HeaderMap, text: &Bytes) -> Result<Response, Problem> {
    let digest = sha256(text);
    let digest: String = digest
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let etag = HeaderValue::from_str(&format!("\"{digest}\"")).map_err(Problem::fault)?;
    Ok(cacheable(
        headers,
        Cacheable {
            etag: &etag,
            content_type: "application/json",
            cache_control: "public, max-age=300".to_owned(),
            body: text.clone(),
        },
    ))
}

fn document(listener: Listener) -> Value {
    let mut paths: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    let mut schemas = BTreeMap::from([("Problem".to_owned(), problems::schema())]);
    for Described { route, operation } in router::described(listener) {
        for (name, schema) in operation.schemas() {
            let schema = serde_json::to_value(schema).unwrap_or_default();
            schemas.entry(name.clone()).or_insert(schema);
        }
        let tag = tag(&route.path);
        let is_public_api = listener == Listener::Public && route.path.starts_with(API);
        let operation = if is_public_api {
            operation.refuses(&[ProblemCode::QueueDisabled, ProblemCode::RateLimited])
        } else {
            operation
        };
        let methods = paths.entry(route.path.clone()).or_default();
        let method = route.method.as_str().to_ascii_lowercase();
        methods.insert(method, operation.document(tag, &route.path));
    }
    let (title, says) = match listener {
        Listener::Public => ("Queue", "The public listener: for services and customers."),
        Listener::Operators => ("Queue, for operators", "The operators' listener."),
    };
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!("{says} Refusals are problems (RFC 9457), whose `code` never changes. Each operation may answer 500 `internal_error`, a fault of the issuer. Instants are whole seconds since 1970."),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": { "RateLimited": problems::rate_limited() },
            "securitySchemes": security(listener),
        },
    })
}

fn security(listener: Listener) -> Value {
    let service = json!({ "type": "http", "scheme": "bearer", "description": "A service token, or an access token of a service." });
    match listener {
        Listener::Operators => json!({ "bearerService": service }),
        Listener::Public => json!({
            "bearerService": service,
            "bearerCustomer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "A customer's access token." },
            "clientSecret": { "type": "http", "scheme": "basic", "description": "A service's client id and token (RFC 6749 §2.3.1)." },
            "refreshCookie": { "type": "apiKey", "in": "cookie", "name": "__Host-queue_rt", "description": "A browser's refresh token." },
        }),
    }
}

/// What the operation is about: the first word of its path.
fn tag(path: &str) -> &str {
    let inside = path.strip_prefix(API).unwrap_or(path);
    let is_api = inside.len() < path.len();
    let first = inside.split('/').nth(1).unwrap_or_default();
    match first {
        "status-lists" => first,
        _ if is_api => first,
        ".well-known" => "discovery",
        _ => "process",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Listener, router};

    #[test]
    fn names_mean_one_thing_each() {
        for listener in [Listener::Public, Listener::Operators] {
            let mut schemas = BTreeMap::new();
            let mut ids = Vec::new();
            for described in router::described(listener) {
                let operation = described.operation;
                ids.push(operation.id());
                for (name, schema) in operation.schemas() {
                    let schema = serde_json::to_value(schema).unwrap();
                    let before = schemas.insert(name.clone(), schema.clone());
                    assert!(before.is_none_or(|before| before == schema), "{name}");
                }
            }
            let count = ids.len();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), count);
        }
    }
}
