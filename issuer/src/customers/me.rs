//! The routes of a customer about itself: `GET /api/v1/auth/me`, `PATCH /api/v1/auth/me`.
//!
//! **Invariant:** neither the address nor whether it is verified can be changed here: an address is proved by a
//! code that was sent to it.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Customer, check_display_name, given, store};
use crate::app::Shared;
use crate::audit::{self, Event};
use crate::extract::JsonBody;
use crate::openapi::Operation;
use crate::problem::{Problem, ProblemCode};
use crate::route_table::{RouteTable, routing};
use crate::signed_in::SignedIn;

pub(crate) fn routes() -> RouteTable {
    RouteTable::new().route(
        "/auth/me",
        routing::get(show)
            .says(
                Operation::new("getMe", "Shows the customer who is signed in")
                    .customer()
                    .ok::<Customer>()
                    .refuses(&[ProblemCode::CustomerNotFound]),
            )
            .patch(change)
            .says(
                Operation::new("changeMe", "Renames the customer who is signed in")
                    .customer()
                    .body::<Change>()
                    .ok::<Customer>()
                    .refuses(&[
                        ProblemCode::CustomerNotFound,
                        ProblemCode::CustomerDisplayNameInvalid,
                    ]),
            ),
    )
}

async fn show(
    State(shared): State<Shared>,
    signed_in: SignedIn,
) -> Result<Json<Customer>, Problem> {
    let customer = store::find(&shared.db, signed_in.customer()).await?;
    customer.map(Json).ok_or_else(missing)
}

/// A member that is absent stays as it is; `null` removes it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChangeMe)]
struct Change {
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    display_name: Option<Option<String>>,
}

async fn change(
    State(shared): State<Shared>,
    signed_in: SignedIn,
    body: JsonBody<Change>,
) -> Result<Json<Customer>, Problem> {
    let name = body.value.display_name;
    if let Some(Some(name)) = &name {
        check_display_name(name)?;
    }
    let (id, now) = (signed_in.customer(), shared.clock.now());
    let mut tx = shared.db.begin().await?;
    signed_in.hold(&mut tx, &shared).await?;
    if let Some(name) = name {
        store::rename(&mut tx, id, name.as_deref(), now).await?;
        let target = id.to_string();
        let event = Event {
            action: "customer.renamed",
            customer: Some(id),
            target_kind: "customer",
            target_id: &target,
        };
        audit::record(&mut tx, &signed_in.actor(), &event, now).await?;
    }
    let customer = store::find_in(&mut tx, id).await?.ok_or_else(missing)?;
    tx.commit().await?;
    Ok(Json(customer))
}

fn missing() -> Problem {
    Problem::new(ProblemCode::CustomerNotFound)
}
