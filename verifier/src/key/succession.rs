//! Succession: an offered set and the one at hand → whether it follows, repeats or precedes it.
//!
//! **Invariant:** an older set never replaces a newer one while the newer may serve, and does not
//! refresh it (hazard V38). Once two materials were seen under one `kid`, neither verifies again
//! (hazard V37).

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::cache::Moment;
use super::fetch::{Digest, MAX_LIFETIME, Offer, Stamp, Validator};
use super::{JwkRefused, JwkSet, PublicKey};

/// Times of two answers closer than this tell nothing: headers count whole seconds.
const TICK: Duration = Duration::from_secs(2);
/// Most replaced sets remembered.
const MAX_SUPERSEDED: usize = 64;
/// Most `kid`s whose material is remembered.
const MAX_WITNESSED: usize = 1024;

/// Characters of an `ETag` shown.
const ETAG_SHOWN: usize = 64;

/// The set at hand, and what is remembered of those before it.
#[derive(Debug, Default)]
pub(crate) struct Succession {
    held: Option<Held>,
    /// Digest and when (monotonic) it was replaced, oldest first.
    superseded: VecDeque<(Digest, Duration)>,
    witnessed: Witnessed,
}

/// What the set at hand goes by.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) validator: Validator,
    pub(crate) document: Option<Vec<u8>>,
    pub(crate) digest: Digest,
    /// Only where the `ETag` proves it.
    pub(crate) generation: Option<u64>,
    vouched: Moment,
    pub(crate) copy_age: Duration,
    pub(crate) date: Option<u64>,
}

/// How an offered set relates to the one at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is the one at hand.
    Same,
    /// It takes its place.
    Follows,
    /// The one at hand is younger.
    Precedes,
}

impl Succession {
    /// The set at hand.
    pub(crate) fn held(&self) -> Option<&Held> {
        self.held.as_ref()
    }

    /// Where an offer that was asked for at `asked` stands at `now`.
    pub(crate) fn judge(&self, offer: &Offer, asked: Moment, now: Duration) -> Standing {
        let Some(held) = &self.held else {
            return Standing::Follows;
        };
        if offer.digest == held.digest {
            return Standing::Same;
        }
        if let (Some(ours), Some(theirs)) = (held.generation, offer.generation()) {
            // A restored issuer counts the same generation again, with another digest.
            return Standing::unless(theirs < ours);
        }
        let vouched = asked.earlier_by(offer.stamp.copy_age);
        if vouched.age(now) > held.vouched.age(now).saturating_add(TICK) {
            return Standing::Precedes;
        }
        let is_superseded = self
            .superseded
            .iter()
            .any(|(digest, at)| *digest == offer.digest && now.saturating_sub(*at) < MAX_LIFETIME);
        // A set that comes back is a stale copy, or the issuer's change of mind: it must prove it.
        let is_made_later = held
            .date
            .zip(offer.stamp.date)
            .is_some_and(|(ours, theirs)| theirs > ours.saturating_add(TICK.as_secs()));
        Standing::unless(is_superseded && !is_made_later)
    }

    /// The set at hand is still the issuer's.
    pub(crate) fn confirm(&mut self, stamp: Stamp, asked: Moment, now: Duration) {
        if let Some(held) = &mut self.held {
            let vouched = asked.earlier_by(stamp.copy_age);
            // An older copy of it takes nothing back.
            if vouched.age(now) < held.vouched.age(now) {
                held.vouched = vouched;
            }
            held.copy_age = stamp.copy_age;
            held.date = stamp.date;
        }
    }

