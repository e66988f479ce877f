//! How often an alarm would have fired: CloudWatch's rules over the account's own history. Pure.
//!
//! An alarm is evaluated at the end of every period. CloudWatch looks at alarms with long periods
//! more often than that, so the times found here are exact to one period.

mod eval;
mod math;
mod report;
mod rule;
mod state;

pub use report::{Backtest, BacktestOutcome, report, unable};
pub use rule::{Rule, Share};
pub use state::{Missing, Rules, evaluate, evaluation_range};

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::cloud::{Series, SeriesQuery, TimeSpan};
use crate::model::object::{AlarmMetric, CompositeAlarm, MetricAlarm, MetricId, QueryKind};
use eval::{Points, Scope, Value};
use math::Expression;

/// The states of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlarmState {
    Ok,
    Alarm,
    InsufficientData,
}

impl AlarmState {
    /// As AWS writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            AlarmState::Ok => "OK",
            AlarmState::Alarm => "ALARM",
            AlarmState::InsufficientData => "INSUFFICIENT_DATA",
        }
    }
}

/// An alarm over a span of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Seconds that each state stands for.
    pub period: u32,
    /// The state at the end of each period.
    pub states: Vec<(Timestamp, AlarmState)>,
    /// Points that there were; `None` for a composite.
    pub points: Option<usize>,
    /// The value that came nearest to the threshold, or went farthest beyond it, and when.
    pub worst: Option<(Timestamp, f64)>,
    /// The most points that were there in one evaluation range.
    pub most_in_range: usize,
}

/// The series that an alarm needs, in the order in which [`run`] takes them.
///
/// # Errors
/// Why it cannot be backtested.
pub fn queries(alarm: &MetricAlarm) -> Result<Vec<SeriesQuery>, String> {
    if alarm.threshold_metric_id.is_some() || alarm.threshold.is_none() {
        return Err(
            "an anomaly band is learnt by CloudWatch, and cannot be had for the past".to_owned(),
        );
    }
    let foreign = alarm.extra.keys().any(|k| k.ends_with(".account_id"));
    if foreign {
        return Err("it watches a metric of another account".to_owned());
    }
    let found = match &alarm.metric {
        AlarmMetric::Single {
            metric,
            statistic,
            period,
        } => vec![query(metric, statistic, *period)],
        AlarmMetric::Math(queries) => queries
            .iter()
            .filter_map(|q| match &q.kind {
                QueryKind::Metric {
                    metric,
                    statistic,
                    period,
                } => Some(query(metric, statistic, *period)),
                QueryKind::Expression { .. } => None,
            })
            .collect(),
    };
    let mut periods: BTreeSet<u32> = found.iter().map(|q| q.period).collect();
    match (periods.pop_first(), periods.is_empty()) {
        (Some(1..), true) => Ok(found),
        (None | Some(0), _) => Err("it watches no metric with a period".to_owned()),
        (_, false) => Err("its metrics have different periods".to_owned()),
    }
}

fn query(metric: &MetricId, statistic: &str, period: u32) -> SeriesQuery {
    SeriesQuery {
        metric: metric.clone(),
        statistic: statistic.to_owned(),
        period,
    }
}

/// Of a value with a threshold.
type Comparison = fn(f64, f64) -> bool;

/// Whether a value is beyond the threshold.
fn breaches(alarm: &MetricAlarm) -> Result<(Comparison, bool), String> {
    // The second says that low values are the bad ones.
    Ok(match alarm.comparison.as_str() {
        "GreaterThanThreshold" => (|v, t| v > t, false),
        "GreaterThanOrEqualToThreshold" => (|v, t| v >= t, false),
        "LessThanThreshold" => (|v, t| v < t, true),
        "LessThanOrEqualToThreshold" => (|v, t| v <= t, true),
        other => return Err(format!("the comparison {other} needs an anomaly band")),
    })
}

