//! Expressions of metric math: reading them.
//!
//! Source: CloudWatch user guide, "Using math expressions with CloudWatch metrics".

use winnow::ascii::{Caseless, float, multispace0};
use winnow::combinator::{alt, delimited, eof, not, preceded, repeat, separated, terminated};
use winnow::error::{ContextError, ErrMode};
use winnow::prelude::*;
use winnow::token::{literal, take_till, take_while};

#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    Number(f64),
    Text(String),
    /// The id of another query, or a word such as `REPEAT`.
    Name(String),
    Negative(Box<Expression>),
    Binary(Operator, Box<Expression>, Box<Expression>),
    /// The name in capitals.
    Call(String, Vec<Expression>),
    List(Vec<Expression>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
    Equal,
    NotEqual,
    LessOrEqual,
    GreaterOrEqual,
    Less,
    Greater,
    And,
    Or,
}

/// The longest that CloudWatch takes. Source: API model, `cloudwatch:MetricExpression`.
const LONGEST: usize = 2048;
/// Levels of nesting: the parser recurses.
const DEEPEST: usize = 64;

impl Expression {
    /// # Errors
    /// What follows the part of the expression that could be read.
    pub fn parse(text: &str) -> Result<Expression, String> {
        let opened = text.chars().filter(|c| "([".contains(*c)).count();
        let signs = text.chars().filter(|c| *c == '-').count();
        if text.len() > LONGEST || opened > 8 * DEEPEST || signs > 8 * DEEPEST {
            return Err(format!(
                "longer or deeper than CloudWatch takes ({LONGEST})"
            ));
        }
        let mut rest = text;
        match terminated(or, (multispace0, eof)).parse_next(&mut rest) {
            Ok(expression) => Ok(expression),
            Err(_) => Err(format!(
                "not understood from `{}` on",
                rest.trim().chars().take(40).collect::<String>()
            )),
        }
    }
}

type Input<'a> = &'a str;
type Error = ErrMode<ContextError>;

fn sign<'a>(text: &'static str, operator: Operator) -> impl Parser<Input<'a>, Operator, Error> {
    preceded(multispace0, literal(text)).value(operator)
}

