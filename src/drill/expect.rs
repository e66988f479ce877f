//! What a check expects: a comparison and a value, like `> 0`, `<= 24`, `!= 'failed'`,
//! `between 1 and 5`, `is null`.

use std::cmp::Ordering;
use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The one value that the query of a check gave, as PostgreSQL writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actual {
    Null,
    Bool(bool),
    /// Any precision; `NaN` and `Infinity` too.
    Number(String),
    /// A length of time, like `10 days 00:00:02` or `26:00:00`.
    Interval(String),
    /// Everything else: text, dates, JSON, …
    Text(String),
}

impl fmt::Display for Actual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actual::Null => f.write_str("null"),
            Actual::Bool(b) => write!(f, "{b}"),
            Actual::Number(text) | Actual::Interval(text) | Actual::Text(text) => f.write_str(text),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
    GreaterOrEqual,
    Greater,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Literal {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
}

/// A parsed expectation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    #[doc(hidden)]
    #[allow(private_interfaces)]
    Compare(Operator, Literal),
    #[doc(hidden)]
    #[allow(private_interfaces)]
    Between(Literal, Literal),
}

impl Expect {
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Expect, String> {
        let text = text.trim();
        let words: Vec<&str> = text.split_whitespace().collect();
        let lower: Vec<String> = words.iter().map(|w| w.to_lowercase()).collect();
        let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
        match lower.as_slice() {
            ["is", "null"] => return Ok(Expect::Compare(Operator::Equal, Literal::Null)),
            ["is", "not", "null"] => return Ok(Expect::Compare(Operator::NotEqual, Literal::Null)),
            ["between", _, "and", _] => {
                let (low, high) = (Literal::parse(words[1])?, Literal::parse(words[3])?);
                let ordered = matches!(
                    (&low, &high),
                    (Literal::Number(a), Literal::Number(b)) if a.cmp(b) != Ordering::Greater
                );
                if !ordered {
                    return Err(format!(
                        "`{text}`: between takes two numbers, the smaller one first"
                    ));
                }
                return Ok(Expect::Between(low, high));
            }
            _ => {}
        }
        let operators = [
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("!=", Operator::NotEqual),
            ("<>", Operator::NotEqual),
            ("==", Operator::Equal),
            ("<", Operator::Less),
            (">", Operator::Greater),
            ("=", Operator::Equal),
        ];
        let Some((operator, rest)) = operators
            .iter()
            .find_map(|(sign, op)| text.strip_prefix(sign).map(|rest| (*op, rest.trim())))
        else {
            return Err(format!("`{text}` is not an expectation"));
        };
        if rest.is_empty() {
            return Err(format!("`{text}` compares with nothing"));
        }
        let literal = Literal::parse(rest)?;
        let ordering = !matches!(operator, Operator::Equal | Operator::NotEqual);
        if ordering && matches!(literal, Literal::Null | Literal::Bool(_)) {
            return Err(format!(
                "`{text}`: {rest} can only be compared with = and !="
            ));
        }
        // As text, `10 days` is less than `26 hours`.
        if ordering
            && let Literal::Text(text_of) = &literal
            && order(text_of, text_of).is_none()
        {
            return Err(format!("`{text}`: {NOT_ORDERED}"));
        }
        Ok(Expect::Compare(operator, literal))
    }

    /// Whether a value is as expected.
    ///
    /// # Errors
    /// Why it cannot be compared.
    pub fn holds(&self, actual: &Actual) -> Result<bool, String> {
        match self {
            Expect::Compare(operator, literal) => literal.compare(actual, *operator),
            Expect::Between(low, high) => Ok(low.compare(actual, Operator::GreaterOrEqual)?
                && high.compare(actual, Operator::LessOrEqual)?),
        }
    }
}

