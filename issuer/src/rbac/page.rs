//! Page: takes `page_size` and `cursor` of a caller who may read, says where a list goes on and how far.
//!
//! **Invariant:** a page has 1 to 200 rows; another size is refused, never clamped.

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::request::Parts;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Named, READ, is_name};
use crate::app::Shared;
use crate::caller::Caller;
use crate::extract::QueryOf;
use crate::problem::{Problem, ProblemCode};

/// A page, asked for by somebody who may see it, and what that holds of it already.
pub(super) struct AskedPage {
    pub(super) page: Page,
    pub(super) headers: HeaderMap,
}

impl FromRequestParts<Shared> for AskedPage {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, shared).await?;
        caller.require(READ)?;
        let QueryOf(query) = QueryOf::<PageQuery>::from_request_parts(parts, shared).await?;
        Ok(Self {
            page: query.resolve()?,
            headers: parts.headers.clone(),
        })
    }
}

/// What the query says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RbacPageQuery)]
pub(super) struct PageQuery {
    #[schema(minimum = 1, maximum = 200, default = 50)]
    page_size: Option<i64>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Which rows are asked for: those after `after`, at most `size`.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) after: String,
    pub(super) size: i64,
}

impl PageQuery {
    /// The page asked for. The cursor is the name of the last row seen: names are final, so a list that
    /// grows meanwhile neither repeats nor skips a row.
    fn resolve(self) -> Result<Page, Problem> {
        let refuse = |what: String| Problem::new(ProblemCode::RequestQueryMalformed).detail(what);
        let size = self.page_size.unwrap_or(USUAL);
        if !(1..=LARGEST).contains(&size) {
            return Err(refuse(format!("expected a page_size of 1 to {LARGEST}")));
        }
        let after = self.cursor.unwrap_or_default();
        if !after.is_empty() && !is_name(&after) {
            return Err(refuse("expected a cursor of this list".to_owned()));
        }
        Ok(Page { after, size })
    }
}

impl Page {
    /// Cuts off the row beyond the page; its predecessor is where the next page begins.
    pub(super) fn cut<T: Named>(&self, mut rows: Vec<T>) -> (Vec<T>, Option<String>) {
        let size = usize::try_from(self.size).unwrap_or_default();
        if rows.len() <= size {
            return (rows, None);
        }
        rows.truncate(size);
        let next = rows.last().map(|row| row.name().to_owned());
        (rows, next)
    }
}

const USUAL: i64 = 50;
const LARGEST: i64 = 200;
