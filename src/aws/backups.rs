//! How databases, tables and buckets are backed up: what observing adds to the listings, reads of
//! single resources, and the writes that make their protection stronger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_sdk_dynamodb::types::{
    ContinuousBackupsDescription, PointInTimeRecoverySpecification, PointInTimeRecoveryStatus,
};
use aws_sdk_rds::types::{DbCluster, DbClusterSnapshot, DbInstance, DbSnapshot};
use aws_sdk_s3::types::{BucketVersioningStatus, MfaDeleteStatus, VersioningConfiguration};
use futures::future::join_all;
use futures::{StreamExt, stream};
use jiff::Timestamp;

use super::attributes::{Failure, group};
use super::error::{self, Named};
use super::join::RegionReading;
use super::listing::Listing;
use super::session::{Region, Session};
use super::{dynamodb, rds};
use crate::cloud::{Call, CloudError, Protection, SettingsReading, Subject, Want};
use crate::inventory::{
    Bucket, DatabaseFact, EnvironmentInventory, Gap, Observed, SnapshotFact, TableFact,
    VersioningFact,
};
use crate::model::settings::{BackupCopy, Settings, Versioning};
use crate::model::{Arn, Control, ResourceType};

const CONTINUOUS: &str = "dynamodb:DescribeContinuousBackups";
const VERSIONING: &str = "s3:GetBucketVersioning";
/// Snapshots of one type and region that are asked who may restore them, the newest ones; an account
/// may have 100 manual ones unless AWS has raised that. Source: "Quotas and constraints for Amazon RDS".
const ASKED: usize = 500;

fn text(value: Option<&str>) -> Option<String> {
    value.filter(|v| !v.is_empty()).map(str::to_owned)
}

fn time(at: Option<&aws_smithy_types::DateTime>) -> Option<Timestamp> {
    let at = at?;
    Timestamp::new(at.secs(), i32::try_from(at.subsec_nanos()).ok()?).ok()
}

fn days(value: Option<i32>) -> Option<u32> {
    value.and_then(|d| u32::try_from(d).ok())
}

/// The names of those that are there.
fn waiting<const N: usize>(pending: [(&str, bool); N]) -> BTreeSet<String> {
    let there = pending.into_iter().filter(|(_, is)| *is);
    there.map(|(name, _)| name.to_owned()).collect()
}

