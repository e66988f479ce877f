//! What was seen of one environment's account, in our own types.
//!
//! An inventory is partial and stale by assumption: each fact is known, absent or unknown, and what
//! could not be seen is listed as a [`Gap`].

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::lifecycle::LifecycleConfiguration;
use crate::model::object::MetricId;
use crate::model::{Control, ResourceType, Tags};

mod alarms;
mod attributes;
mod backups;
mod money;

pub use alarms::{AlarmDefinition, AlarmFact, MetricsKey};
pub use attributes::{Attributes, DISCOVERED, RegionFacts};
pub use backups::{
    BackupFacts, DatabaseFact, DrillPassed, SnapshotFact, TableFact, VersioningFact,
};
pub use money::{
    AnomalySubscriptionFact, BudgetFact, CostTagFact, MoneyFacts, MonitorFact, TopicFact,
};

/// A fact, its known absence, or the reason why it is not known.
///
/// `Unknown` never turns into `Absent`: access denied must not plan a create, nor pass an audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed<T> {
    Known(T),
    Absent,
    /// The error, in words; the [`Gap`] that belongs to it is in the inventory.
    Unknown(String),
}

/// What nobody asked for is not known.
impl<T> Default for Observed<T> {
    fn default() -> Self {
        Observed::Unknown("not looked at".to_owned())
    }
}

impl<T> Observed<T> {
    pub fn known(&self) -> Option<&T> {
        match self {
            Observed::Known(value) => Some(value),
            _ => None,
        }
    }

    pub fn is_unknown(&self) -> bool {
        matches!(self, Observed::Unknown(_))
    }
}

/// Something that a control needs and that could not be seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    pub environment: String,
    pub account: String,
    pub region: String,
    pub control: Control,
    /// Service and operation, e.g. `rds:DescribeDBInstances`.
    pub operation: String,
    /// The resource, where the call was about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    pub error: String,
}

/// One resource with its tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    pub arn: String,
    pub kind: ResourceType,
    pub name: String,
    /// `global` for services without regions.
    pub region: String,
    /// Never `Absent`: a resource without tags has `Known` empty ones.
    pub tags: Observed<Tags>,
}

/// What S3 tells about a bucket besides its tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    pub name: String,
    pub region: String,
    pub lifecycle: Observed<LifecycleConfiguration>,
    /// An element of the lifecycle configuration that this version does not know and would lose;
    /// such a configuration is never written.
    pub unknown_element: Option<String>,
    /// `Absent`: the metrics were read and have no data points.
    pub size: Observed<BucketSize>,
}

/// From the daily storage metrics, which also count noncurrent versions and unfinished uploads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketSize {
    /// Bytes in the STANDARD class.
    pub standard_bytes: u64,
    /// Objects in all classes.
    pub objects: u64,
}

/// A type that was not looked at, or only where it is tagged.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct NotChecked {
    #[serde(rename = "type")]
    pub kind: String,
    pub region: String,
    pub reason: String,
}

/// All that was seen in one environment.
#[derive(Debug, Clone, Default)]
pub struct EnvironmentInventory {
    pub environment: String,
    pub account: String,
    pub regions: Vec<String>,
    /// Sorted by type, region and name.
    pub resources: Vec<Resource>,
    /// By name; only those in the configured regions.
    pub buckets: BTreeMap<String, Bucket>,
    /// Buckets of the account outside the configured regions: name and region.
    pub buckets_elsewhere: Vec<(String, String)>,
    /// Budgets, anomaly detection, cost allocation tags, the billing metric.
    pub money: MoneyFacts,
    /// Topics that were asked for, by ARN. `Absent`: there is no such topic.
    pub topics: BTreeMap<String, Observed<TopicFact>>,
    /// Alarms of all kinds, by region.
    pub alarms: BTreeMap<String, Observed<Vec<AlarmFact>>>,
    /// The metrics that exist under the names that alarms watch; only where it was asked for.
    /// Metrics without a point for two weeks are not among them.
    pub metrics: BTreeMap<MetricsKey, Observed<BTreeSet<MetricId>>>,
    /// What thresholds are derived from, by ARN; only where it was asked for.
    pub attributes: BTreeMap<String, Attributes>,
    /// The same for whole regions, by region; only where it was asked for.
    pub region_facts: BTreeMap<String, RegionFacts>,
    /// How things are backed up; only where it was asked for.
    pub backups: BackupFacts,
    /// Types that were listed in full in every configured region.
    pub types_checked: BTreeSet<String>,
    pub types_not_checked: BTreeSet<NotChecked>,
    pub gaps: Vec<Gap>,
}

impl EnvironmentInventory {
    /// Puts everything into its defined order, so that identical accounts give identical plans.
    pub fn sort(&mut self) {
        self.resources.sort_by(|a, b| {
            (&a.kind, &a.region, &a.name, &a.arn).cmp(&(&b.kind, &b.region, &b.name, &b.arn))
        });
        self.resources.dedup_by(|a, b| a.arn == b.arn);
        self.buckets_elsewhere.sort();
        self.gaps.sort();
        self.gaps.dedup();
    }
}
