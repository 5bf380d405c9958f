//! Cross-part tests, one binary.

mod api;
mod architecture;
mod docs;
mod doctor;
mod error_codes;
mod fake_issuer;
mod hazards;
mod http_door;
mod issuers;
mod key_sets;
mod keys;
mod keys_host;
mod keys_order;
mod keys_snapshot;
mod keys_stories;
mod oracle;
mod panics;
mod pem;
mod remembered;
mod rotation;
mod rotation_lists;
mod sidecar;
mod status;
mod status_hostile;
mod status_reach;
mod vectors;
