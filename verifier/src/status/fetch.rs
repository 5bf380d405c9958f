//! One list from its URI: a conditional GET, and whether the answer is the list.
//!
//! **Invariant:** nothing of an answer is used unless the whole of it is good: signed by the
//! issuer's present keys, of exactly this URI, in its time.
//!
//! Token Status List §8.1, §8.3.

use std::sync::Arc;
use std::time::Duration;

use super::token::{ListError, ListPolicy, ListToken, MAX_LIST_TOKEN};
use crate::clock::Clock;
use crate::error::Error;
use crate::fetch::{Answer, FetchError, HeaderValue, Headers, Http, Question, Url};
use crate::key::KeyError;
use crate::key::cache::KeyCache;
use crate::key::refresh::Refresher;

const ACCEPT: &str = "application/statuslist+jwt";

/// Who says whether a document is a list of the issuer.
#[derive(Debug, Clone)]
pub(crate) struct Judge {
    pub(crate) policy: ListPolicy,
    pub(crate) keys: Arc<KeyCache>,
    /// None for keys that are given.
    pub(crate) refresher: Option<Arc<Refresher>>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Fetches one list.
#[derive(Debug)]
pub(super) struct ListFetcher {
    pub(super) http: Http,
    pub(super) url: Url,
    /// As tokens write it.
    pub(super) uri: Box<str>,
    pub(super) judge: Judge,
    /// The validator of the copy we hold.
    pub(super) etag: Option<HeaderValue>,
}

/// A good answer.
#[derive(Debug)]
pub(super) enum FetchedList {
    /// 304: the copy we hold is the issuer's.
    NotModified(Headers),
    /// 200 with a good list.
    List(ListToken, Headers),
}

/// A list could not be refreshed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ListFetchError {
    /// No whole answer.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The answer is not the list.
    #[error(transparent)]
    List(#[from] ListError),
}

impl ListFetcher {
    /// Asks once; conditionally if `has_copy`.
    ///
    /// # Errors
    /// Whatever kept a good list from arriving.
    pub(super) async fn fetch(&mut self, has_copy: bool) -> Result<FetchedList, ListFetchError> {
        let question = Question {
            url: &self.url,
            accept: ACCEPT,
            etag: self.etag.as_ref().filter(|_| has_copy),
            revalidate: false,
            verifier: None,
            most: MAX_LIST_TOKEN,
        };
        match self.http.get(question).await? {
            Answer::NotModified(headers) => Ok(FetchedList::NotModified(headers)),
            Answer::Document { body, headers } => {
                let token = self.judge.read(&body).await?;
                let now = self.judge.clock.now();
                token.judge(&self.uri, self.judge.policy.leeway, now)?;
                Ok(FetchedList::List(token, headers))
            }
        }
    }
}

impl Judge {
    /// Verifies `body`; a key that is not at hand is looked for once.
    async fn read(&self, body: &[u8]) -> Result<ListToken, ListError> {
        let first = self.read_by_present_keys(body);
        let (Err(error), Some(refresher)) = (&first, &self.refresher) else {
            return first;
        };
        match error {
            ListError::Signature(error) => match &**error {
                Error::Key(KeyError::NotFound { .. }) => {
                    let kid = self.policy.kid(body)?;
                    refresher.resolve_unknown(&kid.unwrap_or_default()).await;
                }
                Error::Key(KeyError::SetUnavailable) => refresher.settle().await,
                _ => return first,
            },
            _ => return first,
        }
        self.read_by_present_keys(body)
    }

    fn read_by_present_keys(&self, body: &[u8]) -> Result<ListToken, ListError> {
        let keys = self.keys.current(&*self.clock).map_err(Error::from)?;
        self.policy.read(body, keys.set())
    }
}

/// How long after its question the list is to be asked for again, by its own word or the
/// server's; none when neither says.
pub(super) fn ttl(token_ttl: Option<f64>, headers: &Headers) -> Option<Duration> {
    token_ttl
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .or_else(|| headers.lifetime())
}
