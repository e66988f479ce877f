//! The calls that make copies of databases.

use aws_sdk_rds::config::Config;
use aws_sdk_rds::config::retry::RetryConfig;
use aws_sdk_rds::primitives::DateTime;
use aws_sdk_rds::types::ServerlessV2ScalingConfiguration;
use jiff::Timestamp;

use crate::aws::error::Named;
use crate::aws::rds::sdk;
use crate::aws::session::Region;
use crate::cloud::CloudError;
use crate::cloud::databases::{NewDatabase, Point};

fn moment(at: Timestamp) -> DateTime {
    DateTime::from_millis(at.as_millisecond())
}

/// For calls that make something: the SDK does not try again, as it could not tell its own first
/// attempt from somebody else's.
fn once() -> aws_sdk_rds::config::Builder {
    Config::builder().retry_config(RetryConfig::disabled())
}

pub(super) async fn restore_instance(
    region: &Region,
    point: &Point,
    new: &NewDatabase,
) -> Result<Option<String>, CloudError> {
    // Both calls take the same settings, under types of their own.
    macro_rules! settings {
        ($call:expr) => {
            $call
                .set_db_instance_class(new.instance_class.clone())
                .set_db_subnet_group_name(new.subnet_group.clone())
                .set_vpc_security_group_ids(
                    (!new.security_groups.is_empty()).then(|| new.security_groups.clone()),
                )
                .set_db_parameter_group_name(new.parameter_group.clone())
                .set_option_group_name(new.option_group.clone())
                .set_engine_lifecycle_support(new.lifecycle_support.clone())
                .set_tags(Some(sdk(&new.tags)))
                .publicly_accessible(false)
                .multi_az(false)
                .backup_retention_period(0)
                .deletion_protection(false)
                .auto_minor_version_upgrade(false)
                .copy_tags_to_snapshot(false)
                .customize()
                .config_override(once())
                .send()
        };
    }
    let made = match point {
        Point::Snapshot(snapshot) => {
            let call = region.rds().restore_db_instance_from_db_snapshot();
            let call = call
                .db_instance_identifier(&new.id)
                .db_snapshot_identifier(snapshot);
            let answer = settings!(call).await;
            let answer = answer.named("rds:RestoreDBInstanceFromDBSnapshot")?;
            answer.db_instance
        }
        Point::Time { source, at } => {
            let call = region.rds().restore_db_instance_to_point_in_time();
            let call = call
                .target_db_instance_identifier(&new.id)
                .source_db_instance_identifier(source)
                .restore_time(moment(*at));
            let answer = settings!(call).await;
            let answer = answer.named("rds:RestoreDBInstanceToPointInTime")?;
            answer.db_instance
        }
    };
    Ok(made.and_then(|i| i.dbi_resource_id))
}

fn capacity(new: &NewDatabase) -> Option<ServerlessV2ScalingConfiguration> {
    let (least, most) = new.serverless_v2.as_ref()?;
    Some(
        ServerlessV2ScalingConfiguration::builder()
            .min_capacity(least.parse().ok()?)
            .max_capacity(most.parse().ok()?)
            .build(),
    )
}

pub(super) async fn restore_cluster(
    region: &Region,
    point: &Point,
    new: &NewDatabase,
) -> Result<Option<String>, CloudError> {
    macro_rules! settings {
        ($call:expr) => {
            $call
                .set_db_subnet_group_name(new.subnet_group.clone())
                .set_vpc_security_group_ids(
                    (!new.security_groups.is_empty()).then(|| new.security_groups.clone()),
                )
                .set_db_cluster_parameter_group_name(new.cluster_parameter_group.clone())
                .set_option_group_name(new.option_group.clone())
                .set_engine_lifecycle_support(new.lifecycle_support.clone())
                .set_serverless_v2_scaling_configuration(capacity(new))
                .set_tags(Some(sdk(&new.tags)))
                .deletion_protection(false)
                // Aurora knows no less than one day; they go with the cluster.
                .backup_retention_period(1)
                .copy_tags_to_snapshot(false)
                .customize()
                .config_override(once())
                .send()
        };
    }
    let made = match point {
        Point::Snapshot(snapshot) => {
            let call = region.rds().restore_db_cluster_from_snapshot();
            let call = call
                .db_cluster_identifier(&new.id)
                .snapshot_identifier(snapshot)
                .engine(&new.engine)
                .set_engine_version(new.engine_version.clone());
            let answer = settings!(call).await;
            let answer = answer.named("rds:RestoreDBClusterFromSnapshot")?;
            answer.db_cluster
        }
        Point::Time { source, at } => {
            let call = region.rds().restore_db_cluster_to_point_in_time();
            let call = call
                .db_cluster_identifier(&new.id)
                .source_db_cluster_identifier(source)
                .restore_type("full-copy")
                .restore_to_time(moment(*at));
            let answer = settings!(call).await;
            let answer = answer.named("rds:RestoreDBClusterToPointInTime")?;
            answer.db_cluster
        }
    };
    Ok(made.and_then(|c| c.db_cluster_resource_id))
}

pub(super) async fn create_member(
    region: &Region,
    new: &NewDatabase,
) -> Result<Option<String>, CloudError> {
    let call = region.rds().create_db_instance();
    let answer = call
        .db_instance_identifier(&new.id)
        .engine(&new.engine)
        .set_db_instance_class(new.instance_class.clone())
        .set_db_cluster_identifier(new.cluster.clone())
        .set_db_parameter_group_name(new.parameter_group.clone())
        .set_db_subnet_group_name(new.subnet_group.clone())
        .set_tags(Some(sdk(&new.tags)))
        .publicly_accessible(false)
        .auto_minor_version_upgrade(false)
        .copy_tags_to_snapshot(false)
        .customize()
        .config_override(once())
        .send()
        .await;
    let answer = answer.named("rds:CreateDBInstance")?;
    Ok(answer.db_instance.and_then(|i| i.dbi_resource_id))
}
