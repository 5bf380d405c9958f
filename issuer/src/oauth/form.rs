//! Form: takes an `application/x-www-form-urlencoded` body, gives its parameters.
//!
//! **Invariant:** a parameter that comes twice is refused, whichever it is; an empty one is none; an
//! unknown one is ignored (RFC 6749 §3.2), the one place where this issuer does so.

use std::collections::BTreeMap;

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::error::OauthError;

/// The parameters of a request.
pub(super) struct Form(BTreeMap<String, String>);

impl Form {
    /// The parameter `name`, if it was sent and says something.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    fn parse(body: &[u8]) -> Option<Self> {
        let mut parameters = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(body) {
            // The decoder puts this in the place of bytes that are no UTF-8.
            let is_text = !name.contains('\u{fffd}') && !value.contains('\u{fffd}');
            let twin = parameters.insert(name.into_owned(), value.into_owned());
            if !is_text || twin.is_some() || parameters.len() > MOST {
                return None;
            }
        }
        Some(Self(parameters))
    }
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = OauthError;

    async fn from_request(request: Request, state: &S) -> Result<Self, OauthError> {
        if !is_form(request.headers()) {
            return Err(OauthError::invalid_request(
                "expected content-type: application/x-www-form-urlencoded",
            ));
        }
        let body = Bytes::from_request(request, state).await.map_err(|_| {
            OauthError::invalid_request("expected a body that arrives whole, of at most 64 KiB")
        })?;
        Self::parse(&body).ok_or(OauthError::invalid_request(
            "expected each parameter once, in UTF-8",
        ))
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let text = value.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default();
    essence
        .trim()
        .eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Parameters of one request.
const MOST: usize = 32;
