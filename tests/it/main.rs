//! Cross-part tests, one binary.

mod api;
mod architecture;
mod doctor;
mod error_codes;
mod hazards;
mod http_door;
mod keys;
mod oracle;
mod pem;
mod vectors;
