//! The operators' routes of stored tokens: `GET, POST /api/v1/service-tokens`, `POST …/{id}/rotate`, `DELETE …/{id}`.
//!
//! **Invariant:** the text of a token is in the first answer alone. A repeated request (`Idempotency-Key`) gets
//! the same resource with `token: null`: who lost the answer revokes what it names and asks anew.
//! **Invariant:** operators' scopes are handed on only by those who hold them.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::commands::{self, Request, ServiceTokenError};
use super::store::{self, TokenRow};
use super::text::{Fresh, MARK};
use crate::app::Shared;
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::db::Id;
use crate::extract::{JsonBody, PathId, QueryOf, sha256};
use crate::idempotency::{Attempt, IdempotencyKey};
use crate::openapi::Operation;
use crate::problem::{Problem, ProblemCode};
use crate::route_table::{RouteTable, routing};
use crate::router::{created, replayed};
use crate::settings::SCOPE_NAMES;

pub(crate) fn routes() -> RouteTable {
    RouteTable::new()
        .route(
            "/service-tokens",
            routing::get(list)
                .says(
                    Operation::new("listServiceTokens", "Lists stored service tokens")
                        .service(SCOPE)
                        .query::<Page>()
                        .ok::<Tokens>(),
                )
                .post(create)
                .says(
                    Operation::new(
                        "createServiceToken",
                        "Makes a service token, whose text is in this answer alone",
                    )
                    .service(SCOPE)
                    .idempotent()
                    .body::<CreateToken>()
                    .created::<MadeToken<'_>>()
                    .refuses(&[
                        ProblemCode::ServiceTokenLimit,
                        ProblemCode::ServiceTokenLifeInvalid,
                        ProblemCode::ServiceClientIdInvalid,
                        ProblemCode::ServiceScopeInvalid,
                        ProblemCode::ServiceScopesDiffer,
                        ProblemCode::ServiceClientSuspended,
                        ProblemCode::ServiceTokenNotFound,
                    ]),
                ),
        )
        .route(
            "/service-tokens/{id}/rotate",
            routing::post(rotate).says(
                Operation::new(
                    "rotateServiceToken",
                    "Makes the successor of a service token",
                )
                .service(SCOPE)
                .idempotent()
                .optional_body::<RotateToken>()
                .created::<MadeToken<'_>>()
                .refuses(&[
                    ProblemCode::ServiceTokenNotFound,
                    ProblemCode::ServiceTokenLimit,
                    ProblemCode::ServiceTokenEnded,
                    ProblemCode::ServiceTokenLifeInvalid,
                    ProblemCode::ServiceScopesDiffer,
                    ProblemCode::ServiceClientSuspended,
                ]),
            ),
        )
        .route(
            "/service-tokens/{id}",
            routing::delete(revoke).says(
                Operation::new(
                    "revokeServiceToken",
                    "Ends a service token; a repeated call answers the same",
                )
                .service(SCOPE)
                .ok::<TokenView>()
                .refuses(&[ProblemCode::ServiceTokenNotFound]),
            ),
        )
}

/// A stored token as operators see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServiceToken)]
struct TokenView {
    id: Id,
    client_id: String,
    scopes: Vec<String>,
    state: &'static str,
    client_state: String,
    /// How the token begins.
    token_prefix: String,
    created_at: i64,
    created_by: String,
    expires_at: i64,
    /// To the minute.
    last_used_at: Option<i64>,
    revoked_at: Option<i64>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = MadeServiceToken)]
struct MadeToken<'a> {
    token: Option<&'a str>,
    #[serde(flatten)]
    view: TokenView,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServiceTokens)]
struct Tokens {
    service_tokens: Vec<TokenView>,
    /// What to ask for as `after`, if there are more.
    next: Option<Id>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ServiceTokenQuery)]
struct Page {
    #[schema(format = "uuid")]
    after: Option<String>,
    #[schema(minimum = 1, maximum = 200, default = 100)]
    limit: Option<i64>,
}

async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    QueryOf(page): QueryOf<Page>,
) -> Result<Response, Problem> {
    caller.require(SCOPE)?;
    let wrong = || {
        Problem::new(ProblemCode::RequestQueryMalformed)
            .detail(format!("expected an id as after, and 1 to {MOST} as limit"))
    };
    let after = match &page.after {
        Some(text) => Id::parse(text).ok_or_else(wrong)?,
        None => Id::fixed(0),
    };
    let limit = page.limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        return Err(wrong());
    }
    // So that what this process saw counts at once.
    shared.uses.flush(&shared.db).await?;
    let mut rows = store::page(&shared.db, after, limit + 1).await?;
    let more = rows.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    if more {
        rows.pop();
    }
    let now = shared.clock.now();
    Ok(Json(Tokens {
        next: rows.last().filter(|_| more).map(|row| row.id),
        service_tokens: rows.iter().map(|row| TokenView::new(row, now)).collect(),
    })
    .into_response())
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateServiceToken)]
struct CreateToken {
    client_id: String,
    #[schema(min_items = 1)]
    scopes: Vec<String>,
    /// Seconds.
    expires_in: Option<u64>,
}

