//! The routes of sessions for browsers: `POST /api/v1/auth/token/refresh`, `POST /api/v1/auth/logout`,
//! `GET /api/v1/auth/sessions`, `DELETE /api/v1/auth/sessions/{sid}`, `DELETE /api/v1/auth/sessions?except=current`.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::response::{AppendHeaders, IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::open::OpenedView;
use super::{Device, SessionRow, SessionView, refresh, store};
use crate::app::Shared;
use crate::audit::Actor;
use crate::browser::{Page, cookies};
use crate::db::Id;
use crate::extract::{JsonBody, PathId, QueryOf};
use crate::openapi::Operation;
use crate::problem::{Problem, ProblemCode};
use crate::request_id::RequestId;
use crate::route_table::{RouteTable, routing};
use crate::signed_in::{SignedIn, StillSignedIn};
use crate::status_list::PUBLISHED_WITHIN;

/// The route that the refresh token speaks for.
pub(crate) fn refreshes() -> RouteTable {
    RouteTable::new().route(
        "/auth/token/refresh",
        routing::post(refresh_token).says(
            Operation::new(
                "refreshSession",
                "Trades the refresh token for its successor and an access token",
            )
            .page()
            .refresh_cookie()
            .ok::<OpenedView>()
            .sets_cookie(200)
            .refuses(&[
                ProblemCode::RefreshTokenInvalid,
                ProblemCode::KeyUnavailable,
            ]),
        ),
    )
}

/// The route that the cookie may speak for.
pub(crate) fn with_cookies() -> RouteTable {
    RouteTable::new().route(
        "/auth/logout",
        routing::post(logout).says(
            Operation::new(
                "logOut",
                "Signs out, here or elsewhere; a session that is over is signed out already",
            )
            .page()
            .maybe_customer()
            .refresh_cookie()
            .optional_body::<Logout>()
            .empty(204)
            .sets_cookie(204),
        ),
    )
}

/// Routes that the access token speaks for.
pub(crate) fn with_bearer() -> RouteTable {
    RouteTable::new()
        .route(
            "/auth/sessions",
            routing::get(list)
                .says(
                    Operation::new("listOwnSessions", "Lists where the customer is signed in")
                        .customer()
                        .ok::<Devices>(),
                )
                .delete(end_others)
                .says(
                    Operation::new(
                        "endOtherSessions",
                        "Ends every other session of the customer",
                    )
                    .customer()
                    .query::<Except>()
                    .empty(204),
                ),
        )
        .route(
            "/auth/sessions/{sid}",
            routing::delete(end_one).says(
                Operation::new("endOwnSession", "Ends a session of the customer")
                    .customer()
                    .empty(204)
                    .refuses(&[ProblemCode::SessionNotFound]),
            ),
        )
}

/// The refresh token in the request's cookie.
struct RefreshToken(Option<String>);

impl FromRequestParts<Shared> for RefreshToken {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Problem> {
        Ok(Self(cookies::refresh_token(parts)))
    }
}

async fn refresh_token(
    State(shared): State<Shared>,
    page: Page,
    RefreshToken(token): RefreshToken,
    request_id: RequestId,
) -> Result<Response, Problem> {
    let opened = refresh::refresh(&shared, &page, token.as_deref(), &request_id).await?;
    Ok(opened.published(&shared).await)
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Logout {
    #[serde(default)]
    sessions: Which,
}

/// Which sessions of the customer end.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = WhichSessions)]
enum Which {
    #[default]
    This,
    Others,
    All,
}

/// Signs out. A session that is over already is signed out, and an access token that has run out is none: the
/// answer is the same, and the cookie still speaks.
async fn logout(
    State(shared): State<Shared>,
    _page: Page,
    StillSignedIn(signed_in): StillSignedIn,
    RefreshToken(token): RefreshToken,
    request_id: RequestId,
    body: Option<JsonBody<Logout>>,
) -> Result<Response, Problem> {
    let which = body.map(|body| body.value).unwrap_or_default().sessions;
    let by_token = signed_in.map(|signed_in| signed_in.session);
    let by_cookie = refresh::owner(&shared, token.as_deref(), &request_id).await?;
    for session in by_token.into_iter().chain(by_cookie) {
        let actor = Actor::customer(session.customer, &request_id);
        end(&shared, session.id, &session, which, &actor).await?;
    }
    if which == Which::Others {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let gone = AppendHeaders([cookies::clear_refresh_token()]);
    Ok((StatusCode::NO_CONTENT, gone).into_response())
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Device)]
struct DeviceView {
    #[serde(flatten)]
    session: SessionView,
    device: Option<String>,
    last_used_at: i64,
    is_current: bool,
}

#[derive(Debug, Serialize, ToSchema)]
struct Devices {
    sessions: Vec<DeviceView>,
}

async fn list(State(shared): State<Shared>, signed_in: SignedIn) -> Result<Json<Devices>, Problem> {
    let now = shared.clock.now();
    let found = store::devices(&shared.db, signed_in.customer(), now).await?;
    let view = |device: Device| DeviceView {
        is_current: device.session.id == signed_in.session.id,
        last_used_at: device
            .last_used_at
            .unwrap_or(device.session.created_at)
            .unix_seconds(),
        device: device.device,
        session: SessionView::from(&device.session),
    };
    let sessions = found.into_iter().map(view).collect();
    Ok(Json(Devices { sessions }))
}

async fn end_one(
    State(shared): State<Shared>,
    signed_in: SignedIn,
    PathId(sid): PathId,
) -> Result<StatusCode, Problem> {
    let missing = || Problem::new(ProblemCode::SessionNotFound);
    let found = super::find_live(&shared, sid).await?;
    // Somebody else's session is no session.
    let own = found.filter(|session| session.customer == signed_in.customer());
    let session = own.ok_or_else(missing)?;
    let (by, actor) = (signed_in.session.id, signed_in.actor());
    end(&shared, by, &session, Which::This, &actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Except {
    except: Current,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Current {
    Current,
}

async fn end_others(
    State(shared): State<Shared>,
    signed_in: SignedIn,
    QueryOf(Except {
        except: Current::Current,
    }): QueryOf<Except>,
) -> Result<StatusCode, Problem> {
    let actor = signed_in.actor();
    let session = &signed_in.session;
    end(&shared, session.id, session, Which::Others, &actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends `which` sessions of the customer of `session`, on the word of its session `by`, in one transaction.
async fn end(
    shared: &Shared,
    by: Id,
    session: &SessionRow,
    which: Which,
    actor: &Actor,
) -> Result<(), Problem> {
    let now = shared.clock.now();
    let is_meant = |id: Id| match which {
        Which::This => id == session.id,
        Which::Others => id != session.id,
        Which::All => true,
    };
    let mut tx = shared.db.begin().await?;
    let mut ended = 0;
    let live = store::hold_all(&mut tx, session.customer, now).await?;
    // Whoever was signed out meanwhile signs nobody out.
    let speaks = live.iter().any(|live| live.id == by);
    for live in live.into_iter().filter(|_| speaks) {
        if is_meant(live.id) && store::end(&mut tx, &live, actor, now, SIGNED_OUT).await? {
            ended += 1;
        }
    }
    tx.commit().await?;
    if ended > 0 {
        shared.lists.settled(PUBLISHED_WITHIN).await;
    }
    super::count_ended(shared, ended, SIGNED_OUT);
    Ok(())
}

const SIGNED_OUT: &str = "signed_out";
