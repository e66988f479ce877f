//! Expressions of metric math: what they yield.

use std::collections::BTreeMap;

use super::math::{Expression, Operator};

/// Points by period: its number on the grid that all series share.
pub type Points = BTreeMap<i64, f64>;

/// The value of an expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Scalar(f64),
    Series(Points),
    List(Vec<Points>),
}

/// All that an expression can refer to.
pub struct Scope<'a> {
    /// The metrics and expressions by id, as far as they are known by now.
    pub values: &'a BTreeMap<String, Value>,
    /// Ids of those that are metrics, in the order of the alarm.
    pub metrics: &'a [String],
    /// First and last number on the grid.
    pub grid: (i64, i64),
    /// Seconds.
    pub period: u32,
}

/// Whether the name of a function of metric math is known and rests on more than can be had here.
fn beyond(function: &str) -> Option<&'static str> {
    Some(match function {
        "ANOMALY_DETECTION_BAND" => {
            "the band is learnt by CloudWatch, and cannot be had for the past"
        }
        "SEARCH" | "SELECT" | "INSIGHT_RULE_METRIC" | "DB_PERF_INSIGHTS" | "LAMBDA" => {
            "what it finds is not known beforehand"
        }
        "SERVICE_QUOTA" => "quotas of the past are not known",
        _ => return None,
    })
}

