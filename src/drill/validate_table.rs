//! The copy of a restore test that is a DynamoDB table.

use async_trait::async_trait;
use jiff::Timestamp;

use super::before::unseen;
use super::dynamodb::{Reading, run_checks};
use super::record::{CheckRecord, CopyRecord, SourceRecord};
use super::source::{Context, Stop};
use super::spec::SourceId;
use super::validate::{Checker, Looked};
use crate::cloud::copies::Copies;
use crate::cloud::tables::Tables;

/// A table that AWS Backup restored.
pub struct TableCopy<'a> {
    copies: &'a dyn Copies,
    tables: &'a dyn Tables,
    region: &'a str,
    /// Its name, which [`super::restore_test::copy_of`] has looked at.
    id: String,
    data_time: Option<Timestamp>,
}

impl<'a> TableCopy<'a> {
    pub fn new(
        copies: &'a dyn Copies,
        tables: &'a dyn Tables,
        region: &'a str,
        id: String,
        data_time: Option<Timestamp>,
    ) -> TableCopy<'a> {
        TableCopy {
            copies,
            tables,
            region,
            id,
            data_time,
        }
    }
}

#[async_trait]
impl Checker for TableCopy<'_> {
    async fn find(&mut self, context: &Context<'_>) -> Result<Looked, Stop> {
        let target = &context.spec.target;
        let found = self.tables.table(target, self.region, &self.id).await;
        let Some(table) = found.map_err(|e| unseen("the copy cannot be seen", &e))? else {
            return Err(Stop::could_not_run(format!(
                "AWS Backup says that it made the table {}, and DynamoDB says that there is none in {}",
                self.id, self.region
            )));
        };
        if !matches!(table.status.as_str(), "ACTIVE" | "UPDATING") || table.restoring {
            return Err(Stop::could_not_run(format!(
                "the table {} is {}, not ready",
                self.id, table.status
            )));
        }
        Ok(Looked {
            copy: CopyRecord {
                id: table.name,
                resource_id: Some(table.id),
                instance_class: None,
            },
            source: SourceRecord {
                engine: Some("dynamodb".to_owned()),
                encrypted: Some(true),
                ..SourceRecord::default()
            },
        })
    }

    async fn verify(&mut self, context: &Context<'_>) -> Result<Vec<CheckRecord>, Stop> {
        let SourceId::DynamoDb(source) = &context.spec.id else {
            return Err(Stop::could_not_run("the drill is not one of a table"));
        };
        let reading = Reading {
            tables: self.tables,
            region: self.region.to_owned(),
            source: source.clone(),
            copy: self.id.clone(),
            data_time: self.data_time,
            now: self.copies.now(),
        };
        run_checks(&reading, context).await
    }

    async fn close(&mut self) {}
}
