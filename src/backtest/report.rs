//! What a backtest found, in a few words.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AlarmState, Run};
use crate::cloud::TimeSpan;
use crate::model::Address;
use crate::model::object::{AlarmMetric, MetricAlarm, Object};

/// In alarm for more of the time than this, it tells nothing. In percent.
const CONSTANT_PERCENT: u64 = 20;
/// Nobody looks at an alarm that fires more often a day.
const CONSTANT_PER_DAY: u64 = 10;

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum BacktestOutcome {
    /// It would have fired, and not too often.
    Fires,
    /// It would have been in alarm most of the time, or many times a day.
    Constant,
    /// Not even its worst value, or not enough points, would have made it fire.
    Never,
    /// There was no data at all.
    NoData,
    /// It cannot be evaluated over the past.
    NotPossible,
}

/// What an alarm of the plan would have done in the past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Backtest {
    /// Of the change.
    pub address: Address,
    pub from: String,
    pub to: String,
    pub outcome: BacktestOutcome,
    /// How often it would have gone into alarm.
    pub fired: u64,
    /// All time in alarm.
    pub alarm_minutes: u64,
    pub longest_minutes: u64,
    /// When it would have gone into alarm the last time.
    pub last: Option<String>,
    /// The whole in words.
    pub text: String,
}

impl Backtest {
    /// It deserves a look before it is made.
    pub fn is_marked(&self) -> bool {
        self.outcome != BacktestOutcome::Fires
    }
}

fn base(address: &Address, span: &TimeSpan, outcome: BacktestOutcome, text: String) -> Backtest {
    Backtest {
        address: address.clone(),
        from: format!("{:.0}", span.from),
        to: format!("{:.0}", span.to),
        outcome,
        fired: 0,
        alarm_minutes: 0,
        longest_minutes: 0,
        last: None,
        text,
    }
}

/// For an alarm that cannot be backtested.
pub fn unable(address: &Address, span: &TimeSpan, why: &str) -> Backtest {
    let text = format!("cannot be backtested: {why}");
    base(address, span, BacktestOutcome::NotPossible, text)
}

/// `12 min`, `3 h 20 min`, `2 d 4 h`.
fn duration(minutes: u64) -> String {
    let two = |a: u64, unit: &str, b: u64, small: &str| match b {
        0 => format!("{a} {unit}"),
        b => format!("{a} {unit} {b} {small}"),
    };
    match minutes {
        0 => "under 1 min".to_owned(),
        1..=119 => format!("{minutes} min"),
        120..=2879 => two(minutes / 60, "h", minutes % 60, "min"),
        _ => two(minutes / 1440, "d", minutes % 1440 / 60, "h"),
    }
}

fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