/// Evaluates a metric alarm over `span`, whose beginning fills the first evaluation range; `series`
/// are those of [`queries`].
///
/// # Errors
/// Why it cannot be backtested.
pub fn run(alarm: &MetricAlarm, series: &[Series], span: &TimeSpan) -> Result<Run, String> {
    let asked = queries(alarm)?;
    let period = asked.first().map_or(60, |q| q.period);
    let step = i64::from(period);
    // Whole periods inside of the span.
    let first = span.from.as_second().div_euclid(step)
        + i64::from(span.from.as_second().rem_euclid(step) != 0);
    let last = span.to.as_second().div_euclid(step) - 1;
    let on_grid = |series: &Series| -> Points {
        series
            .iter()
            .map(|(at, value)| (at.as_second().div_euclid(step), *value))
            .filter(|(i, _)| (first..=last).contains(i))
            .collect()
    };
    let series: Vec<Points> = series.iter().map(on_grid).collect();
    if series.len() != asked.len() {
        return Err("its metrics could not all be read".to_owned());
    }
    let raw: usize = series.iter().map(Points::len).sum();
    let values = match &alarm.metric {
        AlarmMetric::Single { .. } => series.into_iter().next().unwrap_or_default(),
        AlarmMetric::Math(_) => returned(alarm, series, (first, last), period)?,
    };
    let threshold = alarm.threshold.and_then(|t| t.to_string().parse().ok());
    let threshold: f64 = threshold.ok_or("it has no threshold")?;
    let (breaches, low) = breaches(alarm)?;
    let n = alarm.evaluation_periods as usize;
    let rules = Rules {
        datapoints_to_alarm: (alarm.datapoints_to_alarm as usize).max(1),
        evaluation_periods: n.max(1),
        missing: match asked.iter().any(|q| q.metric.namespace == "AWS/DynamoDB") {
            // Source: API model, `cloudwatch:PutMetricAlarm`, TreatMissingData.
            true => Missing::Ignore,
            false => Missing::parse(&alarm.treat_missing_data),
        },
    };
    let width = evaluation_range(rules.evaluation_periods);
    let breaching: Vec<Option<bool>> = (first..=last)
        .map(|i| values.get(&i).map(|v| breaches(*v, threshold)))
        .collect();
    let mut states = Vec::with_capacity(breaching.len());
    let mut now = AlarmState::InsufficientData;
    let mut most_in_range = 0;
    for end in rules.evaluation_periods..=breaching.len() {
        let range = breaching.get(end.saturating_sub(width)..end);
        let range = range.unwrap_or_default();
        let there = range.iter().flatten().count();
        // What was before the span is not known, so only as many points as it takes decide there.
        if end < width && there < rules.evaluation_periods {
            continue;
        }
        now = evaluate(rules, range, now);
        most_in_range = most_in_range.max(there);
        let number = first + i64::try_from(end).unwrap_or_default();
        if let Ok(at) = Timestamp::from_second(number * step) {
            states.push((at, now));
        }
    }
    let worse = |a: &f64, b: &f64| if low { a < b } else { a > b };
    let worst = values
        .iter()
        .fold(None::<(i64, f64)>, |kept, (i, v)| match kept {
            Some((_, k)) if !worse(v, &k) => kept,
            _ => Some((*i, *v)),
        });
    let worst = worst.and_then(|(i, value)| Some((Timestamp::from_second(i * step).ok()?, value)));
    Ok(Run {
        period,
        states,
        // A FILLed expression has points where no metric has any.
        points: Some(if raw == 0 { 0 } else { values.len() }),
        worst,
        most_in_range,
    })
}

