//! Facts about CloudWatch alarms.

use jiff::Timestamp;

use super::Observed;
use crate::model::Tags;
use crate::model::object::{CompositeAlarm, MetricAlarm};

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

impl AlarmDefinition {
    pub fn name(&self) -> &str {
        match self {
            AlarmDefinition::Metric(a) => &a.name,
            AlarmDefinition::Composite(a) => &a.name,
            AlarmDefinition::Other { name, .. } => name,
        }
    }
}
