//! Token: bytes → [`CompactJws`], three decoded segments, bounded and untrusted.
//!
//! **Invariant:** one token has exactly one accepted byte form: strict base64url, no padding,
//! no unused bits, no white space (hazards V13–V16).
//!
//! RFC 7515 §3.1, §5.2, §7.1.

use base64_simd::{Out, URL_SAFE_NO_PAD};

use crate::policy::MAX_TOKEN;

/// A parsed compact serialisation; nothing in it is proved.
#[derive(Debug)]
pub(crate) struct CompactJws<'a> {
    signing_input: &'a [u8],
    /// Header, payload and signature, decoded, one after the other.
    decoded: Vec<u8>,
    first_dot: usize,
    header_end: usize,
    payload_end: usize,
}

impl<'a> CompactJws<'a> {
    /// Splits and decodes `token`.
    ///
    /// # Errors
    /// `token_too_large`, `token_malformed`.
    pub(crate) fn parse(token: &'a [u8]) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::TooLarge {
                length: token.len(),
            });
        }
        Self::parse_bounded(token)
    }

    /// As [`Self::parse`], for bytes that the caller has bounded.
    ///
    /// # Errors
    /// `token_malformed`.
    pub(crate) fn parse_bounded(token: &'a [u8]) -> Result<Self, TokenError> {
        // At most three dots are looked at, however many there are.
        let mut dots = memchr::memchr_iter(b'.', token);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(TokenError::Segments);
        };
        let header = &token[..first];
        let payload = &token[first + 1..second];
        let signature = &token[second + 1..];
        if header.is_empty() {
            return Err(TokenError::Segments);
        }
        let mut decoded = vec![0; token.len() / 4 * 3];
        let mut filled = 0;
        let mut append = |segment: &[u8]| {
            let written = URL_SAFE_NO_PAD
                .decode(segment, Out::from_slice(&mut decoded[filled..]))
                .map_err(|_| TokenError::Base64)?
                .len();
            filled += written;
            Ok(filled)
        };
        let header_end = append(header)?;
        let payload_end = append(payload)?;
        let end = append(signature)?;
        decoded.truncate(end);
        Ok(Self {
            signing_input: &token[..second],
            decoded,
            first_dot: first,
            header_end,
            payload_end,
        })
    }

    /// What was signed (RFC 7515 §2, "JWS Signing Input").
    pub(crate) fn signing_input(&self) -> &'a [u8] {
        self.signing_input
    }

    /// The header as it was written, base64url.
    pub(crate) fn header_segment(&self) -> &'a [u8] {
        &self.signing_input[..self.first_dot]
    }

    /// The decoded header.
    pub(crate) fn header(&self) -> &[u8] {
        &self.decoded[..self.header_end]
    }

    /// The decoded signature.
    pub(crate) fn signature(&self) -> &[u8] {
        &self.decoded[self.payload_end..]
    }

    /// The decoded payload, before anything vouches for it: for the signature room, and for
    /// [`crate::claims::is_plausible`], which answers yes or no and lets no claim out.
    pub(crate) fn unverified_payload(&self) -> &[u8] {
        &self.decoded[self.header_end..self.payload_end]
    }

    /// Gives up the decoded bytes and the range of the payload in them.
    pub(crate) fn into_payload(self) -> (Vec<u8>, std::ops::Range<usize>) {
        (self.decoded, self.header_end..self.payload_end)
    }
}

/// The token's bytes are no compact JWS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Longer than the limit.
    #[error("expected a token of at most {MAX_TOKEN} bytes, found {length}")]
    TooLarge {
        /// Bytes found.
        length: usize,
    },
    /// Not three segments, or an empty header.
    #[error("expected three segments, `header.payload.signature`")]
    Segments,
    /// A segment is not strict base64url.
    #[error("expected unpadded base64url without unused bits in every segment")]
    Base64,
}
