//! `POST /v1/tokenreviews`: a Kubernetes `TokenReview` → the same with its `status`.
//!
//! **Invariant:** nobody becomes one of Kubernetes' own users or groups by a token (`system:…`),
//! nor one issuer's user by another's. The token is not sent back.
//!
//! <https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/>

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::{Request, Response, StatusCode};
use queue_verifier::Session;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::body::{self, Taken};
use super::{JSON, ok, without_query};
use crate::problem::{EdgeCode, Problem};
use crate::shared::Shared;
use crate::wire::{Requirement, object};

pub(crate) async fn review(
    State(shared): State<Arc<Shared>>,
    request: Request<Body>,
) -> Response<Body> {
    let mut is_reading = true;
    let judged = shared.in_time(judge(&shared, request, &mut is_reading));
    let judged = judged.await;
    match body::or_late(judged, is_reading) {
        Ok(reviewed) => ok(JSON, reviewed),
        Err(problem) => shared.refuse(problem),
    }
}

async fn judge(
    shared: &Shared,
    request: Request<Body>,
    is_reading: &mut bool,
) -> Result<Vec<u8>, Problem> {
    let _place = shared.admit()?;
    let (head, body) = request.into_parts();
    without_query(&head)?;
    let body = Taken::JSON.read(&head, body).await?;
    *is_reading = false;
    let review: Review<'_> = object(&body)
        .ok()
        .filter(|review: &Review<'_>| review.api_version == API_VERSION && review.kind == KIND)
        .ok_or_else(|| Problem::from(EdgeCode::RequestMalformed).because(EXPECTED))?;
    let asked = review.spec.audiences.unwrap_or_default();
    let status = match review.spec.token.filter(|token| !token.is_empty()) {
        None => {
            shared.count_refusal(EdgeCode::BearerMissing);
            Status::refused(EdgeCode::BearerMissing.as_str())
        }
        Some(token) => {
            match shared
                .judge(token.as_bytes(), &Requirement::default())
                .await
            {
                Ok(session) => Status::of(&session, &asked, shared),
                Err(fault) if fault.status() == StatusCode::SERVICE_UNAVAILABLE => {
                    return Err(fault);
                }
                Err(verdict) => Status::refused(verdict.code()),
            }
        }
    };
    let reviewed = Reviewed {
        api_version: API_VERSION,
        kind: KIND,
        metadata: review.metadata,
        spec: Asked { audiences: asked },
        status,
    };
    serde_json::to_vec(&reviewed).map_err(|_| EdgeCode::Internal.into())
}

/// What Kubernetes may add is not ours to refuse.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    api_version: String,
    kind: String,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    spec: Spec,
}

#[derive(Deserialize)]
struct Spec {
    token: Option<String>,
    audiences: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reviewed<'a> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
    spec: Asked,
    status: Status,
}

#[derive(Serialize)]
struct Asked {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    audiences: Vec<String>,
}

#[derive(Default, Serialize)]
struct Status {
    authenticated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<User>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    audiences: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
}

#[derive(Serialize)]
struct User {
    username: String,
    uid: String,
    groups: Vec<String>,
    extra: BTreeMap<&'static str, Vec<String>>,
}

impl Status {
    fn refused(code: &'static str) -> Self {
        Self {
            error: Some(code),
            ..Self::default()
        }
    }

    /// The verdict on a good token: it must name somebody Kubernetes may know by that name, and
    /// one of the audiences `asked` for, of which an empty list means our own.
    fn of(session: &Session, asked: &[String], shared: &Shared) -> Self {
        let Some(user) = User::of(session, shared) else {
            shared.count_refusal(EdgeCode::SubjectReserved);
            return Self::refused(EdgeCode::SubjectReserved.as_str());
        };
        let asked = if asked.is_empty() {
            shared.audiences_of(session.issuer())
        } else {
            asked
        };
        let is_named = |asked: &&String| session.audience().any(|named| named == asked.as_str());
        let audiences: Vec<_> = asked.iter().filter(is_named).cloned().collect();
        if audiences.is_empty() {
            return Self::refused(queue_verifier::ErrorCode::ClaimsAudMismatch.as_str());
        }
        Self {
            authenticated: true,
            user: Some(user),
            audiences,
            error: None,
        }
    }
}

impl User {
    fn of(session: &Session, shared: &Shared) -> Option<Self> {
        let issuer = session.issuer();
        // The first issuer's names are plain; those of others say whose they are.
        let name = |text: &str| match shared.is_first(issuer) {
            true => text.to_owned(),
            false => format!("{issuer}#{text}"),
        };
        let subject = session.subject().filter(|subject| !subject.is_empty())?;
        let (username, groups) = (name(subject), session.roles().map(name));
        let groups: Vec<_> = groups.collect();
        if groups
            .iter()
            .chain([&username])
            .any(|name| is_reserved(name))
        {
            return None;
        }
        let one = |value: Option<&str>| value.map(str::to_owned).into_iter().collect();
        let mut extra = BTreeMap::from([
            ("queue/issuer", one(Some(issuer))),
            ("queue/session", one(session.session_id())),
            ("queue/tenant", one(session.tenant_id())),
            ("queue/client", one(session.client_id())),
            ("queue/acr", one(session.acr())),
            ("queue/scope", session.scope().map(str::to_owned).collect()),
        ]);
        extra.retain(|_, values: &mut Vec<String>| !values.is_empty());
        Some(Self {
            uid: username.clone(),
            username,
            groups,
            extra,
        })
    }
}

/// `system:masters` may do everything.
fn is_reserved(name: &str) -> bool {
    let prefix = name.as_bytes().get(..RESERVED.len());
    prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(RESERVED))
}

const API_VERSION: &str = "authentication.k8s.io/v1";
const KIND: &str = "TokenReview";
const RESERVED: &[u8] = b"system:";
const EXPECTED: &str = "expected a `TokenReview` of `authentication.k8s.io/v1`";
