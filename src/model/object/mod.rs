//! Things that opsctl makes as a whole and owns by their name: topics, budgets, anomaly monitors
//! and subscriptions, cost allocation tags, alarms.
//!
//! Every type here is normalised, so that `==` means "nothing to do". What AWS holds beyond it is
//! kept in `extra`: it is shown, it makes a difference, and it is never written.

mod alarm;
mod anomaly;
mod budget;
pub mod policy;
mod shown;
mod topic;

pub use alarm::{AlarmMetric, CompositeAlarm, MetricAlarm, MetricId, MetricQuery, QueryKind};
pub use anomaly::{AnomalyMonitor, AnomalySubscription, CostAllocationTag, MonitorScope};
pub use budget::{
    Budget, CostTypes, Money, Notification, NotificationKey, Subscriber, ThresholdUnit, When,
};
pub use shown::fields;
pub use topic::Topic;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Arn, ResourceType};

/// The tag on everything that opsctl made; its value is `project/environment`.
pub const MANAGED_TAG: &str = "opsctl:managed";

/// What AWS holds beyond what this version writes: element and value, for people.
pub type Extra = BTreeMap<String, String>;

/// One thing that is made, changed and removed as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "object", rename_all = "snake_case")]
pub enum Object {
    Topic(Topic),
    CostAllocationTag(CostAllocationTag),
    Budget(Budget),
    AnomalyMonitor(AnomalyMonitor),
    AnomalySubscription(AnomalySubscription),
    MetricAlarm(MetricAlarm),
    CompositeAlarm(CompositeAlarm),
}

/// How an object is found again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectKey {
    pub kind: ObjectKind,
    /// `global` for budgets and Cost Explorer.
    pub region: String,
    pub name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    Topic,
    CostAllocationTag,
    Budget,
    AnomalyMonitor,
    AnomalySubscription,
    MetricAlarm,
    CompositeAlarm,
}

impl ObjectKind {
    /// The order in which they are made; they are removed in the opposite one.
    pub fn rank(self) -> u8 {
        match self {
            ObjectKind::Topic | ObjectKind::CostAllocationTag => 0,
            ObjectKind::AnomalyMonitor | ObjectKind::Budget | ObjectKind::MetricAlarm => 1,
            ObjectKind::AnomalySubscription | ObjectKind::CompositeAlarm => 2,
        }
    }

    /// The ARN of such a thing. Monitors and subscriptions get one from AWS that nobody can know
    /// before; theirs is written with the name instead of the id.
    pub fn arn(self, partition: &str, region: &str, account: &str, name: &str) -> String {
        match self {
            ObjectKind::Topic => format!("arn:{partition}:sns:{region}:{account}:{name}"),
            ObjectKind::CostAllocationTag => {
                format!("arn:{partition}:ce::{account}:costallocationtag/{name}")
            }
            ObjectKind::Budget => format!("arn:{partition}:budgets::{account}:budget/{name}"),
            ObjectKind::AnomalyMonitor => {
                format!("arn:{partition}:ce::{account}:anomalymonitor/{name}")
            }
            ObjectKind::AnomalySubscription => {
                format!("arn:{partition}:ce::{account}:anomalysubscription/{name}")
            }
            ObjectKind::MetricAlarm | ObjectKind::CompositeAlarm => {
                format!("arn:{partition}:cloudwatch:{region}:{account}:alarm:{name}")
            }
        }
    }
}

impl Object {
    pub fn kind(&self) -> ObjectKind {
        match self {
            Object::Topic(_) => ObjectKind::Topic,
            Object::CostAllocationTag(_) => ObjectKind::CostAllocationTag,
            Object::Budget(_) => ObjectKind::Budget,
            Object::AnomalyMonitor(_) => ObjectKind::AnomalyMonitor,
            Object::AnomalySubscription(_) => ObjectKind::AnomalySubscription,
            Object::MetricAlarm(_) => ObjectKind::MetricAlarm,
            Object::CompositeAlarm(_) => ObjectKind::CompositeAlarm,
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Object::Topic(o) => &o.name,
            Object::CostAllocationTag(o) => &o.key,
            Object::Budget(o) => &o.name,
            Object::AnomalyMonitor(o) => &o.name,
            Object::AnomalySubscription(o) => &o.name,
            Object::MetricAlarm(o) => &o.name,
            Object::CompositeAlarm(o) => &o.name,
        }
    }

    /// `global` for what has no region.
    pub fn region(&self) -> &str {
        match self {
            Object::Topic(o) => &o.region,
            Object::MetricAlarm(o) => &o.region,
            Object::CompositeAlarm(o) => &o.region,
            Object::CostAllocationTag(_)
            | Object::Budget(_)
            | Object::AnomalyMonitor(_)
            | Object::AnomalySubscription(_) => "global",
        }
    }

    pub fn key(&self) -> ObjectKey {
        ObjectKey {
            kind: self.kind(),
            region: self.region().to_owned(),
            name: self.name().to_owned(),
        }
    }

    /// Its type as addresses write it.
    pub fn resource_type(&self) -> ResourceType {
        let arn = self.kind().arn("aws", "r", "0", self.name());
        Arn::parse(&arn).map_or_else(|| ResourceType::new("unknown"), |arn| arn.classify().0)
    }

    /// ARNs of topics, and names of alarms and monitors, that have to be there before it.
    pub fn references(&self) -> Vec<&str> {
        fn topics<'a>(subscribers: impl Iterator<Item = &'a Subscriber>) -> Vec<&'a str> {
            subscribers
                .filter_map(|s| match s {
                    Subscriber::Sns(arn) => Some(arn.as_str()),
                    Subscriber::Email(_) => None,
                })
                .collect()
        }
        match self {
            Object::Topic(_) | Object::CostAllocationTag(_) | Object::AnomalyMonitor(_) => {
                Vec::new()
            }
            Object::Budget(o) => topics(o.notifications.values().flatten()),
            Object::AnomalySubscription(o) => {
                let mut all = topics(o.subscribers.iter());
                all.extend(o.monitors.iter().map(String::as_str));
                all
            }
            Object::MetricAlarm(o) => o.actions().map(String::as_str).collect(),
            Object::CompositeAlarm(o) => {
                let children = o.children.iter();
                children.chain(o.actions()).map(String::as_str).collect()
            }
        }
    }
}
