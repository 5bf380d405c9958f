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
use tokio::sync::watch;

use super::publisher::Published;
use super::signed::SignedList;
use super::subscribers::Place;
use crate::app::Shared;
use crate::clock::Clock;

/// A subscription and the place it takes.
struct Subscription {
    list: Published,
    draining: watch::Receiver<bool>,
    clock: Arc<dyn Clock>,
    place: Place,
}

/// The stream of versions of `list`; it ends when the list is retired, the issuer drains, or it is old.
pub(super) fn stream(
    shared: &Shared,
    mut list: Published,
    place: Place,
) -> Sse<KeepAliveStream<impl Stream<Item = Result<Event, Infallible>> + use<>>> {
    list.mark_changed();
    let subscription = Subscription {
        list,
        draining: shared.lists.draining(),
        clock: Arc::clone(&shared.clock),
        place,
    };
    let events = stream::unfold(subscription, async |mut subscription| {
        let event = subscription.next().await?;
        Some((Ok(event), subscription))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE))
}

impl Subscription {
    async fn next(&mut self) -> Option<Event> {
        while self.clock.monotonic() < self.place.ends_at {
            tokio::select! {
                _ = self.draining.wait_for(|draining| *draining) => return None,
                () = tokio::time::sleep(LOOK) => continue,
                changed = self.list.changed() => changed.ok()?,
            }
            let signed = self.list.borrow_and_update().clone();
            if let Some(signed) = signed {
                return Some(event(&signed));
            }
        }
        None
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
/// How often a silent stream looks whether it is old.
const LOOK: Duration = Duration::from_secs(1);
