use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Extra;

/// A metric with exactly these dimensions.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct MetricId {
    pub namespace: String,
    pub metric: String,
    #[serde(default)]
    pub dimensions: BTreeMap<String, String>,
}

/// What an alarm looks at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlarmMetric {
    Single {
        metric: MetricId,
        /// `Sum`, `Average`, `p99`, …
        statistic: String,
        /// Seconds.
        period: u32,
    },
    /// Metric math: sorted by id, exactly one with `return_data`.
    Math(Vec<MetricQuery>),
}

/// One line of metric math.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MetricQuery {
    pub id: String,
    pub return_data: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    pub kind: QueryKind,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QueryKind {
    Metric {
        metric: MetricId,
        statistic: String,
        /// Seconds.
        period: u32,
    },
    Expression {
        expression: String,
        /// Seconds; `None`: that of the metrics in it.
        period: Option<u32>,
    },
}

/// A metric alarm of CloudWatch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MetricAlarm {
    pub region: String,
    pub name: String,
    pub description: String,
    pub metric: AlarmMetric,
    /// `GreaterThanThreshold`, …
    pub comparison: String,
    /// `None` for an anomaly band.
    #[schemars(with = "Option<String>")]
    pub threshold: Option<Decimal>,
    /// Id of the anomaly band.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold_metric_id: Option<String>,
    /// N of "M of N".
    pub evaluation_periods: u32,
    /// M of "M of N".
    pub datapoints_to_alarm: u32,
    /// `missing`, `ignore`, `breaching`, `notBreaching`.
    pub treat_missing_data: String,
    /// `evaluate` or `ignore`, for percentiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_samples: Option<String>,
    pub actions_enabled: bool,
    pub alarm_actions: BTreeSet<String>,
    pub ok_actions: BTreeSet<String>,
    pub insufficient_data_actions: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

impl MetricAlarm {
    pub fn actions(&self) -> impl Iterator<Item = &String> {
        self.alarm_actions
            .iter()
            .chain(&self.ok_actions)
            .chain(&self.insufficient_data_actions)
    }
}

/// An alarm over the states of other alarms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CompositeAlarm {
    pub region: String,
    pub name: String,
    pub description: String,
    /// E.g. `ALARM("a") AND ALARM("b")`.
    pub rule: String,
    /// Names of the alarms in the rule.
    pub children: BTreeSet<String>,
    pub actions_enabled: bool,
    pub alarm_actions: BTreeSet<String>,
    pub ok_actions: BTreeSet<String>,
    pub insufficient_data_actions: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

impl CompositeAlarm {
    pub fn actions(&self) -> impl Iterator<Item = &String> {
        self.alarm_actions
            .iter()
            .chain(&self.ok_actions)
            .chain(&self.insufficient_data_actions)
    }
}