async fn create(
    State(shared): State<Shared>,
    caller: Caller,
    key: IdempotencyKey,
    body: JsonBody<CreateToken>,
) -> Result<Response, Problem> {
    caller.require(SCOPE)?;
    let asked = body.value;
    let scopes = asked.scopes.iter().map(String::as_str);
    let request = Request::new(&asked.client_id, scopes, asked.expires_in)?;
    may_grant(&caller, request.scopes().iter().copied())?;
    let now = shared.clock.now();
    let fresh = Fresh::new(now).map_err(ServiceTokenError::from)?;
    let id = fresh.id.to_string();
    let attempt = shared.attempt(&key, &caller, "service-tokens", body.hash, &id);
    let mut tx = shared.db.begin().await?;
    if let Some(earlier) = earlier(&mut tx, &attempt, now).await? {
        return Ok(answer(&earlier, None, now));
    }
    let row = commands::create(&mut tx, &request, &fresh, &caller.operator(), now).await?;
    tx.commit().await?;
    Ok(answer(&row, Some(&fresh.text), now))
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RotateServiceToken)]
struct RotateToken {
    /// Seconds.
    expires_in: Option<u64>,
}

async fn rotate(
    State(shared): State<Shared>,
    caller: Caller,
    key: IdempotencyKey,
    PathId(id): PathId,
    body: Option<JsonBody<RotateToken>>,
) -> Result<Response, Problem> {
    caller.require(SCOPE)?;
    let (asked, hash) = body.map_or_else(
        || (RotateToken::default(), sha256(b"")),
        |body| (body.value, body.hash),
    );
    let life = commands::check_life(asked.expires_in)?;
    let now = shared.clock.now();
    let fresh = Fresh::new(now).map_err(ServiceTokenError::from)?;
    let new = fresh.id.to_string();
    // The same key for another token is another request.
    let hash = sha256(&[id.as_bytes().as_slice(), &hash].concat());
    let attempt = shared.attempt(&key, &caller, "service-tokens/rotate", hash, &new);
    let mut tx = shared.db.begin().await?;
    if let Some(earlier) = earlier(&mut tx, &attempt, now).await? {
        return Ok(answer(&earlier, None, now));
    }
    let old = commands::find(&mut tx, id).await?;
    may_grant(&caller, old.scopes.iter().map(String::as_str))?;
    let row = commands::rotate(&mut tx, &old, &fresh, life, &caller.operator(), now).await?;
    tx.commit().await?;
    Ok(answer(&row, Some(&fresh.text), now))
}

async fn revoke(
    State(shared): State<Shared>,
    caller: Caller,
    PathId(id): PathId,
) -> Result<Response, Problem> {
    caller.require(SCOPE)?;
    let now = shared.clock.now();
    let mut tx = shared.db.begin().await?;
    let row = commands::revoke(&mut tx, id, &caller.operator(), now).await?;
    tx.commit().await?;
    Ok(Json(TokenView::new(&row, now)).into_response())
}

/// The token an earlier request with the same key made.
async fn earlier(
    tx: &mut crate::db::Tx,
    attempt: &Attempt<'_>,
    now: Timestamp,
) -> Result<Option<TokenRow>, Problem> {
    let Some(id) = attempt.claim(tx, now).await? else {
        return Ok(None);
    };
    let id = Id::parse(&id).ok_or(ServiceTokenError::NotFound)?;
    Ok(Some(commands::find(tx, id).await?))
}

/// Refuses to hand on an operators' scope the caller lacks: rotation would give it away as well.
fn may_grant<'a>(
    caller: &Caller,
    scopes: impl IntoIterator<Item = &'a str>,
) -> Result<(), Problem> {
    for scope in scopes {
        let known = SCOPE_NAMES.iter().find(|name| **name == scope);
        if let Some(name) = known.filter(|name| name.starts_with("ops:")) {
            caller.require(name)?;
        }
    }
    Ok(())
}

fn answer(row: &TokenRow, text: Option<&SecretString>, now: Timestamp) -> Response {
    let location = format!("/api/v1/service-tokens/{}", row.id);
    let made = MadeToken {
        token: text.map(ExposeSecret::expose_secret),
        view: TokenView::new(row, now),
    };
    if text.is_some() {
        created(&location, &made)
    } else {
        replayed(&location, &made)
    }
}

impl TokenView {
    fn new(row: &TokenRow, now: Timestamp) -> Self {
        Self {
            id: row.id,
            client_id: row.client_id.clone(),
            scopes: row.scopes.clone(),
            state: row.state(now),
            client_state: row.client_state.clone(),
            token_prefix: format!("{MARK}{}", row.prefix),
            created_at: row.created_at.unix_seconds(),
            created_by: row.created_by.clone(),
            expires_at: row.expires_at.unix_seconds(),
            last_used_at: row.last_used_at.map(Timestamp::unix_seconds),
            revoked_at: row.revoked_at.map(Timestamp::unix_seconds),
        }
    }
}

impl From<ServiceTokenError> for Problem {
    fn from(error: ServiceTokenError) -> Self {
        let code = match error {
            ServiceTokenError::NotFound => ProblemCode::ServiceTokenNotFound,
            ServiceTokenError::Limit => ProblemCode::ServiceTokenLimit,
            ServiceTokenError::Ended => ProblemCode::ServiceTokenEnded,
            ServiceTokenError::Life => ProblemCode::ServiceTokenLifeInvalid,
            ServiceTokenError::ClientId => ProblemCode::ServiceClientIdInvalid,
            ServiceTokenError::Scope => ProblemCode::ServiceScopeInvalid,
            ServiceTokenError::ScopesDiffer => ProblemCode::ServiceScopesDiffer,
            ServiceTokenError::Suspended => ProblemCode::ServiceClientSuspended,
            ServiceTokenError::Db(error) => return error.into(),
            ServiceTokenError::Randomness(error) => return Self::fault(error),
        };
        Self::new(code).detail(error.to_string())
    }
}

const SCOPE: &str = "ops:services";
/// Tokens in one answer, usually and at most.
const USUAL: i64 = 100;
const MOST: i64 = 200;
