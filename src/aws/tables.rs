//! DynamoDB tables for restore drills.
//!
//! Source: DynamoDB API reference, DescribeTable, DescribeContinuousBackups, ListBackups,
//! RestoreTableToPointInTime, RestoreTableFromBackup, Scan, BatchGetItem.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::config::Config;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::primitives::{Blob, DateTime};
use aws_sdk_dynamodb::types::{
    AttributeValue, BackupTypeFilter, BillingMode, KeyType, KeysAndAttributes,
    PointInTimeRecoveryStatus, Select, TableDescription,
};

use super::copies::time;
use super::error::{self, Named};
use super::listing::pages;
use super::session::Region;
use super::{AwsCloud, dynamodb, located};
use crate::cloud::tables::{
    Item, NewTable, Page, PointInTime, Scalar, Scan, Table, TableBackup, TablePoint, Tables,
};
use crate::cloud::{CloudError, Target};

const CONTINUOUS: &str = "dynamodb:DescribeContinuousBackups";
const BACKUPS: &str = "dynamodb:ListBackups";
const SCAN: &str = "dynamodb:Scan";
const BATCH: &str = "dynamodb:BatchGetItem";
/// Rounds for keys that BatchGetItem leaves unprocessed.
const ROUNDS: u32 = 8;

fn of(found: &TableDescription) -> Table {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let number = |value: Option<i64>| value.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    let key = |kind: &KeyType| {
        let mut schema = found.key_schema().iter();
        schema
            .find(|k| k.key_type() == kind)
            .map(|k| k.attribute_name().to_owned())
    };
    let global = found.global_secondary_indexes().iter();
    let local = found.local_secondary_indexes().iter();
    Table {
        name: text(found.table_name()),
        arn: text(found.table_arn()),
        id: text(found.table_id()),
        status: found
            .table_status()
            .map(|s| s.as_str().to_owned())
            .unwrap_or_default(),
        items: number(found.item_count()),
        bytes: number(found.table_size_bytes()),
        // No summary: always was provisioned. Source: DynamoDB API reference, TableDescription.
        billing: found
            .billing_mode_summary()
            .and_then(|s| s.billing_mode())
            .map_or("PROVISIONED", |m| m.as_str())
            .to_owned(),
        keys: [KeyType::Hash, KeyType::Range]
            .iter()
            .filter_map(key)
            .collect(),
        indexes: global
            .filter_map(|i| i.index_name())
            .chain(local.filter_map(|i| i.index_name()))
            .map(str::to_owned)
            .collect(),
        kms: found
            .sse_description()
            .is_some_and(|s| s.kms_master_key_arn().is_some()),
        restoring: found
            .restore_summary()
            .is_some_and(|s| s.restore_in_progress()),
    }
}

fn scalar(value: &AttributeValue) -> Option<Scalar> {
    match value {
        AttributeValue::S(text) => Some(Scalar::Text(text.clone())),
        AttributeValue::N(number) => Some(Scalar::Number(number.clone())),
        AttributeValue::B(bytes) => Some(Scalar::Bytes(bytes.as_ref().to_vec())),
        _ => None,
    }
}

fn item(found: &HashMap<String, AttributeValue>) -> Item {
    found
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), scalar(value)?)))
        .collect()
}

fn sdk(item: &Item) -> HashMap<String, AttributeValue> {
    item.iter()
        .map(|(name, value)| {
            let value = match value {
                Scalar::Text(text) => AttributeValue::S(text.clone()),
                Scalar::Number(number) => AttributeValue::N(number.clone()),
                Scalar::Bytes(bytes) => AttributeValue::B(Blob::new(bytes.clone())),
            };
            (name.clone(), value)
        })
        .collect()
}

/// Placeholders, as many names of attributes are reserved words.
fn placeholders<'a>(
    names: impl Iterator<Item = &'a String>,
) -> (Option<String>, Option<HashMap<String, String>>) {
    let mut map = HashMap::new();
    let mut list = Vec::new();
    for (i, name) in names.enumerate() {
        map.insert(format!("#a{i}"), name.clone());
        list.push(format!("#a{i}"));
    }
    match list.is_empty() {
        true => (None, None),
        false => (Some(list.join(", ")), Some(map)),
    }
}