impl Literal {
    fn parse(text: &str) -> Result<Literal, String> {
        for quote in ['\'', '"'] {
            if let Some(inner) = text.strip_prefix(quote) {
                return inner
                    .strip_suffix(quote)
                    .map(|inner| Literal::Text(inner.replace("''", "'")))
                    .ok_or_else(|| format!("{text}: the quote is not closed"));
            }
        }
        Ok(match text.to_ascii_lowercase().as_str() {
            "null" => Literal::Null,
            "true" => Literal::Bool(true),
            "false" => Literal::Bool(false),
            _ => {
                Number::parse(text).map_or_else(|| Literal::Text(text.to_owned()), Literal::Number)
            }
        })
    }

    fn compare(&self, actual: &Actual, operator: Operator) -> Result<bool, String> {
        let mismatch = |kind: &str, wanted: &str| {
            Err(format!(
                "the query gave {kind} ({actual}), which cannot be compared with {wanted}"
            ))
        };
        match (actual, self) {
            (Actual::Null, Literal::Null) => Ok(operator == Operator::Equal),
            (_, Literal::Null) => Ok(operator == Operator::NotEqual),
            // As in SQL, null is neither equal nor unequal to anything; max() over an empty table
            // is null, and must never pass.
            (Actual::Null, _) => Err("the query gave null".to_owned()),
            (Actual::Bool(a), Literal::Bool(b)) => Ok(operator.holds(a.cmp(b))),
            (Actual::Number(a), Literal::Number(b)) => match Number::parse(a) {
                Some(a) => Ok(operator.holds(a.cmp(b))),
                None if operator == Operator::NotEqual => Ok(true),
                None if a == "NaN" => Err("the query gave NaN".to_owned()),
                None => Ok(operator.holds(if a.starts_with('-') {
                    Ordering::Less
                } else {
                    Ordering::Greater
                })),
            },
            (Actual::Text(a) | Actual::Interval(a), Literal::Text(b))
                if matches!(operator, Operator::Equal | Operator::NotEqual) =>
            {
                Ok(operator.holds(a.as_str().cmp(b)))
            }
            (Actual::Interval(_), _) => Err(format!(
                "the query gave an interval ({actual}), which is only compared as a number: `extract(epoch from …)` gives its seconds"
            )),
            (Actual::Text(a), Literal::Text(b)) => match order(a, b) {
                Some(ordering) => Ok(operator.holds(ordering)),
                None => Err(format!(
                    "the query gave {actual}, compared with {b}: {NOT_ORDERED}"
                )),
            },
            // A text that looks like a number was written without quotes: equality is of text.
            (Actual::Text(a), Literal::Number(b))
                if matches!(operator, Operator::Equal | Operator::NotEqual) =>
            {
                Ok(operator.holds(a.as_str().cmp(&b.written)))
            }
            (Actual::Bool(_), _) => mismatch("a boolean", "anything but true or false"),
            (Actual::Number(_), _) => mismatch("a number", "something that is none"),
            (Actual::Text(_), _) => mismatch("text", "a number or boolean"),
        }
    }
}

const NOT_ORDERED: &str = "`<` and `>` take a number, a date like 2026-11-22, or a time with an offset on both sides or on none; of a length of time compare the seconds: `extract(epoch from …)`";

/// A date or a time as ISO 8601 and PostgreSQL write it.
enum Moment {
    /// With its offset from UTC.
    At(Timestamp),
    /// By the clock on some wall.
    Wall(DateTime),
}

impl Moment {
    fn parse(text: &str) -> Option<Moment> {
        // Four digits of a year and a hyphen: what else may be meant by other texts is not guessed.
        let year = text.as_bytes().get(..4)?;
        if !year.iter().all(u8::is_ascii_digit) || text.as_bytes().get(4) != Some(&b'-') {
            return None;
        }
        let (date, time) = text.split_at_checked(10)?;
        // `+00` and `+0530`: jiff takes both.
        let zoned = time.ends_with('Z') || time.contains(['+', '-']);
        match zoned {
            true => text.parse().ok().map(Moment::At),
            false if time.is_empty() => {
                let date: jiff::civil::Date = date.parse().ok()?;
                Some(Moment::Wall(date.at(0, 0, 0, 0)))
            }
            false => text.parse().ok().map(Moment::Wall),
        }
    }
}

