//! The routes of customers for services: `POST /api/v1/customers`, `GET /api/v1/customers/{id}`,
//! `GET /api/v1/customers?email=`, `PATCH /api/v1/customers/{id}`, `POST /api/v1/customers/{id}/erase`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::lifecycle::{self, Standing};
use super::{Customer, Email, NewCustomer, check_display_name, given, store};
use crate::app::Shared;
use crate::caller::Caller;
use crate::db::Id;
use crate::extract::{JsonBody, PathId, QueryOf};
use crate::idempotency::{Attempt, IdempotencyKey};
use crate::openapi::Operation;
use crate::problem::{Problem, ProblemCode};
use crate::route_table::{RouteTable, routing};
use crate::router::{created, replayed};

pub(crate) fn routes() -> RouteTable {
    RouteTable::new()
        .route(
            "/customers",
            routing::post(create)
                .says(
                    Operation::new("createCustomer", "Makes a customer with its default roles")
                        .service("customers:write")
                        .idempotent()
                        .body::<CreateCustomer>()
                        .created::<Customer>()
                        .refuses(&[
                            ProblemCode::CustomerEmailInvalid,
                            ProblemCode::CustomerEmailTaken,
                            ProblemCode::CustomerDisplayNameInvalid,
                            ProblemCode::CustomerNotFound,
                        ]),
                )
                .get(find_by_email)
                .says(
                    Operation::new("findCustomer", "Finds the customer of an address")
                        .service("customers:read")
                        .query::<ByEmail>()
                        .ok::<Customer>()
                        .refuses(&[
                            ProblemCode::CustomerEmailInvalid,
                            ProblemCode::CustomerNotFound,
                        ]),
                ),
        )
        .route(
            "/customers/{id}",
            routing::get(find)
                .says(
                    Operation::new("getCustomer", "Shows a customer")
                        .service("customers:read")
                        .ok::<Customer>()
                        .refuses(&[ProblemCode::CustomerNotFound]),
                )
                .patch(change)
                .says(
                    Operation::new("changeCustomer", "Renames, suspends or restores a customer")
                        .service("customers:write")
                        .body::<ChangeCustomer>()
                        .ok::<Customer>()
                        .refuses(&[
                            ProblemCode::CustomerNotFound,
                            ProblemCode::CustomerErased,
                            ProblemCode::CustomerDisplayNameInvalid,
                            ProblemCode::RbacLastAdmin,
                        ]),
                ),
        )
        .route(
            "/customers/{id}/erase",
            routing::post(erase).says(
                Operation::new(
                    "eraseCustomer",
                    "Erases a customer; a repeated call answers the same",
                )
                .service("customers:write")
                .ok::<Customer>()
                .refuses(&[ProblemCode::CustomerNotFound, ProblemCode::RbacLastAdmin]),
            ),
        )
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateCustomer {
    #[schema(min_length = 3, max_length = 254)]
    email: String,
    #[schema(min_length = 1, max_length = 200)]
    display_name: Option<String>,
}

async fn create(
    State(shared): State<Shared>,
    caller: Caller,
    key: IdempotencyKey,
    body: JsonBody<CreateCustomer>,
) -> Result<Response, Problem> {
    caller.require("customers:write")?;
    let new = parse(&shared, &caller, body.value)?;
    let id = new.id.to_string();
    let attempt = shared.attempt(&key, &caller, "customers", body.hash, &id);
    let (customer, is_new) = insert(&shared, &caller, &new, &attempt).await?;
    let location = format!("/api/v1/customers/{}", customer.id);
    Ok(if is_new {
        created(&location, &customer)
    } else {
        replayed(&location, &customer)
    })
}

async fn find(
    State(shared): State<Shared>,
    caller: Caller,
    PathId(id): PathId,
) -> Result<Response, Problem> {
    caller.require("customers:read")?;
    let customer = store::find(&shared.db, id).await?;
    answer(customer)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CustomerQuery)]
struct ByEmail {
    #[schema(min_length = 3, max_length = 254)]
    email: String,
}

async fn find_by_email(
    State(shared): State<Shared>,
    caller: Caller,
    QueryOf(query): QueryOf<ByEmail>,
) -> Result<Response, Problem> {
    caller.require("customers:read")?;
    let email = Email::parse(&query.email)?;
    let customer = store::find_by_email(&shared.db, &email.normalised).await?;
    answer(customer)
}

/// A member that is absent stays as it is; a `null` name removes it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeCustomer {
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    display_name: Option<Option<String>>,
    state: Option<Standing>,
}

async fn change(
    State(shared): State<Shared>,
    caller: Caller,
    PathId(id): PathId,
    body: JsonBody<ChangeCustomer>,
) -> Result<Response, Problem> {
    caller.require("customers:write")?;
    let ChangeCustomer {
        display_name,
        state,
    } = body.value;
    if let Some(Some(name)) = &display_name {
        check_display_name(name)?;
    }
    let change = lifecycle::Change {
        display_name,
        state,
    };
    let customer = lifecycle::change(&shared, &caller.actor(), id, &change).await?;
    answer(Some(customer))
}

async fn erase(
    State(shared): State<Shared>,
    caller: Caller,
    PathId(id): PathId,
) -> Result<Response, Problem> {
    caller.require("customers:write")?;
    let customer = lifecycle::erase(&shared, &caller.actor(), id).await?;
    answer(Some(customer))
}

fn answer(customer: Option<Customer>) -> Result<Response, Problem> {
    let customer = customer.ok_or_else(|| Problem::new(ProblemCode::CustomerNotFound))?;
    Ok((StatusCode::OK, Json(customer)).into_response())
}

fn parse(shared: &Shared, caller: &Caller, body: CreateCustomer) -> Result<NewCustomer, Problem> {
    let email = Email::parse(&body.email)?;
    if let Some(name) = &body.display_name {
        check_display_name(name)?;
    }
    let now = shared.clock.now();
    Ok(NewCustomer {
        id: Id::new(now),
        email,
        display_name: body.display_name,
        created_by: caller.client_id().to_owned(),
        now,
    })
}

/// Makes the customer, or finds the one the same request made before; true when it is new.
async fn insert(
    shared: &Shared,
    caller: &Caller,
    new: &NewCustomer,
    attempt: &Attempt<'_>,
) -> Result<(Customer, bool), Problem> {
    let missing = || Problem::new(ProblemCode::CustomerNotFound);
    let mut tx = shared.db.begin().await?;
    if let Some(earlier) = attempt.claim(&mut tx, new.now).await? {
        let id = Id::parse(&earlier).ok_or_else(missing)?;
        let customer = store::find_in(&mut tx, id).await?.ok_or_else(missing)?;
        return Ok((customer, false));
    }
    if !super::make(&mut tx, new, &caller.actor()).await? {
        return Err(Problem::new(ProblemCode::CustomerEmailTaken));
    }
    let customer = store::find_in(&mut tx, new.id).await?.ok_or_else(missing)?;
    tx.commit().await?;
    Ok((customer, true))
}
