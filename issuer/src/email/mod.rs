//! E-mail: takes an address somebody claims, gives proof that they read its mail: a code sent there.
//!
//! **Invariant:** a proof is good for one address, one purpose, one browser, and, unless it recovers an
//! account, one session of one customer; it is spent once.
//! **Invariant:** the answer to asking for a code is the same whether or not somebody owns the address.
//! **Invariant:** what is known about an address changes only here, and every change voids the proofs that
//! are still out.

mod confirm;
mod request;
pub(crate) mod routes;
mod store;

use std::time::Duration;

use serde::Deserialize;
use utoipa::ToSchema;

use crate::browser::cookies::LoginTransaction;
use crate::clock::Timestamp;
use crate::db::{Db, DbError, Id};
use crate::extract::sha256;
use crate::mail;
use crate::problem::Problem;
use crate::secret::{Secrets, random};
use crate::signed_in::SignedIn;

/// What a code is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = EmailPurpose)]
enum Purpose {
    /// The customer's own address is proved.
    Verify,
    /// Another address takes the place of the customer's.
    Change,
    /// The owner of the address signs in by it.
    Recover,
}

/// Who has shown what, once the code comes back.
#[derive(Debug)]
struct Proof {
    id: Id,
    /// None when no mail left, and then no code proves anything.
    customer: Option<Id>,
    email_normalised: String,
    purpose: Purpose,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Change => "change",
            Self::Recover => "recover",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let all = [Self::Verify, Self::Change, Self::Recover];
        all.into_iter().find(|purpose| purpose.as_str() == text)
    }

    fn of_mail(self) -> mail::Purpose {
        match self {
            Self::Verify => mail::Purpose::Verify,
            Self::Change => mail::Purpose::Change,
            Self::Recover => mail::Purpose::Recover,
        }
    }
}

impl Proof {
    /// What is kept of `code`; it proves this and nothing else.
    fn code_hash(&self, secrets: &Secrets, code: &str) -> [u8; 32] {
        let (purpose, owner) = self.code_owner();
        let tag = secrets.code_hash(purpose, &owner, code.as_bytes());
        let mut hash = [0; 32];
        hash.copy_from_slice(tag.as_ref());
        hash
    }

    fn is_shown_by(&self, secrets: &Secrets, code: &str, kept: &[u8]) -> bool {
        let (purpose, owner) = self.code_owner();
        secrets.is_code(purpose, &owner, code.as_bytes(), kept)
    }

    fn code_owner(&self) -> (&'static str, Vec<u8>) {
        let purpose = match self.purpose {
            Purpose::Verify => "email verify",
            Purpose::Change => "email change",
            Purpose::Recover => "email recover",
        };
        let mut owner = self.id.as_bytes().to_vec();
        owner.extend_from_slice(self.email_normalised.as_bytes());
        (purpose, owner)
    }
}

/// What a code asked for in this browser, and in this session of it, is bound to.
fn session_binding(browser: &LoginTransaction, signed_in: &SignedIn) -> [u8; 32] {
    let mut both = browser.binding().to_vec();
    both.extend_from_slice(signed_in.session.id.as_bytes());
    sha256(&both)
}

/// Eight digits, each number as likely as any other.
fn new_code() -> Result<String, Problem> {
    loop {
        let number = u32::from_be_bytes(random::<4>()?);
        if let Some(code) = code_of(number) {
            return Ok(code);
        }
    }
}

/// None for the numbers that would make some codes likelier.
fn code_of(number: u32) -> Option<String> {
    let fair = u32::MAX - u32::MAX % CODES;
    (number < fair).then(|| format!("{:08}", number % CODES))
}

/// The code as it was mailed, from how it was typed.
fn typed(code: &str) -> String {
    let is_kept = |character: &char| !character.is_whitespace() && *character != '-';
    code.chars().filter(is_kept).collect()
}

/// Removes proofs that no limit counts any more.
pub(crate) async fn sweep(db: &Db, now: Timestamp) -> Result<(), DbError> {
    store::remove_expired(db, now.minus(LIMITED)).await
}

const CODES: u32 = 100_000_000;
/// How long a code is good (contract §5).
const CODE_LIFE: Duration = Duration::from_secs(600);
/// How often one may be tried.
const MAX_ATTEMPTS: i64 = 5;
/// How many codes are mailed within [`LIMITED`], for one purpose, to one address or on behalf of one
/// customer.
const MAX_MAILS: i64 = 20;
/// Of these, how many one browser may ask for: a stranger who asks leaves some for the owner.
const MAX_MAILS_HERE: i64 = 5;
const LIMITED: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests {
    use super::{code_of, typed};

    #[test]
    fn codes_keep_their_zeros_and_are_all_as_likely() {
        for (number, expect) in [
            (0, Some("00000000")),
            (7, Some("00000007")),
            (99_999_999, Some("99999999")),
            (100_000_001, Some("00000001")),
            (4_199_999_999, Some("99999999")),
            (4_200_000_000, None),
            (u32::MAX, None),
        ] {
            assert_eq!(code_of(number).as_deref(), expect, "{number}");
        }
    }

    #[test]
    fn codes_are_read_as_people_type_them() {
        for text in ["01234567", " 0123 4567\n", "0123-4567"] {
            assert_eq!(typed(text), "01234567");
        }
        assert_ne!(typed("1234567"), "01234567");
    }
}