async fn backups(region: &Region, name: &str) -> Result<Vec<TableBackup>, CloudError> {
    let mut out = Vec::new();
    pages!(BACKUPS, |token| {
        let call = region.dynamodb().list_backups().table_name(name);
        let page = call
            .backup_type(BackupTypeFilter::All)
            .limit(100)
            .set_exclusive_start_backup_arn(token)
            .send()
            .await
            .named(BACKUPS)?;
        out.extend(page.backup_summaries().iter().map(|found| {
            TableBackup {
                arn: found.backup_arn().unwrap_or_default().to_owned(),
                status: found
                    .backup_status()
                    .map(|s| s.as_str().to_owned())
                    .unwrap_or_default(),
                kind: found
                    .backup_type()
                    .map(|s| s.as_str().to_owned())
                    .unwrap_or_default(),
                created: time(found.backup_creation_date_time()),
                bytes: found
                    .backup_size_bytes()
                    .and_then(|b| u64::try_from(b).ok()),
                table_id: found.table_id().map(str::to_owned),
            }
        }));
        Ok(page.last_evaluated_backup_arn)
    })?;
    Ok(out)
}

/// Our own first attempt could not be told from somebody else's table.
fn once() -> aws_sdk_dynamodb::config::Builder {
    Config::builder().retry_config(RetryConfig::disabled())
}

async fn restore(
    region: &Region,
    point: &TablePoint,
    new: &NewTable,
) -> Result<Option<String>, CloudError> {
    // An empty list leaves all indexes out; none keeps them.
    // Source: DynamoDB developer guide, "Restoring a table".
    let (global, local) = match new.indexes {
        true => (None, None),
        false => (Some(Vec::new()), Some(Vec::new())),
    };
    let table = match point {
        TablePoint::Time { source_arn, at } => {
            let call = region.dynamodb().restore_table_to_point_in_time();
            call.source_table_arn(source_arn)
                .target_table_name(&new.name)
                .restore_date_time(DateTime::from_secs(at.as_second()))
                .billing_mode_override(BillingMode::PayPerRequest)
                .set_global_secondary_index_override(global)
                .set_local_secondary_index_override(local)
                .customize()
                .config_override(once())
                .send()
                .await
                .named("dynamodb:RestoreTableToPointInTime")?
                .table_description
        }
        TablePoint::Backup(arn) => {
            let call = region.dynamodb().restore_table_from_backup();
            call.backup_arn(arn)
                .target_table_name(&new.name)
                .billing_mode_override(BillingMode::PayPerRequest)
                .set_global_secondary_index_override(global)
                .set_local_secondary_index_override(local)
                .customize()
                .config_override(once())
                .send()
                .await
                .named("dynamodb:RestoreTableFromBackup")?
                .table_description
        }
    };
    Ok(table.and_then(|t| t.table_id).filter(|id| !id.is_empty()))
}

async fn scan(region: &Region, scan: &Scan) -> Result<Page, CloudError> {
    let (projection, names) = placeholders(scan.attributes.iter());
    let number = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    let call = region.dynamodb().scan().table_name(&scan.table);
    let select = match projection {
        None => Some(Select::Count),
        Some(_) => None,
    };
    let answer = call
        .segment(number(scan.segment))
        .total_segments(number(scan.segments.max(1)))
        .set_limit(scan.limit.map(number))
        .set_select(select)
        .set_projection_expression(projection)
        .set_expression_attribute_names(names)
        .set_exclusive_start_key(scan.from.as_ref().map(sdk))
        .send()
        .await
        .named(SCAN)?;
    Ok(Page {
        items: answer.items().iter().map(item).collect(),
        count: u64::try_from(answer.count()).unwrap_or(0),
        next: answer
            .last_evaluated_key()
            .filter(|key| !key.is_empty())
            .map(item),
    })
}

