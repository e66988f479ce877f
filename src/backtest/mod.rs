//! How often an alarm would have fired: CloudWatch's rules over the account's own history. Pure.
//!
//! Windows slide, as they do by default: a period of more than five minutes is put together from
//! points of five minutes, where its statistic allows that, and evaluated every five minutes; what
//! looks at more than a day once an hour, as CloudWatch does. Otherwise an alarm is evaluated at the end
//! of every period, and the times found here are exact to one period.
//! Source: CloudWatch user guide, "Alarm evaluation window" and "Alarm evaluation".

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
        (Some(period @ 1..), true) => {
            let step = step(period, alarm.evaluation_periods, &found);
            let finer = |q: SeriesQuery| SeriesQuery { period: step, ..q };
            Ok(found.into_iter().map(finer).collect())
        }
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

/// Seconds between two looks at a sliding window, and so of the points that it is put together from.
fn step(period: u32, evaluation_periods: u32, queries: &[SeriesQuery]) -> u32 {
    let adds_up = queries.iter().all(|q| aggregate(&q.statistic).is_some());
    let long = u64::from(period) * u64::from(evaluation_periods) > 86_400;
    let step = if long { 3_600 } else { 300 };
    if adds_up && period > step && period.is_multiple_of(step) {
        step
    } else {
        period
    }
}

/// How points of shorter periods make one of a longer period; `None`: they do not tell.
fn aggregate(statistic: &str) -> Option<fn(f64, f64) -> f64> {
    Some(match statistic {
        "Sum" | "SampleCount" => |a, b| a + b,
        "Minimum" => f64::min,
        "Maximum" => f64::max,
        _ => return None,
    })
}

/// The period of an alarm: of its metrics, in seconds.
fn period_of(alarm: &MetricAlarm) -> Option<u32> {
    match &alarm.metric {
        AlarmMetric::Single { period, .. } => Some(*period),
        AlarmMetric::Math(queries) => queries.iter().find_map(|q| match &q.kind {
            QueryKind::Metric { period, .. } => Some(*period),
            QueryKind::Expression { .. } => None,
        }),
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
    let step = asked.first().map_or(60, |q| q.period);
    let period = period_of(alarm).unwrap_or(step);
    // Steps in a period; queries() saw to it that it is a whole number.
    let ratio = i64::from((period / step).max(1));
    let step = i64::from(step);
    // Whole steps inside of the span.
    let first = span.from.as_second().div_euclid(step)
        + i64::from(span.from.as_second().rem_euclid(step) != 0);
    let last = span.to.as_second().div_euclid(step) - 1;
    if series.len() != asked.len() {
        return Err("its metrics could not all be read".to_owned());
    }
    let on_grid = |series: &Series| -> Points {
        series
            .iter()
            .map(|(at, value)| (at.as_second().div_euclid(step), *value))
            .filter(|(i, _)| (first..=last).contains(i))
            .collect()
    };
    let series: Vec<Points> = series.iter().map(on_grid).collect();
    let raw: usize = series.iter().map(Points::len).sum();
    let threshold = alarm.threshold.and_then(|t| t.to_string().parse().ok());
    let threshold: f64 = threshold.ok_or("it has no threshold")?;
    let (breaches, low) = breaches(alarm)?;
    let worse = |a: f64, b: f64| if low { a < b } else { a > b };
    let mut worst: Option<(i64, f64)> = None;
    let mut points = 0;
    // One row of windows that follow each other for each step that they can begin with.
    let mut rows: Vec<Vec<Option<bool>>> = Vec::new();
    for begin in (first..first + ratio).filter(|b| b + ratio <= last + 1) {
        let windows = (last + 1 - begin) / ratio;
        let whole: Vec<Points> = series
            .iter()
            .zip(&asked)
            .map(|(points, query)| windowed(points, &query.statistic, begin, ratio, windows))
            .collect();
        let values = match &alarm.metric {
            AlarmMetric::Single { .. } => whole.into_iter().next().unwrap_or_default(),
            AlarmMetric::Math(_) => returned(alarm, whole, (0, windows - 1), period)?,
        };
        points += values.len();
        for (window, value) in &values {
            if worst.is_none_or(|(_, kept)| worse(*value, kept)) {
                worst = Some((begin + window * ratio, *value));
            }
        }
        let breaching = |i| values.get(&i).map(|v| breaches(*v, threshold));
        rows.push((0..windows).map(breaching).collect());
    }
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
    let mut states = Vec::new();
    let mut now = AlarmState::InsufficientData;
    let mut most_in_range = 0;
    for end in first + ratio..=last + 1 {
        let place = |n: i64| usize::try_from(n).unwrap_or_default();
        let row = rows.get(place((end - first) % ratio));
        let there = place((end - first) / ratio);
        let seen = row.and_then(|row| row.get(there.saturating_sub(width)..there));
        let Some(range) = seen else {
            continue;
        };
        let real = range.iter().flatten().count();
        // At the beginning of the span: enough real points decide, whatever was before.
        if range.len() < width && real < rules.evaluation_periods {
            continue;
        }
        now = evaluate(rules, range, now);
        most_in_range = most_in_range.max(real);
        if let Ok(at) = Timestamp::from_second(end * step) {
            states.push((at, now));
        }
    }
    let worst = worst.and_then(|(i, value)| Some((Timestamp::from_second(i * step).ok()?, value)));
    Ok(Run {
        period: u32::try_from(step).unwrap_or(period),
        states,
        // A FILLed expression has points where no metric has any.
        points: Some(if raw == 0 { 0 } else { points }),
        worst,
        most_in_range,
    })
}

/// The points of windows of `ratio` steps, one after the other from `begin` on, by their number.
fn windowed(points: &Points, statistic: &str, begin: i64, ratio: i64, windows: i64) -> Points {
    let fold = aggregate(statistic);
    let mut out = Points::new();
    for (at, value) in points.range(begin..begin + windows * ratio) {
        let window = (at - begin) / ratio;
        out.entry(window)
            .and_modify(|held| *held = fold.map_or(*value, |f| f(*held, *value)))
            .or_insert(*value);
    }
    out
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
