//! How databases, tables and buckets are backed up, and which snapshots there are.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::Observed;
use crate::model::settings::{Settings, Versioning};
use crate::model::{ResourceType, Tags};

/// Of one environment; only what was asked for.
#[derive(Debug, Clone, Default)]
pub struct BackupFacts {
    /// When it was looked at.
    pub at: Option<Timestamp>,
    /// RDS instances and clusters by ARN. No entry: the listing did not show it.
    pub databases: BTreeMap<String, DatabaseFact>,
    /// DynamoDB tables by ARN.
    pub tables: BTreeMap<String, Observed<TableFact>>,
    /// Buckets by name; only those that may be asked to be versioned.
    pub buckets: BTreeMap<String, Observed<VersioningFact>>,
    /// By region and type (`rds-snapshot`, `rds-cluster-snapshot`).
    pub snapshots: BTreeMap<(String, ResourceType), Observed<Vec<SnapshotFact>>>,
    /// When each configured drill passed last, by its name. `Absent`: it was looked for in every
    /// place, and there is no trace of it.
    pub drills: BTreeMap<String, Observed<DrillPassed>>,
}

/// An RDS instance or cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatabaseFact {
    pub settings: Settings,
    /// Days that were asked for and are not in force yet (`PendingModifiedValues`).
    pub pending_retention: Option<u32>,
    /// Other modifications that wait for the maintenance window, by the names of the API.
    pub pending: BTreeSet<String>,
    /// `available`, `stopped`, …
    pub status: String,
    /// `postgres`, `aurora-mysql`, …
    pub engine: String,
    pub encrypted: bool,
    pub multi_az: bool,
    /// The instance or cluster that it replicates.
    pub replica_of: Option<String>,
    /// Of an instance: the cluster that it belongs to.
    pub cluster: Option<String>,
    /// Newest moment that it can be restored to (`LatestRestorableTime`).
    pub restorable: Option<Timestamp>,
    /// `DbiResourceId`, `DbClusterResourceId`: it survives a rename.
    pub resource_id: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableFact {
    pub point_in_time_recovery: bool,
    pub restorable: Option<Timestamp>,
    /// Regions of a global table; only where copies are asked for.
    pub replicas: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersioningFact {
    pub state: Versioning,
    /// A change of it needs a code of a device.
    pub mfa_delete: bool,
}

/// A snapshot of an RDS instance or cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotFact {
    pub arn: String,
    pub name: String,
    /// Identifier of the instance or cluster.
    pub source: String,
    pub resource_id: Option<String>,
    /// `automated`, `manual`, `awsbackup`.
    pub made: String,
    pub status: String,
    pub encrypted: bool,
    /// How old the data is: `SnapshotDatabaseTime`, else `OriginalSnapshotCreateTime`, else
    /// `SnapshotCreateTime`.
    pub data_time: Option<Timestamp>,
    /// Accounts that may restore it; `all` is everybody. Only manual ones can be shared.
    pub shared: Observed<BTreeSet<String>>,
    pub tags: Tags,
}

/// A drill that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrillPassed {
    pub at: Timestamp,
    /// Where that stands: a run id, or the metric.
    pub shown_by: String,
}
