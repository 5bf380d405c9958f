//! Schemas: the shapes that routes take and give.

use serde_json::{Value, json};

pub(super) fn all() -> Value {
    json!({
        "Problem": {
            "type": "object", "required": ["type", "title", "status", "detail", "code"],
            "properties": {
                "type": { "type": "string" }, "title": { "type": "string" },
                "status": { "type": "integer" }, "detail": { "type": "string" },
                "code": { "type": "string", "description": "Never renamed." },
            },
        },
        "Requirement": {
            "type": "object", "additionalProperties": false,
            "description": "What is asked of a session beyond its being valid.",
            "properties": {
                "scope": words("Every one of these, space-separated or as a list."),
                "roles": texts("Every one of these."),
                "tenant": { "type": "string" },
                "acr": words("One of these."),
                "max_auth_age": { "type": "integer", "minimum": 0, "maximum": u64::MAX, "description": "Seconds." },
                "authorized_parties": texts("One of these."),
                "fresh": { "type": "boolean", "description": "Accept neither stale keys nor a stale list." },
            },
        },
        "ValidateRequest": {
            "type": "object", "additionalProperties": false,
            "description": "The token goes here or into `Authorization`, not into both.",
            "properties": { "token": { "type": "string" }, "require": reference("Requirement") },
        },
        "BatchRequest": {
            "type": "object", "additionalProperties": false, "required": ["tokens"],
            "properties": {
                "tokens": { "type": "array", "maxItems": 256, "items": { "type": "string" } },
                "require": reference("Requirement"),
            },
        },
        "BatchAnswer": {
            "type": "object", "required": ["results"],
            "properties": { "results": { "type": "array", "items": { "oneOf": [
                { "type": "object", "additionalProperties": false, "required": ["session"], "properties": { "session": reference("Session") } },
                { "type": "object", "additionalProperties": false, "required": ["problem"], "properties": { "problem": reference("Problem") } },
            ] } } },
        },
        "IntrospectRequest": {
            "type": "object", "required": ["token"],
            "properties": {
                "token": { "type": "string", "minLength": 1, "description": "Exactly once." },
                "token_type_hint": { "type": "string", "description": "Ignored." },
            },
        },
        "Introspection": {
            "type": "object", "required": ["active"],
            "properties": {
                "active": { "type": "boolean" }, "scope": { "type": "string" },
                "client_id": { "type": "string" }, "token_type": { "const": "Bearer" },
                "exp": { "type": "number" }, "iat": { "type": "number" }, "nbf": { "type": "number" },
                "sub": { "type": "string" }, "iss": { "type": "string" }, "jti": { "type": "string" },
                "aud": words("Whom the token is for."), "freshness": { "type": "object" },
            },
        },
        "TokenReview": {
            "type": "object", "required": ["apiVersion", "kind", "spec"],
            "properties": {
                "apiVersion": { "const": "authentication.k8s.io/v1" },
                "kind": { "const": "TokenReview" },
                "spec": {
                    "type": "object",
                    "properties": { "token": { "type": "string" }, "audiences": texts("None: those of the sidecar.") },
                },
            },
        },
        "ReviewedToken": {
            "type": "object", "required": ["apiVersion", "kind", "spec", "status"],
            "properties": { "status": {
                "type": "object", "required": ["authenticated"],
                "properties": {
                    "authenticated": { "type": "boolean" },
                    "audiences": texts("Those asked for that the token names."),
                    "error": { "type": "string", "description": "The code." },
                    "user": {
                        "type": "object", "required": ["username", "uid", "groups", "extra"],
                        "properties": {
                            "username": { "type": "string" }, "uid": { "type": "string" },
                            "groups": texts("Roles."), "extra": { "type": "object" },
                        },
                    },
                },
            } },
        },
        "Session": session(),
    })
}

fn session() -> Value {
    let optional = json!({ "type": ["string", "null"] });
    let time = json!({ "type": ["integer", "null"], "description": "Seconds since 1970." });
    json!({
        "type": "object", "required": ["issuer", "audience", "expires_at", "claims", "freshness"],
        "properties": {
            "issuer": { "type": "string" }, "subject": optional, "audience": texts("`aud`."),
            "client_id": optional, "session_id": optional, "token_id": optional, "tenant_id": optional,
            "roles": texts("Names."), "scope": texts("Values."), "acr": optional, "amr": texts("RFC 8176."),
            "auth_time": time, "issued_at": time, "expires_at": { "type": "integer" },
            "authz_ver": { "type": ["integer", "null"] },
            "claims": { "type": "object", "description": "As the issuer wrote them." },
            "freshness": {
                "type": "object",
                "required": ["key_set", "key_set_age", "status", "status_age", "cached"],
                "properties": {
                    "key_set": { "enum": ["fresh", "stale"] }, "key_set_age": { "type": "integer" },
                    "status": { "enum": ["fresh", "stale", "absent"] },
                    "status_age": { "type": ["integer", "null"] }, "cached": { "type": "boolean" },
                },
            },
        },
    })
}

/// The query of `/v1/auth`.
pub(super) fn query() -> Value {
    let one = |name: &str, says: &str, schema: Value| json!({ "name": name, "in": "query", "description": says, "schema": schema });
    let text = || json!({ "type": "string", "pattern": "\\S" });
    json!([
        one("scope", "Every one of these, space-separated.", text()),
        one(
            "role",
            "Every one of these.",
            json!({ "type": "array", "items": text() })
        ),
        one("tenant", "The tenant.", text()),
        one("acr", "One of these, space-separated.", text()),
        one(
            "max_auth_age",
            "Seconds.",
            json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX })
        ),
        one(
            "fresh",
            "Accept nothing stale.",
            json!({ "enum": ["true"] })
        ),
    ])
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn texts(says: &str) -> Value {
    json!({ "type": "array", "items": { "type": "string" }, "description": says })
}

fn words(says: &str) -> Value {
    let word = json!({ "type": "string", "pattern": "\\S" });
    json!({ "oneOf": [word, { "type": "array", "items": word }], "description": says })
}
