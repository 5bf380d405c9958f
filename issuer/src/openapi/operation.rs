//! Operation: takes what a route says of itself, beside its handler, gives its part of the document.
//!
//! **Invariant:** schemas come from the types that are read and written, codes and statuses from the table of
//! problems: neither is written twice.
//!
//! OpenAPI 3.1.0 §4.8.10.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::problems;
use crate::problem::ProblemCode;

/// What a route takes and gives.
#[derive(Clone, Default)]
pub(crate) struct Operation {
    id: &'static str,
    summary: &'static str,
    scope: Option<&'static str>,
    security: Vec<Value>,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: BTreeMap<u16, Answer>,
    codes: Vec<ProblemCode>,
    is_idempotent: bool,
    schemas: Vec<(String, RefOr<Schema>)>,
}

#[derive(Clone, Default)]
struct Answer {
    headers: Map<String, Value>,
    content: Map<String, Value>,
}

impl Operation {
    /// An operation that anybody may call.
    pub(crate) fn new(id: &'static str, summary: &'static str) -> Self {
        Self {
            id,
            summary,
            codes: vec![ProblemCode::RequestTimedOut],
            ..Self::default()
        }
    }

    /// For services or operators that hold `scope`.
    pub(crate) fn service(mut self, scope: &'static str) -> Self {
        self.scope = Some(scope);
        self.security.push(json!({ "bearerService": [] }));
        self.refuses(&SERVICE)
    }

    /// For services, by the secret of a client or, where `bearer`, by a token too.
    pub(crate) fn client(mut self, bearer: Option<&'static str>) -> Self {
        self.security.push(json!({ "clientSecret": [] }));
        match bearer {
            Some(scope) => self.service(scope),
            None => self.refuses(&[
                ProblemCode::DatabaseUnavailable,
                ProblemCode::KeyUnavailable,
            ]),
        }
    }

    /// For customers.
    pub(crate) fn customer(mut self) -> Self {
        self.security.push(json!({ "bearerCustomer": [] }));
        self.refuses(&[ProblemCode::BearerMissing])
            .refuses(&CUSTOMER)
    }

    /// For customers and for anybody else.
    pub(crate) fn maybe_customer(mut self) -> Self {
        self.security.push(json!({}));
        self.security.push(json!({ "bearerCustomer": [] }));
        self.refuses(&CUSTOMER)
    }

    /// By the refresh token in a cookie, if there is one.
    pub(crate) fn refresh_cookie(mut self) -> Self {
        self.security.push(json!({ "refreshCookie": [] }));
        self.refuses(&[
            ProblemCode::DatabaseUnavailable,
            ProblemCode::SignInNotConfigured,
        ])
    }

    /// For pages this issuer knows.
    pub(crate) fn page(mut self) -> Self {
        self.parameters.push(json!({
            "name": "Origin", "in": "header", "required": true,
            "description": "The page's origin, which a browser sends by itself; one of those in the settings.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 255 },
        }));
        self.parameters.push(json!({
            "name": "X-Queue-CSRF", "in": "header", "required": true,
            "schema": { "type": "string", "const": "1" },
        }));
        self.refuses(&[
            ProblemCode::OriginRefused,
            ProblemCode::SignInNotConfigured,
            ProblemCode::DatabaseUnavailable,
        ])
    }

