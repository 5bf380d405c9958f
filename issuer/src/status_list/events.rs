//! Events: takes a subscriber, gives it the present version of a list and then each newer one.
//!
//! **Invariant:** an event names a version and carries no status: what a verifier trusts is the signed
//! list it fetches then.
//! **Invariant:** a subscriber who reads slowly misses versions between, and holds no memory.
//!
//! Server-sent events, as in HTML Living Standard §9.2. `Last-Event-ID` needs no reading: whoever comes back
//! is told the present version at once.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive, KeepAliveStream};
use futures_util::stream::{self, Stream};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::publisher::Published;
use super::signed::SignedList;

/// A subscription and the place it takes.
struct Subscription {
    list: Published,
    draining: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

/// The stream of versions of `list`; it ends when the list is retired or the issuer drains.
pub(super) fn stream(
    mut list: Published,
    draining: watch::Receiver<bool>,
    place: OwnedSemaphorePermit,
) -> Sse<KeepAliveStream<impl Stream<Item = Result<Event, Infallible>>>> {
    list.mark_changed();
    let subscription = Subscription {
        list,
        draining,
        _place: place,
    };
    let events = stream::unfold(subscription, async |mut subscription| {
        let event = subscription.next().await?;
        Some((Ok(event), subscription))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE))
}

impl Subscription {
    async fn next(&mut self) -> Option<Event> {
        loop {
            tokio::select! {
                _ = self.draining.wait_for(|draining| *draining) => return None,
                changed = self.list.changed() => changed.ok()?,
            }
            let signed = self.list.borrow_and_update().clone();
            if let Some(signed) = signed {
                return Some(event(&signed));
            }
        }
    }
}

fn event(signed: &Arc<SignedList>) -> Event {
    let version = signed.stamp.version;
    let etag = signed.etag.to_str().unwrap_or_default();
    Event::default()
        .event("version")
        .id(version.to_string())
        .data(json!({ "version": version, "etag": etag }).to_string())
}

/// Silence after which a comment tells both ends that the other is there.
const ALIVE: Duration = Duration::from_secs(15);
