//! Cross-part tests, one binary.

mod api;
mod doctor;
mod http_door;
mod keys;
mod oracle;
mod pem;
mod vectors;
