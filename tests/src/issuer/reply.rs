//! What the issuer says: good documents, and every way to fail its verifiers.

use std::io::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use flate2::Compression;
use flate2::write::GzEncoder;

/// What the issuer says next.
#[derive(Debug, Clone)]
pub enum Reply {
    /// 200 with a document; 304 to whoever holds its `ETag`.
    Document {
        /// The body.
        body: String,
        /// Its validator.
        etag: Option<String>,
        /// Lines of further headers, each ended by CR LF.
        headers: String,
    },
    /// These bytes, as they are.
    Raw(Vec<u8>),
    /// These bytes, then a space every 100 ms for as long as somebody listens.
    Drip(Vec<u8>),
    /// Nothing until [`FakeIssuer::release`](super::FakeIssuer::release).
    Hang,
    /// The connection is closed without a word.
    Close,
    /// One after the other, over and over, as a load balancer does.
    Turns(Vec<Reply>),
}

impl Reply {
    /// 200 with `body`, good for 300 s.
    #[must_use]
    pub fn set(body: impl Into<String>) -> Self {
        Self::lasting(300, body)
    }

    /// 200 with `body`, good for `max_age` seconds.
    #[must_use]
    pub fn lasting(max_age: u64, body: impl Into<String>) -> Self {
        Self::Document {
            body: body.into(),
            etag: None,
            headers: format!("Cache-Control: max-age={max_age}\r\n"),
        }
    }

    /// A set under the `ETag` our issuer gives to that generation.
    #[must_use]
    pub fn generation(generation: u64, body: String) -> Self {
        let digest = digest(&SHA256, body.as_bytes());
        let start: String = digest.as_ref()[..4]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self::set(body).tagged(&format!("\"{generation}-{start}\""))
    }

    /// The document under this `ETag`, quotes and all.
    #[must_use]
    pub fn tagged(mut self, tag: &str) -> Self {
        if let Self::Document { etag, .. } = &mut self {
            *etag = Some(tag.to_owned());
        }
        self
    }

    /// The document as a cache serves it `seconds` after it got it.
    #[must_use]
    pub fn aged(self, seconds: u64) -> Self {
        self.with(&format!("Age: {seconds}"))
    }

    /// The document as an origin makes it whose clock reads `date` (RFC 9110 §5.6.7).
    #[must_use]
    pub fn dated(self, date: &str) -> Self {
        self.with(&format!("Date: {date}"))
    }

    /// The document under one more header.
    #[must_use]
    pub fn with(mut self, header: &str) -> Self {
        if let Self::Document { headers, .. } = &mut self {
            headers.push_str(header);
            headers.push_str("\r\n");
        }
        self
    }

    /// `status` with `body`.
    #[must_use]
    pub fn status(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::Raw(
            format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
                .into_bytes(),
        )
    }

    /// An issuer that is broken.
    #[must_use]
    pub fn error() -> Self {
        Self::status("500 Internal Server Error", "", "")
    }

    /// A redirect.
    #[must_use]
    pub fn redirect(to: &str) -> Self {
        Self::status("302 Found", &format!("Location: {to}\r\n"), "")
    }

    /// The sign-in page of some portal, as 200.
    #[must_use]
    pub fn html() -> Self {
        Self::set("<!doctype html><title>Sign in</title>")
    }

    /// A set of no keys.
    #[must_use]
    pub fn empty_set() -> Self {
        Self::set(r#"{"keys":[]}"#)
    }

    /// More than a set may be, of no stated length.
    #[must_use]
    pub fn oversize() -> Self {
        Self::Raw([b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &[b' '; 300 * 1024]].concat())
    }

    /// 64 MiB that are 64 KiB on the wire.
    #[must_use]
    pub fn gzip_bomb() -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let block = vec![b' '; 1024 * 1024];
        for _ in 0..64 {
            encoder.write_all(&block).expect("memory takes it");
        }
        Self::gzipped(&encoder.finish().expect("memory takes it"))
    }

    /// 200 with a body that is gzip already.
    #[must_use]
    pub fn gzipped(body: &[u8]) -> Self {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n"
        );
        Self::Raw([head.as_bytes(), body].concat())
    }

    /// An answer that never ends: slow loris, from the server's side.
    #[must_use]
    pub fn slow_loris() -> Self {
        Self::Drip(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n".to_vec())
    }

    /// What the request number `turn` gets of it.
    pub(super) fn in_turn(&self, turn: usize) -> Self {
        match self {
            Self::Turns(replies) => replies[turn % replies.len()].in_turn(turn),
            reply => reply.clone(),
        }
    }
}
