//! Given: the texts of one key → its value, or what was expected.

use std::time::Duration;

use super::{SettingsError, row, value};

/// The texts of a key, and its name.
pub(super) type Given<'a> = (Option<&'a Vec<String>>, &'a str);

/// What must be given.
pub(super) fn required<'a>(
    given: Option<&'a Vec<String>>,
    name: &str,
) -> Result<&'a [String], SettingsError> {
    match given {
        Some(values) if !values.is_empty() => Ok(values),
        _ => {
            let key = row(name);
            let expected = format!(
                "expected a value: set {} or {}, or `{name}` in the file of --config",
                key.flag, key.env
            );
            Err(SettingsError::new(name, expected))
        }
    }
}

/// At most one value.
pub(super) fn one<'a>(
    given: Option<&'a Vec<String>>,
    name: &str,
) -> Result<Option<&'a str>, SettingsError> {
    match given.map(Vec::as_slice) {
        None => Ok(None),
        Some([value]) => Ok(Some(value)),
        Some(_) => Err(SettingsError::of(name, "expected one value")),
    }
}

/// A value that reads itself.
pub(super) fn parsed<T>(
    given: Option<&Vec<String>>,
    name: &str,
    default: T,
) -> Result<T, SettingsError>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    one(given, name)?.map_or(Ok(default), |text| {
        text.parse()
            .map_err(|error: T::Err| SettingsError::of(name, error.to_string()))
    })
}

/// A duration between two bounds.
pub(super) fn within(
    (given, name): Given<'_>,
    least_millis: u64,
    most_millis: u64,
    default: Duration,
) -> Result<Duration, SettingsError> {
    let (least, most) = (
        Duration::from_millis(least_millis),
        Duration::from_millis(most_millis),
    );
    let Some(text) = one(given, name)? else {
        return Ok(default);
    };
    value::duration(text)
        .filter(|duration| (least..=most).contains(duration))
        .ok_or_else(|| {
            let (least, most) = (value::display(least), value::display(most));
            let expected = format!("expected a duration with its unit, {least} to {most}");
            SettingsError::of(name, expected)
        })
}

/// A number between two bounds.
pub(super) fn count(
    (given, name): Given<'_>,
    least: usize,
    most: usize,
    default: usize,
) -> Result<usize, SettingsError> {
    let Some(text) = one(given, name)? else {
        return Ok(default);
    };
    text.parse()
        .ok()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| SettingsError::of(name, format!("expected a number, {least} to {most}")))
}
