//! The routes of backup codes: `GET /api/v1/auth/backup-codes`, `POST /api/v1/auth/backup-codes`,
//! `POST /api/v1/auth/backup-codes/verify`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::sign_in::{Attempt, sign_in};
use super::store;
use crate::app::Shared;
use crate::browser::Page;
use crate::clock::Timestamp;
use crate::customers::Email;
use crate::extract::JsonBody;
use crate::openapi::Operation;
use crate::problem::{Problem, ProblemCode};
use crate::rate_limit::Class;
use crate::request_id::RequestId;
use crate::route_table::{RouteTable, routing};
use crate::router::created;
use crate::session::open::OpenedView;
use crate::signed_in::SignedIn;

/// Routes that open a session in a cookie.
pub(crate) fn with_cookies() -> RouteTable {
    RouteTable::new().route(
        "/auth/backup-codes/verify",
        routing::post(verify).says(
            Operation::new("signInByBackupCode", "Signs in by a backup code")
                .page()
                .body::<Verify>()
                .ok::<OpenedView>()
                .sets_cookie(200)
                .refuses(&[
                    ProblemCode::AuthenticationFailed,
                    ProblemCode::KeyUnavailable,
                ]),
        ),
    )
}

/// Routes that the access token speaks for.
pub(crate) fn with_bearer() -> RouteTable {
    RouteTable::new().route(
        "/auth/backup-codes",
        routing::get(show)
            .says(
                Operation::new("getBackupCodes", "Says how many backup codes are left")
                    .customer()
                    .ok::<Standing>(),
            )
            .post(make)
            .says(
                Operation::new(
                    "makeBackupCodes",
                    "Makes a new set of backup codes; the old ones are void",
                )
                .customer()
                .created::<Codes>()
                .refuses(&[
                    ProblemCode::InsufficientUserAuthentication,
                    ProblemCode::SignInNotConfigured,
                ]),
            ),
    )
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BackupCodesStanding)]
struct Standing {
    remaining: i64,
    created_at: Option<i64>,
}

async fn show(
    State(shared): State<Shared>,
    signed_in: SignedIn,
) -> Result<Json<Standing>, Problem> {
    let (remaining, made) = store::standing(&shared.db, signed_in.customer()).await?;
    Ok(Json(Standing {
        remaining,
        created_at: made.map(Timestamp::unix_seconds),
    }))
}

/// The one answer that has the codes.
#[derive(Serialize, ToSchema)]
#[schema(as = BackupCodes)]
struct Codes {
    codes: Vec<String>,
    created_at: i64,
}

async fn make(State(shared): State<Shared>, signed_in: SignedIn) -> Result<Response, Problem> {
    signed_in.require_recent_passkey(&shared)?;
    let set = super::make(&shared, &signed_in).await?;
    let body = Codes {
        codes: set.codes,
        created_at: set.created_at.unix_seconds(),
    };
    Ok(created("/api/v1/auth/backup-codes", &body))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ShowBackupCode)]
struct Verify {
    email: String,
    code: String,
}

async fn verify(
    State(shared): State<Shared>,
    page: Page,
    request_id: RequestId,
    body: JsonBody<Verify>,
) -> Result<Response, Problem> {
    let email = &body.value.email;
    // What is no address is somebody's account all the same.
    let account = Email::parse(email).map_or_else(|_| email.clone(), |email| email.normalised);
    let limits = &shared.limits;
    limits.check(Class::Auth, &page.address, Some(&account))?;
    let attempt = Attempt {
        email,
        code: &body.value.code,
        device: &page.device,
        request_id: &request_id,
    };
    let opened = sign_in(&shared, &attempt).await?;
    Ok(opened.published(&shared).await)
}
