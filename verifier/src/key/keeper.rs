//! Keeper: good answers → the set the walk sees; no I/O, and time is an argument.
//!
//! **Invariant:** it alone writes the cache, and every set, from the network or from a file, comes in
//! by [`Keeper::take`].

use std::sync::Arc;
use std::time::Duration;

use super::cache::{KeyCache, Moment, Vouched};
use super::fetch::{Offer, RefreshError, Stamp};
use super::succession::{Held, Standing, Succession};
use crate::clock::Clock;

/// The set at hand and its succession.
#[derive(Debug)]
pub(super) struct Keeper {
    cache: Arc<KeyCache>,
    succession: Succession,
    vouched: Option<Vouched>,
}

impl Keeper {
    pub(super) fn new(cache: Arc<KeyCache>) -> Self {
        Self {
            cache,
            succession: Succession::default(),
            vouched: None,
        }
    }

    /// Takes `offer`, which was asked for at `asked`, unless it is older than the set at hand;
    /// whether it is another set or the same.
    ///
    /// # Errors
    /// [`RefreshError::Superseded`].
    pub(super) fn take(
        &mut self,
        mut offer: Offer,
        asked: Moment,
        hard_limit: Duration,
        clock: &dyn Clock,
    ) -> Result<Standing, RefreshError> {
        let now = clock.monotonic();
        let vouched = Vouched {
            at: asked,
            lifetime: offer.stamp.lifetime,
            hard_limit,
        };
        match self.succession.judge(&offer, asked, now) {
            Standing::Same => {
                self.confirm(offer.stamp, asked, hard_limit, now);
                Ok(Standing::Same)
            }
            // A set past its bound protects nobody; refusing an issuer that was restored from a
            // copy would then be an outage without end.
            Standing::Precedes if self.cache.current(clock).is_ok() => {
                Err(RefreshError::Superseded)
            }
            Standing::Precedes | Standing::Follows => {
                let died = self.succession.follow(&mut offer, asked, now);
                if !died.is_empty() {
                    tracing::error!(count = died.len(), "key_material_changed_under_its_kid");
                }
                self.cache.replace(offer.set, vouched);
                self.vouched = Some(vouched);
                Ok(Standing::Follows)
            }
        }
    }

    /// The issuer says that the set at hand is still its own.
    pub(super) fn confirm(
        &mut self,
        stamp: Stamp,
        asked: Moment,
        hard_limit: Duration,
        now: Duration,
    ) {
        let vouched = Vouched {
            at: asked,
            lifetime: stamp.lifetime,
            hard_limit,
        };
        if self.cache.confirm(vouched) {
            self.succession.confirm(stamp, asked, now);
            self.vouched = Some(vouched);
        }
    }

    /// See [`Succession::doubt`].
    pub(super) fn doubt(&mut self) {
        self.succession.doubt();
    }

    /// Whether the set at hand has something to say of `kid`.
    pub(super) fn knows(&self, kid: &str) -> bool {
        self.cache.set().is_some_and(|set| set.knows(kid))
    }

    /// Whether the walk has a set to judge by.
    pub(super) fn is_ready(&self, clock: &dyn Clock) -> bool {
        self.cache.current(clock).is_ok()
    }

    pub(super) fn held(&self) -> Option<&Held> {
        self.succession.held()
    }

    pub(super) fn vouched(&self) -> Option<Vouched> {
        self.vouched
    }

    pub(super) fn alarms(&self) -> Vec<String> {
        self.succession.alarms().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests;
