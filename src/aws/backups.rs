//! How databases, tables and buckets are backed up: what observing adds to the listings, reads of
//! single resources, and the writes that make their protection stronger.

mod facts;
mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_sdk_dynamodb::types::{ContinuousBackupsDescription, PointInTimeRecoveryStatus};
use aws_sdk_s3::types::{BucketVersioningStatus, MfaDeleteStatus};
use futures::future::join_all;
use futures::{StreamExt, stream};
use jiff::Timestamp;

use super::attributes::{Failure, group};
use super::dynamodb;
use super::error::{self, Named};
use super::join::RegionReading;
use super::listing::Listing;
use super::session::{Region, Session};
use crate::cloud::{CloudError, Want};
use crate::inventory::{
    Bucket, EnvironmentInventory, Gap, Observed, SnapshotFact, TableFact, VersioningFact,
};
use crate::model::settings::Versioning;
use crate::model::{Control, ResourceType};

use facts::time;
pub use facts::{of_cluster, of_cluster_snapshot, of_instance, of_snapshot};
pub use settings::{execute, read};

const CONTINUOUS: &str = "dynamodb:DescribeContinuousBackups";
const VERSIONING: &str = "s3:GetBucketVersioning";
/// Snapshots of one type and region that are asked who may restore them, the newest ones; an account
/// may have 100 manual ones unless AWS has raised that. Source: "Quotas and constraints for Amazon RDS".
const ASKED: usize = 500;

/// Adds what the listings told and what takes calls of its own.
pub async fn observe(
    session: &Session,
    regions: &[Arc<Region>],
    readings: &mut [RegionReading],
    buckets: &BTreeMap<String, Bucket>,
    want: &Want,
    inventory: &mut EnvironmentInventory,
) {
    inventory.backups.at = Some(Timestamp::now());
    let reads = readings.iter_mut().zip(regions).map(|(reading, region)| {
        let here = buckets.values().filter(|b| b.region == region.name);
        let here = here.filter(|b| want.versioning_of(&b.name));
        let here = here.map(|b| b.name.clone()).collect();
        of_region(session, region, &mut reading.listings, here, want)
    });
    for (region, found, failures) in join_all(reads).await {
        let all = &mut inventory.backups;
        all.databases.extend(found.databases);
        all.tables.extend(found.tables);
        all.buckets.extend(found.buckets);
        all.snapshots.extend(found.snapshots);
        for (operation, resource, error) in group(failures) {
            inventory.gaps.push(Gap {
                environment: session.target.environment.clone(),
                account: session.target.account.clone(),
                region: region.clone(),
                control: Control::Backups,
                operation: operation.to_owned(),
                resource,
                error,
            });
        }
    }
}

type Found = crate::inventory::BackupFacts;

async fn of_region(
    session: &Session,
    region: &Region,
    listings: &mut [Listing],
    buckets: Vec<String>,
    want: &Want,
) -> (String, Found, Vec<Failure>) {
    let mut found = Found::default();
    let mut failures = Vec::new();
    let mut tables = Vec::new();
    let mut snapshots = Vec::new();
    for listing in listings {
        for item in &mut listing.items {
            if let Some(fact) = item.backup.take() {
                found.databases.insert(item.arn.clone(), *fact);
            } else if listing.kind == ResourceType::DYNAMODB_TABLE {
                tables.push((item.arn.clone(), item.name.clone()));
            }
        }
        let of_snapshots = listing.kind == ResourceType::RDS_SNAPSHOT
            || listing.kind == ResourceType::RDS_CLUSTER_SNAPSHOT;
        if want.snapshots && of_snapshots {
            let key = (region.name.clone(), listing.kind.clone());
            match &listing.error {
                // The gap is that of the listing.
                Some(error) => {
                    let unknown = Observed::Unknown(error::text(error));
                    found.snapshots.insert(key, unknown);
                }
                None => {
                    let facts = std::mem::take(&mut listing.snapshots);
                    snapshots.push((key, facts.into_iter().map(|(fact, _)| fact).collect()));
                }
            }
        }
    }
    let width = session.shared.concurrency;
    let tables = stream::iter(tables)
        .map(|(arn, name)| async move {
            let answer = table(region, &name, want.replicas).await;
            (arn, name, answer)
        })
        .buffer_unordered(width)
        .collect::<Vec<_>>();
    let buckets = stream::iter(buckets)
        .map(|name| async move {
            let answer = versioning(region, &name).await;
            (name, answer)
        })
        .buffer_unordered(width)
        .collect::<Vec<_>>();
    let snapshots = join_all(
        snapshots
            .into_iter()
            .map(|(key, facts)| shared(session, region, key, facts)),
    );
    let (tables, buckets, snapshots) = futures::join!(tables, buckets, snapshots);
    let mut observed = |operation, name: String, error: CloudError| {
        let text = error::text(&error);
        failures.push((operation, Some(name), error));
        text
    };
    for (arn, name, answer) in tables {
        let fact = match answer {
            Ok(fact) => Observed::Known(fact),
            Err(error) if error::is_not_found(&error) || error.code == "TableNotFoundException" => {
                Observed::Absent
            }
            Err(error) if error.operation == dynamodb::DESCRIBE => {
                Observed::Unknown(observed(dynamodb::DESCRIBE, name, error))
            }
            Err(error) => Observed::Unknown(observed(CONTINUOUS, name, error)),
        };
        found.tables.insert(arn, fact);
    }
    for (name, answer) in buckets {
        let fact = match answer {
            Ok(fact) => Observed::Known(fact),
            Err(error) if error::is_not_found(&error) => Observed::Absent,
            Err(error) => Observed::Unknown(observed(VERSIONING, name.clone(), error)),
        };
        found.buckets.insert(name, fact);
    }
    for (key, facts, failed) in snapshots {
        found.snapshots.insert(key, Observed::Known(facts));
        failures.extend(failed);
    }
    (region.name.clone(), found, failures)
}

