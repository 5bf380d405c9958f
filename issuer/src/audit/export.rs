//! Export: takes the chain, gives it as JSON Lines, one event a line, in its order.
//!
//! **Invariant:** a page is in memory at a time, and no connection is held between pages.
//!
//! What has not joined the chain is not in an export: its place, and so the order, is not settled.

use bytes::Bytes;
use futures_util::stream::{self, Stream};

use super::{EventView, store};
use crate::db::{Db, DbError};

/// Why an export ends early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error("an event cannot be written")]
    Json(#[from] serde_json::Error),
}

/// The events behind the place `after`, a page a piece.
pub(crate) fn pages(db: Db, after: i64) -> impl Stream<Item = Result<Bytes, ExportError>> {
    stream::try_unfold((db, after), async |(db, after)| {
        let Some((lines, last)) = page(&db, after).await? else {
            return Ok(None);
        };
        Ok(Some((lines, (db, last))))
    })
}

/// The next page behind `after` and its last place; `None` at the end.
pub(crate) async fn page(db: &Db, after: i64) -> Result<Option<(Bytes, i64)>, ExportError> {
    let entries = store::chained(db, after, PAGE).await?;
    let last = entries.last().and_then(|entry| entry.link.as_ref());
    let Some(last) = last.map(|link| link.seq) else {
        return Ok(None);
    };
    let mut lines = Vec::new();
    for entry in &entries {
        serde_json::to_writer(&mut lines, &EventView::from(entry))?;
        lines.push(b'\n');
    }
    Ok(Some((lines.into(), last)))
}

/// Events of one page.
const PAGE: i64 = 500;
