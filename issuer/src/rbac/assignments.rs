//! Assignments: takes a role to grant or to revoke, and perhaps the customer for whom a service acts, gives
//! the change and its audit event in one transaction.
//!
//! **Invariant:** the acting customer and the one acted on are held still from the check to the commit.
//! **Invariant:** a revocation names the acting customer in its URL and has no body: proxies drop bodies of
//! `DELETE`, and without the name the service's own, wider right would count.

use axum::Json;
use axum::body::HttpBody as _;
use axum::extract::{FromRequest, FromRequestParts, Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Assignment, Effective, Role, check_admin_stays, is_name, store};
use crate::app::Shared;
use crate::audit::{self, Actor, Event};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::db::{Id, Tx};
use crate::extract::{JsonBody, PathId, QueryOf, sha256};
use crate::idempotency::{Attempt, IdempotencyKey};
use crate::openapi::Operation;
use crate::problem::{Problem, ProblemCode};
use crate::router::{created, replayed};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantRole {
    #[schema(min_length = 1, max_length = 63)]
    role: String,
    #[schema(format = "uuid")]
    on_behalf_of: Option<String>,
}

/// An assignment, and the `authz_ver` from which tokens show it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GrantedRole)]
struct Granted {
    customer_id: Id,
    #[serde(flatten)]
    assignment: Assignment,
    authz_ver: i64,
}

/// How a customer came to hold the role.
enum Outcome {
    New(Granted),
    Held(Granted),
    Replayed(Granted),
}

pub(super) fn granting() -> Operation {
    Operation::new(
        "grantRole",
        "Grants a role; one that is held already is shown",
    )
    .service(WRITE)
    .idempotent()
    .body::<GrantRole>()
    .created::<Granted>()
    .ok::<Granted>()
    .refuses(&[
        ProblemCode::CustomerNotFound,
        ProblemCode::CustomerSuspended,
        ProblemCode::CustomerErased,
        ProblemCode::RoleNotFound,
        ProblemCode::RbacGrantExceedsOwn,
        ProblemCode::RbacAssignmentEnded,
    ])
}

