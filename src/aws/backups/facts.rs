//! What the answers of RDS say about backups.

use std::collections::BTreeSet;

use aws_sdk_rds::types::{DbCluster, DbClusterSnapshot, DbInstance, DbSnapshot};
use jiff::Timestamp;

use crate::aws::rds;
use crate::inventory::{DatabaseFact, Observed, SnapshotFact};
use crate::model::Arn;
use crate::model::settings::Settings;

pub(super) fn text(value: Option<&str>) -> Option<String> {
    value.filter(|v| !v.is_empty()).map(str::to_owned)
}

pub(super) fn time(at: Option<&aws_smithy_types::DateTime>) -> Option<Timestamp> {
    let at = at?;
    Timestamp::new(at.secs(), i32::try_from(at.subsec_nanos()).ok()?).ok()
}

pub(super) fn days(value: Option<i32>) -> Option<u32> {
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