impl Scope<'_> {
    /// # Errors
    /// Why it cannot be evaluated.
    pub fn evaluate(&self, expression: &Expression) -> Result<Value, String> {
        match expression {
            Expression::Number(n) => Ok(Value::Scalar(*n)),
            Expression::Text(t) => Err(format!("\"{t}\" stands where a value should be")),
            Expression::Name(id) => self
                .values
                .get(id)
                .cloned()
                .ok_or_else(|| format!("`{id}` is no id of this alarm")),
            Expression::Negative(e) => map(self.evaluate(e)?, |v| -v),
            Expression::List(items) => {
                let mut all = Vec::new();
                for item in items {
                    match self.evaluate(item)? {
                        Value::Series(points) => all.push(points),
                        Value::List(more) => all.extend(more),
                        Value::Scalar(s) => all.push(self.everywhere(s)),
                    }
                }
                Ok(Value::List(all))
            }
            Expression::Binary(operator, a, b) => {
                binary(*operator, self.evaluate(a)?, self.evaluate(b)?)
            }
            Expression::Call(function, arguments) => self.call(function, arguments),
        }
    }

    fn everywhere(&self, value: f64) -> Points {
        (self.grid.0..=self.grid.1).map(|i| (i, value)).collect()
    }

    fn series(&self, expression: &Expression) -> Result<Points, String> {
        match self.evaluate(expression)? {
            Value::Series(points) => Ok(points),
            Value::Scalar(s) => Ok(self.everywhere(s)),
            Value::List(_) => Err("a list stands where one series should be".to_owned()),
        }
    }

    fn call(&self, function: &str, arguments: &[Expression]) -> Result<Value, String> {
        if let Some(why) = beyond(function) {
            return Err(format!("{function}: {why}"));
        }
        let wrong = || format!("{function} does not take {} arguments", arguments.len());
        match (function, arguments) {
            ("METRICS", []) => Ok(self.metrics("")),
            ("METRICS", [Expression::Text(part)]) => Ok(self.metrics(part)),
            ("IF", [condition, then]) => self.choose(condition, then, None),
            ("IF", [condition, then, other]) => self.choose(condition, then, Some(other)),
            ("FILL", [series, with]) => self.fill(series, with),
            ("SUM" | "AVG" | "MIN" | "MAX" | "STDDEV", [one]) => self.aggregate(function, one),
            ("METRIC_COUNT", [one]) => match self.evaluate(one)? {
                Value::List(all) => Ok(Value::Scalar(all.len() as f64)),
                _ => Ok(Value::Scalar(1.0)),
            },
            ("TIME_SERIES", [one]) => Ok(Value::Series(self.series(one)?)),
            ("PERIOD", [_]) => Ok(Value::Scalar(f64::from(self.period))),
            ("ABS", [one]) => map(self.evaluate(one)?, f64::abs),
            ("CEIL", [one]) => map(self.evaluate(one)?, f64::ceil),
            ("FLOOR", [one]) => map(self.evaluate(one)?, f64::floor),
            ("LOG", [one]) => map(self.evaluate(one)?, f64::ln),
            ("LOG10", [one]) => map(self.evaluate(one)?, f64::log10),
            ("DIFF", [one]) => Ok(Value::Series(differences(&self.series(one)?, |_| 1.0))),
            ("RATE", [one]) => {
                let period = f64::from(self.period);
                let found = differences(&self.series(one)?, |periods| periods as f64 * period);
                Ok(Value::Series(found))
            }
            ("RUNNING_SUM", [one]) => Err(format!(
                "{function}: it depends on where the range of the evaluation begins ({one:?})"
            )),
            (
                "METRICS" | "IF" | "FILL" | "SUM" | "AVG" | "MIN" | "MAX" | "STDDEV"
                | "METRIC_COUNT" | "TIME_SERIES" | "PERIOD" | "ABS" | "CEIL" | "FLOOR" | "LOG"
                | "LOG10" | "DIFF" | "RATE",
                _,
            ) => Err(wrong()),
            _ => Err(format!("{function} is not known to this version")),
        }
    }

    fn metrics(&self, part: &str) -> Value {
        let ids = self.metrics.iter().filter(|id| id.contains(part));
        let all = ids.filter_map(|id| match self.values.get(id) {
            Some(Value::Series(points)) => Some(points.clone()),
            _ => None,
        });
        Value::List(all.collect())
    }

    /// Zero is false. A point whose condition is missing is missing.
    fn choose(
        &self,
        condition: &Expression,
        then: &Expression,
        other: Option<&Expression>,
    ) -> Result<Value, String> {
        let condition = match self.evaluate(condition)? {
            Value::Scalar(s) => {
                return match (s != 0.0, other) {
                    (true, _) => self.evaluate(then),
                    (false, Some(other)) => self.evaluate(other),
                    (false, None) => Ok(Value::Series(Points::new())),
                };
            }
            Value::Series(points) => points,
            Value::List(_) => return Err("IF takes one series, not a list".to_owned()),
        };
        let then = self.series(then)?;
        let other = other.map(|o| self.series(o)).transpose()?;
        let chosen = condition.iter().filter_map(|(at, value)| {
            let from = match *value != 0.0 {
                true => Some(&then),
                false => other.as_ref(),
            };
            Some((*at, *from?.get(at)?))
        });
        Ok(Value::Series(chosen.collect()))
    }

    /// Every period of the grid gets a point, the newest too.
    fn fill(&self, series: &Expression, with: &Expression) -> Result<Value, String> {
        let all = match self.evaluate(series)? {
            Value::Scalar(s) => return Ok(Value::Scalar(s)),
            Value::Series(points) => vec![points],
            Value::List(all) => all,
        };
        let is = |word: &str| matches!(with, Expression::Name(n) if n.eq_ignore_ascii_case(word));
        let filler = match is("REPEAT") || is("LINEAR") {
            true => None,
            false => Some(self.evaluate(with)?),
        };
        let fill_one = |points: Points| -> Result<Points, String> {
            match &filler {
                None if is("REPEAT") => Ok(self.repeat(&points)),
                None => Ok(linear(&points)),
                Some(Value::Scalar(s)) => {
                    let mut out = self.everywhere(*s);
                    out.extend(points);
                    Ok(out)
                }
                Some(Value::Series(other)) => {
                    let mut out = other.clone();
                    out.extend(points);
                    Ok(out)
                }
                Some(Value::List(_)) => Err("FILL cannot fill with a list".to_owned()),
            }
        };
        let mut filled = all
            .into_iter()
            .map(fill_one)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(match filled.len() {
            1 => Value::Series(filled.swap_remove(0)),
            _ => Value::List(filled),
        })
    }

    fn repeat(&self, points: &Points) -> Points {
        let mut last = None;
        let mut out = Points::new();
        for i in self.grid.0..=self.grid.1 {
            last = points.get(&i).copied().or(last);
            out.extend(last.map(|v| (i, v)));
        }
        out
    }

    /// Over several series: one series, of the points that are there in each period.
    fn aggregate(&self, function: &str, of: &Expression) -> Result<Value, String> {
        let all = match self.evaluate(of)? {
            Value::List(all) => all,
            Value::Scalar(s) => return Ok(Value::Scalar(s)),
            Value::Series(_) => {
                return Err(format!(
                    "{function} of a single series is one number for the range that CloudWatch \
                     happens to evaluate"
                ));
            }
        };
        let mut columns: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
        for points in all {
            for (at, value) in points {
                columns.entry(at).or_default().push(value);
            }
        }
        let folded = columns.into_iter().map(|(at, values)| {
            let count = values.len() as f64;
            let sum: f64 = values.iter().sum();
            let value = match function {
                "SUM" => sum,
                "AVG" => sum / count,
                "MIN" => values.iter().copied().fold(f64::INFINITY, f64::min),
                "MAX" => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                _ => {
                    let mean = sum / count;
                    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
                    (squares / count).sqrt()
                }
            };
            (at, value)
        });
        Ok(Value::Series(folded.collect()))
    }
}

/// What is not a number (a division by zero, a logarithm of nothing) is no point.
fn finite(points: impl Iterator<Item = (i64, f64)>) -> Points {
    points.filter(|(_, v)| v.is_finite()).collect()
}

fn map(value: Value, f: impl Fn(f64) -> f64) -> Result<Value, String> {
    Ok(match value {
        Value::Scalar(s) => Value::Scalar(f(s)),
        Value::Series(points) => Value::Series(finite(points.into_iter().map(|(i, v)| (i, f(v))))),
        Value::List(all) => Value::List(
            all.into_iter()
                .map(|points| finite(points.into_iter().map(|(i, v)| (i, f(v)))))
                .collect(),
        ),
    })
}

