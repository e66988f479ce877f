//! Reads of single resources, and the writes that make their protection stronger.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::PointInTimeRecoverySpecification;
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};

use super::{continuous_backups, of_cluster, of_instance, versioning};
use crate::aws::error::{self, Named};
use crate::aws::session::{Region, Session};
use crate::cloud::{Call, CloudError, Protection, SettingsReading, Subject};
use crate::inventory::DatabaseFact;
use crate::model::ResourceType;
use crate::model::settings::{BackupCopy, Settings};

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
