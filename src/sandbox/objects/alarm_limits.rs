//! What CloudWatch refuses of an alarm, whatever else is in the account.
//!
//! Source: API model, `cloudwatch:PutMetricAlarm`, `cloudwatch:PutCompositeAlarm`.

use std::collections::BTreeSet;

use crate::config::later::is_statistic;
use crate::model::object::{AlarmMetric, MetricAlarm, MetricId, MetricQuery, Object, QueryKind};

const COMPARISONS: [&str; 4] = [
    "GreaterThanThreshold",
    "GreaterThanOrEqualToThreshold",
    "LessThanThreshold",
    "LessThanOrEqualToThreshold",
];
const BANDS: [&str; 3] = [
    "LessThanLowerOrGreaterThanUpperThreshold",
    "LessThanLowerThreshold",
    "GreaterThanUpperThreshold",
];

/// The first thing that CloudWatch would refuse.
pub fn refuses(object: &Object) -> Option<String> {
    check(object).err()
}

fn check(object: &Object) -> Result<(), String> {
    let name = object.name();
    if name.is_empty() || name.chars().count() > 255 || name.chars().any(|c| c.is_ascii_control()) {
        return Err(
            "an alarm name has 1 to 255 characters, none of them a control character".into(),
        );
    }
    match object {
        Object::MetricAlarm(alarm) => {
            common(
                &alarm.region,
                &alarm.description,
                [
                    &alarm.alarm_actions,
                    &alarm.ok_actions,
                    &alarm.insufficient_data_actions,
                ],
            )?;
            metric_alarm(alarm)
        }
        Object::CompositeAlarm(alarm) => {
            common(
                &alarm.region,
                &alarm.description,
                [
                    &alarm.alarm_actions,
                    &alarm.ok_actions,
                    &alarm.insufficient_data_actions,
                ],
            )?;
            if alarm.rule.is_empty() || alarm.rule.chars().count() > 10_240 {
                return Err("a rule has 1 to 10,240 characters".into());
            }
            if alarm.children.len() > 100 {
                return Err("a rule names at most 100 alarms".into());
            }
            Ok(())
        }
        _ => Err("not an alarm".into()),
    }
}

fn common(region: &str, description: &str, actions: [&BTreeSet<String>; 3]) -> Result<(), String> {
    if description.chars().count() > 1024 {
        return Err("a description has at most 1,024 characters".into());
    }
    for set in actions {
        if set.len() > 5 {
            return Err("at most five actions for a state".into());
        }
        let elsewhere =
            |a: &&String| a.split(':').nth(2) == Some("sns") && a.split(':').nth(3) != Some(region);
        if set.iter().any(|a| !a.starts_with("arn:")) {
            return Err("an action is an ARN".into());
        }
        if set.iter().find(elsewhere).is_some() {
            return Err("an action is not in the region of the alarm".into());
        }
    }
    Ok(())
}

fn metric(id: &MetricId) -> Result<(), String> {
    let length = |text: &str| (1..=255).contains(&text.chars().count());
    if !length(&id.namespace) || !length(&id.metric) {
        return Err("a namespace and a metric name have 1 to 255 characters".into());
    }
    if id.dimensions.len() > 30
        || id
            .dimensions
            .iter()
            .any(|(k, v)| !length(k) || v.is_empty())
    {
        return Err("at most 30 dimensions, none of them empty".into());
    }
    Ok(())
}

fn statistic(text: &str) -> Result<(), String> {
    if is_statistic(text) {
        Ok(())
    } else {
        Err(format!("{text} is not a statistic"))
    }
}

fn period(seconds: u32) -> Result<(), String> {
    if matches!(seconds, 10 | 20 | 30) || (seconds > 0 && seconds.is_multiple_of(60)) {
        Ok(())
    } else {
        Err(format!(
            "a period of {seconds} s: 10, 20, 30 or a multiple of 60"
        ))
    }
}

fn metric_alarm(alarm: &MetricAlarm) -> Result<(), String> {
    let periods = match &alarm.metric {
        AlarmMetric::Single {
            metric: id,
            statistic: name,
            period: seconds,
        } => {
            metric(id)?;
            statistic(name)?;
            period(*seconds)?;
            *seconds
        }
        AlarmMetric::Math(queries) => math(alarm, queries)?,
    };
    let n = u64::from(alarm.evaluation_periods);
    if n == 0
        || alarm.datapoints_to_alarm == 0
        || alarm.datapoints_to_alarm > alarm.evaluation_periods
    {
        return Err("1 <= data points <= periods".into());
    }
    let most = if periods >= 3600 { 604_800 } else { 86_400 };
    if u64::from(periods) * n > most {
        return Err(format!("{n} periods of {periods} s are more than {most} s"));
    }
    let missing = ["missing", "ignore", "breaching", "notBreaching"];
    if !missing.contains(&alarm.treat_missing_data.as_str()) {
        return Err("TreatMissingData".into());
    }
    if let Some(low) = &alarm.low_samples
        && !["evaluate", "ignore"].contains(&low.as_str())
    {
        return Err("EvaluateLowSampleCountPercentile".into());
    }
    let comparison = alarm.comparison.as_str();
    match (&alarm.threshold, &alarm.threshold_metric_id) {
        (Some(_), None) if COMPARISONS.contains(&comparison) => Ok(()),
        (None, Some(_)) if BANDS.contains(&comparison) => Ok(()),
        _ => Err("a threshold or a band, with a comparison that goes with it".into()),
    }
}

/// The longest period of the metrics.
fn math(alarm: &MetricAlarm, queries: &[MetricQuery]) -> Result<u32, String> {
    let mut ids = BTreeSet::new();
    let (mut metrics, mut longest, mut returned) = (0, 0, 0);
    for query in queries {
        let mut characters = query.id.chars();
        let fine = characters.next().is_some_and(|c| c.is_ascii_lowercase())
            && characters.all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !fine || !ids.insert(&query.id) {
            return Err(format!("the id {}", query.id));
        }
        returned += u32::from(query.return_data);
        match &query.kind {
            QueryKind::Metric {
                metric: id,
                statistic: name,
                period: seconds,
            } => {
                metric(id)?;
                statistic(name)?;
                period(*seconds)?;
                metrics += 1;
                longest = longest.max(*seconds);
            }
            QueryKind::Expression {
                expression,
                period: seconds,
            } => {
                if expression.is_empty() || expression.chars().count() > 2048 {
                    return Err("an expression has 1 to 2,048 characters".into());
                }
                if expression.contains("SEARCH(") {
                    return Err("no SEARCH in an alarm".into());
                }
                longest = longest.max(seconds.unwrap_or(0));
            }
        }
    }
    if metrics > 10 {
        return Err("metric math of an alarm takes at most 10 metrics".into());
    }
    // A band returns its metric too.
    let wanted = if alarm.threshold_metric_id.is_some() {
        2
    } else {
        1
    };
    if returned != wanted {
        return Err("exactly one entry returns data".into());
    }
    if let Some(band) = &alarm.threshold_metric_id
        && !ids.contains(band)
    {
        return Err("ThresholdMetricId is not among the ids".into());
    }
    Ok(longest)
}
