//! Databases as the source of a restore drill, their recovery points, and the calls that restore
//! them into new ones.

use async_trait::async_trait;
use jiff::Timestamp;

use super::copies::CopyKind;
use super::{CloudError, Target};
use crate::model::Tags;

/// An instance or an Aurora cluster, with what a restore has to be told again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    pub kind: CopyKind,
    pub id: String,
    pub arn: String,
    /// `DbiResourceId` or `DbClusterResourceId`.
    pub resource_id: String,
    pub engine: String,
    pub engine_version: Option<String>,
    /// `provisioned`, `serverless`; clusters only.
    pub engine_mode: Option<String>,
    pub status: String,
    /// Of a cluster: that of its writer.
    pub instance_class: Option<String>,
    /// GiB; not of Aurora.
    pub storage_gib: Option<u64>,
    pub storage_type: Option<String>,
    pub encrypted: Option<bool>,
    pub subnet_group: Option<String>,
    pub security_groups: Vec<String>,
    /// Of instances; of a cluster that of its writer.
    pub parameter_group: Option<String>,
    pub cluster_parameter_group: Option<String>,
    pub option_group: Option<String>,
    /// `open-source-rds-extended-support` or `…-disabled`.
    pub lifecycle_support: Option<String>,
    /// Aurora capacity units, least and most, of Serverless v2.
    pub serverless_v2: Option<(String, String)>,
    pub database_name: Option<String>,
    pub master_user: Option<String>,
    /// The master password is kept by Secrets Manager.
    pub managed_password: bool,
    /// The cluster that an instance is in.
    pub cluster: Option<String>,
    /// Days.
    pub retention: Option<u32>,
    pub latest_restorable: Option<Timestamp>,
}

/// A snapshot of an instance or a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseSnapshot {
    pub id: String,
    pub arn: String,
    pub status: String,
    /// `automated`, `manual`, `awsbackup`.
    pub kind: String,
    pub created: Option<Timestamp>,
    /// Of a copy: when the snapshot that it is a copy of was made.
    pub original_created: Option<Timestamp>,
    /// `SnapshotDatabaseTime`: the time that the data is of.
    pub data_time: Option<Timestamp>,
    pub encrypted: Option<bool>,
    pub storage_gib: Option<u64>,
    pub engine_version: Option<String>,
    /// Of the source, where the service tells it.
    pub source_resource_id: Option<String>,
}

/// What is restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Point {
    /// Identifier of a snapshot.
    Snapshot(String),
    Time {
        /// Name of the source.
        source: String,
        at: Timestamp,
    },
}

/// A new database, whole: nothing is left to defaults of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDatabase {
    pub id: String,
    pub region: String,
    pub engine: String,
    pub engine_version: Option<String>,
    pub instance_class: Option<String>,
    pub subnet_group: Option<String>,
    pub security_groups: Vec<String>,
    pub parameter_group: Option<String>,
    pub cluster_parameter_group: Option<String>,
    pub option_group: Option<String>,
    pub lifecycle_support: Option<String>,
    pub serverless_v2: Option<(String, String)>,
    /// The cluster that an instance is made in.
    pub cluster: Option<String>,
    pub tags: Tags,
}

/// A quota of the account in a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// `DBInstances`, `AllocatedStorage`, …
    pub name: String,
    pub used: i64,
    pub max: i64,
}

/// Databases of an account. A call that makes one is tried once: what became of a lost answer is
/// for the caller to find out.
#[async_trait]
pub trait Databases: Send + Sync {
    /// `None`: there is no instance of that name.
    ///
    /// # Errors
    /// What the service answers.
    async fn instance(
        &self,
        target: &Target,
        region: &str,
        id: &str,
    ) -> Result<Option<Database>, CloudError>;

    /// `None`: there is no cluster of that name.
    ///
    /// # Errors
    /// What the service answers.
    async fn cluster(
        &self,
        target: &Target,
        region: &str,
        id: &str,
    ) -> Result<Option<Database>, CloudError>;

    /// All snapshots of a source that this account owns, in any order: automated, manual, and AWS
    /// Backup's.
    ///
    /// # Errors
    /// What the service answers.
    async fn snapshots(
        &self,
        target: &Target,
        region: &str,
        source: &Database,
    ) -> Result<Vec<DatabaseSnapshot>, CloudError>;

    /// Whether a subnet group is there.
    ///
    /// # Errors
    /// What the service answers.
    async fn has_subnet_group(
        &self,
        target: &Target,
        region: &str,
        name: &str,
    ) -> Result<bool, CloudError>;

    /// # Errors
    /// What the service answers.
    async fn quotas(&self, target: &Target, region: &str) -> Result<Vec<Quota>, CloudError>;

    /// Asks for a new instance from a recovery point: not public, without backups, deletion
    /// protection or a standby. Gives its resource id.
    ///
    /// # Errors
    /// What the service answers to the only attempt.
    async fn restore_instance(
        &self,
        target: &Target,
        point: &Point,
        new: &NewDatabase,
    ) -> Result<Option<String>, CloudError>;

    /// The same for a cluster, always as a full copy: a clone shares the source's storage and proves
    /// nothing about its backups.
    ///
    /// # Errors
    /// What the service answers to the only attempt.
    async fn restore_cluster(
        &self,
        target: &Target,
        point: &Point,
        new: &NewDatabase,
    ) -> Result<Option<String>, CloudError>;

    /// Asks for an instance in a cluster.
    ///
    /// # Errors
    /// What the service answers to the only attempt.
    async fn create_member(
        &self,
        target: &Target,
        new: &NewDatabase,
    ) -> Result<Option<String>, CloudError>;
}
