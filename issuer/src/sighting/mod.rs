//! Sighting: takes what verifiers say when they ask for the key set, gives who is known to hold which generation.
//!
//! A verifier names itself by 16 random bytes in `Queue-Verifier` and sends the ETag of the set it holds in
//! `If-None-Match`; the ETag names the generation. A set that was sent proves nothing: it may never have
//! arrived. The next conditional request proves it.
//!
//! **Invariant:** the header is a hint. Whoever makes one up is counted, and can only delay an activation
//! that asked to wait, never hasten one: it speaks for nobody but itself, and when more verifiers are
//! known than are counted, nothing is proved.
//! **Invariant:** no request for the key set waits for the database.

mod store;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use http::header::IF_NONE_MATCH;
use http::{HeaderMap, HeaderValue};
use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::Timestamp;
use crate::db::{Db, DbError, Tx};

/// What was said since it was last written down.
#[derive(Default)]
pub(crate) struct Sightings(Mutex<Said>);

#[derive(Default)]
struct Said {
    verifiers: HashMap<Instance, Sighting>,
    anonymous: BTreeMap<i64, Anonymous>,
}

/// What a verifier calls itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Instance(String);

/// When a verifier asked, and the generation it proved; 0 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sighting {
    pub(super) generation: i64,
    pub(super) at: Timestamp,
}

/// Conditional requests of clients without a name, as this process saw them: how many clients they are
/// nobody knows.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = AnonymousVerifiers)]
pub(crate) struct Anonymous {
    generation: i64,
    requests: u64,
    last_seen: i64,
}

/// Who holds what, as far as it is known.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Holdings {
    total: i64,
    holding: Vec<Holding>,
    /// There are more verifiers than are counted, so nothing is proved of all of them.
    truncated: bool,
}

/// How many verifiers proved a generation, and when the last of them did.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(super) struct Holding {
    pub(super) generation: i64,
    pub(super) count: i64,
    pub(super) last_seen: i64,
}

impl Sightings {
    /// Remembers a request for the set of `generation`, which `etag` names.
    pub(crate) fn note(
        &self,
        request: &HeaderMap,
        generation: i64,
        etag: &HeaderValue,
        now: Timestamp,
    ) {
        let held = held(request, generation, etag);
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match Instance::of(request) {
            Some(instance) => {
                if said.verifiers.len() < MOST || said.verifiers.contains_key(&instance) {
                    let at = now;
                    let generation = held.unwrap_or(0);
                    said.verifiers.insert(instance, Sighting { generation, at });
                }
            }
            None => said.note_anonymous(held, now),
        }
    }

    /// Requests of clients without a name.
    pub(crate) fn anonymous(&self) -> Vec<Anonymous> {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.anonymous.values().copied().collect()
    }

    /// Writes down what was said, and forgets who has been silent since `silent_since`.
    pub(crate) async fn flush(&self, db: &Db, silent_since: Timestamp) -> Result<(), DbError> {
        let taken = self.take();
        if taken.is_empty() {
            return Ok(());
        }
        let written = store::write(db, &taken, silent_since, MOST).await;
        if written.is_err() {
            self.give_back(taken);
        }
        written
    }

    fn take(&self) -> Vec<(Instance, Sighting)> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken: Vec<_> = said.verifiers.drain().collect();
        // In one order everywhere, so that replicas that write at once wait for each other and no more.
        taken.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        taken
    }

    fn give_back(&self, taken: Vec<(Instance, Sighting)>) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (instance, sighting) in taken {
            said.verifiers.entry(instance).or_insert(sighting);
        }
    }
}

impl Said {
    fn note_anonymous(&mut self, held: Option<i64>, now: Timestamp) {
        let Some(generation) = held else {
            return;
        };
        let seen = self.anonymous.entry(generation).or_insert(Anonymous {
            generation,
            requests: 0,
            last_seen: 0,
        });
        seen.requests += 1;
        seen.last_seen = now.unix_seconds();
        while self.anonymous.len() > GENERATIONS {
            self.anonymous.pop_first();
        }
    }
}

impl Instance {
    /// The one well-formed name in the request.
    fn of(request: &HeaderMap) -> Option<Self> {
        let mut values = request.get_all(HEADER).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return None;
        };
        let text = value.to_str().ok().filter(|text| text.len() == 22)?;
        let bytes = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(text).ok()?;
        (bytes.len() == 16).then(|| Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Holdings {
    fn new(holding: Vec<Holding>) -> Self {
        let total = holding.iter().map(|held| held.count).sum();
        Self {
            total,
            holding,
            truncated: usize::try_from(total).unwrap_or(usize::MAX) >= MOST,
        }
    }

    /// The verifiers there are.
    pub(crate) fn total(&self) -> i64 {
        self.total
    }

    /// The verifiers that have not proved `generation` or a later one.
    pub(crate) fn behind(&self, generation: i64) -> i64 {
        let behind = |held: &&Holding| held.generation < generation;
        self.holding
            .iter()
            .filter(behind)
            .map(|held| held.count)
            .sum()
    }

    /// Whether every verifier is known to have proved `generation` or a later one.
    pub(crate) fn prove(&self, generation: i64) -> bool {
        !self.truncated && self.behind(generation) == 0
    }
}

/// Who has asked after `silent_since`, and what they hold.
pub(crate) async fn holdings(db: &Db, silent_since: Timestamp) -> Result<Holdings, DbError> {
    store::holdings(db, silent_since).await.map(Holdings::new)
}

/// The same, as this transaction sees it.
pub(crate) async fn holdings_in(tx: &mut Tx, silent_since: Timestamp) -> Result<Holdings, DbError> {
    store::holdings_in(tx, silent_since)
        .await
        .map(Holdings::new)
}

/// The generation whose ETag the request shows: exactly the present one, or an earlier number.
fn held(request: &HeaderMap, generation: i64, etag: &HeaderValue) -> Option<i64> {
    let mut values = request.get_all(IF_NONE_MATCH).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let tag = value.to_str().ok()?;
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    if tag.as_bytes() == etag.as_bytes() {
        return Some(generation);
    }
    let (number, digest) = tag.strip_prefix('"')?.strip_suffix('"')?.split_once('-')?;
    let is_ours = digest.len() == 8 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    let earlier = number
        .parse()
        .ok()
        .filter(|held| (1..generation).contains(held));
    earlier.filter(|_| is_ours)
}

/// The header by which a verifier names itself.
const HEADER: &str = "queue-verifier";
/// Most verifiers that are counted.
const MOST: usize = 10_000;
/// Most generations anonymous requests are counted for.
const GENERATIONS: usize = 16;

#[cfg(test)]
mod tests;
