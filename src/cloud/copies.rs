//! Copies that restore drills make, seen one by one, and the calls that change or delete them.
//!
//! Reading is open to everyone in `drill`. Deleting takes a [`Permit`], which only
//! [`crate::drill::remove`] can make, and it makes one only after all guards have passed. Changing a
//! copy takes an [`Ours`], which the same guards give.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CloudError, Target};
use crate::drill::remove::{Ours, Permit};
use crate::drill::scratch::Secret;
use crate::inventory::Observed;
use crate::model::Tags;

/// What a copy is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum CopyKind {
    /// An RDS DB instance, alone or in a cluster.
    Instance,
    /// An Aurora DB cluster.
    Cluster,
    /// A DynamoDB table.
    Table,
}

impl CopyKind {
    pub const ALL: [CopyKind; 3] = [CopyKind::Instance, CopyKind::Cluster, CopyKind::Table];
}

impl fmt::Display for CopyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CopyKind::Instance => "DB instance",
            CopyKind::Cluster => "DB cluster",
            CopyKind::Table => "table",
        })
    }
}

/// One instance, cluster or table as it stands right now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopySeen {
    pub kind: CopyKind,
    pub region: String,
    /// Its name, which can be changed (RDS) and given again.
    pub id: String,
    pub arn: String,
    /// `DbiResourceId`, `DbClusterResourceId`, `TableId`: survives a rename and is never given again.
    pub resource_id: Option<String>,
    /// `None` while RDS is still making it.
    pub created: Option<Timestamp>,
    /// As the service writes it: `available`, `ACTIVE`, …
    pub status: String,
    /// Never `Absent`.
    pub tags: Observed<Tags>,
    pub deletion_protection: bool,
    /// What replicates from it, by name or ARN.
    pub replicas: Vec<String>,
    /// What it replicates from.
    pub replica_of: Option<String>,
    /// The table that a table was restored from, by its ARN, in the service's own words.
    pub restored_from: Option<String>,
    /// The cluster that an instance is in.
    pub cluster: Option<String>,
    /// The instances that are in a cluster.
    pub members: Vec<String>,
    /// Host and port, once there is one.
    pub endpoint: Option<(String, u16)>,
    pub publicly_accessible: Option<bool>,
    /// A change that was asked for has not arrived yet (`PendingModifiedValues`).
    pub pending_changes: bool,
}

impl CopySeen {
    /// `DB instance drill-orders-… in eu-west-1`.
    pub fn shown(&self) -> String {
        format!("{} {} in {}", self.kind, self.id, self.region)
    }
}

/// What can be done with copies. Failures are told as they are: nothing here takes an error for an
/// absence.
#[async_trait]
pub trait Copies: Send + Sync {
    /// Looks at one by its exact name; `None`: the service says that there is none of that name.
    ///
    /// # Errors
    /// What the service answers.
    async fn look(
        &self,
        target: &Target,
        region: &str,
        kind: CopyKind,
        id: &str,
    ) -> Result<Option<CopySeen>, CloudError>;

    /// All of a kind whose names begin with `drill-`, and those that bear this resource id whatever
    /// their names are. Tags of tables are read one by one.
    ///
    /// # Errors
    /// What the service answers.
    async fn find(
        &self,
        target: &Target,
        region: &str,
        kind: CopyKind,
        resource_id: Option<&str>,
    ) -> Result<Vec<CopySeen>, CloudError>;

    /// Turns deletion protection off.
    ///
    /// # Errors
    /// What the service answers.
    async fn unprotect(&self, permit: &Permit) -> Result<(), CloudError>;

    /// Asks for the deletion, without final snapshot and with its automated backups. It takes time
    /// after the answer.
    ///
    /// # Errors
    /// What the service answers.
    async fn delete(&self, permit: &Permit) -> Result<(), CloudError>;

    /// Sets the master password at once; `unmanage` takes it out of Secrets Manager's hands first.
    ///
    /// # Errors
    /// What the service answers.
    async fn set_password(
        &self,
        ours: &Ours,
        password: &Secret,
        unmanage: bool,
    ) -> Result<(), CloudError>;

    /// Makes these all the tags that it has, but for those of AWS itself (`aws:…`).
    ///
    /// # Errors
    /// What the service answers.
    async fn set_tags(&self, ours: &Ours, tags: &Tags) -> Result<(), CloudError>;

    /// The time by the cloud's clock, from its newest answer; this machine's before the first one.
    /// What is compared with times that AWS gives is measured with AWS's clock, so that a clock that
    /// is wrong or jumps here decides nothing.
    fn now(&self) -> Timestamp;
}