pub fn of_instance(found: &DbInstance) -> DatabaseFact {
    let pending = found.pending_modified_values();
    let retention = pending.and_then(|p| days(p.backup_retention_period()));
    let others = pending.map(|p| {
        waiting([
            ("AllocatedStorage", p.allocated_storage.is_some()),
            (
                "AdditionalStorageVolumes",
                p.additional_storage_volumes.is_some(),
            ),
            ("AutomationMode", p.automation_mode.is_some()),
            (
                "CACertificateIdentifier",
                p.ca_certificate_identifier.is_some(),
            ),
            (
                "DBCapacityReservationIdentifier",
                p.db_capacity_reservation_identifier.is_some(),
            ),
            ("DBInstanceClass", p.db_instance_class.is_some()),
            ("DBInstanceIdentifier", p.db_instance_identifier.is_some()),
            ("DBSubnetGroupName", p.db_subnet_group_name.is_some()),
            ("DedicatedLogVolume", p.dedicated_log_volume.is_some()),
            ("Engine", p.engine.is_some()),
            ("EngineVersion", p.engine_version.is_some()),
            (
                "IAMDatabaseAuthenticationEnabled",
                p.iam_database_authentication_enabled.is_some(),
            ),
            ("Iops", p.iops.is_some()),
            ("LicenseModel", p.license_model.is_some()),
            ("MasterUserPassword", p.master_user_password.is_some()),
            ("MultiAZ", p.multi_az.is_some()),
            ("MultiTenant", p.multi_tenant.is_some()),
            (
                "PendingCloudwatchLogsExports",
                p.pending_cloudwatch_logs_exports.is_some(),
            ),
            ("Port", p.port.is_some()),
            (
                "ProcessorFeatures",
                p.processor_features.as_ref().is_some_and(|f| !f.is_empty()),
            ),
            (
                "ResumeFullAutomationModeTime",
                p.resume_full_automation_mode_time.is_some(),
            ),
            ("StorageThroughput", p.storage_throughput.is_some()),
            ("StorageType", p.storage_type.is_some()),
        ])
    });
    let copies = found.db_instance_automated_backups_replications().iter();
    let copied_to = copies.filter_map(|copy| {
        let arn = Arn::parse(copy.db_instance_automated_backups_arn()?)?;
        Some(arn.region.to_owned())
    });
    DatabaseFact {
        settings: Settings {
            retention_days: retention.or(days(found.backup_retention_period())),
            deletion_protection: Some(found.deletion_protection().unwrap_or(false)),
            copy_tags_to_snapshot: Some(found.copy_tags_to_snapshot().unwrap_or(false)),
            copied_to: Some(copied_to.collect()),
            ..Settings::default()
        },
        pending_retention: retention.filter(|r| Some(*r) != days(found.backup_retention_period())),
        pending: others.unwrap_or_default(),
        status: text(found.db_instance_status()).unwrap_or_default(),
        engine: text(found.engine()).unwrap_or_default(),
        encrypted: found.storage_encrypted().unwrap_or(false),
        multi_az: found.multi_az().unwrap_or(false),
        replica_of: text(found.read_replica_source_db_instance_identifier())
            .or_else(|| text(found.read_replica_source_db_cluster_identifier())),
        cluster: text(found.db_cluster_identifier()),
        restorable: time(found.latest_restorable_time()),
        resource_id: text(found.dbi_resource_id()),
    }
}

pub fn of_cluster(found: &DbCluster) -> DatabaseFact {
    let pending = found.pending_modified_values();
    let retention = pending.and_then(|p| days(p.backup_retention_period()));
    let others = pending.map(|p| {
        waiting([
            ("AllocatedStorage", p.allocated_storage.is_some()),
            ("CertificateDetails", p.certificate_details.is_some()),
            ("DBClusterIdentifier", p.db_cluster_identifier.is_some()),
            ("EngineVersion", p.engine_version.is_some()),
            (
                "IAMDatabaseAuthenticationEnabled",
                p.iam_database_authentication_enabled.is_some(),
            ),
            ("Iops", p.iops.is_some()),
            ("MasterUserPassword", p.master_user_password.is_some()),
            (
                "PendingCloudwatchLogsExports",
                p.pending_cloudwatch_logs_exports.is_some(),
            ),
            (
                "RdsCustomClusterConfiguration",
                p.rds_custom_cluster_configuration.is_some(),
            ),
            ("StorageType", p.storage_type.is_some()),
        ])
    });
    DatabaseFact {
        settings: Settings {
            retention_days: retention.or(days(found.backup_retention_period())),
            deletion_protection: Some(found.deletion_protection().unwrap_or(false)),
            copy_tags_to_snapshot: Some(found.copy_tags_to_snapshot().unwrap_or(false)),
            ..Settings::default()
        },
        pending_retention: retention.filter(|r| Some(*r) != days(found.backup_retention_period())),
        pending: others.unwrap_or_default(),
        status: text(found.status()).unwrap_or_default(),
        engine: text(found.engine()).unwrap_or_default(),
        encrypted: found.storage_encrypted().unwrap_or(false),
        multi_az: found.multi_az().unwrap_or(false),
        replica_of: text(found.replication_source_identifier()),
        cluster: None,
        restorable: time(found.latest_restorable_time()),
        resource_id: text(found.db_cluster_resource_id()),
    }
}

/// Nobody has asked yet who may restore it.
fn unasked() -> Observed<BTreeSet<String>> {
    Observed::Unknown("not asked".to_owned())
}

