//! Cross-part tests, one binary.

mod api;
mod architecture;
mod docs;
mod doctor;
mod error_codes;
mod hazards;
mod http_door;
mod key_sets;
mod keys;
mod oracle;
mod pem;
mod status;
mod status_hostile;
mod status_reach;
mod vectors;
