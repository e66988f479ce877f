//! The rule of a composite alarm.

use std::collections::BTreeSet;

use winnow::ascii::{Caseless, digit1, multispace0};
use winnow::combinator::{
    alt, cut_err, delimited, eof, opt, preceded, repeat, separated, terminated,
};
use winnow::error::{ContextError, ErrMode};
use winnow::prelude::*;
use winnow::token::{literal, none_of, take_while};

use super::AlarmState;

/// Source: CloudWatch user guide, "Creating a composite alarm", rule expressions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// `TRUE`, `FALSE`.
    Constant(bool),
    /// `ALARM("name or ARN")` and the like.
    State(AlarmState, String),
    Not(Box<Rule>),
    And(Vec<Rule>),
    Or(Vec<Rule>),
    /// `AT_LEAST(2, ALARM, (a, b, c))`, `AT_LEAST("50%", NOT OK, (a, b))`.
    AtLeast {
        count: Share,
        state: AlarmState,
        not: bool,
        alarms: Vec<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    Count(u32),
    Percent(u32),
}

/// Parentheses and `NOT`s inside each other: more is no rule that people write, and the parser
/// recurses.
const DEPTH: usize = 60;

impl Rule {
    /// # Errors
    /// What follows the part of the rule that could be read.
    pub fn parse(text: &str) -> Result<Rule, String> {
        if text.matches('(').count() > 600 || depth(text) > DEPTH {
            return Err("too deeply nested".to_owned());
        }
        let mut rest = text;
        match terminated(any, (multispace0, eof)).parse_next(&mut rest) {
            Ok(rule) => Ok(rule),
            Err(_) => Err(format!(
                "not understood from `{}` on",
                rest.trim().chars().take(40).collect::<String>()
            )),
        }
    }

    /// The alarms in it, by name.
    pub fn children(&self) -> BTreeSet<String> {
        let mut out = BTreeSet::new();
        self.collect(&mut out);
        out
    }

    fn collect(&self, out: &mut BTreeSet<String>) {
        match self {
            Rule::Constant(_) => {}
            Rule::State(_, alarm) => {
                out.insert(name(alarm).to_owned());
            }
            Rule::Not(rule) => rule.collect(out),
            Rule::And(rules) | Rule::Or(rules) => rules.iter().for_each(|r| r.collect(out)),
            Rule::AtLeast { alarms, .. } => {
                out.extend(alarms.iter().map(|a| name(a).to_owned()));
            }
        }
    }

    /// Whether it holds, given the states of its alarms by name; `None`: one is not known.
    pub fn holds(&self, state: &dyn Fn(&str) -> Option<AlarmState>) -> Option<bool> {
        match self {
            Rule::Constant(value) => Some(*value),
            Rule::State(wanted, alarm) => Some(state(name(alarm))? == *wanted),
            Rule::Not(rule) => rule.holds(state).map(|b| !b),
            // What is known may decide.
            Rule::And(rules) => fold(rules, state, false),
            Rule::Or(rules) => fold(rules, state, true),
            Rule::AtLeast {
                count,
                state: wanted,
                not,
                alarms,
            } => {
                let mut found = 0_usize;
                for alarm in alarms {
                    if (state(name(alarm))? == *wanted) != *not {
                        found += 1;
                    }
                }
                Some(match count {
                    Share::Count(n) => found >= *n as usize,
                    Share::Percent(p) => found * 100 >= *p as usize * alarms.len(),
                })
            }
        }
    }
}

fn fold(rules: &[Rule], state: &dyn Fn(&str) -> Option<AlarmState>, decides: bool) -> Option<bool> {
    let values: Vec<Option<bool>> = rules.iter().map(|r| r.holds(state)).collect();
    if values.contains(&Some(decides)) {
        return Some(decides);
    }
    values.iter().all(Option::is_some).then_some(!decides)
}

fn depth(text: &str) -> usize {
    let mut open = 0_usize;
    let mut most = 0;
    for c in text.chars() {
        match c {
            '(' => open += 1,
            ')' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most + text.to_ascii_uppercase().matches("NOT").count()
}

/// The name in an alarm's ARN; a name stands for itself.
fn name(alarm: &str) -> &str {
    match alarm.split_once(":alarm:") {
        Some((head, name)) if head.starts_with("arn:") => name,
        _ => alarm,
    }
}

type Input<'a> = &'a str;
type Error = ErrMode<ContextError>;

fn word<'a>(text: &'static str) -> impl Parser<Input<'a>, Input<'a>, Error> {
    delimited(
        multispace0,
        literal(Caseless(text)),
        winnow::combinator::not(take_while(1, |c: char| c.is_alphanumeric() || c == '_')),
    )
}

fn sign<'a>(text: &'static str) -> impl Parser<Input<'a>, Input<'a>, Error> {
    preceded(multispace0, literal(text))
}

fn any(input: &mut Input<'_>) -> Result<Rule, Error> {
    let mut rules: Vec<Rule> = separated(1.., all, word("OR")).parse_next(input)?;
    Ok(if rules.len() == 1 {
        rules.swap_remove(0)
    } else {
        Rule::Or(rules)
    })
}

