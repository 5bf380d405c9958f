//! List: takes statuses by index, gives the packed bytes and their compressed form.
//!
//! **Invariant:** index `i` is in byte `i * bits / 8`, the lowest bits first; nothing else is in the bytes.
//!
//! Token Status List §4.1 and §4.2; RFC 1950 and RFC 1951.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde::Serialize;

use crate::key::jwk_set::base64url;

/// How many bits a status takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bits {
    One = 1,
    #[cfg(test)]
    Two = 2,
    #[cfg(test)]
    Four = 4,
    #[cfg(test)]
    Eight = 8,
}

/// The statuses of one list.
#[derive(Debug, Clone)]
pub(crate) struct StatusList {
    bits: Bits,
    bytes: Vec<u8>,
}

/// The member `status_list` of a signed list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Encoded {
    pub(crate) bits: u8,
    pub(crate) lst: String,
}

/// The index lies outside the list, or the status does not fit into its bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an index and a status within the list")]
pub(crate) struct OutOfRange;

impl StatusList {
    /// A list of at least `size` statuses, all of them 0, `VALID`.
    pub(crate) fn new(bits: Bits, size: usize) -> Self {
        let bytes = vec![0; (size * bits as usize).div_ceil(8)];
        Self { bits, bytes }
    }

    /// Gives index `at` the status `status`.
    pub(crate) fn set(&mut self, at: usize, status: u8) -> Result<(), OutOfRange> {
        let width = self.bits as usize;
        let mask = u8::MAX >> (8 - width);
        let bit = at.checked_mul(width).ok_or(OutOfRange)?;
        let byte = self.bytes.get_mut(bit / 8).ok_or(OutOfRange)?;
        if status & !mask != 0 {
            return Err(OutOfRange);
        }
        *byte = *byte & !(mask << (bit % 8)) | status << (bit % 8);
        Ok(())
    }

    /// The list as a signed token carries it.
    pub(crate) fn encode(&self) -> std::io::Result<Encoded> {
        // The highest level, as the draft recommends: a list is packed once and fetched by every verifier.
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&self.bytes)?;
        Ok(Encoded {
            bits: self.bits as u8,
            lst: base64url(&encoder.finish()?),
        })
    }
}