/// Continuous backups of a table, and where it is replicated to.
async fn table(region: &Region, name: &str, replicas: bool) -> Result<TableFact, CloudError> {
    let mut fact = continuous_backups(region, name).await?;
    if replicas {
        fact.replicas = dynamodb::replicas(region, name).await?;
    }
    Ok(fact)
}

async fn continuous_backups(region: &Region, name: &str) -> Result<TableFact, CloudError> {
    let _slot = region.slot().await;
    let call = region.dynamodb().describe_continuous_backups();
    let answer = call.table_name(name).send().await.named(CONTINUOUS)?;
    let recovery = answer
        .continuous_backups_description
        .and_then(|d: ContinuousBackupsDescription| d.point_in_time_recovery_description);
    let on = |r: &aws_sdk_dynamodb::types::PointInTimeRecoveryDescription| {
        r.point_in_time_recovery_status() == Some(&PointInTimeRecoveryStatus::Enabled)
    };
    Ok(TableFact {
        point_in_time_recovery: recovery.as_ref().is_some_and(on),
        restorable: recovery.and_then(|r| time(r.latest_restorable_date_time())),
        replicas: BTreeSet::new(),
    })
}

async fn versioning(region: &Region, bucket: &str) -> Result<VersioningFact, CloudError> {
    let _slot = region.slot().await;
    let call = region.s3().get_bucket_versioning().bucket(bucket);
    let call = call.expected_bucket_owner(&region.account);
    let answer = call.send().await.named(VERSIONING)?;
    Ok(VersioningFact {
        state: match answer.status() {
            None => Versioning::Off,
            Some(BucketVersioningStatus::Enabled) => Versioning::Enabled,
            Some(BucketVersioningStatus::Suspended) => Versioning::Suspended,
            Some(other) => {
                let message = format!("the state `{}` is not known", other.as_str());
                return Err(error::own(VERSIONING, "Unreadable", message));
            }
        },
        mfa_delete: answer.mfa_delete() == Some(&MfaDeleteStatus::Enabled),
    })
}

type Key = (String, ResourceType);

/// Asks of each manual snapshot who may restore it; others cannot be shared.
async fn shared(
    session: &Session,
    region: &Region,
    key: Key,
    mut facts: Vec<SnapshotFact>,
) -> (Key, Vec<SnapshotFact>, Vec<Failure>) {
    facts.sort_by(|a, b| (b.data_time, &a.name).cmp(&(a.data_time, &b.name)));
    let cluster = key.1 == ResourceType::RDS_CLUSTER_SNAPSHOT;
    let operation = match cluster {
        true => "rds:DescribeDBClusterSnapshotAttributes",
        false => "rds:DescribeDBSnapshotAttributes",
    };
    let mut manual = 0;
    let mut asked = Vec::new();
    for (i, fact) in facts.iter_mut().enumerate() {
        if fact.made != "manual" {
            fact.shared = Observed::Absent;
            continue;
        }
        manual += 1;
        if asked.len() < ASKED {
            asked.push((i, fact.name.clone()));
        }
    }
    let mut failures: Vec<Failure> = Vec::new();
    if manual > asked.len() {
        let message = format!("only the newest {ASKED} of {manual} manual snapshots were asked");
        failures.push((operation, None, error::own(operation, "TooMany", message)));
    }
    let answers = stream::iter(asked)
        .map(|(i, name)| async move {
            let answer = restorers(region, &name, cluster, operation).await;
            (i, name, answer)
        })
        .buffer_unordered(session.shared.concurrency)
        .collect::<Vec<_>>()
        .await;
    for (i, name, answer) in answers {
        let Some(fact) = facts.get_mut(i) else {
            continue;
        };
        fact.shared = match answer {
            Ok(accounts) if accounts.is_empty() => Observed::Absent,
            Ok(accounts) => Observed::Known(accounts),
            Err(error) if error::is_not_found(&error) => Observed::Absent,
            Err(error) => {
                let text = error::text(&error);
                failures.push((operation, Some(name), error));
                Observed::Unknown(text)
            }
        };
    }
    (key, facts, failures)
}

/// The accounts that may restore a snapshot.
async fn restorers(
    region: &Region,
    name: &str,
    cluster: bool,
    operation: &str,
) -> Result<BTreeSet<String>, CloudError> {
    const RESTORE: &str = "restore";
    let _slot = region.slot().await;
    let mut out = BTreeSet::new();
    if cluster {
        let call = region.rds().describe_db_cluster_snapshot_attributes();
        let call = call.db_cluster_snapshot_identifier(name);
        let answer = call.send().await.named(operation)?;
        let all = answer.db_cluster_snapshot_attributes_result;
        for attribute in all.iter().flat_map(|r| r.db_cluster_snapshot_attributes()) {
            if attribute.attribute_name() == Some(RESTORE) {
                out.extend(attribute.attribute_values().iter().cloned());
            }
        }
    } else {
        let call = region.rds().describe_db_snapshot_attributes();
        let call = call.db_snapshot_identifier(name);
        let answer = call.send().await.named(operation)?;
        let all = answer.db_snapshot_attributes_result;
        for attribute in all.iter().flat_map(|r| r.db_snapshot_attributes()) {
            if attribute.attribute_name() == Some(RESTORE) {
                out.extend(attribute.attribute_values().iter().cloned());
            }
        }
    }
    Ok(out)
}
