//! The SQL of e-mail proofs.

use super::{MAX_ATTEMPTS, Proof, Purpose};
use crate::clock::Timestamp;
use crate::db::{DEFAULT_TENANT, Db, DbError, Id, Sql, Tx};

/// A code somebody tried to spend, the try already counted.
#[derive(Debug)]
pub(super) struct Tried {
    pub(super) proof: Proof,
    pub(super) code_hash: Vec<u8>,
}

/// How codes may be asked for: in the browser that has the cookie, or in one session in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bindings<'a> {
    pub(super) browser: &'a [u8],
    pub(super) session: Option<&'a [u8]>,
}

/// Keeps everybody else from the codes of the address until the transaction ends, so that two requests at
/// once neither pass the limit together nor wait for each other's rows.
pub(super) async fn hold(tx: &mut Tx, normalised: &str) -> Result<(), DbError> {
    // SQLite's write transaction is the lock already.
    tx.fetch_all(HOLD, &[normalised.into()]).await?;
    Ok(())
}

/// How many codes were mailed.
pub(super) struct Mailed {
    pub(super) in_all: i64,
    /// Those that this browser asked for.
    pub(super) here: i64,
}

/// How many codes were mailed for `purpose` since `since`, to the address or on behalf of `customer`.
pub(super) async fn mailed_since(
    tx: &mut Tx,
    (purpose, normalised): (Purpose, &str),
    customer: Option<Id>,
    binding: &[u8],
    since: Timestamp,
) -> Result<Mailed, DbError> {
    let row = tx
        .fetch_optional(
            "SELECT COUNT(*) AS in_all, COUNT(CASE WHEN session_binding = $6 THEN 1 END) AS here
             FROM queue_email_verifications
             WHERE tenant_id = $1 AND purpose = $2 AND created_at > $3 AND customer_id IS NOT NULL
                   AND (email_normalised = $4 OR customer_id = $5)",
            &[
                DEFAULT_TENANT.into(),
                purpose.as_str().into(),
                since.into(),
                normalised.into(),
                customer.into(),
                binding.into(),
            ],
        )
        .await?;
    let number = |name| row.as_ref().map_or(Ok(0), |row| row.get(name));
    Ok(Mailed {
        in_all: number("in_all")?,
        here: number("here")?,
    })
}

/// Keeps a new proof in the place of the live one of the same address, purpose and binding.
pub(super) async fn replace(
    tx: &mut Tx,
    proof: &Proof,
    binding: &[u8],
    code_hash: &[u8],
    (now, expires_at): (Timestamp, Timestamp),
) -> Result<(), DbError> {
    let purpose = proof.purpose.as_str();
    tx.execute(
        "UPDATE queue_email_verifications SET voided_at = $5
         WHERE tenant_id = $1 AND email_normalised = $2 AND purpose = $3 AND session_binding = $4
               AND consumed_at IS NULL AND voided_at IS NULL",
        &[
            DEFAULT_TENANT.into(),
            (&proof.email_normalised).into(),
            purpose.into(),
            binding.into(),
            now.into(),
        ],
    )
    .await?;
    tx.execute(
        "INSERT INTO queue_email_verifications (id, tenant_id, customer_id, email_normalised, purpose, code_hash,
                                                session_binding, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        &[
            proof.id.into(),
            DEFAULT_TENANT.into(),
            proof.customer.into(),
            (&proof.email_normalised).into(),
            purpose.into(),
            code_hash.into(),
            binding.into(),
            now.into(),
            expires_at.into(),
        ],
    )
    .await?;
    Ok(())
}

/// Counts a try at the live proof `id`, and only then shows it; none when there is nothing to try.
pub(super) async fn count_attempt(
    tx: &mut Tx,
    id: Id,
    bindings: Bindings<'_>,
    now: Timestamp,
) -> Result<Option<Tried>, DbError> {
    let row = tx
        .fetch_optional(
            "UPDATE queue_email_verifications SET attempts = attempts + 1
             WHERE tenant_id = $1 AND id = $2 AND consumed_at IS NULL AND voided_at IS NULL
                   AND attempts < $3 AND expires_at > $4
                   AND session_binding = CASE WHEN purpose = 'recover' THEN $5 ELSE $6 END
             RETURNING customer_id, email_normalised, purpose, code_hash",
            &[
                DEFAULT_TENANT.into(),
                id.into(),
                MAX_ATTEMPTS.into(),
                now.into(),
                bindings.browser.into(),
                bindings.session.into(),
            ],
        )
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let Some(purpose) = Purpose::parse(&row.get::<String>("purpose")?) else {
        return Ok(None);
    };
    Ok(Some(Tried {
        proof: Proof {
            id,
            customer: row.get("customer_id")?,
            email_normalised: row.get("email_normalised")?,
            purpose,
        },
        code_hash: row.get("code_hash")?,
    }))
}

/// Spends the proof `id`; false when somebody else did, or it was voided.
pub(super) async fn consume(tx: &mut Tx, id: Id, now: Timestamp) -> Result<bool, DbError> {
    let changed = tx
        .execute(
            "UPDATE queue_email_verifications SET consumed_at = $3
             WHERE tenant_id = $1 AND id = $2 AND consumed_at IS NULL AND voided_at IS NULL",
            &[DEFAULT_TENANT.into(), id.into(), now.into()],
        )
        .await?;
    Ok(changed == 1)
}

/// Voids every live proof of the customer and of the address.
pub(super) async fn void(
    tx: &mut Tx,
    customer: Id,
    normalised: &str,
    now: Timestamp,
) -> Result<(), DbError> {
    tx.execute(
        "UPDATE queue_email_verifications SET voided_at = $4
         WHERE tenant_id = $1 AND (customer_id = $2 OR email_normalised = $3)
               AND consumed_at IS NULL AND voided_at IS NULL",
        &[
            DEFAULT_TENANT.into(),
            customer.into(),
            normalised.into(),
            now.into(),
        ],
    )
    .await?;
    Ok(())
}

/// Removes what expired before `before`.
pub(super) async fn remove_expired(db: &Db, before: Timestamp) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    tx.execute(
        "DELETE FROM queue_email_verifications WHERE expires_at <= $1",
        &[before.into()],
    )
    .await?;
    tx.commit().await
}

const HOLD: Sql = Sql::each(
    "SELECT pg_advisory_xact_lock(hashtextextended('queue_email_verifications ' || $1, 0))",
    "SELECT $1 AS held",
);
