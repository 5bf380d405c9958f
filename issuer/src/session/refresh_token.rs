//! Refresh token: takes a session and a generation, gives the text a browser keeps, and back.
//!
//! **Invariant:** the token is `(session, generation)` under the session's own key, so the same generation is
//! the same token, whichever replica answers, and the database holds nothing a thief could present.
//! **Invariant:** one token has one spelling.

use std::fmt;

use aws_lc_rs::hmac;

use crate::db::Id;
use crate::secret::Fingerprint;

/// What a presented token claims; true once [`Claimed::is_made_with`] says so.
#[derive(Clone, Copy)]
pub(super) struct Claimed {
    pub(super) session: Id,
    pub(super) generation: i64,
    tag: Fingerprint,
}

impl Claimed {
    /// Reads `text`; of anything but a token in its one spelling, nothing.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() != TEXT {
            return None;
        }
        let bytes = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(text).ok()?;
        let rest = bytes.strip_prefix(&[VERSION])?;
        let (session, rest) = rest.split_first_chunk::<16>()?;
        let (generation, tag) = rest.split_first_chunk::<8>()?;
        Some(Self {
            session: Id::from_bytes(*session),
            generation: i64::from_be_bytes(*generation),
            tag: <[u8; TAG]>::try_from(tag).ok()?.into(),
        })
    }

    /// Whether whoever made the token had `key`; in constant time.
    pub(super) fn is_made_with(&self, key: &hmac::Key) -> bool {
        let made = Fingerprint::under(key, &head(self.session, self.generation));
        made.is_that_of(&self.tag).into()
    }
}

impl fmt::Debug for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claimed")
            .field("session", &self.session)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// The token of `generation`.
pub(super) fn make(session: Id, generation: i64, key: &hmac::Key) -> String {
    let head = head(session, generation);
    let tag = hmac::sign(key, &head);
    base64_simd::URL_SAFE_NO_PAD.encode_to_string([head.as_slice(), tag.as_ref()].concat())
}

fn head(session: Id, generation: i64) -> Vec<u8> {
    [
        [VERSION].as_slice(),
        session.as_bytes(),
        &generation.to_be_bytes(),
    ]
    .concat()
}

const VERSION: u8 = 1;
const TAG: usize = 32;
/// 57 bytes in base64url: no padding and no spare bits, so one spelling.
const TEXT: usize = 76;

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac;

    use super::{Claimed, make};
    use crate::clock::Timestamp;
    use crate::db::Id;

    #[test]
    fn token_reads_back_and_every_bent_one_fails() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"a key of a session");
        let session = Id::new(Timestamp::from_unix_seconds(1));
        let text = make(session, 7, &key);
        let claimed = Claimed::parse(&text).unwrap();
        assert_eq!((claimed.session, claimed.generation), (session, 7));
        assert!(claimed.is_made_with(&key));
        assert!(!claimed.is_made_with(&hmac::Key::new(hmac::HMAC_SHA256, b"another")));
        for place in 0..text.len() {
            let mut bent = text.clone().into_bytes();
            bent[place] = if bent[place] == b'A' { b'B' } else { b'A' };
            let bent = String::from_utf8(bent).unwrap();
            let passes = Claimed::parse(&bent).is_some_and(|claimed| claimed.is_made_with(&key));
            assert!(!passes, "{place}");
        }
        for short in 0..text.len() {
            assert!(Claimed::parse(&text[..short]).is_none());
        }
        assert!(Claimed::parse(&format!("{text}A")).is_none());
        assert!(!format!("{claimed:?}").contains("tag"));
    }
}
