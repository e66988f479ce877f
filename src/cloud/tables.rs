//! DynamoDB tables as restore drills see them: their recovery points, a restore, and reading items.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{CloudError, Target};

/// A table as it stands right now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    pub name: String,
    pub arn: String,
    /// `TableId`: never given again.
    pub id: String,
    pub status: String,
    /// About six hours behind. Source: DynamoDB API reference, TableDescription.
    pub items: u64,
    /// Without indexes, and as far behind.
    pub bytes: u64,
    /// `PAY_PER_REQUEST` or `PROVISIONED`.
    pub billing: String,
    /// The partition key, then the sort key where there is one.
    pub keys: Vec<String>,
    /// Names of the secondary indexes of both kinds.
    pub indexes: Vec<String>,
    /// With a key of KMS; without, the table is encrypted with a key of DynamoDB's own.
    pub kms: bool,
    pub restoring: bool,
}

/// Whether a table can be restored to a point in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PointInTime {
    pub enabled: bool,
    /// The newest moment; about five minutes ago.
    pub latest: Option<Timestamp>,
}

/// A backup of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableBackup {
    pub arn: String,
    /// `AVAILABLE`, `CREATING`, `DELETED`.
    pub status: String,
    /// `USER`, `SYSTEM` (of a table that was deleted), `AWS_BACKUP`.
    pub kind: String,
    pub created: Option<Timestamp>,
    pub bytes: Option<u64>,
    /// Of the table that it was made of; a namesake that was deleted has another one.
    pub table_id: Option<String>,
}

/// What a table is restored from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TablePoint {
    /// A moment of a table, by the table's ARN; whole seconds.
    Time { source_arn: String, at: Timestamp },
    /// A backup, by its ARN.
    Backup(String),
}

/// A table that is to be made. It is on demand whatever its source is: an idle copy then costs its
/// storage only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTable {
    pub name: String,
    pub region: String,
    /// With the indexes of the source.
    pub indexes: bool,
}

/// A value that can be a key or a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scalar {
    Text(String),
    /// As DynamoDB writes numbers.
    Number(String),
    Bytes(Vec<u8>),
}

/// Attributes by their names; values of other kinds are left out.
pub type Item = BTreeMap<String, Scalar>;

/// A part of a table to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    pub table: String,
    /// One of so many; from 0.
    pub segment: u32,
    pub segments: u32,
    /// Items to read at most; the page may end before.
    pub limit: Option<u32>,
    /// The attributes to give; none: the items are only counted.
    pub attributes: Vec<String>,
    /// Where the page before ended.
    pub from: Option<Item>,
}

/// A page of a [`Scan`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    pub items: Vec<Item>,
    pub count: u64,
    /// Where the next page begins; none: the segment has ended.
    pub next: Option<Item>,
}

/// DynamoDB. Only `drill` may call [`Tables::restore_table`].
#[async_trait]
pub trait Tables: Send + Sync {
    /// `None`: there is no table of that name.
    ///
    /// # Errors
    /// What the service answers.
    async fn table(
        &self,
        target: &Target,
        region: &str,
        name: &str,
    ) -> Result<Option<Table>, CloudError>;

    /// # Errors
    /// What the service answers.
    async fn point_in_time(
        &self,
        target: &Target,
        region: &str,
        name: &str,
    ) -> Result<PointInTime, CloudError>;

    /// All backups of tables of that name, of deleted ones too.
    ///
    /// # Errors
    /// What the service answers.
    async fn table_backups(
        &self,
        target: &Target,
        region: &str,
        name: &str,
    ) -> Result<Vec<TableBackup>, CloudError>;

    /// Asks for a copy once, without trying again; answers with its `TableId`.
    ///
    /// # Errors
    /// What the service answers.
    async fn restore_table(
        &self,
        target: &Target,
        point: &TablePoint,
        new: &NewTable,
    ) -> Result<Option<String>, CloudError>;

    /// Reads one page, eventually consistent.
    ///
    /// # Errors
    /// What the service answers.
    async fn scan(&self, target: &Target, region: &str, scan: &Scan) -> Result<Page, CloudError>;

    /// Which of these keys (at most 100) a table has.
    ///
    /// # Errors
    /// What the service answers.
    async fn present(
        &self,
        target: &Target,
        region: &str,
        table: &str,
        keys: &[Item],
    ) -> Result<Vec<bool>, CloudError>;
}