/// A value as people read it: four significant digits.
fn value(v: f64) -> String {
    let magnitude = if v == 0.0 {
        0
    } else {
        v.abs().log10().floor() as i32
    };
    let digits = usize::try_from((3 - magnitude).clamp(0, 12)).unwrap_or_default();
    let text = format!("{v:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// The report on one run of an alarm.
pub fn report(address: &Address, alarm_object: &Object, run: &Run, span: &TimeSpan) -> Backtest {
    let make = |outcome, text| base(address, span, outcome, text);
    if run.points == Some(0) {
        let treated = match alarm_object {
            Object::MetricAlarm(a) if a.treat_missing_data == "breaching" => {
                ": it would be in alarm at once"
            }
            _ => "",
        };
        return make(
            BacktestOutcome::NoData,
            format!("no data at all in this time{treated}"),
        );
    }
    let seconds = u64::from(run.period);
    let mut episodes: Vec<(Timestamp, u64)> = Vec::new();
    let mut before = AlarmState::Ok;
    for (at, state) in &run.states {
        if *state == AlarmState::Alarm {
            match episodes.last_mut() {
                Some((_, length)) if before == AlarmState::Alarm => *length += seconds,
                _ => episodes.push((*at, seconds)),
            }
        }
        before = *state;
    }
    let Some((last, _)) = episodes.last().copied() else {
        return make(BacktestOutcome::Never, never(alarm_object, run));
    };
    let fired = episodes.len() as u64;
    let alarm: u64 = episodes.iter().map(|(_, length)| length).sum();
    let longest = episodes
        .iter()
        .map(|(_, length)| *length)
        .max()
        .unwrap_or(0);
    let whole = (run.states.len() as u64 * seconds).max(1);
    let often = fired * 86_400 > CONSTANT_PER_DAY * whole.max(86_400);
    // Of an alarm over days one incident is a large share already.
    let long = alarm * 100 > CONSTANT_PERCENT * whole && alarm > 2 * seconds;
    let times = match fired {
        1 => "once".to_owned(),
        n => format!("{n} times"),
    };
    let mut text = format!(
        "{times}, longest {}, last {}",
        duration(longest / 60),
        minute(last)
    );
    // A part of a composite may well be in alarm for long: nobody hears of it.
    let tells = match alarm_object {
        Object::MetricAlarm(a) => !a.alarm_actions.is_empty(),
        Object::CompositeAlarm(a) => !a.alarm_actions.is_empty(),
        _ => true,
    };
    let outcome = if !tells {
        text.push_str("; it tells nobody itself");
        BacktestOutcome::Fires
    } else if long {
        let percent = alarm * 100 / whole;
        text = format!("{text}; in alarm {percent} % of the time: it would tell nothing");
        BacktestOutcome::Constant
    } else if often {
        let per_day = fired * 86_400 / whole;
        text = format!("{text}; {per_day} times a day: nobody would look at it");
        BacktestOutcome::Constant
    } else {
        BacktestOutcome::Fires
    };
    Backtest {
        fired,
        alarm_minutes: alarm / 60,
        longest_minutes: longest / 60,
        last: Some(format!("{last:.0}")),
        ..make(outcome, text)
    }
}

/// Whether its metric counts bytes.
fn is_bytes(alarm: &MetricAlarm) -> bool {
    let AlarmMetric::Single { metric, .. } = &alarm.metric else {
        return false;
    };
    ["FreeStorageSpace", "FreeableMemory"].contains(&metric.metric.as_str())
}

/// Why it would not have fired.
fn never(alarm: &Object, run: &Run) -> String {
    let Object::MetricAlarm(alarm) = alarm else {
        return "never: its children would not have met its rule".to_owned();
    };
    let needed = alarm.datapoints_to_alarm as usize;
    if run.most_in_range < needed && alarm.treat_missing_data != "breaching" {
        return format!(
            "never, and it could not have: at most {} points in its range, and it needs {needed}",
            run.most_in_range
        );
    }
    match (run.worst, alarm.threshold) {
        (Some((at, worst)), Some(threshold)) => {
            let beyond = super::breaches(alarm).is_ok_and(|(breaches, _)| {
                let threshold = threshold.to_string().parse().unwrap_or(f64::NAN);
                breaches(worst, threshold)
            });
            let shown = |v: f64| match is_bytes(alarm) {
                true => format!("{} GiB", value(v / 1024.0 / 1024.0 / 1024.0)),
                false => value(v),
            };
            let (worst, at) = (shown(worst), minute(at));
            let threshold = match threshold.to_string().parse() {
                Ok(number) if is_bytes(alarm) => shown(number),
                _ => threshold.to_string(),
            };
            match beyond {
                true => format!(
                    "never: beyond {threshold} at times (worst {worst}, {at}), but not for {needed} of {} periods",
                    alarm.evaluation_periods
                ),
                false => format!(
                    "never: even its worst value, {worst} ({at}), is within the threshold {threshold}"
                ),
            }
        }
        _ => "never".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{duration, value};

    #[test]
    fn durations_and_values_are_short() {
        for (minutes, text) in [
            (0, "under 1 min"),
            (12, "12 min"),
            (120, "2 h"),
            (200, "3 h 20 min"),
            (3120, "2 d 4 h"),
        ] {
            assert_eq!(duration(minutes), text);
        }
        for (v, text) in [
            (0.0, "0"),
            (0.51234, "0.5123"),
            (100.0, "100"),
            (123456.7, "123457"),
            (-2.5, "-2.5"),
            (0.00001234, "0.00001234"),
        ] {
            assert_eq!(value(v), text);
        }
    }
}
