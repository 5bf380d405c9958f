//! Idempotency: takes an `Idempotency-Key`, says whether its request was done before and what it made.
//!
//! **Invariant:** the key is claimed in the transaction that makes the resource, so either both exist or
//! neither does, and of two requests at once one makes it and the other is told of it.
//! **Invariant:** what is kept is hashes and the resource's id. The answer is built again from the
//! resource, so no token waits in the database, and an erased customer leaves nothing behind here.
//!
//! A repeated `POST /service/sessions` therefore gets the same session with a new access token: the old
//! one may have expired meanwhile.

use std::time::Duration;

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::clock::Timestamp;
use crate::db::{DEFAULT_TENANT, Db, DbError, Tx};
use crate::extract::sha256;
use crate::problem::{Problem, ProblemCode};

/// The request's `Idempotency-Key`, if it has one.
#[derive(Debug, Clone)]
pub(crate) struct IdempotencyKey(Option<[u8; 32]>);

/// A creating request.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    pub(crate) key: &'a IdempotencyKey,
    pub(crate) client_id: &'a str,
    pub(crate) route: &'static str,
    pub(crate) request_hash: [u8; 32],
    /// The id the resource will have if this request makes it.
    pub(crate) resource_id: &'a str,
    pub(crate) life: Duration,
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(HEADER).iter();
        let Some(value) = values.next() else {
            return Ok(Self(None));
        };
        let bytes = value.as_bytes();
        let well_formed =
            (1..=255).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
        if !well_formed || values.next().is_some() {
            return Err(Problem::new(ProblemCode::IdempotencyKeyMalformed)
                .detail("expected one header of 1 to 255 visible ASCII characters"));
        }
        Ok(Self(Some(sha256(bytes))))
    }
}

impl Attempt<'_> {
    /// Whether the request may be a repeated one.
    pub(crate) fn has_key(&self) -> bool {
        self.key.0.is_some()
    }

    /// Claims the key; the id of the resource an earlier request made with it, if there was one.
    pub(crate) async fn claim(
        &self,
        tx: &mut Tx,
        now: Timestamp,
    ) -> Result<Option<String>, Problem> {
        let Some(key_hash) = self.key.0 else {
            return Ok(None);
        };
        self.forget_if_expired(tx, &key_hash, now).await?;
        let claimed = tx
            .execute(
                "INSERT INTO queue_idempotency_keys (tenant_id, client_id, route, key_hash, request_hash, resource_id,
                                                     created_at, expires_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
                &[
                    DEFAULT_TENANT.into(),
                    self.client_id.into(),
                    self.route.into(),
                    key_hash.as_slice().into(),
                    self.request_hash.as_slice().into(),
                    self.resource_id.into(),
                    now.into(),
                    now.plus(self.life).into(),
                ],
            )
            .await?;
        if claimed == 1 {
            return Ok(None);
        }
        self.earlier(tx, &key_hash).await.map(Some)
    }

    async fn forget_if_expired(
        &self,
        tx: &mut Tx,
        key_hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<(), DbError> {
        tx.execute(
            "DELETE FROM queue_idempotency_keys
             WHERE tenant_id = $1 AND client_id = $2 AND route = $3 AND key_hash = $4 AND expires_at <= $5",
            &[
                DEFAULT_TENANT.into(),
                self.client_id.into(),
                self.route.into(),
                key_hash.as_slice().into(),
                now.into(),
            ],
        )
        .await?;
        Ok(())
    }

    async fn earlier(&self, tx: &mut Tx, key_hash: &[u8; 32]) -> Result<String, Problem> {
        let row = tx
            .fetch_optional(
                "SELECT request_hash, resource_id FROM queue_idempotency_keys
                 WHERE tenant_id = $1 AND client_id = $2 AND route = $3 AND key_hash = $4",
                &[
                    DEFAULT_TENANT.into(),
                    self.client_id.into(),
                    self.route.into(),
                    key_hash.as_slice().into(),
                ],
            )
            .await?;
        let Some(row) = row else {
            // The other request expired between the two statements; the caller may simply try again.
            return Err(Problem::new(ProblemCode::DatabaseUnavailable));
        };
        if row.get::<Vec<u8>>("request_hash")? != self.request_hash {
            return Err(Problem::new(ProblemCode::IdempotencyKeyReused)
                .detail("expected the same body as before"));
        }
        Ok(row.get("resource_id")?)
    }
}

/// Removes every key whose time is over.
pub(crate) async fn sweep(db: &Db, now: Timestamp) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    tx.execute(
        "DELETE FROM queue_idempotency_keys WHERE expires_at <= $1",
        &[now.into()],
    )
    .await?;
    tx.commit().await
}

const HEADER: &str = "idempotency-key";