fn binary(operator: Operator, a: Value, b: Value) -> Result<Value, String> {
    let truth = |b: bool| if b { 1.0 } else { 0.0 };
    let apply = |a: f64, b: f64| match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide => a / b,
        Operator::Power => a.powf(b),
        Operator::Equal => truth(a == b),
        Operator::NotEqual => truth(a != b),
        Operator::LessOrEqual => truth(a <= b),
        Operator::GreaterOrEqual => truth(a >= b),
        Operator::Less => truth(a < b),
        Operator::Greater => truth(a > b),
        Operator::And => truth(a != 0.0 && b != 0.0),
        Operator::Or => truth(a != 0.0 || b != 0.0),
    };
    // A period in which one of them has no point has none in the result.
    let both = |a: &Points, b: &Points| {
        finite(
            a.iter()
                .filter_map(|(at, v)| Some((*at, apply(*v, *b.get(at)?)))),
        )
    };
    Ok(match (a, b) {
        (Value::Scalar(a), Value::Scalar(b)) => Value::Scalar(apply(a, b)),
        (a @ (Value::Series(_) | Value::List(_)), Value::Scalar(b)) => map(a, |a| apply(a, b))?,
        (Value::Scalar(a), b) => map(b, |b| apply(a, b))?,
        (Value::Series(a), Value::Series(b)) => Value::Series(both(&a, &b)),
        (Value::List(all), Value::Series(b)) => {
            Value::List(all.iter().map(|a| both(a, &b)).collect())
        }
        (Value::Series(a), Value::List(all)) => {
            Value::List(all.iter().map(|b| both(&a, b)).collect())
        }
        (Value::List(_), Value::List(_)) => {
            return Err("two lists cannot be put together point by point".to_owned());
        }
    })
}

/// Straight lines between the points; nothing before the first and after the last.
fn linear(points: &Points) -> Points {
    let mut out = Points::new();
    for ((a, from), (b, to)) in points.iter().zip(points.iter().skip(1)) {
        for i in *a..*b {
            let share = (i - a) as f64 / (b - a) as f64;
            out.insert(i, from + (to - from) * share);
        }
    }
    out.extend(points.last_key_value().map(|(i, v)| (*i, *v)));
    out
}

/// Each point minus the one before it, divided by `by` of the periods in between.
fn differences(points: &Points, by: impl Fn(i64) -> f64) -> Points {
    points
        .iter()
        .zip(points.iter().skip(1))
        .map(|((a, from), (b, to))| (*b, (to - from) / by(b - a)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(list: &[(i64, f64)]) -> Points {
        list.iter().copied().collect()
    }

    fn yields(text: &str) -> Result<Value, String> {
        let values = BTreeMap::from([
            ("a".to_owned(), Value::Series(points(&[(0, 1.0), (2, 3.0)]))),
            (
                "b".to_owned(),
                Value::Series(points(&[(0, 10.0), (1, 20.0), (2, 0.0)])),
            ),
        ]);
        let scope = Scope {
            values: &values,
            metrics: &["a".to_owned(), "b".to_owned()],
            grid: (0, 3),
            period: 60,
        };
        scope.evaluate(&Expression::parse(text)?)
    }

    #[test]
    fn math_yields_what_the_guide_says() {
        for (text, expected) in [
            // Only where both have a point.
            ("a + b", vec![(0, 11.0), (2, 3.0)]),
            // Nothing comes of a division by zero.
            ("100 * a / b", vec![(0, 10.0)]),
            ("FILL(a, 0)", vec![(0, 1.0), (1, 0.0), (2, 3.0), (3, 0.0)]),
            (
                "FILL(a, REPEAT)",
                vec![(0, 1.0), (1, 1.0), (2, 3.0), (3, 3.0)],
            ),
            ("FILL(a, LINEAR)", vec![(0, 1.0), (1, 2.0), (2, 3.0)]),
            ("SUM([a, b])", vec![(0, 11.0), (1, 20.0), (2, 3.0)]),
            ("AVG(METRICS())", vec![(0, 5.5), (1, 20.0), (2, 1.5)]),
            ("MAX(METRICS(\"a\"))", vec![(0, 1.0), (2, 3.0)]),
            (
                "IF(b >= 10, 100 * FILL(a, 0) / b, 0)",
                vec![(0, 10.0), (1, 0.0), (2, 0.0)],
            ),
            ("IF(b > 10, 7)", vec![(1, 7.0)]),
            ("b > 5 AND b < 15", vec![(0, 1.0), (1, 0.0), (2, 0.0)]),
            ("DIFF(b)", vec![(1, 10.0), (2, -20.0)]),
            ("RATE(a)", vec![(2, 2.0 / 120.0)]),
            ("-a", vec![(0, -1.0), (2, -3.0)]),
        ] {
            assert_eq!(yields(text), Ok(Value::Series(points(&expected))), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_evaluated_says_why() {
        for (text, why) in [
            ("ANOMALY_DETECTION_BAND(a, 2)", "learnt by CloudWatch"),
            ("SUM(a)", "of a single series"),
            ("a + zz", "`zz` is no id"),
            ("WHAT(a)", "not known to this version"),
            ("IF(a)", "does not take 1 arguments"),
            ("METRICS() + METRICS()", "two lists"),
        ] {
            let error = yields(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
