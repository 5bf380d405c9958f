//! Authenticator data: takes the bytes an authenticator signed, gives what it says of itself.
//!
//! **Invariant:** each byte is accounted for: nothing follows the last member, no map has a key twice, nothing
//! nests deeper than eight levels. What two readers could read differently is refused.
//!
//! W3C WebAuthn Level 3 §6.1, §6.5; CTAP 2.2 §8 for the CBOR authenticators write.

use ciborium::Value;

/// What a new passkey says of itself.
#[derive(Debug)]
pub(super) struct Attested {
    pub(super) aaguid: [u8; 16],
    pub(super) credential_id: Vec<u8>,
    pub(super) sign_count: u32,
    pub(super) backup_eligible: bool,
    pub(super) backup_state: bool,
}

impl Attested {
    /// Reads an attestation object.
    pub(super) fn read(object: &[u8]) -> Option<Self> {
        if object.len() > MAX_OBJECT {
            return None;
        }
        let (object, rest) = take(object)?;
        if !rest.is_empty() {
            return None;
        }
        let members = object.as_map()?;
        let data = members
            .iter()
            .find(|(name, _)| name.as_text() == Some("authData"))?;
        let data = data.1.as_bytes()?;
        let (flags, sign_count, rest) = head(data)?;
        if flags & ATTESTED == 0 {
            return None;
        }
        let (aaguid, rest) = rest.split_first_chunk::<16>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (credential_id, rest) =
            rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        let (_key, rest) = take(rest)?;
        extensions(flags, rest)?;
        Some(Self {
            aaguid: *aaguid,
            credential_id: credential_id.to_vec(),
            sign_count,
            backup_eligible: flags & BACKUP_ELIGIBLE != 0,
            backup_state: flags & BACKUP_STATE != 0,
        })
    }
}

/// Whether `data` is what an authenticator writes when a passkey is shown.
pub(super) fn is_sound_assertion(data: &[u8]) -> bool {
    let read = || {
        let (flags, _, rest) = head(data)?;
        if flags & ATTESTED != 0 {
            return None;
        }
        extensions(flags, rest)
    };
    data.len() <= MAX_OBJECT && read().is_some()
}

/// Flags, counter, and what follows.
fn head(data: &[u8]) -> Option<(u8, u32, &[u8])> {
    let (_rp_id_hash, rest) = data.split_first_chunk::<32>()?;
    let (flags, rest) = rest.split_first()?;
    let (counter, rest) = rest.split_first_chunk::<4>()?;
    if flags & BACKUP_STATE != 0 && flags & BACKUP_ELIGIBLE == 0 {
        return None;
    }
    Some((*flags, u32::from_be_bytes(*counter), rest))
}

/// Holds the tail against the flag that announces it.
fn extensions(flags: u8, tail: &[u8]) -> Option<()> {
    if flags & EXTENSIONS == 0 {
        return tail.is_empty().then_some(());
    }
    let (extensions, rest) = take(tail)?;
    (extensions.is_map() && rest.is_empty()).then_some(())
}

/// One item of CBOR, and what follows it.
fn take(mut bytes: &[u8]) -> Option<(Value, &[u8])> {
    let read = ciborium::de::from_reader_with_recursion_limit::<Value, _>(&mut bytes, MAX_DEPTH);
    let value = read.ok()?;
    is_plain(&value).then_some((value, bytes))
}

/// No tag, and no map with a key twice.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::Tag(..) => false,
        Value::Array(items) => items.iter().all(is_plain),
        Value::Map(members) => {
            members.len() <= MAX_MEMBERS
                && members.iter().enumerate().all(|(place, (key, value))| {
                    let is_new = members
                        .iter()
                        .take(place)
                        .all(|(earlier, _)| earlier != key);
                    is_new && is_plain(key) && is_plain(value)
                })
        }
        _ => true,
    }
}

const BACKUP_ELIGIBLE: u8 = 1 << 3;
const BACKUP_STATE: u8 = 1 << 4;
const ATTESTED: u8 = 1 << 6;
const EXTENSIONS: u8 = 1 << 7;
const MAX_OBJECT: usize = 16 * 1024;
const MAX_DEPTH: usize = 8;
const MAX_MEMBERS: usize = 32;
