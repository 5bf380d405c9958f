//! The route of sessions for operators: `GET /api/v1/sessions`, the newest of them and how many there are.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Device, SessionView, store};
use crate::app::Shared;
use crate::caller::Caller;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::route_table::{RouteTable, routing};

pub(crate) fn routes() -> RouteTable {
    RouteTable::new().route(
        "/sessions",
        routing::get(list).says(
            Operation::new("listSessions", "Counts sessions and lists the newest")
                .service("ops:sessions")
                .ok::<Sessions>(),
        ),
    )
}

#[derive(Debug, Serialize, ToSchema)]
struct Sessions {
    live: i64,
    revoked_last_hour: i64,
    /// The newest [`NEWEST`], live or not.
    sessions: Vec<View>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SessionOnDevice)]
struct View {
    #[serde(flatten)]
    session: SessionView,
    device: Option<String>,
}

async fn list(State(shared): State<Shared>, caller: Caller) -> Result<Json<Sessions>, Problem> {
    caller.require("ops:sessions")?;
    let now = shared.clock.now();
    let counts = store::counts(&shared.db, now).await?;
    let view = |device: Device| View {
        session: SessionView::from(&device.session),
        device: device.device,
    };
    let newest = store::newest(&shared.db, NEWEST).await?;
    Ok(Json(Sessions {
        live: counts.live,
        revoked_last_hour: counts.revoked_last_hour,
        sessions: newest.into_iter().map(view).collect(),
    }))
}

const NEWEST: i64 = 50;
