//! Stored: the worker's set ↔ the snapshot file, which other processes read and write as well.

use std::time::Duration;

use super::Worker;
use crate::key::cache::Moment;
use crate::key::snapshot::{Content, Lock, SnapshotError, SnapshotState, SnapshotStatus};

impl Worker {
    /// Takes what another process of this host has fetched since; whether there was something.
    pub(super) fn adopt(&mut self) -> bool {
        let Some(snapshot) = &self.snapshot else {
            return false;
        };
        let loaded = snapshot.load(self.clock.now());
        let max_age = snapshot.max_age();
        let adopted = loaded.and_then(|stored| match stored {
            Some((content, age)) => self.adopt_content(content, age, max_age),
            None => Ok(false),
        });
        let is_adopted = adopted == Ok(true);
        match adopted {
            Ok(true) => self.note_snapshot(SnapshotState::Loaded, None),
            Ok(false) if self.snapshot_status.is_some() => {}
            Ok(false) => self.note_snapshot(SnapshotState::Absent, None),
            Err(error) => self.note_snapshot(SnapshotState::Refused, Some(error)),
        }
        is_adopted
    }

    fn adopt_content(
        &mut self,
        content: Content,
        age: Duration,
        max_age: Duration,
    ) -> Result<bool, SnapshotError> {
        let now = self.now();
        let held = self.keeper.vouched().map(|vouched| vouched.at.age(now));
        // The file counts whole seconds.
        if held.is_some_and(|held| held <= age.saturating_add(Duration::from_secs(1))) {
            return Ok(false);
        }
        let (document, validator, stamp) = content.into_parts()?;
        if !self.fetcher.may_come_from(&validator.uri) {
            return Err(SnapshotError::OtherSource);
        }
        let offer = self.fetcher.read(document, validator, stamp);
        let offer = offer.map_err(|_| SnapshotError::Corrupt)?;
        let asked = Moment::before(now, age);
        Ok(self.take(offer, asked, max_age).is_ok())
    }

    /// Leaves the set at hand to the other processes, and to the next one here.
    pub(super) fn save(&mut self, lock: &Lock) {
        let (Some(snapshot), Some(held)) = (&self.snapshot, self.keeper.held()) else {
            return;
        };
        let Some(vouched) = self.keeper.vouched() else {
            return;
        };
        let now = self.clock.now();
        let fetched_at = now.saturating_sub(vouched.at.age(self.now()).as_secs());
        match snapshot.save(lock, held, vouched, fetched_at) {
            Ok(()) => self.note_snapshot(SnapshotState::Saved, None),
            Err(error) => self.note_snapshot(SnapshotState::Refused, Some(error)),
        }
    }

    fn note_snapshot(&mut self, state: SnapshotState, problem: Option<SnapshotError>) {
        let status = SnapshotStatus {
            state,
            problem: problem.as_ref().map(ToString::to_string),
        };
        if self.snapshot_status.as_ref() == Some(&status) {
            return;
        }
        if let Some(error) = problem {
            tracing::error!(%error, "key_snapshot_refused");
        }
        self.snapshot_status = Some(status);
    }
}
