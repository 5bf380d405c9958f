//! Words: numbers as a person says them; by reference or not, as the template has them.

use std::borrow::Borrow;

/// A span of whole seconds, in its two largest units.
pub(super) fn span(seconds: &u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let mut rest = *seconds;
    let mut parts = Vec::new();
    for (size, unit) in units {
        let count = rest / size;
        rest %= size;
        if count > 0 {
            parts.push(format!("{count} {unit}"));
        } else if !parts.is_empty() {
            break;
        }
        if parts.len() == 2 {
            break;
        }
    }
    if parts.is_empty() {
        return "0 s".to_owned();
    }
    parts.join(" ")
}

/// A fraction of seconds, with a unit that fits.
pub(super) fn seconds(seconds: &Option<f64>) -> String {
    let Some(seconds) = *seconds else {
        return "–".to_owned();
    };
    let (value, unit) = match seconds {
        _ if seconds < 0.001 => (seconds * 1e6, "µs"),
        _ if seconds < 1.0 => (seconds * 1e3, "ms"),
        _ => (seconds, "s"),
    };
    if value < 10.0 && value.fract() > 0.05 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// An amount of memory.
pub(super) fn bytes(bytes: impl Borrow<u64>) -> String {
    const STEPS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let bytes = *bytes.borrow();
    for (size, unit) in STEPS {
        if bytes >= size {
            let (whole, tenth) = (bytes / size, bytes % size * 10 / size);
            return format!("{whole}.{tenth} {unit}");
        }
    }
    format!("{bytes} B")
}

/// A count, its thousands apart.
pub(super) fn grouped(count: impl Borrow<u64>) -> String {
    let digits = count.borrow().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// `noun` for that many.
pub(super) fn plural(count: &usize, noun: &str) -> String {
    if *count == 1 {
        noun.to_owned()
    } else {
        format!("{noun}s")
    }
}

/// What is there, or that there is nothing.
pub(super) fn or_none(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or("none")
}

/// A moment (RFC 3339), from seconds since 1970.
pub(super) fn utc(seconds: &u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Years begin in March here, so that a leap day ends one; 719468 days before 1970 began 0000-03-01.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_their_two_largest_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (61, "1 min 1 s"),
            (3600, "1 h"),
            (3601, "1 h"),
            (90_061, "1 d 1 h"),
        ] {
            assert_eq!(span(&seconds), text);
        }
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_800_000_000, "2027-01-15 08:00:00 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(utc(&seconds), text);
        }
    }

    #[test]
    fn amounts_have_a_unit_that_fits() {
        assert_eq!(seconds(&Some(0.000_031_5)), "32 µs");
        assert_eq!(seconds(&Some(0.0025)), "2.5 ms");
        assert_eq!(seconds(&Some(5.0)), "5 s");
        assert_eq!(bytes(15 * 1024 * 1024 + 600 * 1024), "15.5 MiB");
        assert_eq!(grouped(1_234_567_u64), "1\u{202f}234\u{202f}567");
    }
}
