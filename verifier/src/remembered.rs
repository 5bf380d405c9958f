//! Remembered: token → what it was validated to, for tokens met again within their life.
//!
//! **Invariant:** only successes are remembered, and a memory is no verdict: whoever recalls one
//! judges again what moves — the clock, the requirements, the key set, the status (hazard V43).
//! **Invariant:** a token is recalled by all of its bytes: those that were signed are compared one
//! by one, the signature by a keyed 128-bit digest. No signature is kept, so what is kept is no token.
//! **Invariant:** bounded by count and by `exp`, whatever a flood brings.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hash, Hasher, RandomState};
use std::sync::{Mutex, PoisonError};

use moka::Equivalent;
use moka::sync::Cache;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::session::Session;

/// Longest token remembered, in bytes; a longer one is walked each time.
const MAX_REMEMBERED: usize = 4096;

/// Verdicts of tokens that were good.
pub(crate) struct Remembered {
    verdicts: Cache<Identity, Session, BuildHasherDefault<Digested>>,
    capacity: usize,
    /// When each memory ends (Unix seconds), soonest first; a token that is remembered again, under
    /// another key set, has one end.
    ends: Mutex<BTreeSet<(u64, u128)>>,
    /// Of this verifier alone: without it nobody can search for two signatures of one digest.
    digest_key: (u64, u64),
}

impl fmt::Debug for Remembered {
    /// Without what is remembered: it is about people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remembered")
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

impl Remembered {
    /// Room for `capacity` tokens.
    pub(crate) fn new(capacity: usize) -> Self {
        let random = RandomState::new();
        Self {
            verdicts: Cache::builder()
                .max_capacity(u64::try_from(capacity).unwrap_or(u64::MAX))
                .build_with_hasher(BuildHasherDefault::default()),
            capacity,
            ends: Mutex::default(),
            digest_key: (random.hash_one(0), random.hash_one(1)),
        }
    }

    /// What `token` was validated to, if it is remembered.
    pub(crate) fn recall(&self, token: &[u8]) -> Option<Session> {
        self.verdicts.get(&self.identify(token)?)
    }

    /// Remembers that `token` was good and `session` came of it, until `end` (Unix seconds).
    pub(crate) fn remember(&self, token: &[u8], session: &Session, now: u64, end: u64) {
        let Some(identity) = self.identify(token) else {
            return;
        };
        let signature = identity.signature;
        let identity = Identity {
            signing_input: identity.signing_input.into(),
            signature,
        };
        self.verdicts.insert(identity, session.clone());
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.insert((end, signature));
        self.forget_ended(&mut ends, now);
        if ends.len() > self.capacity.saturating_mul(2) {
            self.verdicts.run_pending_tasks();
            ends.retain(|(_, digest)| self.verdicts.contains_key(&ByDigest(*digest)));
        }
    }

    /// Tokens it has room for.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Tokens remembered at `now`.
    pub(crate) fn count(&self, now: u64) -> u64 {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        self.forget_ended(&mut ends, now);
        drop(ends);
        self.verdicts.run_pending_tasks();
        self.verdicts.entry_count()
    }

    fn forget_ended(&self, ends: &mut BTreeSet<(u64, u128)>, now: u64) {
        while let Some((end, digest)) = ends.first().copied()
            && end <= now
        {
            self.verdicts.invalidate(&ByDigest(digest));
            ends.pop_first();
        }
    }

    fn identify<'a>(&self, token: &'a [u8]) -> Option<Lookup<'a>> {
        if token.len() > MAX_REMEMBERED {
            return None;
        }
        let dot = memchr::memrchr(b'.', token)?;
        let (signing_input, signature) = token.split_at(dot);
        let (low, high) = self.digest_key;
        let mut digest = SipHasher13::new_with_keys(low, high);
        digest.write(signature);
        let signature = digest.finish128().as_u128();
        Some(Lookup {
            signing_input,
            signature,
        })
    }
}

/// A token as it is kept.
#[derive(PartialEq, Eq)]
struct Identity {
    signing_input: Box<[u8]>,
    signature: u128,
}

/// A token as it comes.
struct Lookup<'a> {
    signing_input: &'a [u8],
    signature: u128,
}

/// A token to be forgotten.
struct ByDigest(u128);

impl Equivalent<Identity> for Lookup<'_> {
    fn equivalent(&self, kept: &Identity) -> bool {
        self.signature == kept.signature && *self.signing_input == *kept.signing_input
    }
}

impl Equivalent<Identity> for ByDigest {
    fn equivalent(&self, kept: &Identity) -> bool {
        self.0 == kept.signature
    }
}

impl Hash for Identity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.signature);
    }
}

impl Hash for Lookup<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.signature);
    }
}

impl Hash for ByDigest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.0);
    }
}

/// The hash of a digest is a half of it.
#[derive(Default)]
struct Digested(u64);

impl Hasher for Digested {
    fn write_u128(&mut self, digest: u128) {
        #[expect(clippy::cast_possible_truncation, reason = "a half is what is wanted")]
        let half = digest as u64;
        self.0 = half;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("an identity writes its digest and nothing else");
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests;
