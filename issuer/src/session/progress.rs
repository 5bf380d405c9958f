//! Progress: which generation of a session's refresh tokens is the newest, and what an older one is worth.
//!
//! **Invariant:** a generation only grows, in the database too.

use std::time::Duration;

use super::SessionRow;
use crate::clock::Timestamp;
use crate::db::{DEFAULT_TENANT, Db, DbError, Id, Tx};

/// How far a session's refresh tokens have come.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    /// The newest generation given out; nobody has presented it.
    pub(super) generation: i64,
    pub(super) rotated_at: Timestamp,
    /// How often, and when last, the generation before was presented again.
    pub(super) replays: i64,
    pub(super) replayed_at: Timestamp,
}

/// What a sound token of a live session is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The newest: its successor follows.
    Rotate,
    /// The one before, lately: the newest again.
    Repeat,
    /// The one before, in the same burst as the last: the newest again, not counted.
    Burst,
    /// One that this database never gave out: it was restored, so nobody is a thief.
    Ahead,
    /// An old one.
    Stolen,
}

impl Progress {
    /// What a sound token of generation `presented` is worth.
    pub(super) fn judge(&self, presented: i64, now: Timestamp) -> Verdict {
        if presented > self.generation {
            return Verdict::Ahead;
        }
        if presented == self.generation {
            return Verdict::Rotate;
        }
        let is_previous = presented == self.generation - 1;
        if !is_previous || now > self.rotated_at.plus(GRACE) {
            return Verdict::Stolen;
        }
        if now < self.replayed_at.plus(BURST) {
            return Verdict::Burst;
        }
        if self.replays < MAX_REPLAYS {
            return Verdict::Repeat;
        }
        Verdict::Stolen
    }
}

/// Begins the refresh tokens of `session` at generation 1.
pub(super) async fn begin(
    tx: &mut Tx,
    session: &SessionRow,
    salt: &[u8],
    device: &str,
) -> Result<(), DbError> {
    tx.execute(
        "INSERT INTO queue_session_refreshes (tenant_id, session_id, salt, rotated_at, replayed_at, last_used_at, device)
         VALUES ($1, $2, $3, $4, $4, $4, $5)",
        &[
            DEFAULT_TENANT.into(),
            session.id.into(),
            salt.into(),
            session.created_at.into(),
            device.into(),
        ],
    )
    .await?;
    Ok(())
}

/// The salt of `session`, which is final, so it is read without holding anything.
pub(super) async fn salt(db: &Db, session: Id) -> Result<Option<Vec<u8>>, DbError> {
    let row = db
        .fetch_optional(
            "SELECT salt FROM queue_session_refreshes WHERE tenant_id = $1 AND session_id = $2",
            &[DEFAULT_TENANT.into(), session.into()],
        )
        .await?;
    row.map(|row| row.get("salt")).transpose()
}

/// How far the refresh tokens of `session` have come; its session is held.
pub(super) async fn find(tx: &mut Tx, session: Id) -> Result<Option<Progress>, DbError> {
    let row = tx
        .fetch_optional(
            "SELECT generation, rotated_at, replays, replayed_at FROM queue_session_refreshes
             WHERE tenant_id = $1 AND session_id = $2",
            &[DEFAULT_TENANT.into(), session.into()],
        )
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    Ok(Some(Progress {
        generation: row.get("generation")?,
        rotated_at: row.get("rotated_at")?,
        replays: row.get("replays")?,
        replayed_at: row.get("replayed_at")?,
    }))
}

/// Makes `generation` the newest.
pub(super) async fn rotate(
    tx: &mut Tx,
    session: Id,
    generation: i64,
    now: Timestamp,
) -> Result<(), DbError> {
    tx.execute(
        "UPDATE queue_session_refreshes
         SET generation = $3, rotated_at = $4, replays = 0, replayed_at = $4, last_used_at = $4
         WHERE tenant_id = $1 AND session_id = $2",
        &[
            DEFAULT_TENANT.into(),
            session.into(),
            generation.into(),
            now.into(),
        ],
    )
    .await?;
    Ok(())
}

/// Counts that the generation before was presented again.
pub(super) async fn replay(tx: &mut Tx, session: Id, now: Timestamp) -> Result<(), DbError> {
    tx.execute(
        "UPDATE queue_session_refreshes SET replays = replays + 1, replayed_at = $3, last_used_at = $3
         WHERE tenant_id = $1 AND session_id = $2",
        &[DEFAULT_TENANT.into(), session.into(), now.into()],
    )
    .await?;
    Ok(())
}

/// How long the generation before is good for (contract §5).
const GRACE: Duration = Duration::from_secs(60);
/// How often; a burst of requests counts once.
const MAX_REPLAYS: i64 = 5;
const BURST: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Progress, Verdict};
    use crate::clock::Timestamp;

    #[test]
    fn verdicts_hold_at_their_bounds() {
        let at = |seconds: i64| Timestamp::from_unix_seconds(1_000 + seconds);
        let progress = |replays, replayed_at| Progress {
            generation: 7,
            rotated_at: at(0),
            replays,
            replayed_at: at(replayed_at),
        };
        for (presented, now, replays, replayed_at, expect) in [
            (7, 0, 0, 0, Verdict::Rotate),
            (7, 9_999, 5, 0, Verdict::Rotate),
            (6, 1, 0, 0, Verdict::Burst),
            (6, 2, 0, 0, Verdict::Repeat),
            (6, 60, 4, 50, Verdict::Repeat),
            (6, 60, 5, 50, Verdict::Stolen),
            (6, 51, 5, 50, Verdict::Burst),
            (6, 61, 0, 0, Verdict::Stolen),
            (5, 0, 0, 0, Verdict::Stolen),
            (1, 0, 0, 0, Verdict::Stolen),
            (8, 0, 0, 0, Verdict::Ahead),
            (i64::MIN, 0, 0, 0, Verdict::Stolen),
        ] {
            let verdict = progress(replays, replayed_at).judge(presented, at(now));
            assert_eq!(verdict, expect, "{presented} at {now}, {replays} replays");
        }
        let late = at(60).plus(Duration::from_micros(1));
        assert_eq!(progress(0, 0).judge(6, late), Verdict::Stolen);
    }
}
