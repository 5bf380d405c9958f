//! A number of JSON (RFC 8259 §6), within a double's range.

use super::Malformed;

/// A number: exact where it is written as a whole one of at most 18 digits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Whole(i64),
    Real(f64),
}

/// Reads the number of `document` that begins at `start`, and where it ends.
pub(super) fn read(document: &str, start: usize) -> Result<(Number, usize), Malformed> {
    let bytes = document.as_bytes();
    let is_negative = bytes.get(start) == Some(&b'-');
    let first = start + usize::from(is_negative);
    let mut end = first;
    let mut whole = 0_i64;
    while let Some(digit @ b'0'..=b'9') = bytes.get(end) {
        // Past 18 digits it may wrap, and is not used.
        whole = whole.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
        end += 1;
    }
    let digits = end - first;
    if digits == 0 || digits > 1 && bytes[first] == b'0' {
        return Err(Malformed);
    }
    if !matches!(bytes.get(end), Some(b'.' | b'e' | b'E')) && digits <= 18 {
        let whole = if is_negative { -whole } else { whole };
        return Ok((Number::Whole(whole), end));
    }
    end = real_end(bytes, end)?;
    let real: f64 = document[start..end].parse().map_err(|_| Malformed)?;
    if real.is_finite() {
        Ok((Number::Real(real), end))
    } else {
        Err(Malformed)
    }
}

/// Where a number ends whose digits before the point end at `at`.
fn real_end(bytes: &[u8], mut at: usize) -> Result<usize, Malformed> {
    if bytes.get(at) == Some(&b'.') {
        at = digits_end(bytes, at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        let has_sign = matches!(bytes.get(at + 1), Some(b'+' | b'-'));
        at = digits_end(bytes, at + 1 + usize::from(has_sign))?;
    }
    Ok(at)
}

/// Where the digits end that begin at `start`, at least one.
fn digits_end(bytes: &[u8], start: usize) -> Result<usize, Malformed> {
    let mut at = start;
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    if at == start { Err(Malformed) } else { Ok(at) }
}
