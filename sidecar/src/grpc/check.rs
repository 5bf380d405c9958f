//! `envoy.service.auth.v3.Authorization/Check`: Envoy's `ext_authz` filter over gRPC.
//!
//! **Invariant:** what the client wrote decides nothing but the token. Requirements come from the
//! settings and from `context_extensions`, which Envoy's own configuration fills, per route.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use queue_verifier::Session;

use super::frame::{self, Status};
use super::is_call;
use super::messages::{
    Allowed, AppendAction, Attributes, CheckRequest, CheckResponse, Denied, Entry, Header,
    HeaderOption, HttpRequest, HttpResponse, HttpStatus, RpcStatus,
};
use crate::bearer;
use crate::identity;
use crate::problem::{EdgeCode, Problem, Refused};
use crate::shared::Shared;
use crate::wire::Requirement;

pub(crate) async fn check(
    State(shared): State<Arc<Shared>>,
    request: Request<Body>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    if !is_call(&head) {
        return shared.refuse(EdgeCode::RouteNotFound);
    }
    let decided = match shared.in_time(judge(&shared, &head, body)).await {
        Some(Ok(session)) => allow(&session).ok_or(EdgeCode::SessionTooLarge.into()),
        Some(Err(problem)) => Err(problem),
        None => Err(EdgeCode::DeadlineExceeded.into()),
    };
    let refused = decided
        .as_ref()
        .err()
        .map(|problem| Refused(problem.code()));
    let decision = decided.unwrap_or_else(|problem| {
        if let Some(code) = problem.edge {
            shared.count_refusal(code);
        }
        if shared.is_shadow {
            shared.metrics.shadowed.count(problem.code());
            return allow_as(<[String; 6]>::default());
        }
        refuse(problem)
    });
    let mut response = frame::reply(&decision);
    if let Some(refused) = refused {
        response.extensions_mut().insert(refused);
    }
    response
}

async fn judge(shared: &Shared, head: &Parts, body: Body) -> Result<Session, Problem> {
    let _place = shared.admit()?;
    let asked: CheckRequest = frame::receive(head, body).await?;
    let attributes = asked.attributes.unwrap_or_default();
    let require = required(shared, &attributes)?;
    let request = attributes.request.and_then(|request| request.http);
    let carriers = carriers(request.unwrap_or_default())?;
    let token = bearer::only(&carriers, shared.cookie.as_deref())?;
    shared.judge(token, &require).await
}

/// What the settings ask of every session, and the route of this one.
fn required(shared: &Shared, attributes: &Attributes) -> Result<Requirement, Problem> {
    let mut require = shared.envoy.clone();
    for Entry { key, value } in &attributes.context_extensions {
        let (key, value) = (std::str::from_utf8(key), std::str::from_utf8(value));
        let is_good = match (key, value) {
            // Of roles a map can hold one entry alone.
            (Ok("role"), Ok(roles)) => {
                let mut roles = roles.split(',').map(str::trim);
                roles.all(|role| require.add("role", role.to_owned()))
            }
            (Ok(name), Ok(value)) => require.add(name, value.to_owned()),
            _ => false,
        };
        if !is_good {
            let problem = Problem::from(EdgeCode::RequestMalformed);
            return Err(problem.because(
                "expected context_extensions `scope`, `role`, `tenant`, `acr`, `max_auth_age`, `fresh`",
            ));
        }
    }
    Ok(require)
}

/// The headers that may carry a token, from both places Envoy has for headers.
fn carriers(request: HttpRequest) -> Result<HeaderMap, EdgeCode> {
    let mut carriers = HeaderMap::new();
    let plain = request.headers.into_iter();
    let plain = plain.map(|Entry { key, value }| (key, value));
    let raw = request.header_map.unwrap_or_default().headers.into_iter();
    // One of both values is set; were both, they would be two headers.
    let raw = raw.flat_map(|header| {
        let values = [header.value, header.raw_value];
        let values = values.into_iter().filter(|value| !value.is_empty());
        values.map(move |value| (header.key.clone(), value))
    });
    for (key, value) in plain.chain(raw) {
        for name in [AUTHORIZATION, COOKIE] {
            if key.eq_ignore_ascii_case(name.as_str().as_bytes()) {
                carriers.append(name, header_value(value.clone())?);
            }
        }
    }
    Ok(carriers)
}

fn header_value(value: Bytes) -> Result<HeaderValue, EdgeCode> {
    HeaderValue::from_maybe_shared(value).map_err(|_| EdgeCode::BearerMalformed)
}

/// Lets the request go on with the identity in its headers and in no other spelling of them.
fn allow(session: &Session) -> Option<CheckResponse> {
    identity::values(session).map(allow_as)
}

fn allow_as(identity: [String; 6]) -> CheckResponse {
    let headers = identity::NAMES.iter().zip(identity);
    CheckResponse {
        status: Some(status(Status::Ok, "")),
        http_response: Some(HttpResponse::Ok(Allowed {
            headers: headers
                .map(|(name, value)| header(name.as_str(), value))
                .collect(),
            headers_to_remove: identity::LOOKALIKES.clone(),
        })),
    }
}

/// Denies, or says that nothing could be decided, which Envoy treats as its configuration says.
fn refuse(problem: Problem) -> CheckResponse {
    let (code, http) = (problem.code(), problem.status());
    let body = String::from_utf8(problem.body()).unwrap_or_default();
    let response = problem.into_response();
    let headers = response.headers().iter().filter_map(|(name, value)| {
        let value = value.to_str().ok()?;
        Some(header(name.as_str(), value.to_owned()))
    });
    let answer = Denied {
        status: Some(HttpStatus {
            code: i32::from(http.as_u16()),
        }),
        headers: headers.collect(),
        body,
    };
    let is_undecided =
        [StatusCode::SERVICE_UNAVAILABLE, StatusCode::REQUEST_TIMEOUT].contains(&http);
    let (rpc, http_response) = match http {
        _ if is_undecided => (Status::Unavailable, HttpResponse::Error(answer)),
        StatusCode::FORBIDDEN => (Status::PermissionDenied, HttpResponse::Denied(answer)),
        StatusCode::UNAUTHORIZED => (Status::Unauthenticated, HttpResponse::Denied(answer)),
        _ => (Status::InvalidArgument, HttpResponse::Denied(answer)),
    };
    CheckResponse {
        status: Some(status(rpc, code)),
        http_response: Some(http_response),
    }
}

fn status(code: Status, message: &str) -> RpcStatus {
    RpcStatus {
        code: code as i32,
        message: message.to_owned(),
    }
}

fn header(name: &str, value: String) -> HeaderOption {
    let key = name.to_owned();
    HeaderOption {
        header: Some(Header { key, value }),
        append_action: AppendAction::OverwriteIfExistsOrAdd.into(),
        keep_empty_value: true,
    }
}
