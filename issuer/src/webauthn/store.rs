//! The SQL of passkeys.

use super::{CredentialRow, MOST_CREDENTIALS, words};
use crate::clock::Timestamp;
use crate::db::{DEFAULT_TENANT, Db, DbError, Id, Row, Tx};
use crate::webauthn::ceremony::Descriptor;

/// What became of a new passkey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inserted {
    Yes,
    /// Its id is bound already.
    Taken,
    /// The customer has no slot left.
    Full,
}

/// Binds a new passkey to its customer, whom the transaction holds.
pub(super) async fn insert(tx: &mut Tx, new: &CredentialRow) -> Result<Inserted, DbError> {
    let rows = tx
        .fetch_all(
            "SELECT slot FROM queue_webauthn_credentials WHERE tenant_id = $1 AND customer_id = $2",
            &[DEFAULT_TENANT.into(), new.customer.into()],
        )
        .await?;
    let mut taken = Vec::<i64>::new();
    for row in rows {
        taken.push(row.get("slot")?);
    }
    let Some(slot) = (1..=MOST_CREDENTIALS).find(|slot| !taken.contains(slot)) else {
        return Ok(Inserted::Full);
    };
    let made = tx
        .execute(
            "INSERT INTO queue_webauthn_credentials (id, tenant_id, customer_id, credential_id, name, passkey, aaguid,
                                                     transports, sign_count, backup_eligible, backup_state, slot,
                                                     created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)
             ON CONFLICT (tenant_id, credential_id) DO NOTHING",
            &[
                new.id.into(),
                DEFAULT_TENANT.into(),
                new.customer.into(),
                new.credential_id.as_slice().into(),
                (&new.name).into(),
                (&new.passkey).into(),
                new.aaguid.into(),
                (&new.transports).into(),
                new.sign_count.into(),
                new.backup_eligible.into(),
                new.backup_state.into(),
                slot.into(),
                new.created_at.into(),
            ],
        )
        .await?;
    Ok(if made == 0 {
        Inserted::Taken
    } else {
        Inserted::Yes
    })
}

/// The passkey the authenticator calls `credential_id`.
pub(super) async fn find(db: &Db, credential_id: &[u8]) -> Result<Option<CredentialRow>, DbError> {
    let values = [DEFAULT_TENANT.into(), credential_id.into()];
    let row = db.fetch_optional(BY_CREDENTIAL_ID, &values).await?;
    row.as_ref().map(read).transpose()
}

/// The passkeys of `customer`, oldest first.
pub(super) async fn of_customer(db: &Db, customer: Id) -> Result<Vec<CredentialRow>, DbError> {
    let values = [DEFAULT_TENANT.into(), customer.into()];
    let rows = db.fetch_all(BY_CUSTOMER, &values).await?;
    rows.iter().map(read).collect()
}

/// The passkeys of `customer`, oldest first, as this transaction sees them.
pub(super) async fn of_customer_in(
    tx: &mut Tx,
    customer: Id,
) -> Result<Vec<CredentialRow>, DbError> {
    let values = [DEFAULT_TENANT.into(), customer.into()];
    let rows = tx.fetch_all(BY_CUSTOMER, &values).await?;
    rows.iter().map(read).collect()
}

/// The passkeys of whoever owns the address, in its normal form, and who that is.
pub(super) async fn of_address(
    db: &Db,
    normalised: &str,
) -> Result<(Option<Id>, Vec<Descriptor>), DbError> {
    let values = [DEFAULT_TENANT.into(), normalised.into()];
    let rows = db.fetch_all(BY_ADDRESS, &values).await?;
    let mut owner = None;
    let mut found = Vec::new();
    for row in rows {
        owner = Some(row.get("customer_id")?);
        found.push(Descriptor {
            credential_id: row.get("credential_id")?,
            transports: words(&row.get::<String>("transports")?),
        });
    }
    Ok((owner, found))
}

