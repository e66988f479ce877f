//! Times as items carry them: DynamoDB has no type for them.

use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Timestamp};

use crate::cloud::tables::Scalar;

/// A time from a number of seconds, milliseconds, microseconds or nanoseconds since 1970, told apart
/// by their size, or from text: RFC 3339, or a date with or without a time, taken as UTC. `None`: it
/// is none.
pub fn time_of(value: &Scalar) -> Option<Timestamp> {
    match value {
        Scalar::Number(text) => of_number(text),
        Scalar::Text(text) => of_text(text.trim()),
        Scalar::Bytes(_) => None,
    }
}

fn of_number(text: &str) -> Option<Timestamp> {
    let number: f64 = text.parse().ok()?;
    if !number.is_finite() || number < 0.0 {
        return None;
    }
    // Until the year 5138 seconds have no more than eleven digits, and milliseconds since 1973 no less
    // than twelve.
    let seconds = match number {
        n if n < 1e11 => n,
        n if n < 1e14 => n / 1e3,
        n if n < 1e17 => n / 1e6,
        n => n / 1e9,
    };
    let length = SignedDuration::try_from_secs_f64(seconds).ok()?;
    Timestamp::from_duration(length).ok()
}

fn of_text(text: &str) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    // Seconds that were stored as text.
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return match text.len() {
            // 20261122
            8 => text.parse::<Date>().ok().and_then(midnight),
            _ => of_number(text),
        };
    }
    let utc = |at: DateTime| {
        at.to_zoned(jiff::tz::TimeZone::UTC)
            .ok()
            .map(|z| z.timestamp())
    };
    match text.parse::<DateTime>() {
        Ok(at) => utc(at),
        Err(_) => text.parse::<Date>().ok().and_then(midnight),
    }
}

fn midnight(date: Date) -> Option<Timestamp> {
    let at = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(at.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_the_forms_that_people_store() {
        let wanted: Timestamp = "2026-11-22T08:00:00Z".parse().unwrap();
        let number = |n: &str| time_of(&Scalar::Number(n.to_owned()));
        let text = |t: &str| time_of(&Scalar::Text(t.to_owned()));
        for found in [
            number("1795334400"),
            number("1795334400000"),
            number("1795334400000000"),
            number("1795334400000000000"),
            number("1.7953344E+9"),
            text("2026-11-22T08:00:00Z"),
            text("2026-11-22T09:00:00+01:00"),
            text("2026-11-22T08:00:00.000Z"),
            text("2026-11-22 08:00:00"),
            text("2026-11-22T08:00"),
            text("1795334400"),
        ] {
            assert_eq!(found, Some(wanted));
        }
        let midnight: Timestamp = "2026-11-22T00:00:00Z".parse().unwrap();
        assert_eq!(text("2026-11-22"), Some(midnight));
        assert_eq!(text("20261122"), Some(midnight));
        for none in [
            text(""),
            text("soon"),
            text("12.11.2026"),
            number("-5"),
            number("1e300"),
        ] {
            assert_eq!(none, None);
        }
        assert_eq!(time_of(&Scalar::Bytes(vec![1])), None);
    }
}
