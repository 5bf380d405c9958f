//! Body: what a request carries, read whole, within a bound and under its label.

use axum::body::{Body, HttpBody as _};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::{FORM, JSON};
use crate::problem::{EdgeCode, Problem};

/// What a route takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    media_type: &'static str,
    most: usize,
}

/// What was judged in time; past it, the code says whether the client was still sending.
///
/// # Errors
/// The refusal, `request_timeout` or `deadline_exceeded`.
pub(crate) fn or_late<T>(
    judged: Option<Result<T, Problem>>,
    is_reading: bool,
) -> Result<T, Problem> {
    judged.unwrap_or_else(|| {
        Err(if is_reading {
            EdgeCode::RequestTimeout.into()
        } else {
            EdgeCode::DeadlineExceeded.into()
        })
    })
}

impl Taken {
    /// JSON about one token: one of every accepted size fits, escaped or not.
    pub(super) const JSON: Self = Self {
        media_type: JSON,
        most: 64 * 1024,
    };
    /// JSON about many tokens: room for 4 KiB each.
    pub(super) const BATCH: Self = Self {
        media_type: JSON,
        most: 1024 * 1024,
    };
    /// A form about one token.
    pub(super) const FORM: Self = Self {
        media_type: FORM,
        most: 64 * 1024,
    };

    /// The whole body, counted while it arrives; none at all is no error here.
    ///
    /// # Errors
    /// `request_unsupported_media_type`, `request_too_large`, `request_malformed`.
    pub(super) async fn read(self, head: &Parts, body: Body) -> Result<Bytes, Problem> {
        if body.is_end_stream() {
            return Ok(Bytes::new());
        }
        if !is_labelled(head, self.media_type) {
            return Err(EdgeCode::RequestUnsupportedMediaType.into());
        }
        collect(body, self.most).await
    }
}

/// All of `body`, if it has at most `most` bytes.
///
/// # Errors
/// `request_too_large`; `request_malformed` when it breaks off.
pub(crate) async fn collect(body: Body, most: usize) -> Result<Bytes, Problem> {
    if body.size_hint().lower() > most as u64 {
        return Err(EdgeCode::RequestTooLarge.into());
    }
    match Limited::new(body, most).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(EdgeCode::RequestTooLarge.into()),
        Err(_) => Err(EdgeCode::RequestMalformed.into()),
    }
}

/// Exactly one label, `media_type`, in UTF-8 if it says so (RFC 8259 §8.1).
fn is_labelled(head: &Parts, media_type: &str) -> bool {
    let mut types = head.headers.get_all(CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else {
        return false;
    };
    let mut parts = only.to_str().unwrap_or_default().split(';').map(str::trim);
    let is_named = parts
        .next()
        .is_some_and(|name| name.eq_ignore_ascii_case(media_type));
    is_named
        && parts.all(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let is_charset = name.trim().eq_ignore_ascii_case("charset");
            !is_charset || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
}
