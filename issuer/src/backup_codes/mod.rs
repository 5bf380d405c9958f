//! Backup codes: takes a customer who has shown a passkey, gives ten codes to keep on paper; takes one of
//! them, gives a session.
//!
//! **Invariant:** a code is shown once, when it is made; the database keeps an HMAC of it under a key that is
//! not there.
//! **Invariant:** a code is spent by one conditional update: of two uses at once one succeeds.
//! **Invariant:** making a set voids the one before, in the same transaction.

pub(crate) mod routes;
mod sign_in;
mod store;

use std::time::Duration;

use crate::app::Shared;
use crate::audit::{self, Event};
use crate::clock::Timestamp;
use crate::customers::addresses;
use crate::db::{DbError, Id, Tx};
use crate::mail::{self, Mail};
use crate::problem::Problem;
use crate::secret::{Secrets, random};
use crate::signed_in::SignedIn;

/// A set that was just made.
struct MadeSet {
    codes: Vec<String>,
    created_at: Timestamp,
}

/// Makes a set for the customer in the place of the one before, and tells the customer by mail.
async fn make(shared: &Shared, signed_in: &SignedIn) -> Result<MadeSet, Problem> {
    let secrets = shared.secrets()?;
    let (customer, now) = (signed_in.customer(), shared.clock.now());
    let mut tx = shared.db.begin().await?;
    signed_in.hold(&mut tx, shared).await?;
    store::void(&mut tx, customer, now).await?;
    store::remove_old(&mut tx, customer, now.minus(KEPT)).await?;
    let set = Id::new(now);
    let mut codes = Vec::with_capacity(CODES);
    for slot in 1_i64.. {
        if codes.len() == CODES {
            break;
        }
        let secret = random::<SECRET>()?;
        let hash = hash(secrets, customer, &secret);
        store::insert(&mut tx, (customer, set, slot), &hash, now).await?;
        codes.push(written(&secret));
    }
    let target = set.to_string();
    let event = Event {
        action: "backup_codes.made",
        customer: Some(customer),
        target_kind: "backup_code_set",
        target_id: &target,
    };
    audit::record(&mut tx, &signed_in.actor(), &event, now).await?;
    let at = now.unix_seconds();
    let address = addresses::primary(&mut tx, customer).await?;
    let notice = Mail::BackupCodesMade { at };
    mail::notify(shared, &mut tx, address.as_ref(), &notice, now).await?;
    tx.commit().await?;
    shared.outbox.wake();
    Ok(MadeSet {
        codes,
        created_at: now,
    })
}

/// Voids the codes of `customer`.
pub(crate) async fn void(tx: &mut Tx, customer: Id, now: Timestamp) -> Result<(), DbError> {
    store::void(tx, customer, now).await
}

/// What is kept of a code; it is good for `customer` alone.
fn hash(secrets: &Secrets, customer: Id, secret: &[u8; SECRET]) -> Vec<u8> {
    let tag = secrets.code_hash("backup code", customer.as_bytes(), secret);
    tag.as_ref().to_vec()
}

/// The code as people copy it: four groups of four characters of Crockford's base 32.
fn written(secret: &[u8; SECRET]) -> String {
    let mut text = String::with_capacity(19);
    for place in 0..CHARACTERS {
        if place > 0 && place % 4 == 0 {
            text.push('-');
        }
        text.push(char::from(ALPHABET[digit(secret, place)]));
    }
    text
}

/// The five bits at `place`.
fn digit(secret: &[u8; SECRET], place: usize) -> usize {
    (0..5).fold(0, |digit, bit| {
        let bit = place * 5 + bit;
        digit << 1 | usize::from(secret[bit / 8] >> (7 - bit % 8) & 1)
    })
}

/// The code, from how somebody typed it: in any case, with or without hyphens and spaces, with letters for
/// the digits they look like.
fn read(text: &str) -> Option<[u8; SECRET]> {
    if text.len() > LONGEST {
        return None;
    }
    let mut secret = [0; SECRET];
    let mut place = 0;
    for character in text.chars().filter(|c| !c.is_whitespace() && *c != '-') {
        let folded = match character.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        };
        let digit = ALPHABET
            .iter()
            .position(|known| char::from(*known) == folded)?;
        if place == CHARACTERS {
            return None;
        }
        for bit in 0..5 {
            let is_set = digit >> (4 - bit) & 1 == 1;
            let at = place * 5 + bit;
            secret[at / 8] |= u8::from(is_set) << (7 - at % 8);
        }
        place += 1;
    }
    (place == CHARACTERS).then_some(secret)
}

/// How many codes a set has (contract §5).
const CODES: usize = 10;
/// 80 bits.
const SECRET: usize = 10;
const CHARACTERS: usize = SECRET * 8 / 5;
/// What people put between the groups is short.
const LONGEST: usize = 64;
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// How long a set that was replaced is kept, counted from when it was made.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

#[cfg(test)]
mod tests {
    use super::{read, written};

    #[test]
    fn codes_are_written_in_crockfords_base_32() {
        assert_eq!(written(&[0; 10]), "0000-0000-0000-0000");
        assert_eq!(written(&[0xff; 10]), "ZZZZ-ZZZZ-ZZZZ-ZZZZ");
        let counting = [0x00, 0x44, 0x32, 0x14, 0xc7, 0x42, 0x54, 0xb6, 0x35, 0xcf];
        assert_eq!(written(&counting), "0123-4567-89AB-CDEF");
        assert_eq!(read("0123-4567-89AB-CDEF"), Some(counting));
    }

    #[test]
    fn codes_are_read_as_people_type_them() {
        let code = read("0011-0011-89AB-CDEF").unwrap();
        for text in [
            "oOiL0ol189abcdef",
            " 0011 0011 89ab cdef\n",
            "OOII-OOLL-89AB-CDEF",
            "0-0-1-1-0-0-1-1-8-9-A-B-C-D-E-F",
        ] {
            assert_eq!(read(text), Some(code), "{text}");
        }
        let long = format!("{:64}0011-0011-89AB-CDEF", "");
        for text in [
            "",
            "0011-0011-89AB-CDE",
            "0011-0011-89AB-CDEFG",
            "U011-0011-89AB-CDEF",
            "0011_0011_89AB_CDEF",
            "٠011-0011-89AB-CDEF",
            &long,
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
