//! Facts about CloudWatch alarms.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::Observed;
use crate::model::Tags;
use crate::model::object::{AlarmMetric, CompositeAlarm, MetricAlarm, MetricId, QueryKind};

/// One alarm of the account, ours or foreign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmFact {
    pub arn: String,
    pub definition: AlarmDefinition,
    /// `OK`, `ALARM`, `INSUFFICIENT_DATA`.
    pub state: String,
    pub state_reason: String,
    pub state_since: Option<Timestamp>,
    /// Only of alarms that bear a name of ours; `Unknown` for others.
    pub tags: Observed<Tags>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlarmDefinition {
    Metric(MetricAlarm),
    Composite(CompositeAlarm),
    /// A kind that opsctl does not write (log alarms, PromQL): its name and region.
    Other {
        name: String,
        region: String,
    },
}

/// Which metrics: all of one name in one region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetricsKey {
    pub region: String,
    pub namespace: String,
    pub metric: String,
}

impl AlarmDefinition {
    /// The metrics of this account that it watches.
    pub fn metrics(&self) -> Vec<&MetricId> {
        let AlarmDefinition::Metric(alarm) = self else {
            return Vec::new();
        };
        match &alarm.metric {
            AlarmMetric::Single { metric, .. } => vec![metric],
            AlarmMetric::Math(queries) => queries
                .iter()
                // Those of another account cannot be seen from here.
                .filter(|q| {
                    let field = format!("metrics.{}.account_id", q.id);
                    !alarm.extra.contains_key(&field)
                })
                .filter_map(|q| match &q.kind {
                    QueryKind::Metric { metric, .. } => Some(metric),
                    QueryKind::Expression { .. } => None,
                })
                .collect(),
        }
    }

    /// ARNs of all that it does, whatever the state.
    pub fn actions(&self) -> BTreeSet<&String> {
        match self {
            AlarmDefinition::Metric(a) => a.actions().collect(),
            AlarmDefinition::Composite(a) => a.actions().collect(),
            AlarmDefinition::Other { .. } => BTreeSet::new(),
        }
    }

    pub fn name(&self) -> &str {
        match self {
            AlarmDefinition::Metric(a) => &a.name,
            AlarmDefinition::Composite(a) => &a.name,
            AlarmDefinition::Other { name, .. } => name,
        }
    }
}
