//! Status: [`Claims`](crate::claims::Claims) → [`StatusFreshness`], the session is not revoked by
//! its issuer's list, and how old that word is.
//!
//! **Invariant:** looking a session up takes no lock and does no I/O; only a token whose signature
//! and claims were good names a list. Status 0 lets a session through, and nothing else does.
//! **Invariant:** a list serves within its age bound; past it only where the policy accepts that,
//! and then the session says so.
//!
//! Token Status List ([`DRAFT`]) §6.2, §7, §8.3.

#[cfg(feature = "fetch")]
mod bell;
#[cfg(feature = "fetch")]
mod events;
#[cfg(feature = "fetch")]
mod fetch;
#[cfg(feature = "fetch")]
pub(crate) mod fetched;
pub(crate) mod list;
#[cfg(feature = "fetch")]
mod refresh;
pub(crate) mod slot;
pub(crate) mod source;
pub(crate) mod token;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::claims::{ClaimsError, ListReference};
use crate::clock::Clock;
use crate::error::Error;
use crate::key::JwkSet;
#[cfg(feature = "fetch")]
use fetched::FetchedLists;
use slot::{ListSlot, Snapshot, StatusReference};
use source::AgePolicy;
use token::{ListError, ListPolicy};

/// The draft that is implemented.
pub const DRAFT: &str = "draft-ietf-oauth-status-list-21";

/// The status lists of one issuer as the walk sees them.
#[derive(Debug)]
pub(crate) struct StatusLists {
    lists: Lists,
    is_required: bool,
}

#[derive(Debug)]
enum Lists {
    /// Nowhere to look: sessions say `absent`.
    None,
    /// Given as settings, by URI.
    Given(HashMap<Box<str>, Arc<ListSlot>>),
    /// From the URIs that tokens name.
    #[cfg(feature = "fetch")]
    Fetched(FetchedLists),
}

impl StatusLists {
    /// Nothing is looked up.
    pub(crate) const fn none() -> Self {
        Self {
            lists: Lists::None,
            is_required: false,
        }
    }

    /// Lists that never change.
    ///
    /// # Errors
    /// The first document that is no list of this issuer.
    pub(crate) fn given(
        documents: &[String],
        keys: &JwkSet,
        (policy, age): (&ListPolicy, AgePolicy),
        clock: &dyn Clock,
    ) -> Result<Self, ListError> {
        let mut slots = HashMap::new();
        for document in documents {
            let token = policy.read(document.as_bytes(), keys)?;
            token.judge(&token.sub, policy.leeway, clock.now())?;
            let uri = Box::from(&*token.sub);
            let slot = ListSlot::new(&uri, age);
            let issued_at = token.issued_at.unsigned_seconds();
            let age_now = Duration::from_secs(clock.now().saturating_sub(issued_at));
            let snapshot = Snapshot::new(token, policy.leeway, clock);
            slot.replace(snapshot.confirmed(clock.monotonic(), age_now));
            if slots.insert(uri, Arc::new(slot)).is_some() {
                return Err(ListError::Twice);
            }
        }
        Ok(Self {
            lists: Lists::Given(slots),
            is_required: false,
        })
    }

    /// Lists that a worker keeps fresh.
    #[cfg(feature = "fetch")]
    pub(crate) const fn fetched(lists: FetchedLists) -> Self {
        Self {
            lists: Lists::Fetched(lists),
            is_required: false,
        }
    }

    /// Refuses tokens that name no list.
    pub(crate) const fn required(mut self, is_required: bool) -> Self {
        self.is_required = is_required;
        self
    }

    /// Where to look up a token that names `list`; for good.
    ///
    /// # Errors
    /// `status_unavailable`; `claims_missing` when the token names none and must.
    pub(crate) fn find(&self, list: Option<&ListReference<'_>>) -> Result<StatusReference, Error> {
        let Some(ListReference { uri, idx }) = list else {
            return if self.is_required {
                Err(ClaimsError::Missing { claim: "status" }.into())
            } else {
                Ok(StatusReference::Absent)
            };
        };
        let uri = uri.as_str();
        let slot = match &self.lists {
            Lists::None => return Ok(StatusReference::Absent),
            Lists::Given(slots) => slots.get(uri).map(Arc::clone).ok_or(Unavailable::NotGiven),
            #[cfg(feature = "fetch")]
            Lists::Fetched(lists) => lists.slot(uri),
        };
        match slot {
            Ok(slot) => Ok(StatusReference::In { slot, idx: *idx }),
            Err(reason) => Err(StatusError::unavailable(uri, reason).into()),
        }
    }

