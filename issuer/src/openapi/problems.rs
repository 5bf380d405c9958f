//! Problems: takes codes, gives the answers that carry them, one for each status.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::problem::ProblemCode;

/// Adds the answers of `codes` to `responses`.
pub(super) fn describe(responses: &mut BTreeMap<String, Value>, codes: &[ProblemCode]) {
    let mut by_status: BTreeMap<u16, BTreeMap<&str, &str>> = BTreeMap::new();
    for code in codes {
        let status = code.status().as_u16();
        let known = by_status.entry(status).or_default();
        known.insert(code.as_str(), code.title());
    }
    for (status, codes) in by_status {
        if status == ProblemCode::RateLimited.status().as_u16() {
            let shared = json!({ "$ref": "#/components/responses/RateLimited" });
            responses.insert(status.to_string(), shared);
            continue;
        }
        let names: Vec<&str> = codes.keys().copied().collect();
        let content = json!({ "schema": {
            "allOf": [
                { "$ref": "#/components/schemas/Problem" },
                { "properties": { "code": { "enum": names } } },
            ],
        } });
        let says: Vec<String> = codes
            .iter()
            .map(|(code, title)| format!("`{code}`: {title}."))
            .collect();
        let answer = responses
            .entry(status.to_string())
            .or_insert_with(|| json!({ "description": "" }));
        let before = answer["description"].as_str().unwrap_or_default();
        answer["description"] = json!(format!("{before} {}", says.join(" ")).trim_start());
        answer["content"]["application/problem+json"] = content;
        let header = match status {
            401 => "WWW-Authenticate",
            503 => "Retry-After",
            _ => continue,
        };
        let schema = json!({ "schema": { "type": "string" } });
        answer["headers"][header] = schema;
    }
}

/// The answer of every limit.
pub(super) fn rate_limited() -> Value {
    let code = ProblemCode::RateLimited;
    let text = |says: &str| json!({ "description": says, "schema": { "type": "string" } });
    json!({
        "description": format!("`{}`: {}.", code.as_str(), code.title()),
        "headers": {
            "Retry-After": text("Seconds."),
            "RateLimit": text("What is left."),
            "RateLimit-Policy": text("What there is."),
        },
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    })
}

/// RFC 9457, with the members every problem of this issuer has.
pub(super) fn schema() -> Value {
    let codes: Vec<&str> = ProblemCode::ALL.iter().map(|code| code.as_str()).collect();
    json!({
        "type": "object",
        "required": ["type", "title", "status", "code", "instance"],
        "properties": {
            "type": { "type": "string", "pattern": "^urn:queue:problem:[a-z_]+$" },
            "title": { "type": "string" },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "code": { "type": "string", "enum": codes },
            "detail": { "type": "string" },
            "instance": { "type": "string", "description": "The request's id." },
        },
    })
}
