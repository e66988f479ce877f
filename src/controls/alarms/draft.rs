//! Alarms as the policy means them, before names and notification targets.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use sha2::{Digest, Sha256};

use crate::config::later::alarms::{Metric, Routing};
use crate::model::object::{AlarmMetric, MetricId, MetricQuery, QueryKind};
use crate::plan::Reason;

pub const ABOVE: &str = "GreaterThanThreshold";
pub const BELOW: &str = "LessThanThreshold";
pub const OUTSIDE: &str = "LessThanLowerOrGreaterThanUpperThreshold";

/// Characters of a description. Source: API model, `cloudwatch:PutMetricAlarm`.
const DESCRIPTION_MAX: usize = 1024;
/// Characters of a name.
const NAME_MAX: usize = 255;

/// What an alarm looks at and when it fires.
#[derive(Debug, Clone, PartialEq)]
pub struct Core {
    pub metric: AlarmMetric,
    pub comparison: &'static str,
    pub threshold: Option<Decimal>,
    pub band: Option<String>,
    /// M of N.
    pub datapoints: (u32, u32),
    pub missing: &'static str,
    pub low_samples: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    Metric(Core),
    /// Over the alarms with these suffixes, all of which have to be in ALARM.
    AllOf(Vec<String>),
}

/// One alarm that the policy asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    pub region: String,
    /// Of the name, after the prefix.
    pub suffix: String,
    /// `None`: it notifies nobody, another alarm rests on it.
    pub severity: Option<Routing>,
    pub shape: Shape,
    /// What it means, for people who are woken up by it.
    pub sentence: String,
    pub reason: Reason,
}

impl Draft {
    pub fn description(&self) -> String {
        let lead = match self.severity {
            Some(severity) => format!("[{}] ", severity.as_str()),
            None => String::new(),
        };
        let text = format!(
            "{lead}{}. Made by opsctl: {}.",
            self.sentence, self.reason.rule
        );
        let kept: String = text
            .chars()
            .filter(|c| !c.is_control())
            .take(DESCRIPTION_MAX)
            .collect();
        kept.trim_end().to_owned()
    }
}

/// The whole name; one that is too long ends with a part of its hash, so that it stays the same.
pub fn name(prefix: &str, suffix: &str) -> String {
    let whole: String = format!("{prefix}{suffix}")
        .chars()
        .map(|c| if c.is_control() { '_' } else { c })
        .collect();
    if whole.chars().count() <= NAME_MAX {
        return whole;
    }
    let hash = hex::encode(Sha256::digest(whole.as_bytes()));
    let kept: String = whole.chars().take(NAME_MAX - 9).collect();
    format!("{kept}-{}", hash.get(..8).unwrap_or_default())
}

pub fn metric_id(metric: &Metric) -> MetricId {
    MetricId {
        namespace: metric.namespace.clone(),
        metric: metric.metric.clone(),
        dimensions: metric.dimensions.clone(),
    }
}

/// One metric with its statistic.
#[derive(Debug, Clone)]
pub struct Stat {
    pub metric: MetricId,
    pub statistic: String,
}

impl Stat {
    pub fn new(
        namespace: &str,
        metric: &str,
        dimensions: &BTreeMap<String, String>,
        statistic: &str,
    ) -> Stat {
        Stat {
            metric: MetricId {
                namespace: namespace.to_owned(),
                metric: metric.to_owned(),
                dimensions: dimensions.clone(),
            },
            statistic: statistic.to_owned(),
        }
    }

    pub fn of(metric: &Metric, default: &str) -> Stat {
        Stat {
            metric: metric_id(metric),
            statistic: metric.statistic.clone().unwrap_or(default.to_owned()),
        }
    }

    pub fn single(self, period: u32) -> AlarmMetric {
        AlarmMetric::Single {
            metric: self.metric,
            statistic: self.statistic,
            period,
        }
    }

    pub fn query(self, id: &str, period: u32) -> MetricQuery {
        MetricQuery {
            id: id.to_owned(),
            return_data: false,
            label: None,
            kind: QueryKind::Metric {
                metric: self.metric,
                statistic: self.statistic,
                period,
            },
        }
    }
}

/// Metric math over some metrics; the expression is what is compared.
pub fn math(metrics: Vec<MetricQuery>, id: &str, label: &str, expression: String) -> AlarmMetric {
    let mut all = metrics;
    all.push(MetricQuery {
        id: id.to_owned(),
        return_data: true,
        label: Some(label.to_owned()),
        kind: QueryKind::Expression {
            expression,
            period: None,
        },
    });
    all.sort_by(|a, b| a.id.cmp(&b.id));
    AlarmMetric::Math(all)
}

/// `failed` in percent of `total`: 0 while there are fewer than `minimum`, and without any failures.
///
/// A counter that is only published when something fails has no points otherwise, so it is filled.
/// `FILL` fills the newest period too, which may not be published yet; therefore M of N with M < N,
/// and a dead-man twin that is never filled. Source: CloudWatch user guide, "Using metric math".
pub fn failure_percent(failed: Stat, total: Stat, period: u32, minimum: u64) -> AlarmMetric {
    let minimum = minimum.max(1);
    math(
        vec![failed.query("failed", period), total.query("total", period)],
        "rate",
        "failure rate in %",
        format!("IF(total >= {minimum}, 100 * FILL(failed, 0) / total, 0)"),
    )
}

/// The same from what went well.
pub fn shortfall_percent(good: Stat, total: Stat, period: u32, minimum: u64) -> AlarmMetric {
    let minimum = minimum.max(1);
    math(
        vec![good.query("good", period), total.query("total", period)],
        "rate",
        "error rate in %",
        format!("IF(total >= {minimum}, 100 * (total - FILL(good, 0)) / total, 0)"),
    )
}

/// `1 min`, `30 s`, `6 h`, `3 d`.
pub fn span(seconds: u64) -> String {
    for (unit, text) in [(86_400, "d"), (3_600, "h"), (60, "min")] {
        if seconds >= unit && seconds.is_multiple_of(unit) {
            return format!("{} {text}", seconds / unit);
        }
    }
    format!("{seconds} s")
}

/// `3 of 5 min`, or `3 of 5 periods of 5 min`.
pub fn often((m, n): (u32, u32), period: u32) -> String {
    match period {
        60 => format!("{m} of {n} min"),
        _ if (m, n) == (1, 1) => span(period.into()),
        _ => format!("{m} of {n} periods of {}", span(period.into())),
    }
}

/// The metrics that an alarm names, each once.
pub fn metrics_of(metric: &AlarmMetric) -> BTreeSet<&MetricId> {
    match metric {
        AlarmMetric::Single { metric, .. } => BTreeSet::from([metric]),
        AlarmMetric::Math(queries) => queries
            .iter()
            .filter_map(|q| match &q.kind {
                QueryKind::Metric { metric, .. } => Some(metric),
                QueryKind::Expression { .. } => None,
            })
            .collect(),
    }
}
