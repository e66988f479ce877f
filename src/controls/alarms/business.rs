//! Alarms on what customers feel: `[alarms.business.*]`.

use super::draft::{
    ABOVE, BELOW, Core, Draft, OUTSIDE, Shape, Stat, failure_percent, math, often, span,
};
use super::seconds;
use crate::config::later::alarms::{BusinessAlarm, MissingData, Routing};
use crate::plan::Reason;

const PERIOD: u32 = 60;
/// The newest minute may be incomplete, and one bad minute is no outage.
const DATAPOINTS: (u32, u32) = (3, 5);

/// The alarm and its dead-man twin.
pub fn drafts(name: &str, alarm: &BusinessAlarm, region: &str, reason: &Reason) -> Vec<Draft> {
    let period = alarm.period.map_or(PERIOD, |p| seconds(p) as u32);
    let datapoints = alarm.datapoints.map_or(DATAPOINTS, |d| d.0);
    let severity = alarm.severity.unwrap_or(Routing::Page);
    let Some((core, sentence)) = core(name, alarm, period, datapoints) else {
        // `check` has told it.
        return Vec::new();
    };
    let draft = |suffix: String, shape: Core, sentence: String, key: &str| Draft {
        region: region.to_owned(),
        suffix,
        severity: Some(severity),
        shape: Shape::Metric(shape),
        sentence,
        reason: Reason {
            rule: format!("{}{key}", reason.rule),
            ..reason.clone()
        },
    };
    let mut out = vec![draft(name.to_owned(), core, sentence, "")];
    let watched = alarm.total.as_ref().or(alarm.metric.as_ref());
    if let (Some(after), Some(watched)) = (alarm.no_data_after, watched) {
        let (period, n) = patience(seconds(after), u64::from(period.max(60)));
        // A counter that says 0 is as dead as one that says nothing.
        let statistic = match alarm.total {
            Some(_) => "Sum",
            None => "SampleCount",
        };
        let mut metric = Stat::of(watched, statistic);
        metric.statistic = statistic.to_owned();
        let core = Core {
            metric: metric.single(period),
            comparison: BELOW,
            threshold: Some(1.into()),
            band: None,
            datapoints: (n, n),
            missing: MissingData::Breaching.as_str(),
            low_samples: None,
        };
        let sentence = format!(
            "{} {} has had no data for {}",
            watched.namespace,
            watched.metric,
            span(u64::from(period) * u64::from(n))
        );
        out.push(draft(
            format!("{name}-no-data"),
            core,
            sentence,
            ".no_data_after",
        ));
    }
    out
}

/// Period and number of periods that span so many seconds: not more than 60, where that can be, and
/// at least 3. `no_data_after` is at least three periods of the alarm.
fn patience(after: u64, period: u64) -> (u32, u32) {
    let longer = [60, 300, 900, 3_600].into_iter().filter(|p| {
        *p > period && p.is_multiple_of(period) && after.is_multiple_of(*p) && after / p >= 3
    });
    let period = std::iter::once(period)
        .chain(longer)
        .find(|p| after.div_ceil(*p) <= 60)
        .unwrap_or(period);
    let n = after.div_ceil(period).max(3);
    (period as u32, n as u32)
}

fn core(
    name: &str,
    alarm: &BusinessAlarm,
    period: u32,
    datapoints: (u32, u32),
) -> Option<(Core, String)> {
    let when = often(datapoints, period);
    let missing = |default: MissingData| alarm.missing_data.unwrap_or(default).as_str();
    if let (Some(failed), Some(total), Some(percent)) =
        (&alarm.failed, &alarm.total, alarm.above_percent)
    {
        let minimum = alarm.minimum_total.unwrap_or(1).max(1);
        let least = match minimum {
            1 => String::new(),
            n => format!(", at least {n} per {}", span(period.into())),
        };
        let core = Core {
            metric: failure_percent(
                Stat::of(failed, "Sum"),
                Stat::of(total, "Sum"),
                period,
                minimum,
            ),
            comparison: ABOVE,
            threshold: Some(percent.0.normalize()),
            band: None,
            datapoints,
            missing: missing(MissingData::NotBreaching),
            low_samples: None,
        };
        let sentence = format!(
            "{name}: {} in {} above {} % in {when}{least}",
            failed.metric,
            total.metric,
            percent.0.normalize()
        );
        return Some((core, sentence));
    }
    let metric = alarm.metric.as_ref()?;
    let stat = Stat::of(metric, "Average");
    let shown = format!("{} of {}", stat.statistic, metric.metric);
    // Too few samples make a percentile jump: then the state stays as it is. Source: CloudWatch user
    // guide, "Percentile-based alarms and low data samples".
    let low_samples = super::is_percentile(&stat.statistic).then_some("ignore");
    if alarm.anomaly {
        let core = Core {
            metric: math_band(stat, period),
            comparison: OUTSIDE,
            threshold: None,
            band: Some("band".to_owned()),
            datapoints,
            missing: missing(MissingData::Missing),
            low_samples: None,
        };
        let sentence = format!("{name}: {shown} outside of what is usual in {when}");
        return Some((core, sentence));
    }
    let (comparison, threshold, word, default) = match (alarm.above, alarm.below) {
        (Some(above), _) => (ABOVE, above, "above", MissingData::NotBreaching),
        // Fewer than usual, and none at all: of a count, both are the same trouble.
        (None, Some(below)) => {
            let counts = ["Sum", "SampleCount"].contains(&stat.statistic.as_str());
            let default = if counts {
                MissingData::Breaching
            } else {
                MissingData::Missing
            };
            (BELOW, below, "below", default)
        }
        (None, None) => return None,
    };
    let core = Core {
        metric: stat.single(period),
        comparison,
        threshold: Some(threshold.0.normalize()),
        band: None,
        datapoints,
        missing: missing(default),
        low_samples,
    };
    let sentence = format!(
        "{name}: {shown} {word} {} in {when}",
        threshold.0.normalize()
    );
    Some((core, sentence))
}

/// The metric and its band; both return data, as CloudWatch wants it of an anomaly alarm.
/// Source: CloudWatch API reference, PutMetricAlarm, ThresholdMetricId.
fn math_band(stat: Stat, period: u32) -> crate::model::object::AlarmMetric {
    let mut metric = stat.query("m1", period);
    metric.return_data = true;
    math(
        vec![metric],
        "band",
        "usual band",
        "ANOMALY_DETECTION_BAND(m1, 2)".to_owned(),
    )
}