    /// A repeated request with the same key is told what the first one made.
    pub(crate) fn idempotent(mut self) -> Self {
        self.is_idempotent = true;
        self.parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" },
        }));
        self.refuses(&[
            ProblemCode::IdempotencyKeyMalformed,
            ProblemCode::IdempotencyKeyReused,
        ])
    }

    /// The members of `T` as parameters of the query.
    pub(crate) fn query<T: ToSchema>(mut self) -> Self {
        T::schemas(&mut self.schemas);
        let schema = serde_json::to_value(T::schema()).unwrap_or_default();
        let required: BTreeSet<&str> = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            self.parameters
                .push(parameter(name, property, required.contains(&**name)));
        }
        self.refuses(&[ProblemCode::RequestQueryMalformed])
    }

    /// A JSON body.
    pub(crate) fn body<T: ToSchema>(self) -> Self {
        self.takes::<T>("application/json", true).refuses(&BODY)
    }

    /// A JSON body, or none.
    pub(crate) fn optional_body<T: ToSchema>(self) -> Self {
        self.takes::<T>("application/json", false).refuses(&BODY)
    }

    /// A form.
    pub(crate) fn form<T: ToSchema>(self) -> Self {
        self.takes::<T>("application/x-www-form-urlencoded", true)
    }

    fn takes<T: ToSchema>(mut self, media_type: &str, required: bool) -> Self {
        let schema = self.reference::<T>();
        self.body =
            Some(json!({ "required": required, "content": { media_type: { "schema": schema } } }));
        self
    }

    /// 200 with a `T`.
    pub(crate) fn ok<T: ToSchema>(self) -> Self {
        self.gives::<T>(200, "application/json")
    }

    /// 202 with a `T`.
    pub(crate) fn accepted<T: ToSchema>(self) -> Self {
        self.gives::<T>(202, "application/json")
    }

    /// 201 with a `T`, and where it is.
    pub(crate) fn created<T: ToSchema>(self) -> Self {
        let is_idempotent = self.is_idempotent;
        let mut made = self.gives::<T>(201, "application/json").header(
            201,
            "Location",
            "Where it is.",
            &json!({ "type": "string" }),
        );
        if is_idempotent {
            let schema = json!({ "type": "string", "const": "true" });
            made = made.header(
                201,
                "Idempotency-Replayed",
                "An earlier request made it.",
                &schema,
            );
        }
        made
    }

    /// `status` with a `T`.
    pub(crate) fn gives<T: ToSchema>(mut self, status: u16, media_type: &str) -> Self {
        let schema = self.reference::<T>();
        let answer = self.answers.entry(status).or_default();
        answer
            .content
            .insert(media_type.to_owned(), json!({ "schema": schema }));
        self
    }

    /// 200 with text or bytes.
    pub(crate) fn text(mut self, media_type: &str) -> Self {
        let answer = self.answers.entry(200).or_default();
        let schema = json!({ "schema": { "type": "string" } });
        answer.content.insert(media_type.to_owned(), schema);
        self
    }

    /// `status` without a body.
    pub(crate) fn empty(mut self, status: u16) -> Self {
        self.answers.entry(status).or_default();
        self
    }

    /// Asked again, with the `ETag` of before: 304 while nothing changed.
    pub(crate) fn revalidated(mut self) -> Self {
        self.parameters.push(json!({
            "name": "If-None-Match", "in": "header", "required": false,
            "schema": { "type": "string" },
        }));
        let tag = json!({ "type": "string" });
        self.empty(304)
            .header(200, "ETag", "Names these bytes.", &tag)
            .header(304, "ETag", "Names the bytes you have.", &tag)
    }

    /// The answer sets or clears a cookie.
    pub(crate) fn sets_cookie(self, status: u16) -> Self {
        let schema = json!({ "type": "string" });
        self.header(
            status,
            "Set-Cookie",
            "Of the prefix __Host-, for this host alone.",
            &schema,
        )
    }

    fn header(mut self, status: u16, name: &str, says: &str, schema: &Value) -> Self {
        let header = json!({ "description": says, "schema": schema });
        let answer = self.answers.entry(status).or_default();
        answer.headers.insert(name.to_owned(), header);
        self
    }

    /// The problems it may answer with, besides those its callers and its body bring along.
    pub(crate) fn refuses(mut self, codes: &[ProblemCode]) -> Self {
        self.codes.extend_from_slice(codes);
        self
    }

    fn reference<T: ToSchema>(&mut self) -> Value {
        T::schemas(&mut self.schemas);
        self.schemas.push((T::name().into_owned(), T::schema()));
        json!({ "$ref": format!("#/components/schemas/{}", T::name()) })
    }

    #[cfg(test)]
    pub(super) fn id(&self) -> &'static str {
        self.id
    }

    pub(super) fn schemas(&self) -> &[(String, RefOr<Schema>)] {
        &self.schemas
    }

    /// The operation at `path`, as the document has it.
    pub(super) fn document(&self, tag: &str, path: &str) -> Value {
        let mut codes = self.codes.clone();
        let mut parameters: Vec<Value> = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(in_path)
            .collect();
        if !parameters.is_empty() {
            codes.push(ProblemCode::RequestPathMalformed);
            codes.push(ProblemCode::RouteNotFound);
        }
        parameters.extend(self.parameters.iter().cloned());
        let mut responses: BTreeMap<String, Value> = self
            .answers
            .iter()
            .map(|(status, answer)| (status.to_string(), answer.document(*status)))
            .collect();
        problems::describe(&mut responses, &codes);
        let mut document = json!({
            "operationId": self.id,
            "summary": self.summary,
            "tags": [tag],
            "security": self.security,
            "responses": responses,
        });
        if let Some(scope) = self.scope {
            document["description"] = json!(format!("Asks for the scope `{scope}`."));
        }
        if !parameters.is_empty() {
            document["parameters"] = json!(parameters);
        }
        if let Some(body) = &self.body {
            document["requestBody"] = body.clone();
        }
        document
    }
}

impl Answer {
    fn document(&self, status: u16) -> Value {
        let status = http::StatusCode::from_u16(status).ok();
        let reason = status.and_then(|status| status.canonical_reason());
        let mut document = json!({ "description": reason });
        if !self.headers.is_empty() {
            document["headers"] = json!(self.headers);
        }
        if !self.content.is_empty() {
            document["content"] = json!(self.content);
        }
        document
    }
}

fn parameter(name: &str, property: &Value, required: bool) -> Value {
    let mut schema = property.clone();
    // In a query, a parameter that is absent is the only null.
    if let Some(kinds) = schema["type"].as_array() {
        let kind = kinds.iter().find(|kind| **kind != "null").cloned();
        schema["type"] = kind.unwrap_or_default();
    }
    let says = schema
        .as_object_mut()
        .and_then(|schema| schema.remove("description"));
    let mut parameter =
        json!({ "name": name, "in": "query", "required": required, "schema": schema });
    if let Some(says) = says {
        parameter["description"] = says;
    }
    parameter
}

fn in_path(name: &str) -> Value {
    let schema = match name {
        "kid" => json!({ "type": "string", "minLength": 1, "maxLength": 128 }),
        "role" => json!({ "type": "string", "pattern": "^[a-z0-9][a-z0-9._:-]{0,62}$" }),
        _ => json!({ "type": "string", "format": "uuid" }),
    };
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}

const SERVICE: [ProblemCode; 7] = [
    ProblemCode::BearerMissing,
    ProblemCode::BearerMalformed,
    ProblemCode::ServiceTokenInvalid,
    ProblemCode::InsufficientScope,
    ProblemCode::RateLimited,
    ProblemCode::DatabaseUnavailable,
    ProblemCode::KeyUnavailable,
];
const CUSTOMER: [ProblemCode; 4] = [
    ProblemCode::BearerMalformed,
    ProblemCode::AccessTokenInvalid,
    ProblemCode::DatabaseUnavailable,
    ProblemCode::KeyUnavailable,
];
const BODY: [ProblemCode; 3] = [
    ProblemCode::RequestMalformed,
    ProblemCode::RequestTooLarge,
    ProblemCode::RequestMediaTypeUnsupported,
];
