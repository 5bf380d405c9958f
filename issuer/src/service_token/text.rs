//! Text: makes the tokens the database keeps hashes of, and takes presented ones apart.
//!
//! A token reads `qst_<prefix>_<secret><checksum>`: twelve characters that find its row and may be shown,
//! 256 random bits in base64url, and the first 32 bits of the SHA-256 of all that in six characters, so that
//! a scanner of leaked secrets knows a token for certain and a mistyped one costs no question to the database.
//!
//! **Invariant:** the text of a token is never logged, stored or printed twice; it is not `Debug`.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::db::Id;
use crate::extract::sha256;
use crate::secret::Fingerprint;

/// A new token: its id, its text, and what the database keeps.
pub(crate) struct Fresh {
    pub(crate) id: Id,
    pub(crate) text: SecretString,
    pub(super) prefix: String,
    pub(super) hash: [u8; 32],
}

/// A well-formed presented token: which row to look at, and what must be in it.
pub(crate) struct Presented {
    pub(super) prefix: String,
    hash: Fingerprint,
}

impl Fresh {
    pub(crate) fn new(now: Timestamp) -> Result<Self, Unspecified> {
        let mut name = [0_u8; PREFIX / 2];
        rand::fill(&mut name)?;
        let prefix: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut secret = Zeroizing::new([0_u8; 32]);
        rand::fill(secret.as_mut_slice())?;
        let secret =
            Zeroizing::new(base64_simd::URL_SAFE_NO_PAD.encode_to_string(secret.as_slice()));
        let body = Zeroizing::new(format!("{MARK}{prefix}_{}", secret.as_str()));
        let text = format!("{}{}", body.as_str(), checksum(&body));
        Ok(Self {
            id: Id::new(now),
            hash: sha256(text.as_bytes()),
            prefix,
            text: SecretString::from(text),
        })
    }
}

impl Presented {
    /// The token in `text`, if it is one in form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() != LENGTH || !text.is_ascii() {
            return None;
        }
        let (body, sum) = text.split_at(LENGTH - CHECKSUM);
        let (prefix, _) = body.strip_prefix(MARK)?.split_once('_')?;
        let named_well = prefix.len() == PREFIX
            && prefix
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        // The checksum is no secret: whoever knows the rest can compute it.
        if !named_well || checksum(body) != sum {
            return None;
        }
        Some(Self {
            prefix: prefix.to_owned(),
            hash: sha256(text.as_bytes()).into(),
        })
    }

    /// Whether it is the token `hash` was taken of; in constant time.
    pub(super) fn is(&self, hash: &[u8]) -> bool {
        self.hash.is(hash).into()
    }
}

fn checksum(body: &str) -> String {
    let hash = sha256(body.as_bytes());
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(&hash[..4])
}

/// What every stored token begins with.
pub(super) const MARK: &str = "qst_";
const PREFIX: usize = 12;
const CHECKSUM: usize = 6;
/// Mark, prefix, underscore, 43 characters of secret, checksum.
const LENGTH: usize = MARK.len() + PREFIX + 1 + 43 + CHECKSUM;

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::{Fresh, LENGTH, Presented};
    use crate::clock::Timestamp;

    #[test]
    fn a_made_token_is_read_and_every_other_byte_is_not() {
        let made = Fresh::new(Timestamp::from_unix_seconds(1_795_478_400)).unwrap();
        let text = made.text.expose_secret();
        assert_eq!(text.len(), LENGTH);
        let read = Presented::parse(text).unwrap();
        assert_eq!(read.prefix, made.prefix);
        assert!(read.is(&made.hash));
        assert!(!read.is(&[0; 32]) && !read.is(&[]) && !read.is(&made.hash[..31]));
        for place in 0..LENGTH {
            let mut other = text.as_bytes().to_vec();
            other[place] = if other[place] == b'a' { b'b' } else { b'a' };
            let other = String::from_utf8(other).unwrap();
            assert!(Presented::parse(&other).is_none(), "{place}");
        }
        for other in [
            "",
            "qst_",
            &text[1..],
            &text[..LENGTH - 1],
            &format!("{text} "),
            &text.to_uppercase(),
        ] {
            assert!(Presented::parse(other).is_none());
        }
    }
}