/// `POST /api/v1/rbac/customers/{id}/assignments`.
pub(super) async fn grant(
    State(shared): State<Shared>,
    caller: Caller,
    PathId(customer): PathId,
    key: IdempotencyKey,
    body: JsonBody<GrantRole>,
) -> Result<Response, Problem> {
    caller.require(WRITE)?;
    let acting = body.value.on_behalf_of.as_deref().map(|text| {
        Id::parse(text).ok_or_else(|| {
            Problem::new(ProblemCode::RequestMalformed).detail("expected a UUID as on_behalf_of")
        })
    });
    let change = Change::new(
        &shared,
        &caller,
        customer,
        body.value.role,
        acting.transpose()?,
    )?;
    // The customer is in the path, not in the body.
    let mut request = customer.as_bytes().to_vec();
    request.extend_from_slice(&body.hash);
    let id = format!("{customer}/{}", change.role);
    let attempt = shared.attempt(&key, &caller, "rbac/assignments", sha256(&request), &id);
    let outcome = insert(&shared, &change, &attempt).await?;
    let location = format!(
        "/api/v1/rbac/customers/{customer}/assignments/{}",
        change.role
    );
    Ok(match outcome {
        Outcome::New(granted) => created(&location, &granted),
        Outcome::Held(granted) => Json(granted).into_response(),
        Outcome::Replayed(granted) => replayed(&location, &granted),
    })
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RevokeRole {
    #[schema(format = "uuid")]
    on_behalf_of: Option<String>,
}

pub(super) fn revoking() -> Operation {
    Operation::new(
        "revokeRole",
        "Revokes a role; one that is not held is revoked already",
    )
    .service(WRITE)
    .query::<RevokeRole>()
    .empty(204)
    .refuses(&[
        ProblemCode::RequestMalformed,
        ProblemCode::CustomerNotFound,
        ProblemCode::RoleNotFound,
        ProblemCode::RbacGrantExceedsOwn,
        ProblemCode::RbacLastAdmin,
        ProblemCode::CustomerErased,
    ])
}

/// `DELETE /api/v1/rbac/customers/{id}/assignments/{role}`; a role that is not held is revoked already.
pub(super) async fn revoke(
    State(shared): State<Shared>,
    caller: Caller,
    PathAssignment { customer, role }: PathAssignment,
    QueryOf(query): QueryOf<RevokeRole>,
    _: NoBody,
) -> Result<StatusCode, Problem> {
    caller.require(WRITE)?;
    let acting = query.on_behalf_of.as_deref().map(|text| {
        Id::parse(text).ok_or_else(|| {
            Problem::new(ProblemCode::RequestQueryMalformed)
                .detail("expected a UUID as on_behalf_of")
        })
    });
    let change = Change::new(&shared, &caller, customer, role, acting.transpose()?)?;
    remove(&shared, &change).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who grants or revokes what, for whom.
struct Change {
    customer: Id,
    role: String,
    acting: Option<Id>,
    actor: Actor,
    now: Timestamp,
}

impl Change {
    fn new(
        shared: &Shared,
        caller: &Caller,
        customer: Id,
        role: String,
        acting: Option<Id>,
    ) -> Result<Self, Problem> {
        if !is_name(&role) {
            return Err(Problem::new(ProblemCode::RoleNotFound));
        }
        let mut actor = caller.actor();
        if let Some(acting) = acting {
            actor.id = format!("{} for {acting}", actor.id);
        }
        Ok(Self {
            customer,
            role,
            acting,
            actor,
            now: shared.clock.now(),
        })
    }

    /// Holds the customers still and refuses what the acting one may not do; the role and its receiver.
    async fn admit(&self, tx: &mut Tx) -> Result<(Role, Effective), Problem> {
        let acting = self.acting.unwrap_or(self.customer);
        store::hold(tx, self.customer, acting).await?;
        let receiver = store::effective_in(tx, self.customer)
            .await?
            .ok_or_else(|| Problem::new(ProblemCode::CustomerNotFound))?;
        let role = store::role(tx, &self.role)
            .await?
            .ok_or_else(|| Problem::new(ProblemCode::RoleNotFound))?;
        if self.acting.is_some() {
            // One who does not exist may do as little as one who is suspended.
            store::effective_in(tx, acting)
                .await?
                .ok_or_else(|| Problem::new(ProblemCode::RbacGrantExceedsOwn))?
                .check_may_assign(&role)?;
        }
        Ok((role, receiver))
    }

    /// The assignment as the transaction sees it.
    async fn find(&self, tx: &mut Tx) -> Result<Option<Granted>, Problem> {
        let Some(held) = store::assignments_in(tx, self.customer).await? else {
            return Ok(None);
        };
        let authz_ver = held.authz_ver;
        let assignment = held
            .assignments
            .into_iter()
            .find(|assignment| assignment.role == self.role);
        Ok(assignment.map(|assignment| Granted {
            customer_id: self.customer,
            assignment,
            authz_ver,
        }))
    }

    async fn record(&self, tx: &mut Tx, action: &'static str) -> Result<(), Problem> {
        let event = Event {
            action,
            customer: Some(self.customer),
            target_kind: "role",
            target_id: &self.role,
        };
        Ok(audit::record(tx, &self.actor, &event, self.now).await?)
    }
}

/// Grants the role, or finds that it was granted before.
async fn insert(
    shared: &Shared,
    change: &Change,
    attempt: &Attempt<'_>,
) -> Result<Outcome, Problem> {
    let ended = || Problem::new(ProblemCode::RbacAssignmentEnded);
    let mut tx = shared.db.begin().await?;
    // The key's hash covers customer and role: what it made is what is asked for.
    if attempt.claim(&mut tx, change.now).await?.is_some() {
        let granted = change.find(&mut tx).await?.ok_or_else(ended)?;
        return Ok(Outcome::Replayed(granted));
    }
    let (_, receiver) = change.admit(&mut tx).await?;
    receiver.check_may_receive()?;
    let by = &change.actor.id;
    let is_new = store::insert(&mut tx, change.customer, &change.role, by, change.now).await?;
    let granted = change.find(&mut tx).await?.ok_or_else(ended)?;
    if !is_new {
        // Nothing was made, so nothing is kept, the key neither.
        return Ok(Outcome::Held(granted));
    }
    change.record(&mut tx, "rbac.role_granted").await?;
    tx.commit().await?;
    Ok(Outcome::New(granted))
}

async fn remove(shared: &Shared, change: &Change) -> Result<(), Problem> {
    let mut tx = shared.db.begin().await?;
    let (role, receiver) = change.admit(&mut tx).await?;
    if receiver.state == "erased" {
        return Err(Problem::new(ProblemCode::CustomerErased));
    }
    if role.is_admin {
        check_admin_stays(&mut tx, change.customer).await?;
    }
    if !store::remove(&mut tx, change.customer, &change.role).await? {
        return Ok(());
    }
    change.record(&mut tx, "rbac.role_revoked").await?;
    Ok(tx.commit().await?)
}

/// The customer and the role in the path.
pub(super) struct PathAssignment {
    customer: Id,
    role: String,
}

impl<S: Send + Sync> FromRequestParts<S> for PathAssignment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let refuse = || {
            Problem::new(ProblemCode::RequestPathMalformed)
                .detail("expected a UUID and the name of a role in the path")
        };
        let Path((customer, role)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(|_| refuse())?;
        let customer = Id::parse(&customer).ok_or_else(refuse)?;
        Ok(Self { customer, role })
    }
}

/// A request without a body.
pub(super) struct NoBody;

impl<S: Send + Sync> FromRequest<S> for NoBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !request.body().is_end_stream() {
            return Err(Problem::new(ProblemCode::RequestMalformed)
                .detail("expected no body; on_behalf_of goes into the query"));
        }
        Ok(Self)
    }
}

const WRITE: &str = "rbac:write";