pub fn of_snapshot(found: &DbSnapshot) -> Option<SnapshotFact> {
    Some(SnapshotFact {
        arn: text(found.db_snapshot_arn())?,
        name: text(found.db_snapshot_identifier())?,
        source: text(found.db_instance_identifier()).unwrap_or_default(),
        resource_id: text(found.dbi_resource_id()),
        made: text(found.snapshot_type()).unwrap_or_default(),
        status: text(found.status()).unwrap_or_default(),
        encrypted: found.encrypted().unwrap_or(false),
        data_time: time(found.snapshot_database_time())
            .or_else(|| time(found.original_snapshot_create_time()))
            .or_else(|| time(found.snapshot_create_time())),
        shared: unasked(),
        tags: rds::pairs(found.tag_list()),
    })
}

pub fn of_cluster_snapshot(found: &DbClusterSnapshot) -> Option<SnapshotFact> {
    Some(SnapshotFact {
        arn: text(found.db_cluster_snapshot_arn())?,
        name: text(found.db_cluster_snapshot_identifier())?,
        source: text(found.db_cluster_identifier()).unwrap_or_default(),
        resource_id: text(found.db_cluster_resource_id()),
        made: text(found.snapshot_type()).unwrap_or_default(),
        status: text(found.status()).unwrap_or_default(),
        encrypted: found.storage_encrypted().unwrap_or(false),
        data_time: time(found.snapshot_create_time()),
        shared: unasked(),
        tags: rds::pairs(found.tag_list()),
    })
}

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

fn gone(operation: &str, name: &str) -> CloudError {
    error::own(operation, "NotFound", format!("{name} is not there"))
}

/// The settings of one resource right now.
pub async fn read(
    session: &Session,
    region: &Region,
    subject: &Subject,
    copies: &BTreeSet<String>,
) -> Result<SettingsReading, CloudError> {
    let name = &subject.name;
    let of_database = |fact: DatabaseFact| SettingsReading {
        settings: fact.settings,
        pending: fact.pending,
    };
    match &subject.kind {
        k if *k == ResourceType::RDS_INSTANCE => {
            let operation = "rds:DescribeDBInstances";
            let call = region.rds().describe_db_instances();
            let answer = call.db_instance_identifier(name).send().await;
            let answer = answer.named(operation)?;
            let found = answer.db_instances().first();
            let mut fact = found
                .map(of_instance)
                .ok_or_else(|| gone(operation, name))?;
            if let Some(id) = &fact.resource_id {
                for other in copies {
                    if has_copy(session, other, id, &subject.region).await {
                        let known = fact.settings.copied_to.get_or_insert_default();
                        known.insert(other.clone());
                    }
                }
            }
            Ok(of_database(fact))
        }
        k if *k == ResourceType::RDS_CLUSTER => {
            let operation = "rds:DescribeDBClusters";
            let call = region.rds().describe_db_clusters();
            let answer = call.db_cluster_identifier(name).send().await;
            let answer = answer.named(operation)?;
            let found = answer.db_clusters().first();
            let fact = found.map(of_cluster).ok_or_else(|| gone(operation, name))?;
            Ok(of_database(fact))
        }
        k if *k == ResourceType::DYNAMODB_TABLE => {
            let fact = continuous_backups(region, name).await?;
            Ok(SettingsReading {
                settings: Settings {
                    point_in_time_recovery: Some(fact.point_in_time_recovery),
                    ..Settings::default()
                },
                pending: BTreeSet::new(),
            })
        }
        k if *k == ResourceType::S3_BUCKET => {
            let fact = versioning(region, name).await?;
            Ok(SettingsReading {
                settings: Settings {
                    versioning: Some(fact.state),
                    ..Settings::default()
                },
                pending: BTreeSet::new(),
            })
        }
        other => Err(error::own(
            "opsctl:ReadSettings",
            error::NOT_IMPLEMENTED,
            format!("opsctl knows no settings of {other}"),
        )),
    }
}

