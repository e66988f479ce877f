//! Amounts as AWS writes them.

use std::str::FromStr;

use rust_decimal::Decimal;

use crate::model::MOST_AMOUNT;

/// Powers of ten that an amount can sensibly have.
const MOST_EXPONENT: i32 = 64;

/// An amount that can be one: sums of such ones cannot overflow.
pub fn sane(value: Decimal) -> Option<Decimal> {
    (value.abs() <= MOST_AMOUNT).then_some(value)
}

/// Reads `12.3400`, `-0.0000000001`, `1E-7`; digits beyond the 28th after the point are rounded.
pub fn parse(text: &str) -> Option<Decimal> {
    let text = text.trim();
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    // `from_str` takes `_` between digits, which no service writes.
    if mantissa.contains('_') || exponent.abs() > MOST_EXPONENT {
        return None;
    }
    let mut value = Decimal::from_str(mantissa).ok()?;
    for _ in 0..exponent.abs() {
        value = if exponent > 0 {
            value.checked_mul(Decimal::TEN)?
        } else {
            value.checked_div(Decimal::TEN)?
        };
    }
    sane(value.normalize())
}

/// An amount that comes as a float: the shortest decimal that has this float. What was written as
/// `0.1` is 0.1 again.
pub fn from_float(value: f64) -> Option<Decimal> {
    value.is_finite().then(|| parse(&format!("{value:e}")))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        parse(text).map(|d| d.to_string())
    }

    #[test]
    fn amounts_are_read_in_every_form() {
        for (text, expected) in [
            ("12.3400", "12.34"),
            ("1E-7", "0.0000001"),
            ("-2.5e-3", "-0.0025"),
            ("3E2", "300"),
            ("0.0000000001", "0.0000000001"),
            (" 0 ", "0"),
            ("-0.00", "0"),
            ("1.5e-40", "0"),
            (
                "0.12345678901234567890123456789012",
                "0.1234567890123456789012345679",
            ),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
        for bad in [
            "",
            "USD 3",
            "1_000",
            "1e999",
            "--1",
            "NaN",
            "1,5",
            "1e28",
            "1000000000000001",
            "-1000000000000001",
        ] {
            assert_eq!(shown(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_largest_amounts_can_be_added_up() {
        assert_eq!(MOST_AMOUNT.to_string(), "1000000000000000");
        assert_eq!(parse("-1E15"), Some(-MOST_AMOUNT));
        let sum = MOST_AMOUNT * Decimal::from(1_000_000_000);
        assert!(sum.checked_mul(Decimal::ONE_HUNDRED).is_some());
    }

    #[test]
    fn floats_come_back_as_they_were_written() {
        for text in ["0.1", "1.0E-10", "123456.789", "-0.0000065", "0"] {
            let float: f64 = text.parse().unwrap();
            assert_eq!(from_float(float), parse(text), "{text}");
        }
        assert_eq!(from_float(f64::NAN), None);
        assert_eq!(from_float(f64::INFINITY), None);
    }
}