/// The order of two texts by what they mean: times, and numbers of the same length; `None`: they have
/// none. A time with an offset and one without have none either, but for a day: midnight in UTC.
fn order(a: &str, b: &str) -> Option<Ordering> {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if is_digits(a) && is_digits(b) && a.len() == b.len() {
        return Some(a.cmp(b));
    }
    let utc = |at: DateTime| Some(at.to_zoned(TimeZone::UTC).ok()?.timestamp());
    match (Moment::parse(a)?, Moment::parse(b)?) {
        (Moment::At(a), Moment::At(b)) => Some(a.cmp(&b)),
        (Moment::Wall(a), Moment::Wall(b)) => Some(a.cmp(&b)),
        (Moment::At(a), Moment::Wall(day)) if b.len() == 10 => Some(a.cmp(&utc(day)?)),
        _ => None,
    }
}

impl Operator {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Operator::Less => ordering == Ordering::Less,
            Operator::LessOrEqual => ordering != Ordering::Greater,
            Operator::Equal => ordering == Ordering::Equal,
            Operator::NotEqual => ordering != Ordering::Equal,
            Operator::GreaterOrEqual => ordering != Ordering::Less,
            Operator::Greater => ordering == Ordering::Greater,
        }
    }
}

/// A decimal number of any precision, compared digit by digit: `numeric` has up to 131,072 digits
/// before the point, and no fixed-size type holds all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Number {
    negative: bool,
    /// Significant digits without leading and trailing zeros; empty for zero.
    digits: Vec<u8>,
    /// The value is `0.digits × 10^exponent`.
    exponent: i64,
    written: String,
}