/// Whether a region holds backups of an instance of another one. The instance itself says so too,
/// but later; what cannot be read here is not there yet.
async fn has_copy(session: &Session, region: &str, resource_id: &str, source: &str) -> bool {
    let clients = session.region(region).await;
    let call = clients.rds().describe_db_instance_automated_backups();
    let answer = call.dbi_resource_id(resource_id).send().await;
    match answer.named("rds:DescribeDBInstanceAutomatedBackups") {
        Ok(answer) => answer
            .db_instance_automated_backups()
            .iter()
            .any(|b| b.dbi_resource_id() == Some(resource_id) && b.region() == Some(source)),
        Err(error) => {
            tracing::debug!(region, code = error.code, "copies could not be read");
            false
        }
    }
}

/// One of the writes of this control; `region` is that of [`Call::region`].
pub async fn execute(region: &Region, call: &Call) -> Result<(), CloudError> {
    match call {
        Call::ProtectDatabase {
            database,
            protection,
        } => protect(region, database, protection).await,
        Call::CopyBackups { source, copy } => copy_backups(region, source, copy).await,
        Call::RecoverPointInTime { table, .. } => {
            let operation = "dynamodb:UpdateContinuousBackups";
            let on = PointInTimeRecoverySpecification::builder()
                .point_in_time_recovery_enabled(true)
                .build()
                .map_err(|e| error::own(operation, "request", e.to_string()))?;
            let call = region.dynamodb().update_continuous_backups();
            call.table_name(table)
                .point_in_time_recovery_specification(on)
                .send()
                .await
                .named(operation)
                .map(drop)
        }
        Call::EnableVersioning { bucket, .. } => {
            let on = VersioningConfiguration::builder()
                .status(BucketVersioningStatus::Enabled)
                .build();
            let call = region.s3().put_bucket_versioning().bucket(bucket);
            call.expected_bucket_owner(&region.account)
                .versioning_configuration(on)
                .send()
                .await
                .named("s3:PutBucketVersioning")
                .map(drop)
        }
        _ => Err(error::own(
            "opsctl:Execute",
            error::NOT_IMPLEMENTED,
            "no write of backup settings",
        )),
    }
}

async fn protect(
    region: &Region,
    database: &Subject,
    protection: &Protection,
) -> Result<(), CloudError> {
    let Protection {
        retention_days,
        deletion_protection,
        copy_tags_to_snapshot,
        at_once,
    } = *protection;
    let days = retention_days.and_then(|d| i32::try_from(d).ok());
    if database.kind == ResourceType::RDS_CLUSTER {
        let call = region.rds().modify_db_cluster();
        return call
            .db_cluster_identifier(&database.name)
            .set_backup_retention_period(days)
            .set_deletion_protection(deletion_protection.then_some(true))
            .set_copy_tags_to_snapshot(copy_tags_to_snapshot.then_some(true))
            .apply_immediately(at_once)
            .send()
            .await
            .named("rds:ModifyDBCluster")
            .map(drop);
    }
    let call = region.rds().modify_db_instance();
    call.db_instance_identifier(&database.name)
        .set_backup_retention_period(days)
        .set_deletion_protection(deletion_protection.then_some(true))
        .set_copy_tags_to_snapshot(copy_tags_to_snapshot.then_some(true))
        .apply_immediately(at_once)
        .send()
        .await
        .named("rds:ModifyDBInstance")
        .map(drop)
}

async fn copy_backups(region: &Region, source: &str, copy: &BackupCopy) -> Result<(), CloudError> {
    let call = region
        .rds()
        .start_db_instance_automated_backups_replication();
    call.source_db_instance_arn(source)
        .set_backup_retention_period(i32::try_from(copy.retention_days).ok())
        .set_kms_key_id(copy.kms_key.clone())
        .send()
        .await
        .named("rds:StartDBInstanceAutomatedBackupsReplication")
        .map(drop)
}
