use std::fmt;

use rust_decimal::Decimal;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

/// An amount of money or a percentage, written in TOML as an integer or a decimal string.
///
/// A float is refused: `0.1` has no exact binary form, and money must add up to the cent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Amount(pub Decimal);

/// No amount is larger. Even a billion of them, and percentages of their sum, are far below what a
/// decimal holds, so that sums of what was let in cannot overflow.
pub const MOST_AMOUNT: Decimal = Decimal::from_parts(0xA4C6_8000, 0x0003_8D7E, 0, false, 0);

fn bounded<E: de::Error>(value: Decimal) -> Result<Amount, E> {
    if value.abs() > MOST_AMOUNT {
        return Err(E::custom(format!("{value} is larger than any amount")));
    }
    Ok(Amount(value))
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Amount;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an integer, or a decimal in quotes like \"0.50\"")
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Amount, E> {
                bounded(Decimal::from(value))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Amount, E> {
                bounded(Decimal::from(value))
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Amount, E> {
                Err(E::custom(format!(
                    "a float cannot hold money exactly: write \"{value}\" in quotes"
                )))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount, E> {
                Decimal::from_str_exact(text.trim())
                    .map_err(|_| {
                        E::custom(format!("`{text}` is not a decimal number like \"0.50\""))
                    })
                    .and_then(bounded)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Amount".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An integer, or a decimal in quotes like \"0.50\".",
            "anyOf": [
                {"type": "integer"},
                {"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]+)?$"}
            ]
        })
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// US dollars with cents, for people: `1234.5` becomes `1,234.50`.
pub fn usd(amount: Decimal) -> String {
    let text = format!("{:.2}", amount.round_dp(2).abs());
    let (whole, cents) = text.split_once('.').unwrap_or((&text, "00"));
    let grouped = group_digits(whole);
    let sign = if amount.round_dp(2).is_sign_negative() && !amount.round_dp(2).is_zero() {
        "-"
    } else {
        ""
    };
    format!("{sign}{grouped}.{cents}")
}

/// `1300000` becomes `1,300,000`.
pub fn grouped(n: u64) -> String {
    group_digits(&n.to_string())
}

fn group_digits(digits: &str) -> String {
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_grouped_and_signed() {
        let show = |text: &str| usd(Decimal::from_str_exact(text).unwrap());
        assert_eq!(show("1234567.891"), "1,234,567.89");
        assert_eq!(show("-0.004"), "0.00");
        assert_eq!(show("-12.5"), "-12.50");
        assert_eq!(show("999"), "999.00");
    }

    #[test]
    fn absurd_amounts_are_refused() {
        let read = |json: &str| serde_json::from_str::<Amount>(json).map_err(|e| e.to_string());
        assert_eq!(read("1000000000000000").unwrap().0, MOST_AMOUNT);
        for absurd in ["1000000000000001", "\"-7000000000000000000000\""] {
            let said = read(absurd).unwrap_err();
            assert!(said.contains("larger than any amount"), "{said}");
        }
    }
}