impl Number {
    fn parse(text: &str) -> Option<Number> {
        let written = text.trim();
        let (negative, rest) = match written.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, written.strip_prefix('+').unwrap_or(written)),
        };
        let (mantissa, scale) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], rest[at + 1..].parse::<i32>().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = || whole.bytes().chain(fraction.bytes());
        if all().next().is_none() || !all().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let leading = all().take_while(|b| *b == b'0').count();
        let mut digits: Vec<u8> = all().skip(leading).collect();
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        let exponent = whole.len() as i64 - leading as i64 + i64::from(scale);
        Some(Number {
            negative: negative && !digits.is_empty(),
            exponent: if digits.is_empty() { 0 } else { exponent },
            digits,
            written: written.to_owned(),
        })
    }

    fn cmp(&self, other: &Number) -> Ordering {
        let magnitude = || match (self.digits.is_empty(), other.digits.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => self
                .exponent
                .cmp(&other.exponent)
                .then_with(|| self.digits.cmp(&other.digits)),
        };
        match (self.negative, other.negative) {
            (false, false) => magnitude(),
            (true, true) => magnitude().reverse(),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Actual {
        Actual::Number(text.to_owned())
    }

    fn holds(expect: &str, actual: &Actual) -> Result<bool, String> {
        Expect::parse(expect).unwrap().holds(actual)
    }

    #[test]
    fn numbers_compare_exactly_whatever_their_precision() {
        for (expect, actual, wanted) in [
            ("> 0", "1", true),
            ("> 0", "0", false),
            ("> 0", "0.00", false),
            ("< 24", "23.999999999999999999999999999999999999", true),
            ("< 24", "24.000000000000000000000000000000000001", false),
            ("= 42", "42.000", true),
            ("= 42", "4.2e1", true),
            ("!= 42", "42.0", false),
            ("= 0.3", "0.30000000000000004", false),
            ("<= -1", "-1.5", true),
            ("<= -1", "-0.5", false),
            ("= 0", "-0.0", true),
            (
                "> 99999999999999999999999999999999999999",
                "100000000000000000000000000000000000000",
                true,
            ),
            ("between 1 and 5", "5", true),
            ("between 1 and 5", "5.01", false),
            ("between -2 and 2", "-2.0", true),
            ("> 10", "Infinity", true),
            ("> 10", "-Infinity", false),
            (">= 1e3", "1000", true),
            ("> 9", "10", true),
        ] {
            assert_eq!(
                holds(expect, &number(actual)),
                Ok(wanted),
                "{actual} {expect}"
            );
        }
        assert!(holds("> 1", &number("NaN")).is_err());
    }

    #[test]
    fn null_passes_only_where_it_is_asked_for() {
        assert!(holds("< 24", &Actual::Null).is_err());
        assert!(holds("!= 3", &Actual::Null).is_err());
        assert_eq!(holds("is null", &Actual::Null), Ok(true));
        assert_eq!(holds("= null", &number("1")), Ok(false));
        assert_eq!(holds("is not null", &number("1")), Ok(true));
        assert_eq!(holds("!= null", &Actual::Null), Ok(false));
    }

    #[test]
    fn text_and_booleans() {
        let text = |t: &str| Actual::Text(t.to_owned());
        assert_eq!(holds("= ok", &text("ok")), Ok(true));
        assert_eq!(holds("= 'it''s'", &text("it's")), Ok(true));
        assert_eq!(holds("= 7", &text("7")), Ok(true));
        assert_eq!(holds("= 7", &text("07")), Ok(false));
        assert!(holds("> 7", &text("8")).is_err());
        assert_eq!(holds("= true", &Actual::Bool(true)), Ok(true));
        assert_eq!(holds("!= true", &Actual::Bool(true)), Ok(false));
        assert!(holds("= 1", &Actual::Bool(true)).is_err());
        assert!(holds("= ok", &number("1")).is_err());
        assert_eq!(holds(">= 2026-11-01", &text("2026-11-02")), Ok(true));
    }

    /// As text ten days would be less than 26 hours.
    #[test]
    fn only_what_has_an_order_is_ordered() {
        let text = |t: &str| Actual::Text(t.to_owned());
        let long = Actual::Interval("10 days 00:00:02.34".to_owned());
        for expect in ["< 26", "< 2026-11-22", ">= '20261122'"] {
            assert!(holds(expect, &long).is_err(), "{expect}");
        }
        assert_eq!(holds("= '10 days 00:00:02.34'", &long), Ok(true));
        assert_eq!(holds("!= '1 day'", &long), Ok(true));
        assert!(holds(">= 2026-11-01", &text("10 days")).is_err());
        assert!(holds(">= 2026-11-01", &text("infinity")).is_err());
        assert!(holds(">= 2026-11-01", &text("10000-11-01")).is_err());
        assert_eq!(
            holds(">= 2026-11-01", &text("2026-11-01 00:00:01+00")),
            Ok(true)
        );
        let late = text("2026-11-22 23:00:00+00");
        for (expect, wanted) in [
            (">= 2026-11-22T00:00:00Z", true),
            ("< 2026-11-22T00:00:00Z", false),
            ("< '2026-11-23 00:30:00+02'", false),
            ("> '2026-11-23 00:30:00+02'", true),
            ("< '2026-11-23 04:30:00+0530'", false),
            (">= 2026-11-22", true),
            ("< 2026-11-23", true),
        ] {
            assert_eq!(holds(expect, &late), Ok(wanted), "{expect}");
        }
        // Nobody says in which zone the other one is.
        assert!(holds("< '2026-11-22 22:00:00+00'", &text("2026-11-22 15:00:00")).is_err());
        assert!(holds("< '2026-11-22 22:00:00'", &late).is_err());
        assert_eq!(
            holds("< '2026-11-22 22:00:00'", &text("2026-11-22 15:00:00.5")),
            Ok(true)
        );
        assert_eq!(
            holds(">= '20240101120000'", &text("20240612090000")),
            Ok(true)
        );
        assert!(holds(">= '2024'", &text("20240612090000")).is_err());
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for bad in [
            "",
            "42",
            ">",
            "> null",
            "< true",
            "= 'open",
            "between 5 and 1",
            "between a and b",
            "< 26 hours",
            "< '26 hours'",
            "< 26:00:00",
            "<= 1 day 2 hours",
            "> yesterday",
            "< 'beta'",
            ">= now() - 1 day",
        ] {
            assert!(Expect::parse(bad).is_err(), "{bad}");
        }
    }
}
