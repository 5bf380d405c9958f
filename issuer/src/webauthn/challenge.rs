//! Challenges: takes what a browser was asked, gives it back once, to that browser.
//!
//! **Invariant:** [`spend`] commits before it answers, so whatever comes of the answer, the challenge is gone.
//! **Invariant:** what was asked (an address, a name) is erased when it is spent, and swept when it is not.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::app::Shared;
use crate::browser::cookies::LoginTransaction;
use crate::clock::Timestamp;
use crate::db::{DEFAULT_TENANT, Db, DbError, Id, Sql};
use crate::problem::Problem;

/// What a challenge is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ceremony {
    /// A new customer's first passkey.
    Register,
    /// A further passkey of a customer.
    Add,
    Login,
    /// A customer who is signed in shows a passkey again.
    StepUp,
}

impl Ceremony {
    fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Add => "add",
            Self::Login => "login",
            Self::StepUp => "step_up",
        }
    }
}

/// The login transaction of the request's cookie.
pub(super) struct Transaction(Option<LoginTransaction>);

impl FromRequestParts<Shared> for Transaction {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Infallible> {
        Ok(Self(LoginTransaction::of(parts)))
    }
}

impl Transaction {
    /// The one under way, or a new one.
    pub(super) fn or_begin(self) -> Result<LoginTransaction, Problem> {
        self.0.map_or_else(LoginTransaction::begin, Ok)
    }
}

/// A challenge that is spent.
pub(super) struct Spent<T> {
    pub(super) customer: Option<Id>,
    pub(super) state: T,
}

/// Keeps what the browser of `transaction` is asked; the id its answer must name.
pub(super) async fn keep(
    shared: &Shared,
    ceremony: Ceremony,
    customer: Option<Id>,
    transaction: &LoginTransaction,
    state: &impl Serialize,
) -> Result<Id, Problem> {
    let now = shared.clock.now();
    let id = Id::new(now);
    let state = serde_json::to_string(state).map_err(Problem::fault)?;
    let mut tx = shared.db.begin().await?;
    tx.execute(
        "INSERT INTO queue_webauthn_challenges (id, tenant_id, ceremony, customer_id, session_binding, state,
                                                created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        &[
            id.into(),
            DEFAULT_TENANT.into(),
            ceremony.as_str().into(),
            customer.into(),
            transaction.binding().as_slice().into(),
            (&state).into(),
            now.into(),
            now.plus(LIFE).into(),
        ],
    )
    .await?;
    tx.commit().await?;
    Ok(id)
}

/// Spends the challenge `id` of the browser of `transaction`; none when it is unknown, over, another browser's
/// or for another ceremony.
pub(super) async fn spend<T: DeserializeOwned>(
    shared: &Shared,
    id: Id,
    ceremony: Ceremony,
    transaction: Transaction,
) -> Result<Option<Spent<T>>, Problem> {
    let Some(transaction) = transaction.0 else {
        return Ok(None);
    };
    let now = shared.clock.now();
    let binding = transaction.binding();
    let mut tx = shared.db.begin().await?;
    let values = [DEFAULT_TENANT.into(), id.into(), binding.as_slice().into()];
    let Some(row) = tx.fetch_optional(HOLD, &values).await? else {
        return Ok(None);
    };
    let spent = tx
        .execute(
            "UPDATE queue_webauthn_challenges SET consumed_at = $3, state = ''
             WHERE tenant_id = $1 AND id = $2 AND consumed_at IS NULL",
            &[DEFAULT_TENANT.into(), id.into(), now.into()],
        )
        .await?;
    tx.commit().await?;
    let is_for_this = row.get::<String>("ceremony")? == ceremony.as_str();
    if spent == 0 || !is_for_this || row.get::<Timestamp>("expires_at")? <= now {
        return Ok(None);
    }
    let state = serde_json::from_str(&row.get::<String>("state")?).map_err(Problem::fault)?;
    Ok(Some(Spent {
        customer: row.get("customer_id")?,
        state,
    }))
}

/// Removes challenges nobody can answer any more.
pub(crate) async fn sweep(db: &Db, now: Timestamp) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    tx.execute(
        "DELETE FROM queue_webauthn_challenges WHERE expires_at <= $1",
        &[now.into()],
    )
    .await?;
    tx.commit().await
}

const HOLD: Sql = Sql::each(
    "SELECT ceremony, customer_id, state, expires_at FROM queue_webauthn_challenges
     WHERE tenant_id = $1 AND id = $2 AND session_binding = $3 AND consumed_at IS NULL FOR UPDATE",
    "SELECT ceremony, customer_id, state, expires_at FROM queue_webauthn_challenges
     WHERE tenant_id = $1 AND id = $2 AND session_binding = $3 AND consumed_at IS NULL",
);

/// As long as the browser gives its user.
const LIFE: Duration = Duration::from_secs(300);
