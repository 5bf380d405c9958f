//! The harness: vectors, a clock to set by hand, a token forge, an issuer that misbehaves on
//! request.

pub mod clock;
pub mod forge;
pub mod issuer;
pub mod status_list;
pub mod status_server;
pub mod vectors;
pub mod wait;

pub use clock::FakeClock;
pub use forge::{Claims, Forge};
pub use issuer::{FakeIssuer, KeyServer, Reply};
pub use status_list::StatusListForge;
pub use status_server::{ListReply, StatusServer};
