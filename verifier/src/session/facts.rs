//! Facts: the claims of a session, kept as their text and places in it.
//!
//! **Invariant:** three allocations whatever the claims hold, and no byte of the signature among
//! them: facts are what a token says, and no token.

use std::borrow::Cow;

use crate::claims::{RawClaims, Stated, Times};
use crate::json::Text;
use crate::key::SetId;
use crate::status::slot::StatusReference;

/// What the issuer says; the same at every validation of one token.
#[derive(Debug, PartialEq)]
pub(super) struct Facts {
    /// The claims set, and behind it the texts that are written with escapes there.
    text: String,
    claims_length: usize,
    /// The items of every list, one list after the other.
    items: Vec<Span>,
    pub(super) issuer: Option<Span>,
    pub(super) subject: Option<Span>,
    pub(super) audience: List,
    pub(super) client_id: Option<Span>,
    pub(super) session_id: Option<Span>,
    pub(super) token_id: Option<Span>,
    pub(super) tenant_id: Option<Span>,
    pub(super) roles: List,
    pub(super) scope: List,
    pub(super) acr: Option<Span>,
    pub(super) amr: List,
    pub(super) authz_ver: Option<u64>,
    azp: Option<Span>,
    pub(super) times: Times,
    pub(super) judged_by: JudgedBy,
}

/// By what a session was judged; where it changed, the session is judged anew.
#[derive(Debug, PartialEq)]
pub(crate) struct JudgedBy {
    /// Place of the issuer among those of the verifier.
    pub(crate) party: usize,
    pub(crate) key_set: SetId,
    pub(crate) status: StatusReference,
}

/// A place in the text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    start: usize,
    end: usize,
}

/// A place among the items.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct List {
    start: usize,
    end: usize,
}

impl Facts {
    pub(super) fn new(claims: &RawClaims<'_>, judged_by: JudgedBy) -> Self {
        let mut keeper = Keeper::new(claims.text);
        Self {
            issuer: keeper.keep(claims.iss.as_ref()),
            subject: keeper.keep(claims.sub.as_ref()),
            audience: keeper.list(claims.aud.as_deref()),
            client_id: keeper.keep(claims.client_id.as_ref()),
            session_id: keeper.keep(claims.sid.as_ref()),
            token_id: keeper.keep(claims.jti.as_ref()),
            tenant_id: keeper.keep(claims.tenant_id.as_ref()),
            roles: keeper.list(claims.roles.as_deref()),
            scope: keeper.words(claims.scope.as_ref()),
            acr: keeper.keep(claims.acr.as_ref()),
            amr: keeper.list(claims.amr.as_deref()),
            authz_ver: claims.authz_ver.map(|version| version.unsigned_seconds()),
            azp: keeper.keep(claims.azp.as_ref()),
            times: claims.times(),
            judged_by,
            claims_length: claims.text.len(),
            text: keeper.text,
            items: keeper.items,
        }
    }

    pub(super) fn claims(&self) -> &str {
        &self.text[..self.claims_length]
    }

    pub(super) fn text(&self, span: Option<Span>) -> Option<&str> {
        span.map(|Span { start, end }| &self.text[start..end])
    }

    pub(super) fn list(&self, list: List) -> impl ExactSizeIterator<Item = &str> + Clone {
        let items = self.items[list.start..list.end].iter();
        items.map(|span| &self.text[span.start..span.end])
    }
}

/// The same answers as the claims gave when they were read.
impl Stated for Facts {
    fn times(&self) -> Times {
        self.times
    }

    fn party(&self) -> Option<&str> {
        self.text(self.azp.or(self.client_id))
    }

    fn tenant(&self) -> Option<&str> {
        self.text(self.tenant_id)
    }

    fn acr(&self) -> Option<&str> {
        self.text(self.acr)
    }

    fn has_scope(&self, value: &str) -> bool {
        self.list(self.scope).any(|granted| granted == value)
    }

    fn has_role(&self, name: &str) -> bool {
        self.list(self.roles).any(|role| role == name)
    }
}

struct Keeper {
    /// Where the claims are that the texts borrow from.
    base: usize,
    claims_length: usize,
    text: String,
    items: Vec<Span>,
}

impl Keeper {
    fn new(claims: &str) -> Self {
        Self {
            base: claims.as_ptr().addr(),
            claims_length: claims.len(),
            text: claims.to_owned(),
            items: Vec::with_capacity(8),
        }
    }

    fn keep(&mut self, text: Option<&Text<'_>>) -> Option<Span> {
        text.map(|text| self.place(text))
    }

    fn list(&mut self, texts: Option<&[Text<'_>]>) -> List {
        let start = self.items.len();
        for text in texts.into_iter().flatten() {
            let span = self.place(text);
            self.items.push(span);
        }
        List {
            start,
            end: self.items.len(),
        }
    }

    /// The words of a text, between single spaces or more.
    fn words(&mut self, text: Option<&Text<'_>>) -> List {
        let first = self.items.len();
        if let Some(text) = text {
            let mut start = self.place(text).start;
            for word in text.as_str().split(' ') {
                let end = start + word.len();
                if start < end {
                    self.items.push(Span { start, end });
                }
                start = end + 1;
            }
        }
        List {
            start: first,
            end: self.items.len(),
        }
    }

    /// Where `text` stands: in the claims it borrows from, else behind them.
    fn place(&mut self, Text(text): &Text<'_>) -> Span {
        let start = match text {
            Cow::Borrowed(text) => text.as_ptr().addr().checked_sub(self.base),
            Cow::Owned(_) => None,
        };
        let start = start.filter(|start| start + text.len() <= self.claims_length);
        let start = start.unwrap_or_else(|| {
            self.text.push_str(text);
            self.text.len() - text.len()
        });
        Span {
            start,
            end: start + text.len(),
        }
    }
}