    /// Waits for a fetch of the list at `uri` that is due, if there is one.
    #[cfg(feature = "fetch")]
    pub(crate) async fn settle(&self, uri: &ListUri) {
        if let Lists::Fetched(lists) = &self.lists {
            lists.settle(uri.as_str()).await;
        }
    }

    /// Without the feature `fetch` lists never change.
    #[cfg(not(feature = "fetch"))]
    #[expect(clippy::unused_async, reason = "the same shape as with the feature")]
    pub(crate) async fn settle(&self, _: &ListUri) {}

    /// Every list at hand, in the order of their URIs.
    pub(crate) fn slots(&self) -> Vec<Arc<ListSlot>> {
        let mut slots: Vec<Arc<ListSlot>> = match &self.lists {
            Lists::None => Vec::new(),
            Lists::Given(slots) => slots.values().map(Arc::clone).collect(),
            #[cfg(feature = "fetch")]
            Lists::Fetched(lists) => lists.slots(),
        };
        slots.sort_by(|one, other| one.uri().cmp(other.uri()));
        slots
    }
}

/// How sure it is that the session is not revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StatusFreshness {
    /// It was not looked up.
    Absent,
    /// It was, in a list of this age.
    Known { is_stale: bool, age: Duration },
}

impl StatusFreshness {
    /// How old the list is.
    pub(crate) const fn age(self) -> Option<Duration> {
        match self {
            Self::Absent => None,
            Self::Known { age, .. } => Some(age),
        }
    }
}

/// The session is not good any more, or nobody can tell.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatusError {
    /// Status 1, or one that is unknown here: only 0 lets a session through.
    #[error("expected status 0 of the session, found {status}")]
    Revoked {
        /// What the list says.
        status: u8,
    },
    /// Status 2: the session may become good again.
    #[error("expected status 0 of the session, found 2, suspended")]
    Suspended,
    /// A fault, no verdict: the list of the session cannot be used.
    #[error("expected {reason}, for the list `{list}`")]
    Unavailable {
        /// Which list.
        list: ListUri,
        /// What was expected of it.
        reason: Unavailable,
    },
    /// A fault, no verdict: fresh knowledge was required, and the status was not looked up in a
    /// list within its age bound.
    #[error("expected the status of the session in a list within its age bound")]
    NotFresh,
}

impl StatusError {
    fn unavailable(uri: &str, reason: Unavailable) -> Self {
        let list = ListUri(uri.into());
        Self::Unavailable { list, reason }
    }
}

/// What keeps a status list from being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// It is none of the documents in the settings.
    #[error("a status list among those given")]
    NotGiven,
    /// Its URI lies elsewhere than the issuer.
    #[error("a safe URI at an origin that is allowed")]
    OriginNotAllowed,
    /// As many lists as are kept are in use.
    #[error("no more status lists in use than are kept")]
    TooMany,
    /// No copy has been fetched yet.
    #[error("a copy of the status list, found none yet")]
    NoCopy,
    /// Our copy is past its `exp`.
    #[error("a status list before its `exp`")]
    Expired,
    /// Our copy is past the age bound.
    #[error("a status list no older than its bound")]
    TooOld,
    /// Our copy ends before the session's index.
    #[error("a status list that reaches the index of the session")]
    OutOfRange,
}

/// The URI of a list; escaped and cut to 200 characters where people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListUri(Box<str>);

impl ListUri {
    #[cfg(feature = "fetch")]
    fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ListUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.chars().take(200).flat_map(char::escape_default);
        shown.try_for_each(|character| fmt::Write::write_char(f, character))
    }
}

#[cfg(test)]
mod tests;