    /// Puts `offer` in the place of the set at hand, and kills the keys in it whose `kid` had
    /// another material; the `kid`s that died of it now.
    pub(crate) fn follow(
        &mut self,
        offer: &mut Offer,
        asked: Moment,
        now: Duration,
    ) -> Vec<String> {
        let held = Held {
            validator: offer.validator.clone(),
            document: offer.document.take(),
            digest: offer.digest,
            generation: offer.generation(),
            vouched: asked.earlier_by(offer.stamp.copy_age),
            copy_age: offer.stamp.copy_age,
            date: offer.stamp.date,
        };
        if let Some(replaced) = self.held.replace(held) {
            self.superseded.push_back((replaced.digest, now));
        }
        self.superseded
            .retain(|(digest, _)| *digest != offer.digest);
        if self.superseded.len() > MAX_SUPERSEDED {
            self.superseded.pop_front();
        }
        self.witnessed.condemn(&mut offer.set)
    }

    /// What was under way did not come to its end: no offer is taken for the set at hand, so that
    /// none confirms it and the next one is read whole.
    pub(crate) fn doubt(&mut self) {
        if let Some(held) = &mut self.held {
            held.validator.etag = None;
            held.digest = Digest::default();
        }
    }

    /// Every `kid` that was seen with two materials.
    pub(crate) fn alarms(&self) -> impl Iterator<Item = &str> {
        self.witnessed.dead()
    }
}

impl Held {
    /// The `ETag`, cut short: it comes from outside.
    pub(crate) fn etag_shown(&self) -> Option<String> {
        let text = self.validator.etag.as_ref()?.to_str().ok()?;
        Some(text.chars().take(ETAG_SHOWN).collect())
    }
}

impl Standing {
    const fn unless(precedes: bool) -> Self {
        if precedes {
            Self::Precedes
        } else {
            Self::Follows
        }
    }
}

impl Offer {
    /// The generation in an `ETag` of our issuer, `"<generation>-<start of the document's
    /// digest>"`: other servers write other things of this form, but not this digest.
    pub(crate) fn generation(&self) -> Option<u64> {
        let text = self.validator.etag.as_ref()?.to_str().ok()?;
        let (generation, digest) = text.strip_prefix('"')?.strip_suffix('"')?.split_once('-')?;
        let start = u32::from_str_radix(digest, 16).ok()?;
        let is_digest = digest.len() == 8 && self.digest.starts_with(&start.to_be_bytes());
        is_digest.then(|| generation.parse().ok()).flatten()
    }
}

/// The material each `kid` was first seen with.
#[derive(Debug, Default)]
struct Witnessed {
    by_kid: HashMap<String, Witness>,
    /// In the order they were seen.
    order: VecDeque<String>,
}

#[derive(Debug)]
struct Witness {
    material: Vec<PublicKey>,
    is_dead: bool,
}

impl Witnessed {
    fn condemn(&mut self, set: &mut JwkSet) -> Vec<String> {
        let mut died = Vec::new();
        for (kid, material) in set.material() {
            let Some(witness) = self.by_kid.get_mut(&kid) else {
                self.order.push_back(kid.clone());
                let is_dead = false;
                self.by_kid.insert(kid, Witness { material, is_dead });
                continue;
            };
            let is_known = material.iter().all(|key| witness.material.contains(key));
            if !is_known && !witness.is_dead {
                witness.is_dead = true;
                died.push(kid.clone());
            }
            if witness.is_dead {
                set.kill(&kid, &JwkRefused::MaterialChanged);
            }
        }
        self.forget_beyond_bound(set);
        died
    }

    /// Forgets whoever has been known longest and is neither dead nor in use.
    fn forget_beyond_bound(&mut self, set: &JwkSet) {
        while self.order.len() > MAX_WITNESSED {
            let is_needed = |kid: &String| set.knows(kid) || self.by_kid[kid].is_dead;
            let at = self.order.iter().position(|kid| !is_needed(kid));
            let Some(kid) = self.order.remove(at.unwrap_or(0)) else {
                return;
            };
            self.by_kid.remove(&kid);
        }
    }

    fn dead(&self) -> impl Iterator<Item = &str> {
        let dead = |kid: &&String| self.by_kid[*kid].is_dead;
        self.order.iter().filter(dead).map(String::as_str)
    }
}

#[cfg(test)]
mod tests;