/// Notes that `credential` was shown, with what the authenticator says since; false when it was used
/// meanwhile with a counter as high, or removed.
pub(super) async fn note_use(
    tx: &mut Tx,
    credential: &CredentialRow,
    now: Timestamp,
) -> Result<bool, DbError> {
    let changed = tx
        .execute(
            "UPDATE queue_webauthn_credentials
             SET passkey = $3, sign_count = $4, backup_state = $5, last_used_at = $6, updated_at = $6
             WHERE tenant_id = $1 AND id = $2 AND (sign_count < $4 OR (sign_count = 0 AND $4 = 0))",
            &[
                DEFAULT_TENANT.into(),
                credential.id.into(),
                (&credential.passkey).into(),
                credential.sign_count.into(),
                credential.backup_state.into(),
                now.into(),
            ],
        )
        .await?;
    Ok(changed == 1)
}

/// Gives the passkey `id` of `customer` another name; false when there is none.
pub(super) async fn rename(
    tx: &mut Tx,
    customer: Id,
    id: Id,
    name: &str,
    now: Timestamp,
) -> Result<bool, DbError> {
    let changed = tx
        .execute(
            "UPDATE queue_webauthn_credentials SET name = $4, updated_at = $5
             WHERE tenant_id = $1 AND customer_id = $2 AND id = $3",
            &[
                DEFAULT_TENANT.into(),
                customer.into(),
                id.into(),
                name.into(),
                now.into(),
            ],
        )
        .await?;
    Ok(changed == 1)
}

/// Removes the passkey `id` of `customer`, whom the transaction holds.
pub(super) async fn remove(tx: &mut Tx, customer: Id, id: Id) -> Result<(), DbError> {
    tx.execute(
        "DELETE FROM queue_webauthn_credentials WHERE tenant_id = $1 AND customer_id = $2 AND id = $3",
        &[DEFAULT_TENANT.into(), customer.into(), id.into()],
    )
    .await?;
    Ok(())
}

/// Removes every passkey of `customer`, whom the caller holds; how many there were.
pub(super) async fn remove_all(tx: &mut Tx, customer: Id) -> Result<u64, DbError> {
    tx.execute(
        "DELETE FROM queue_webauthn_credentials WHERE tenant_id = $1 AND customer_id = $2",
        &[DEFAULT_TENANT.into(), customer.into()],
    )
    .await
}

fn read(row: &Row) -> Result<CredentialRow, DbError> {
    Ok(CredentialRow {
        id: row.get("id")?,
        customer: row.get("customer_id")?,
        credential_id: row.get("credential_id")?,
        name: row.get("name")?,
        passkey: row.get("passkey")?,
        aaguid: row.get("aaguid")?,
        transports: row.get("transports")?,
        sign_count: row.get("sign_count")?,
        backup_eligible: row.get("backup_eligible")?,
        backup_state: row.get("backup_state")?,
        created_at: row.get("created_at")?,
        last_used_at: row.get("last_used_at")?,
    })
}

const BY_CREDENTIAL_ID: &str = "
    SELECT id, customer_id, credential_id, name, passkey, aaguid, transports, sign_count, backup_eligible,
           backup_state, created_at, last_used_at
    FROM queue_webauthn_credentials WHERE tenant_id = $1 AND credential_id = $2";

const BY_CUSTOMER: &str = "
    SELECT id, customer_id, credential_id, name, passkey, aaguid, transports, sign_count, backup_eligible,
           backup_state, created_at, last_used_at
    FROM queue_webauthn_credentials WHERE tenant_id = $1 AND customer_id = $2 ORDER BY created_at, slot";

const BY_ADDRESS: &str = "
    SELECT c.customer_id, c.credential_id, c.transports
    FROM queue_customer_emails e
    JOIN queue_webauthn_credentials c ON c.tenant_id = e.tenant_id AND c.customer_id = e.customer_id
    WHERE e.tenant_id = $1 AND e.email_normalised = $2 ORDER BY c.created_at, c.slot";