async fn present(region: &Region, table: &str, keys: &[Item]) -> Result<Vec<bool>, CloudError> {
    let Some(first) = keys.first() else {
        return Ok(Vec::new());
    };
    let own = |code: &str, message: String| error::own(BATCH, code, message);
    let (projection, names) = placeholders(first.keys());
    let mut wanted: Vec<HashMap<String, AttributeValue>> = keys.iter().map(sdk).collect();
    let mut found: Vec<Item> = Vec::new();
    for round in 0..ROUNDS {
        if wanted.is_empty() {
            break;
        }
        if round > 0 {
            tokio::time::sleep(Duration::from_millis(100 << round)).await;
        }
        let request = KeysAndAttributes::builder()
            .set_keys(Some(std::mem::take(&mut wanted)))
            .set_projection_expression(projection.clone())
            .set_expression_attribute_names(names.clone())
            .consistent_read(true)
            .build()
            .map_err(|e| own("request", e.to_string()))?;
        let call = region.dynamodb().batch_get_item();
        let mut answer = call
            .request_items(table, request)
            .send()
            .await
            .named(BATCH)?;
        let there = answer.responses().and_then(|r| r.get(table));
        found.extend(there.into_iter().flatten().map(item));
        let left = answer.unprocessed_keys.take().unwrap_or_default();
        wanted = left.into_values().flat_map(|k| k.keys).collect();
    }
    match wanted.len() {
        0 => Ok(keys.iter().map(|key| found.contains(key)).collect()),
        left => Err(own(
            "Unprocessed",
            format!("{left} keys were not looked up"),
        )),
    }
}

#[async_trait]
impl Tables for AwsCloud {
    async fn table(
        &self,
        target: &Target,
        region: &str,
        name: &str,
    ) -> Result<Option<Table>, CloudError> {
        let session = self.session(target);
        let clients = session.region(region).await;
        let call = clients.dynamodb().describe_table().table_name(name);
        match call.send().await.named(dynamodb::DESCRIBE) {
            Ok(answer) => Ok(answer.table.as_ref().map(of)),
            Err(e) if error::is_not_found(&e) => Ok(None),
            Err(e) => Err(located(e, &session, region)),
        }
    }

    async fn point_in_time(
        &self,
        target: &Target,
        region: &str,
        name: &str,
    ) -> Result<PointInTime, CloudError> {
        let session = self.session(target);
        let clients = session.region(region).await;
        let call = clients.dynamodb().describe_continuous_backups();
        let answer = call
            .table_name(name)
            .send()
            .await
            .named(CONTINUOUS)
            .map_err(|e| located(e, &session, region))?;
        let said = answer
            .continuous_backups_description
            .and_then(|d| d.point_in_time_recovery_description);
        Ok(PointInTime {
            enabled: said
                .as_ref()
                .and_then(|s| s.point_in_time_recovery_status())
                == Some(&PointInTimeRecoveryStatus::Enabled),
            latest: said
                .as_ref()
                .and_then(|s| time(s.latest_restorable_date_time())),
        })
    }

    async fn table_backups(
        &self,
        target: &Target,
        region: &str,
        name: &str,
    ) -> Result<Vec<TableBackup>, CloudError> {
        let session = self.session(target);
        let clients = session.region(region).await;
        backups(&clients, name)
            .await
            .map_err(|e| located(e, &session, region))
    }

    async fn restore_table(
        &self,
        target: &Target,
        point: &TablePoint,
        new: &NewTable,
    ) -> Result<Option<String>, CloudError> {
        let session = self.session(target);
        let clients = session.region(&new.region).await;
        restore(&clients, point, new)
            .await
            .map_err(|e| located(e, &session, &new.region))
    }

    async fn scan(&self, target: &Target, region: &str, wanted: &Scan) -> Result<Page, CloudError> {
        let session = self.session(target);
        let clients = session.region(region).await;
        scan(&clients, wanted)
            .await
            .map_err(|e| located(e, &session, region))
    }

    async fn present(
        &self,
        target: &Target,
        region: &str,
        table: &str,
        keys: &[Item],
    ) -> Result<Vec<bool>, CloudError> {
        let session = self.session(target);
        let clients = session.region(region).await;
        present(&clients, table, keys)
            .await
            .map_err(|e| located(e, &session, region))
    }
}
