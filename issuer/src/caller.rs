//! Caller: takes a request's `Authorization` header, gives who calls.
//!
//! **Invariant:** exactly one bearer token in exactly one header; anything else is refused before any
//! comparison. Services only, by a service token or an access token of their own; a customer's session
//! is none of these: see `signed_in`.
//!
//! RFC 6750 §2.1 and §3.

use axum::extract::FromRequestParts;
use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::app::Shared;
use crate::audit::{Actor, ActorKind};
use crate::problem::{Problem, ProblemCode};
use crate::rate_limit::{Class, ClientAddress};
use crate::request_id::RequestId;
use crate::service_token::{ServiceClient, identify};

/// An authenticated calling service.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    client: ServiceClient,
    request_id: RequestId,
}

impl Caller {
    /// The service `client`, which has proved itself, unless it calls too often.
    ///
    /// # Errors
    /// `rate_limited`.
    pub(crate) fn admit(
        client: ServiceClient,
        parts: &Parts,
        shared: &Shared,
    ) -> Result<Self, Problem> {
        let address = ClientAddress::of(&parts.extensions, &parts.headers, shared)?;
        let name = Some(client.client_id.as_str());
        shared.limits.check(Class::Service, &address, name)?;
        Ok(Self {
            client,
            request_id: RequestId::of(&parts.extensions),
        })
    }

    /// The caller's name, as it appears in tokens and audit events.
    pub(crate) fn client_id(&self) -> &str {
        &self.client.client_id
    }

    /// The caller as an audit event names it.
    pub(crate) fn actor(&self) -> Actor {
        self.actor_as(ActorKind::Service)
    }

    /// The caller of the operators' listener, as an audit event names it.
    pub(crate) fn operator(&self) -> Actor {
        self.actor_as(ActorKind::Operator)
    }

    fn actor_as(&self, kind: ActorKind) -> Actor {
        Actor {
            kind,
            id: self.client.client_id.clone(),
            request_id: Some(self.request_id.as_str().to_owned()),
        }
    }

    /// Refuses a caller that lacks `scope`.
    pub(crate) fn require(&self, scope: &'static str) -> Result<(), Problem> {
        if self.client.has(scope) {
            return Ok(());
        }
        Err(Problem::new(ProblemCode::InsufficientScope)
            .detail(format!("expected scope {scope}"))
            .challenge(&format!(
                "Bearer error=\"insufficient_scope\", scope=\"{scope}\""
            )))
    }
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        let token = bearer(parts)?;
        let Some(client) = identify::bearer(shared, token).await? else {
            return Err(Problem::new(ProblemCode::ServiceTokenInvalid)
                .challenge("Bearer error=\"invalid_token\""));
        };
        Self::admit(client, parts, shared)
    }
}

/// The one bearer token of the request.
pub(crate) fn bearer(parts: &Parts) -> Result<&str, Problem> {
    let malformed = || {
        Problem::new(ProblemCode::BearerMalformed)
            .detail("expected one Authorization header with one bearer token")
            .challenge("Bearer error=\"invalid_request\"")
    };
    let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
    let Some(header) = headers.next() else {
        return Err(Problem::new(ProblemCode::BearerMissing).challenge("Bearer"));
    };
    if headers.next().is_some() {
        return Err(malformed());
    }
    let (scheme, token) = header
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Problem::new(ProblemCode::BearerMissing).challenge("Bearer"));
    }
    let token = token.trim_start_matches(' ');
    if token.is_empty()
        || token
            .bytes()
            .any(|byte| !byte.is_ascii_graphic() || byte == b',')
    {
        return Err(malformed());
    }
    Ok(token)
}
