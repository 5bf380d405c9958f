//! Push: an issuer's stream of events → "fetch now".
//!
//! **Invariant:** nothing that is pushed is believed: an event says that there may be news, and
//! the signed list is fetched to see.
//!
//! WHATWG HTML §9.2 (server-sent events).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::fetch::ListFetcher;
use super::fetched::Push;
use super::refresh::Jitter;
use super::slot::ListSlot;
use crate::clock::Clock;
use crate::fetch::{EventStream, FetchError, Http, Url};

/// Longest line.
const MAX_LINE: usize = 8 * 1024;
/// A stream that says nothing for so long is dead; ours says something every 15 s.
const SILENCE: Duration = Duration::from_secs(45);
/// An issuer that never had events is asked again after this.
const NO_EVENTS: Duration = Duration::from_secs(600);
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// A stream that lasted so long was a good one.
const LASTED: Duration = Duration::from_secs(30);

/// Listens to the events of one list, at `<uri>/events`.
#[derive(Debug)]
pub(super) struct Listener {
    http: Http,
    url: Url,
    slot: Arc<ListSlot>,
    clock: Arc<dyn Clock>,
    jitter: Jitter,
    /// A stream has opened before.
    has_opened: bool,
}

impl Listener {
    /// For the list of `fetcher`.
    pub(super) fn new(fetcher: &ListFetcher, slot: Arc<ListSlot>) -> Self {
        let mut url = fetcher.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("events");
        }
        Self {
            http: fetcher.http.clone(),
            url,
            slot,
            clock: Arc::clone(&fetcher.judge.clock),
            jitter: Jitter::default(),
            has_opened: false,
        }
    }

    /// Notifies `heard` of every event, for ever, from the first notice that the list is `there`.
    pub(super) async fn listen(mut self, there: &Notify, heard: &Notify) {
        there.notified().await;
        let mut failures = 0_u32;
        loop {
            let start = self.clock.monotonic();
            let outcome = self.follow(heard).await;
            let end = self.clock.monotonic();
            let is_refused = matches!(
                outcome,
                Err(FetchError::MediaType
                    | FetchError::Status {
                        status: 404..=406 | 410
                    })
            );
            if is_refused && !self.has_opened {
                self.slot.note(|progress| progress.push = Push::Off);
                self.clock.sleep_until(end + NO_EVENTS).await;
                continue;
            }
            self.slot.note(|progress| progress.push = Push::Lost);
            let lasted = end.saturating_sub(start);
            failures = if lasted >= LASTED {
                0
            } else {
                failures.saturating_add(1)
            };
            // One answer out of turn, of a proxy or a restart, does not end what was there before.
            let most = if is_refused { NO_EVENTS } else { MAX_BACKOFF };
            let backoff = FIRST_BACKOFF * 2_u32.pow(failures.saturating_sub(1).min(10));
            let random = self.jitter.random(&*self.clock);
            let delay = backoff.min(most).mul_f64(1.0 - 0.5 * random);
            self.clock.sleep_until(end + delay).await;
        }
    }

    /// Follows one stream to its end.
    async fn follow(&mut self, heard: &Notify) -> Result<(), FetchError> {
        let mut stream = self.http.listen(&self.url).await?;
        self.has_opened = true;
        let mut heard_at = self.clock.monotonic();
        self.slot.note(|progress| progress.push = Push::Connected);
        heard.notify_one(); // What happened while nobody listened.
        let mut lines = Lines::default();
        while let Some(bytes) = self.next(&mut stream, heard_at + SILENCE).await? {
            heard_at = self.clock.monotonic();
            if lines.read(&bytes)? {
                heard.notify_one();
            }
        }
        Ok(())
    }

    async fn next(
        &self,
        stream: &mut EventStream,
        silent_until: Duration,
    ) -> Result<Option<Vec<u8>>, FetchError> {
        tokio::select! {
            chunk = stream.chunk() => chunk,
            () = self.clock.sleep_until(silent_until) => Err(FetchError::Timeout),
        }
    }
}

/// The lines of a stream, read for where an event ends.
#[derive(Debug, Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    /// The present event has a field; a comment is none.
    has_field: bool,
    after_return: bool,
}

impl Lines {
    /// Reads on; whether an event ended.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<bool, FetchError> {
        let mut has_event = false;
        for byte in bytes {
            let is_second_half = *byte == b'\n' && self.after_return;
            self.after_return = *byte == b'\r';
            match byte {
                b'\n' if is_second_half => {}
                b'\n' | b'\r' => has_event |= self.end_line(),
                _ if self.line.len() == MAX_LINE => {
                    return Err(FetchError::TooLarge { most: MAX_LINE });
                }
                byte => self.line.push(*byte),
            }
        }
        Ok(has_event)
    }

    /// Ends the present line; whether it ended an event.
    fn end_line(&mut self) -> bool {
        let is_blank = self.line.is_empty();
        self.has_field |= !is_blank && self.line[0] != b':';
        self.line.clear();
        is_blank && std::mem::take(&mut self.has_field)
    }
}