fn word<'a>(text: &'static str, operator: Operator) -> impl Parser<Input<'a>, Operator, Error> {
    delimited(
        multispace0,
        literal(Caseless(text)),
        not(take_while(1, is_name)),
    )
    .value(operator)
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Operators of one strength, from left to right.
fn level<'a>(
    input: &mut Input<'a>,
    mut stronger: impl FnMut(&mut Input<'a>) -> Result<Expression, Error>,
    operator: impl Parser<Input<'a>, Operator, Error>,
) -> Result<Expression, Error> {
    let first = stronger(input)?;
    let more: Vec<(Operator, Expression)> =
        repeat(0.., (operator, |i: &mut Input<'a>| stronger(i))).parse_next(input)?;
    Ok(more.into_iter().fold(first, |left, (operator, right)| {
        Expression::Binary(operator, Box::new(left), Box::new(right))
    }))
}

fn or(input: &mut Input<'_>) -> Result<Expression, Error> {
    let operator = alt((sign("||", Operator::Or), word("OR", Operator::Or)));
    level(input, and, operator)
}

fn and(input: &mut Input<'_>) -> Result<Expression, Error> {
    let operator = alt((sign("&&", Operator::And), word("AND", Operator::And)));
    level(input, comparison, operator)
}

fn comparison(input: &mut Input<'_>) -> Result<Expression, Error> {
    let operator = alt((
        sign("==", Operator::Equal),
        sign("!=", Operator::NotEqual),
        sign("<=", Operator::LessOrEqual),
        sign(">=", Operator::GreaterOrEqual),
        sign("<", Operator::Less),
        sign(">", Operator::Greater),
    ));
    level(input, sum, operator)
}

fn sum(input: &mut Input<'_>) -> Result<Expression, Error> {
    let operator = alt((sign("+", Operator::Add), sign("-", Operator::Subtract)));
    level(input, product, operator)
}

fn product(input: &mut Input<'_>) -> Result<Expression, Error> {
    let operator = alt((sign("*", Operator::Multiply), sign("/", Operator::Divide)));
    level(input, power, operator)
}

fn power(input: &mut Input<'_>) -> Result<Expression, Error> {
    level(input, operand, sign("^", Operator::Power))
}

fn operand(input: &mut Input<'_>) -> Result<Expression, Error> {
    let list = |input: &mut Input<'_>| -> Result<Vec<Expression>, Error> {
        separated(0.., or, (multispace0, ',')).parse_next(input)
    };
    preceded(
        multispace0,
        alt((
            preceded('-', operand).map(|e| Expression::Negative(Box::new(e))),
            delimited('(', or, (multispace0, ')')),
            delimited('[', list, (multispace0, ']')).map(Expression::List),
            delimited('"', take_till(0.., '"'), '"').map(|t: &str| Expression::Text(t.to_owned())),
            delimited('\'', take_till(0.., '\''), '\'')
                .map(|t: &str| Expression::Text(t.to_owned())),
            (
                name,
                delimited((multispace0, '('), list, (multispace0, ')')),
            )
                .map(|(name, arguments)| Expression::Call(name.to_ascii_uppercase(), arguments)),
            name.map(|n| Expression::Name(n.to_owned())),
            float.map(Expression::Number),
        )),
    )
    .parse_next(input)
}

fn name<'a>(input: &mut Input<'a>) -> Result<&'a str, Error> {
    take_while(1.., is_name)
        .verify(|n: &str| n.starts_with(|c: char| c.is_ascii_alphabetic()))
        .parse_next(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expression with all its parentheses.
    fn shown(expression: &Expression) -> String {
        let list = |all: &[Expression]| {
            let all: Vec<String> = all.iter().map(shown).collect();
            all.join(",")
        };
        match expression {
            Expression::Number(n) => n.to_string(),
            Expression::Text(t) => format!("'{t}'"),
            Expression::Name(n) => n.clone(),
            Expression::Negative(e) => format!("-{}", shown(e)),
            Expression::Binary(o, a, b) => format!("({} {o:?} {})", shown(a), shown(b)),
            Expression::Call(f, all) => format!("{f}({})", list(all)),
            Expression::List(all) => format!("[{}]", list(all)),
        }
    }

    #[test]
    fn expressions_are_read() {
        for (text, expected) in [
            ("m1", "m1"),
            ("100*m1/m2", "((100 Multiply m1) Divide m2)"),
            ("m1 + m2 * -3.5e1", "(m1 Add (m2 Multiply -35))"),
            ("a - b - c", "((a Subtract b) Subtract c)"),
            ("2 ^ m1 * 3", "((2 Power m1) Multiply 3)"),
            (
                "IF(total >= 100, 100 * FILL(failed, 0) / total, 0)",
                "IF((total GreaterOrEqual 100),((100 Multiply FILL(failed,0)) Divide total),0)",
            ),
            ("SUM([m1, m2])", "SUM([m1,m2])"),
            ("SUM(METRICS(\"4xx\"))", "SUM(METRICS('4xx'))"),
            ("AVG(METRICS())", "AVG(METRICS())"),
            ("fill(m1,REPEAT)", "FILL(m1,REPEAT)"),
            (
                "a > 1 AND b < 2 || c",
                "(((a Greater 1) And (b Less 2)) Or c)",
            ),
            ("android", "android"),
            ("order + ordinal", "(order Add ordinal)"),
        ] {
            let found = Expression::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(shown(&found), expected, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_without_a_panic() {
        for text in [
            "",
            "m1 +",
            "(m1",
            "m1 m2",
            "IF(m1,",
            "[",
            "\"",
            &"(".repeat(100_000),
            &"-".repeat(100_000),
            &"(".repeat(2000),
        ] {
            assert!(Expression::parse(text).is_err(), "{text:.30}");
        }
    }
}
