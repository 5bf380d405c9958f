//! Entry: takes a stored event, its place and the hash before it, gives the hash that links it.
//!
//! **Invariant:** the hashed bytes follow from the columns alone, the same on both engines, and no two entries
//! have the same bytes: every field is led by its presence and its length.

use crate::clock::Timestamp;
use crate::db::Id;
use crate::extract::sha256;

/// A row of `customer_audit_events`.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) id: Id,
    pub(super) tenant: Id,
    pub(super) occurred_at: Timestamp,
    pub(super) actor_kind: String,
    pub(super) actor_id: String,
    pub(super) action: String,
    pub(super) customer: Option<Id>,
    pub(super) target_kind: String,
    pub(super) target_id: String,
    pub(super) request_id: Option<String>,
    pub(super) details: String,
    pub(super) link: Option<Link>,
}

/// Where an entry is in the chain, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) seq: i64,
    pub(super) prev_hash: Vec<u8>,
    pub(super) hash: Vec<u8>,
}

/// SHA-256 of an entry; all zeros before the first.
pub(super) type Hash = [u8; 32];

impl Entry {
    /// The hash of the entry at `seq`, behind `prev_hash`.
    pub(super) fn digest(&self, seq: i64, prev_hash: &Hash) -> Hash {
        let mut bytes = Fields::default();
        bytes.add(Some(VERSION.as_bytes()));
        bytes.add(Some(self.tenant.as_bytes()));
        bytes.add(Some(&seq.to_be_bytes()));
        bytes.add(Some(prev_hash));
        bytes.add(Some(self.id.as_bytes()));
        bytes.add(Some(&self.occurred_at.unix_micros().to_be_bytes()));
        bytes.add(Some(self.actor_kind.as_bytes()));
        bytes.add(Some(self.actor_id.as_bytes()));
        bytes.add(Some(self.action.as_bytes()));
        bytes.add(self.customer.as_ref().map(|id| id.as_bytes().as_slice()));
        bytes.add(Some(self.target_kind.as_bytes()));
        bytes.add(Some(self.target_id.as_bytes()));
        bytes.add(self.request_id.as_deref().map(str::as_bytes));
        bytes.add(Some(self.details.as_bytes()));
        sha256(&bytes.0)
    }
}

/// Fields one after the other: 0 for one that is absent, or 1, the length in eight bytes, and the bytes.
#[derive(Default)]
struct Fields(Vec<u8>);

impl Fields {
    fn add(&mut self, field: Option<&[u8]>) {
        let Some(bytes) = field else {
            self.0.push(0);
            return;
        };
        self.0.push(1);
        self.0.extend((bytes.len() as u64).to_be_bytes());
        self.0.extend(bytes);
    }
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Names what is hashed and how; another way of hashing has another name.
const VERSION: &str = "queue-audit-event-v1";
/// What stands before the first entry.
pub(super) const GENESIS: Hash = [0; 32];
