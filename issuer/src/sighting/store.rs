//! The SQL of sightings.

use super::{Holding, Instance, Sighting};
use crate::clock::Timestamp;
use crate::db::{DEFAULT_TENANT, Db, DbError, Row, Tx};

/// Writes `sightings` down, in batches, and removes what is older than `silent_since`; a verifier that is
/// new when there are `most` already is left out.
pub(super) async fn write(
    db: &Db,
    sightings: &[(Instance, Sighting)],
    silent_since: Timestamp,
    most: usize,
) -> Result<(), DbError> {
    for batch in sightings.chunks(BATCH) {
        let mut tx = db.begin().await?;
        tx.execute(
            "DELETE FROM queue_verifier_sightings WHERE tenant_id = $1 AND last_seen <= $2",
            &[DEFAULT_TENANT.into(), silent_since.into()],
        )
        .await?;
        let mut count = count(&mut tx).await?;
        for (instance, sighting) in batch {
            let known = update(&mut tx, instance, *sighting).await?;
            if !known && count < most {
                insert(&mut tx, instance, *sighting).await?;
                count += 1;
            }
        }
        tx.commit().await?;
    }
    Ok(())
}

/// How many verifiers proved each generation, of those that asked after `silent_since`.
pub(super) async fn holdings(db: &Db, silent_since: Timestamp) -> Result<Vec<Holding>, DbError> {
    let rows = db
        .fetch_all(HOLDINGS, &[DEFAULT_TENANT.into(), silent_since.into()])
        .await?;
    rows.iter().map(read).collect()
}

/// The same, as this transaction sees it.
pub(super) async fn holdings_in(
    tx: &mut Tx,
    silent_since: Timestamp,
) -> Result<Vec<Holding>, DbError> {
    let rows = tx
        .fetch_all(HOLDINGS, &[DEFAULT_TENANT.into(), silent_since.into()])
        .await?;
    rows.iter().map(read).collect()
}

async fn count(tx: &mut Tx) -> Result<usize, DbError> {
    let row = tx
        .fetch_optional(
            "SELECT COUNT(*) AS count FROM queue_verifier_sightings WHERE tenant_id = $1",
            &[DEFAULT_TENANT.into()],
        )
        .await?;
    let count: i64 = row.map_or(Ok(0), |row| row.get("count"))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// False when the verifier is not known. A sighting another replica wrote later stays.
async fn update(tx: &mut Tx, instance: &Instance, sighting: Sighting) -> Result<bool, DbError> {
    let changed = tx
        .execute(
            "UPDATE queue_verifier_sightings
             SET generation = CASE WHEN last_seen > $4 THEN generation ELSE $3 END,
                 last_seen = CASE WHEN last_seen > $4 THEN last_seen ELSE $4 END
             WHERE tenant_id = $1 AND instance = $2",
            &[
                DEFAULT_TENANT.into(),
                instance.as_str().into(),
                sighting.generation.into(),
                sighting.at.into(),
            ],
        )
        .await?;
    Ok(changed == 1)
}

async fn insert(tx: &mut Tx, instance: &Instance, sighting: Sighting) -> Result<(), DbError> {
    tx.execute(
        "INSERT INTO queue_verifier_sightings (tenant_id, instance, generation, first_seen, last_seen)
         VALUES ($1, $2, $3, $4, $4) ON CONFLICT DO NOTHING",
        &[
            DEFAULT_TENANT.into(),
            instance.as_str().into(),
            sighting.generation.into(),
            sighting.at.into(),
        ],
    )
    .await?;
    Ok(())
}

fn read(row: &Row) -> Result<Holding, DbError> {
    Ok(Holding {
        generation: row.get("generation")?,
        count: row.get("count")?,
        last_seen: row.get::<Timestamp>("last_seen")?.unix_seconds(),
    })
}

const HOLDINGS: &str = "
    SELECT generation, COUNT(*) AS count, MAX(last_seen) AS last_seen FROM queue_verifier_sightings
    WHERE tenant_id = $1 AND last_seen > $2 GROUP BY generation ORDER BY generation DESC";

/// Sightings in one transaction: on SQLite nobody else writes meanwhile.
const BATCH: usize = 500;
