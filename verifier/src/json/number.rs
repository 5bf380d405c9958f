//! A number of JSON (RFC 8259 §6), within a double's range.

use super::Malformed;

/// A number: exact where it is written as a whole one of at most 18 digits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Whole(i64),
    Real(f64),
}

/// Reads the number at the start of `rest`, and how long it is.
pub(super) fn read(rest: &str) -> Result<(Number, usize), Malformed> {
    let bytes = rest.as_bytes();
    let digits = |from: usize| {
        bytes[from..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };
    let sign = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits(sign);
    let has_leading_zero = whole > 1 && bytes[sign] == b'0';
    if whole == 0 || has_leading_zero {
        return Err(Malformed);
    }
    let mut end = sign + whole;
    let mut is_whole = true;
    if bytes.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        if fraction == 0 {
            return Err(Malformed);
        }
        end += 1 + fraction;
        is_whole = false;
    }
    if let Some(b'e' | b'E') = bytes.get(end) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent == 0 {
            return Err(Malformed);
        }
        end += 1 + sign + exponent;
        is_whole = false;
    }
    let text = &rest[..end];
    if is_whole && whole <= 18 {
        let digit = |value: i64, byte: &u8| value * 10 + i64::from(byte - b'0');
        let value = bytes[sign..end].iter().fold(0, digit);
        return Ok((Number::Whole(if sign == 1 { -value } else { value }), end));
    }
    let real: f64 = text.parse().map_err(|_| Malformed)?;
    if real.is_finite() {
        Ok((Number::Real(real), end))
    } else {
        Err(Malformed)
    }
}
