//! Cross-part tests, one binary.

mod api;
mod doctor;
mod keys;
mod oracle;
mod pem;
mod vectors;