/// The points of the one query whose data the alarm looks at.
fn returned(
    alarm: &MetricAlarm,
    series: Vec<Points>,
    grid: (i64, i64),
    period: u32,
) -> Result<Points, String> {
    let AlarmMetric::Math(queries) = &alarm.metric else {
        return Err("it has no expression".to_owned());
    };
    let mut series = series.into_iter();
    let mut values = BTreeMap::new();
    let mut metrics = Vec::new();
    let mut expressions = BTreeMap::new();
    for query in queries {
        match &query.kind {
            QueryKind::Metric { .. } => {
                let points = series.next().unwrap_or_default();
                values.insert(query.id.clone(), Value::Series(points));
                metrics.push(query.id.clone());
            }
            QueryKind::Expression { expression, .. } => {
                expressions.insert(query.id.as_str(), expression.as_str());
            }
        }
    }
    let wanted = queries.iter().find(|q| q.return_data);
    let wanted = wanted.ok_or("none of its queries returns data")?.id.clone();
    // Depth first, by hand: each is evaluated once all that it refers to is.
    let mut open = vec![wanted.clone()];
    while let Some(id) = open.last().cloned() {
        if values.contains_key(&id) {
            open.pop();
            continue;
        }
        let text = expressions
            .get(id.as_str())
            .ok_or_else(|| format!("`{id}` is no id of this alarm"))?;
        let expression = Expression::parse(text).map_err(|e| format!("`{text}`: {e}"))?;
        let mut names = BTreeSet::new();
        collect(&expression, &mut names);
        let missing = names
            .into_iter()
            .find(|n| expressions.contains_key(n.as_str()) && !values.contains_key(n));
        match missing {
            Some(name) if open.contains(&name) => {
                return Err(format!("`{name}` refers to itself"));
            }
            Some(name) => open.push(name),
            None => {
                let scope = Scope {
                    values: &values,
                    metrics: &metrics,
                    grid,
                    period,
                };
                let value = scope.evaluate(&expression)?;
                values.insert(id, value);
                open.pop();
            }
        }
    }
    match values.remove(&wanted) {
        Some(Value::Series(points)) => Ok(points),
        Some(Value::List(mut all)) if all.len() == 1 => Ok(all.swap_remove(0)),
        Some(Value::List(_)) => Err("its expression yields several series".to_owned()),
        Some(Value::Scalar(_)) => Err("its expression yields a number, not a series".to_owned()),
        None => Err("its expression yields nothing".to_owned()),
    }
}

fn collect(expression: &Expression, names: &mut BTreeSet<String>) {
    match expression {
        Expression::Number(_) | Expression::Text(_) => {}
        Expression::Name(name) => {
            names.insert(name.clone());
        }
        Expression::Negative(e) => collect(e, names),
        Expression::Binary(_, a, b) => {
            collect(a, names);
            collect(b, names);
        }
        Expression::Call(_, all) | Expression::List(all) => {
            all.iter().for_each(|e| collect(e, names));
        }
    }
}

/// Evaluates a composite alarm over the runs of its children, by name.
///
/// # Errors
/// Why it cannot be backtested.
pub fn run_composite(
    alarm: &CompositeAlarm,
    children: &BTreeMap<String, Result<&Run, String>>,
) -> Result<Run, String> {
    let rule = Rule::parse(&alarm.rule).map_err(|e| format!("its rule: {e}"))?;
    let mut runs: BTreeMap<&str, &Run> = BTreeMap::new();
    for child in &alarm.children {
        match children.get(child) {
            Some(Ok(run)) => {
                runs.insert(child, run);
            }
            Some(Err(why)) => return Err(format!("{child}: {why}")),
            None => return Err(format!("{child} is not known")),
        }
    }
    let period = runs.values().map(|r| r.period).min();
    let period = period.ok_or("it rests on no alarm")?;
    // Not before all of them have a state.
    let begin = runs
        .values()
        .filter_map(|r| r.states.first().map(|(at, _)| *at))
        .max();
    let times: BTreeSet<Timestamp> = runs
        .values()
        .flat_map(|r| r.states.iter().map(|(at, _)| *at))
        .filter(|at| begin.is_some_and(|begin| *at >= begin))
        .collect();
    let state_at = |name: &str, at: Timestamp| {
        let states = &runs.get(name)?.states;
        let after = states.partition_point(|(t, _)| *t <= at);
        states.get(after.checked_sub(1)?).map(|(_, state)| *state)
    };
    let states = times
        .into_iter()
        .filter_map(|at| {
            let holds = rule.holds(&|name| state_at(name, at))?;
            let state = if holds {
                AlarmState::Alarm
            } else {
                AlarmState::Ok
            };
            Some((at, state))
        })
        .collect();
    let no_data = runs.values().all(|r| r.points == Some(0));
    Ok(Run {
        period,
        states,
        points: no_data.then_some(0),
        worst: None,
        most_in_range: usize::MAX,
    })
}

#[cfg(test)]
mod tests;
