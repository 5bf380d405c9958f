//! `bits` and `lst` → one status for each index.
//!
//! **Invariant:** a list that is made was whole: strict base64url, one zlib stream to its checksum
//! and nothing behind it, within [`MAX_INFLATED`] whatever the stream claims (hazard V32).
//!
//! Token Status List §4.1, §4.2; RFC 1950.

use base64_simd::URL_SAFE_NO_PAD;
use flate2::{Decompress, FlushDecompress, Status};

/// Largest list, inflated, in bytes: 134 million sessions of one bit.
pub(crate) const MAX_INFLATED: usize = 16 * 1024 * 1024;
/// What is set aside before anything is inflated: one million sessions of one bit.
const FIRST_CAPACITY: usize = 128 * 1024;

/// The statuses of one list, as they are packed on the wire.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StatusList {
    /// 1, 2, 4 or 8.
    bits: u8,
    bytes: Box<[u8]>,
}

impl StatusList {
    /// Decodes `lst`, whose statuses have `bits` bits each.
    pub(crate) fn parse(bits: i64, lst: &str) -> Option<Self> {
        let bits = match bits {
            1 => 1,
            2 => 2,
            4 => 4,
            8 => 8,
            _ => return None,
        };
        let zlib = URL_SAFE_NO_PAD.decode_to_vec(lst).ok()?;
        let bytes = inflate(&zlib)?.into_boxed_slice();
        Some(Self { bits, bytes })
    }

    /// The status at `idx`; none beyond the end.
    pub(crate) fn status(&self, idx: u32) -> Option<u8> {
        let per_byte = u32::from(8 / self.bits);
        let byte = *self.bytes.get(usize::try_from(idx / per_byte).ok()?)?;
        let shift = (idx % per_byte) * u32::from(self.bits);
        // The lowest bits of a byte come first.
        Some((byte >> shift) & (u8::MAX >> (8 - self.bits)))
    }

    /// Whether `other` lets through again what is over for good here: a status that is neither
    /// valid nor suspended. A place that is gone is taken back too, and so is a list of other bits.
    pub(crate) fn is_taken_back_by(&self, other: &Self) -> bool {
        if self.bits != other.bits {
            return true;
        }
        match self.bits {
            1 => self.loses(other, |status| status),
            // Of 0 to 3 the odd ones are over.
            2 => self.loses(other, |statuses| statuses & 0b0101_0101),
            4 => self.loses(other, over_halves),
            _ => self.loses(other, |status| u8::from(is_over(status))),
        }
    }

    /// Whether `other` lacks a bit that `over` finds in the same byte here; without a branch for
    /// each byte, as there are millions.
    fn loses(&self, other: &Self, over: impl Fn(u8) -> u8) -> bool {
        let kept = self.bytes.len().min(other.bytes.len());
        let (kept, gone) = self.bytes.split_at(kept);
        let pairs = kept.iter().zip(&other.bytes);
        let lost = pairs.fold(0, |lost, (old, new)| lost | over(*old) & !over(*new));
        gone.iter().fold(lost, |lost, old| lost | over(*old)) != 0
    }

    /// How many statuses there are.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() * usize::from(8 / self.bits)
    }
}

/// Whether a session of this status is over for good: 0 is valid, 2 suspended.
const fn is_over(status: u8) -> bool {
    !matches!(status, 0 | 2)
}

/// The lowest bit of each half of `byte` says whether the status there is over.
const fn over_halves(byte: u8) -> u8 {
    let over = byte & 0b1101_1101;
    (over | over >> 1 | over >> 2 | over >> 3) & 0b0001_0001
}

fn inflate(zlib: &[u8]) -> Option<Vec<u8>> {
    let mut stream = Decompress::new(true);
    let mut bytes = Vec::with_capacity(FIRST_CAPACITY);
    loop {
        let (read, written) = (stream.total_in(), bytes.len());
        let rest = zlib.get(usize::try_from(read).ok()?..)?;
        let state = stream
            .decompress_vec(rest, &mut bytes, FlushDecompress::None)
            .ok()?;
        if let Status::StreamEnd = state {
            let is_whole = stream.total_in() == u64::try_from(zlib.len()).ok()?;
            return is_whole.then_some(bytes);
        }
        if bytes.len() == bytes.capacity() {
            if bytes.len() >= MAX_INFLATED {
                return None;
            }
            bytes.reserve_exact(bytes.len().min(MAX_INFLATED - bytes.len()));
        } else if stream.total_in() == read && bytes.len() == written {
            return None; // The stream ends before its end.
        }
    }
}
