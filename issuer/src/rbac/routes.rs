//! The routes of RBAC: `GET /api/v1/rbac/roles`, `/rbac/permissions`, `/rbac/customers/{id}/assignments`,
//! `/rbac/customers/{id}/effective`, `POST /api/v1/rbac/check`; assignments change in `assignments.rs`.
//!
//! What is read here may be kept by the caller alone and asked for again each time (`private, no-cache`):
//! under the `no-store` of the other routes no HTTP cache could use the ETag. Every answer passes the
//! check of the caller, a 304 too.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::page::{AskedPage, PageQuery};
use super::{Assignments, Effective, Permission, READ, Role, assignments, is_name, store};
use crate::app::Shared;
use crate::caller::Caller;
use crate::db::Id;
use crate::discovery::holds;
use crate::extract::{JsonBody, PathId, sha256};
use crate::openapi::Operation;
use crate::problem::{Problem, ProblemCode};
use crate::route_table::{RouteTable, routing};

pub(crate) fn routes() -> RouteTable {
    RouteTable::new()
        .route(
            "/rbac/roles",
            routing::get(roles).says(
                Operation::new("listRoles", "Lists the roles")
                    .service(READ)
                    .query::<PageQuery>()
                    .ok::<Roles>()
                    .revalidated(),
            ),
        )
        .route(
            "/rbac/permissions",
            routing::get(permissions).says(
                Operation::new("listPermissions", "Lists the permissions")
                    .service(READ)
                    .query::<PageQuery>()
                    .ok::<Permissions>()
                    .revalidated(),
            ),
        )
        .route(
            "/rbac/customers/{id}/assignments",
            routing::get(held)
                .says(
                    Operation::new("listAssignments", "Lists the roles a customer holds")
                        .service(READ)
                        .ok::<Assignments>()
                        .revalidated()
                        .refuses(&[ProblemCode::CustomerNotFound]),
                )
                .post(assignments::grant)
                .says(assignments::granting()),
        )
        .route(
            "/rbac/customers/{id}/assignments/{role}",
            routing::delete(assignments::revoke).says(assignments::revoking()),
        )
        .route(
            "/rbac/customers/{id}/effective",
            routing::get(effective).says(
                Operation::new("getEffectivePermissions", "Says what a customer may do now")
                    .service(READ)
                    .ok::<Effective>()
                    .revalidated()
                    .refuses(&[ProblemCode::CustomerNotFound]),
            ),
        )
        .route(
            "/rbac/check",
            routing::post(check).says(
                Operation::new(
                    "checkPermissions",
                    "Says whether customers may do something",
                )
                .service(READ)
                .body::<Checks>()
                .ok::<Verdicts>(),
            ),
        )
}

#[derive(Debug, Serialize, ToSchema)]
struct Roles {
    roles: Vec<Role>,
    next_cursor: Option<String>,
}

async fn roles(State(shared): State<Shared>, asked: AskedPage) -> Result<Response, Problem> {
    let rows = store::roles(&shared.db, &asked.page).await?;
    let (roles, next_cursor) = asked.page.cut(rows);
    revalidated(&asked.headers, None, &Roles { roles, next_cursor })
}

#[derive(Debug, Serialize, ToSchema)]
struct Permissions {
    permissions: Vec<Permission>,
    next_cursor: Option<String>,
}

async fn permissions(State(shared): State<Shared>, asked: AskedPage) -> Result<Response, Problem> {
    let rows = store::permissions(&shared.db, &asked.page).await?;
    let (permissions, next_cursor) = asked.page.cut(rows);
    let body = Permissions {
        permissions,
        next_cursor,
    };
    revalidated(&asked.headers, None, &body)
}

async fn held(
    State(shared): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    PathId(customer): PathId,
) -> Result<Response, Problem> {
    caller.require(READ)?;
    let held = store::assignments(&shared.db, customer)
        .await?
        .ok_or_else(|| Problem::new(ProblemCode::CustomerNotFound))?;
    revalidated(&headers, Some(held.authz_ver), &held)
}

async fn effective(
    State(shared): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    PathId(customer): PathId,
) -> Result<Response, Problem> {
    caller.require(READ)?;
    let effective = store::effective(&shared.db, customer)
        .await?
        .ok_or_else(|| Problem::new(ProblemCode::CustomerNotFound))?;
    revalidated(&headers, Some(effective.authz_ver), &effective)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PermissionChecks)]
struct Checks {
    #[schema(min_items = 1, max_items = 100)]
    checks: Vec<Check>,
}

/// Whether this customer may do this.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PermissionCheck)]
struct Check {
    #[schema(format = "uuid")]
    customer_id: String,
    permission: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PermissionVerdicts)]
struct Verdicts {
    results: Vec<Verdict>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PermissionVerdict)]
struct Verdict {
    customer_id: String,
    permission: String,
    allowed: bool,
    /// Null when there is no such customer, who may do nothing.
    authz_ver: Option<i64>,
}

async fn check(
    State(shared): State<Shared>,
    caller: Caller,
    body: JsonBody<Checks>,
) -> Result<Response, Problem> {
    caller.require(READ)?;
    let checks = parse(body.value.checks)?;
    let asked = serde_json::to_string(&checks).map_err(Problem::fault)?;
    let verdicts = store::check(&shared.db, &asked).await?;
    let results = checks
        .into_iter()
        .zip(verdicts)
        .map(|(check, (allowed, authz_ver))| Verdict {
            customer_id: check.customer_id,
            permission: check.permission,
            allowed,
            authz_ver,
        })
        .collect();
    Ok(Json(Verdicts { results }).into_response())
}

fn parse(checks: Vec<Check>) -> Result<Vec<Check>, Problem> {
    let refuse = |what: &str| Problem::new(ProblemCode::RequestMalformed).detail(what);
    if !(1..=MOST_CHECKS).contains(&checks.len()) {
        return Err(refuse("expected 1 to 100 checks"));
    }
    let parse = |check: Check| {
        let customer = Id::parse(&check.customer_id)
            .ok_or_else(|| refuse("expected a UUID as customer_id of each check"))?;
        if !is_name(&check.permission) {
            return Err(refuse(
                "expected the name of a permission as permission of each check",
            ));
        }
        Ok(Check {
            customer_id: customer.to_string(),
            permission: check.permission,
        })
    };
    checks.into_iter().map(parse).collect()
}

/// The answer whole, or 304 to whoever holds it. The ETag names the bytes; that of a customer begins with
/// the `authz_ver` they follow.
fn revalidated(
    request: &HeaderMap,
    authz_ver: Option<i64>,
    body: &impl Serialize,
) -> Result<Response, Problem> {
    let bytes = Bytes::from(serde_json::to_vec(body).map_err(Problem::fault)?);
    let digest: String = sha256(&bytes)
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let tag = match authz_ver {
        Some(version) => format!("\"{version}-{digest}\""),
        None => format!("\"{digest}\""),
    };
    let etag = HeaderValue::from_str(&tag).map_err(Problem::fault)?;
    let mut response = if holds(request, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(CONTENT_TYPE, "application/json")], bytes).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(ETAG, etag);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

const MOST_CHECKS: usize = 100;