fn all(input: &mut Input<'_>) -> Result<Rule, Error> {
    let mut rules: Vec<Rule> = separated(1.., one, word("AND")).parse_next(input)?;
    Ok(if rules.len() == 1 {
        rules.swap_remove(0)
    } else {
        Rule::And(rules)
    })
}

fn one(input: &mut Input<'_>) -> Result<Rule, Error> {
    alt((
        preceded(word("NOT"), cut_err(one)).map(|r| Rule::Not(Box::new(r))),
        delimited(sign("("), cut_err(any), cut_err(sign(")"))),
        word("TRUE").value(Rule::Constant(true)),
        word("FALSE").value(Rule::Constant(false)),
        at_least,
        (state, delimited(sign("("), alarm(")"), sign(")")))
            .map(|(state, alarm)| Rule::State(state, alarm)),
    ))
    .parse_next(input)
}

fn state(input: &mut Input<'_>) -> Result<AlarmState, Error> {
    alt((
        word("ALARM").value(AlarmState::Alarm),
        word("OK").value(AlarmState::Ok),
        word("INSUFFICIENT_DATA").value(AlarmState::InsufficientData),
    ))
    .parse_next(input)
}

fn at_least(input: &mut Input<'_>) -> Result<Rule, Error> {
    let number = || digit1.try_map(|d: &str| d.parse::<u32>());
    let share = alt((
        delimited('"', number(), "%\"").map(Share::Percent),
        terminated(number(), '%').map(Share::Percent),
        number().map(Share::Count),
    ));
    (
        preceded((word("AT_LEAST"), sign("("), multispace0), share),
        preceded(sign(","), opt(word("NOT"))),
        state,
        delimited(
            (sign(","), sign("(")),
            separated(1.., alarm(",)"), sign(",")),
            (sign(")"), sign(")")),
        ),
    )
        .map(|(count, not, state, alarms)| Rule::AtLeast {
            count,
            state,
            not: not.is_some(),
            alarms,
        })
        .parse_next(input)
}

/// A name or ARN, with or without quotes; `ends` are the characters that end one without.
fn alarm<'a>(ends: &'static str) -> impl Parser<Input<'a>, String, Error> {
    preceded(
        multispace0,
        alt((
            delimited(
                '"',
                repeat(
                    1..,
                    alt((preceded('\\', winnow::token::any), none_of(['"', '\\']))),
                ),
                '"',
            ),
            take_while(1.., move |c: char| !ends.contains(c) && c != '"')
                .map(|s: &str| s.trim_end().to_owned()),
        )),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(name: &str) -> Option<AlarmState> {
        match name {
            "a" | "x (1)" => Some(AlarmState::Alarm),
            "b" => Some(AlarmState::Ok),
            "c" => Some(AlarmState::InsufficientData),
            _ => None,
        }
    }

    #[test]
    fn rules_are_read_and_hold_as_documented() {
        for (text, holds) in [
            ("TRUE", Some(true)),
            ("false", Some(false)),
            ("ALARM(a)", Some(true)),
            ("ALARM(\"a\") AND OK(b)", Some(true)),
            ("ALARM(a) AND NOT ALARM(b)", Some(true)),
            (
                "(ALARM(b) OR ALARM(a)) AND INSUFFICIENT_DATA( c )",
                Some(true),
            ),
            // AND binds stronger than OR.
            ("ALARM(a) OR ALARM(b) AND ALARM(b)", Some(true)),
            ("NOT (ALARM(a) OR ALARM(b))", Some(false)),
            ("ALARM(arn:aws:cloudwatch:eu-west-1:1:alarm:a)", Some(true)),
            (r#"ALARM("x (1)")"#, Some(true)),
            ("AT_LEAST(2, ALARM, (a, b, c))", Some(false)),
            ("AT_LEAST(1, NOT ALARM, (a, b, c))", Some(true)),
            (r#"AT_LEAST("50%", OK, ("a", "b"))"#, Some(true)),
            // An alarm that is not known leaves it open, unless the others decide.
            ("ALARM(z)", None),
            ("ALARM(z) AND ALARM(b)", Some(false)),
            ("ALARM(z) OR ALARM(a)", Some(true)),
        ] {
            let rule = Rule::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(rule.holds(&states), holds, "{text}");
        }
    }

    #[test]
    fn children_are_names() {
        let rule =
            Rule::parse(r#"ALARM("a") AND (NOT OK(arn:aws:cloudwatch:r:1:alarm:b:c) OR TRUE)"#)
                .unwrap();
        assert_eq!(
            rule.children().into_iter().collect::<Vec<_>>(),
            ["a", "b:c"]
        );
    }

    #[test]
    fn nonsense_is_refused_without_a_panic() {
        for text in [
            "",
            "ALARM(",
            "ALARM(a) AND",
            "ALARM(a) ALARM(b)",
            "OKAY(a)",
            "ANDALARM(a)",
            "AT_LEAST(x, ALARM, (a))",
            &"(".repeat(100_000),
            &"NOT ".repeat(100_000),
        ] {
            assert!(Rule::parse(text).is_err(), "{text:.40}");
        }
    }
}
