//! Flag: takes `FLAG_QUEUE_V1`, decides which routes and which customers Queue answers for.
//!
//! **Invariant:** a customer is in or out by its id alone, so every replica and every restart agree,
//! and raising the share only adds customers.
//!
//! Off hides every `/api/v1` route of the public listener; the JWK Set, discovery and health stay, so
//! that tokens already out can still be checked. The operators' listener stays too: keys must be
//! publishable before the flag goes on, and revocable after it went off. With a share, the decision
//! that counts, minting a session, is made per customer; the routes that prepare customers are open.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;

use crate::db::Id;

/// Who Queue answers for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flag {
    Off,
    Share(u8),
    On,
}

impl Flag {
    /// Whether `/api/v1` exists at all.
    pub(crate) fn is_visible(self) -> bool {
        !matches!(self, Self::Off | Self::Share(0))
    }

    /// Whether Queue decides for this customer.
    pub(crate) fn admits(self, customer: Id) -> bool {
        match self {
            Self::Off => false,
            Self::On => true,
            Self::Share(percent) => bucket(customer) < percent,
        }
    }
}

/// The customer's place from 0 to 99: the start of SHA-256 over its id, which unlike the id itself
/// does not follow the time it was made.
fn bucket(customer: Id) -> u8 {
    let hash = digest::digest(&digest::SHA256, customer.as_bytes());
    let head = hash
        .as_ref()
        .iter()
        .take(4)
        .fold(0_u32, |head, byte| head << 8 | u32::from(*byte));
    u8::try_from(head % 100).unwrap_or(99)
}

impl FromStr for Flag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "on" => Ok(Self::On),
            _ => text
                .strip_suffix('%')
                .filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|number| number.parse::<u8>().ok())
                .filter(|percent| *percent <= 100)
                .map(Self::Share)
                .ok_or_else(|| "expected off, on, or a share from 0% to 100%".to_owned()),
        }
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::On => f.write_str("on"),
            Self::Share(percent) => write!(f, "{percent}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Flag;
    use crate::clock::Timestamp;
    use crate::db::Id;

    #[test]
    fn shared_vectors_get_their_flag_and_bucket() {
        let text = include_str!("../../tests/vectors/cutover/buckets.json");
        let vectors: serde_json::Value = serde_json::from_str(text).unwrap();
        for case in vectors["buckets"].as_array().unwrap() {
            let id = Id::parse(case["customer_id"].as_str().unwrap()).unwrap();
            assert_eq!(u64::from(super::bucket(id)), case["bucket"], "{case}");
        }
        for case in vectors["flags"].as_array().unwrap() {
            let percent = match case["text"].as_str().unwrap().parse().unwrap() {
                Flag::Off => 0,
                Flag::Share(percent) => percent,
                Flag::On => 100,
            };
            assert_eq!(u64::from(percent), case["percent"], "{case}");
        }
        for text in vectors["malformed"].as_array().unwrap() {
            assert!(text.as_str().unwrap().parse::<Flag>().is_err(), "{text}");
        }
    }

    #[test]
    fn share_is_stable_and_only_grows() {
        let ids: Vec<Id> = (0..1000)
            .map(|n| Id::new(Timestamp::from_unix_seconds(n)))
            .collect();
        for pair in [1_u8, 10, 50, 99, 100].windows(2) {
            for id in &ids {
                assert!(!Flag::Share(pair[0]).admits(*id) || Flag::Share(pair[1]).admits(*id));
            }
        }
        assert!(
            ids.iter()
                .all(|id| Flag::Share(100).admits(*id) && !Flag::Share(0).admits(*id))
        );
        let half = ids.iter().filter(|id| Flag::Share(50).admits(**id)).count();
        assert!((400..600).contains(&half), "{half}");
    }
}
