//! Party: one issuer as a verifier knows it: its policy, its keys and its status lists, never
//! shared with another (hazard V27).

use std::sync::Arc;

use crate::key::JwkSet;
use crate::key::cache::KeyCache;
#[cfg(feature = "fetch")]
use crate::key::refresh::Refresher;
use crate::policy::ValidationPolicy;
use crate::status::StatusLists;

/// One issuer.
#[derive(Debug)]
pub(crate) struct Party {
    pub(crate) policy: ValidationPolicy,
    pub(crate) keys: Keys,
    pub(crate) status: StatusLists,
}

/// The keys and, when they come from the network, whoever keeps them fresh.
#[derive(Debug)]
pub(crate) struct Keys {
    cache: Arc<KeyCache>,
    #[cfg(feature = "fetch")]
    refresher: Option<Arc<Refresher>>,
}

impl Keys {
    /// Keys that never change.
    pub(crate) fn fixed(set: JwkSet) -> Self {
        Self {
            cache: Arc::new(KeyCache::fixed(set)),
            #[cfg(feature = "fetch")]
            refresher: None,
        }
    }

    pub(crate) fn cache(&self) -> &Arc<KeyCache> {
        &self.cache
    }
}

#[cfg(feature = "fetch")]
impl Keys {
    /// Keys that `refresher` puts into `cache`.
    pub(crate) fn fetched(cache: Arc<KeyCache>, refresher: Arc<Refresher>) -> Self {
        Self {
            cache,
            refresher: Some(refresher),
        }
    }

    pub(crate) fn refresher(&self) -> Option<&Arc<Refresher>> {
        self.refresher.as_ref()
    }

    pub(crate) fn can_refresh(&self) -> bool {
        self.refresher.is_some()
    }

    pub(crate) fn note_unknown(&self, kid: &str) {
        if let Some(refresher) = &self.refresher {
            refresher.note_unknown(kid);
        }
    }

    pub(crate) async fn resolve_unknown(&self, kid: &str) {
        if let Some(refresher) = &self.refresher {
            refresher.resolve_unknown(kid).await;
        }
    }

    pub(crate) async fn settle(&self) {
        if let Some(refresher) = &self.refresher {
            refresher.settle().await;
        }
    }
}

/// Without the feature `fetch` keys never change.
#[cfg(not(feature = "fetch"))]
#[expect(clippy::unused_async, reason = "the same shape as with the feature")]
impl Keys {
    pub(crate) const fn can_refresh(&self) -> bool {
        false
    }

    pub(crate) const fn note_unknown(&self, _: &str) {}

    pub(crate) async fn resolve_unknown(&self, _: &str) {}

    pub(crate) async fn settle(&self) {}
}
