//! Secrets: takes the key-encryption key, gives the HMAC keys of refresh tokens, one-time codes
//! and decoys.
//!
//! **Invariant:** none of them is in the database, and a copy of the database alone makes or checks none of
//! what they guard.
//! **Invariant:** what is made of a secret is a [`Fingerprint`], and nothing but [`Fingerprint::is`] compares one.
//!
//! RFC 2104; RFC 5869 for how they follow from the key-encryption key.

use aws_lc_rs::{hmac, rand};
use subtle::{Choice, ConstantTimeEq as _};

use crate::app::Shared;
use crate::db::Id;
use crate::key::sealing::Kek;
use crate::problem::{Problem, ProblemCode};

/// The keys of everything a customer holds that the database keeps no copy of.
pub(crate) struct Secrets {
    refresh: hmac::Key,
    codes: hmac::Key,
    decoys: hmac::Key,
}

/// What was made of a secret by a hash or an HMAC. It has no `==`, and its bytes come out nowhere.
#[derive(Clone, Copy)]
pub(crate) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The HMAC of `text` under `key`.
    pub(crate) fn under(key: &hmac::Key, text: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(hmac::sign(key, text).as_ref());
        Self(bytes)
    }

    /// Whether it is `kept`; takes as long either way.
    pub(crate) fn is(&self, kept: &[u8]) -> Choice {
        self.0.as_slice().ct_eq(kept)
    }

    /// Whether both were made of one secret; takes as long either way.
    pub(crate) fn is_that_of(&self, other: &Self) -> Choice {
        self.is(&other.0)
    }
}

impl From<[u8; 32]> for Fingerprint {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl Secrets {
    pub(crate) fn new(kek: &Kek) -> Self {
        Self {
            refresh: kek.derive("queue refresh tokens v1"),
            codes: kek.derive("queue one-time codes v1"),
            decoys: kek.derive("queue decoy credentials v1"),
        }
    }

    /// The key of one session's refresh tokens; `salt` is random and the session's own.
    pub(crate) fn refresh_key(&self, session: Id, salt: &[u8]) -> hmac::Key {
        let mut context = hmac::Context::with_key(&self.refresh);
        context.update(session.as_bytes());
        context.update(salt);
        hmac::Key::new(hmac::HMAC_SHA256, context.sign().as_ref())
    }

    /// 32 bytes that stand for `subject`, the same each time, and tell nothing of it.
    pub(crate) fn decoy(&self, subject: &[u8], place: u8) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.decoys);
        context.update(&[place]);
        context.update(subject);
        context.sign()
    }

    /// What is kept of the one-time code `code`, good for `purpose` and `owner` alone.
    pub(crate) fn code_hash(&self, purpose: &str, owner: &[u8], code: &[u8]) -> hmac::Tag {
        self.code_context(purpose, owner, code).sign()
    }

    /// Whether `code` is the one that was kept as `hash`; takes as long either way.
    pub(crate) fn is_code(&self, purpose: &str, owner: &[u8], code: &[u8], hash: &[u8]) -> bool {
        let tag = self.code_hash(purpose, owner, code);
        let shown: Result<[u8; 32], _> = tag.as_ref().try_into();
        shown.is_ok_and(|shown| Fingerprint::from(shown).is(hash).into())
    }

    fn code_context(&self, purpose: &str, owner: &[u8], code: &[u8]) -> hmac::Context {
        let mut context = hmac::Context::with_key(&self.codes);
        for part in [purpose.as_bytes(), owner, code] {
            // The length first, so that no two lists of parts read the same.
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part);
        }
        context
    }
}

impl Shared {
    /// The secrets, without which nobody signs in.
    pub(crate) fn secrets(&self) -> Result<&Secrets, Problem> {
        self.secrets
            .as_ref()
            .ok_or_else(|| Problem::new(ProblemCode::SignInNotConfigured))
    }
}

/// Random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Problem> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(Problem::fault)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::Fingerprint;

    /// Two ways to have `some` for what can be compared by `==`, one for what cannot.
    trait Compared<Way> {
        fn some() -> bool {
            true
        }
    }
    impl<T> Compared<()> for T {}
    impl<T: PartialEq> Compared<u8> for T {}

    #[test]
    fn a_fingerprint_is_compared_by_itself_alone() {
        // Does not compile once there is an `==`: nobody knows which `some` is meant then.
        assert!(<Fingerprint as Compared<_>>::some());
        let made = Fingerprint::from([7; 32]);
        assert!(bool::from(made.is(&[7; 32])));
        assert!(bool::from(made.is_that_of(&Fingerprint::from([7; 32]))));
        let mut other = [7; 32];
        for place in 0..32 {
            other[place] = 8;
            assert!(!bool::from(made.is(&other)));
            other[place] = 7;
            assert!(!bool::from(made.is(&other[..place])));
        }
    }
}
