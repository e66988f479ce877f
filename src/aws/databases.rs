//! RDS and Aurora as the sources of restore drills.
//!
//! Source: RDS API reference and model, DescribeDBInstances, DescribeDBSnapshots (`SnapshotType`
//! unset: automated and manual only), RestoreDBInstanceFromDBSnapshot, RestoreDBInstanceToPointInTime,
//! RestoreDBClusterFromSnapshot, RestoreDBClusterToPointInTime (`RestoreType`), CreateDBInstance.

mod restore;

use async_trait::async_trait;
use aws_sdk_rds::types::{DbCluster, DbClusterSnapshot, DbInstance, DbSnapshot, Filter};

use restore::{create_member, restore_cluster, restore_instance};

use super::copies::time;
use super::error::{self, Named};
use super::listing::pages;
use super::session::Region;
use super::{AwsCloud, located};
use crate::cloud::copies::CopyKind;
use crate::cloud::databases::{Database, DatabaseSnapshot, Databases, NewDatabase, Point, Quota};
use crate::cloud::{CloudError, Target};

const INSTANCES: &str = "rds:DescribeDBInstances";
const CLUSTERS: &str = "rds:DescribeDBClusters";
const SNAPSHOTS: &str = "rds:DescribeDBSnapshots";
const CLUSTER_SNAPSHOTS: &str = "rds:DescribeDBClusterSnapshots";
/// The largest page of the Describe calls. Source: RDS API reference.
const PAGE: i32 = 100;

fn text(value: Option<&str>) -> Option<String> {
    value.filter(|v| !v.is_empty()).map(str::to_owned)
}

fn gib(value: Option<i32>) -> Option<u64> {
    value.and_then(|v| u64::try_from(v).ok()).filter(|v| *v > 0)
}

fn of_instance(found: &DbInstance) -> Option<Database> {
    let groups = found.vpc_security_groups().iter();
    Some(Database {
        kind: CopyKind::Instance,
        id: text(found.db_instance_identifier())?,
        arn: text(found.db_instance_arn())?,
        resource_id: text(found.dbi_resource_id())?,
        engine: text(found.engine())?,
        engine_version: text(found.engine_version()),
        engine_mode: None,
        status: text(found.db_instance_status()).unwrap_or_default(),
        instance_class: text(found.db_instance_class()),
        storage_gib: gib(found.allocated_storage()),
        storage_type: text(found.storage_type()),
        encrypted: found.storage_encrypted(),
        subnet_group: found
            .db_subnet_group()
            .and_then(|g| text(g.db_subnet_group_name())),
        security_groups: groups
            .filter_map(|g| text(g.vpc_security_group_id()))
            .collect(),
        parameter_group: found
            .db_parameter_groups()
            .first()
            .and_then(|g| text(g.db_parameter_group_name())),
        cluster_parameter_group: None,
        option_group: found
            .option_group_memberships()
            .first()
            .and_then(|g| text(g.option_group_name())),
        lifecycle_support: text(found.engine_lifecycle_support()),
        serverless_v2: None,
        database_name: text(found.db_name()),
        master_user: text(found.master_username()),
        managed_password: found.master_user_secret().is_some(),
        cluster: text(found.db_cluster_identifier()),
        retention: found
            .backup_retention_period()
            .and_then(|d| u32::try_from(d).ok()),
        latest_restorable: time(found.latest_restorable_time()),
    })
}

fn of_cluster(found: &DbCluster) -> Option<Database> {
    let groups = found.vpc_security_groups().iter();
    let capacity = found.serverless_v2_scaling_configuration();
    Some(Database {
        kind: CopyKind::Cluster,
        id: text(found.db_cluster_identifier())?,
        arn: text(found.db_cluster_arn())?,
        resource_id: text(found.db_cluster_resource_id())?,
        engine: text(found.engine())?,
        engine_version: text(found.engine_version()),
        engine_mode: text(found.engine_mode()),
        status: text(found.status()).unwrap_or_default(),
        instance_class: None,
        storage_gib: None,
        storage_type: text(found.storage_type()),
        encrypted: found.storage_encrypted(),
        subnet_group: text(found.db_subnet_group()),
        security_groups: groups
            .filter_map(|g| text(g.vpc_security_group_id()))
            .collect(),
        parameter_group: None,
        cluster_parameter_group: text(found.db_cluster_parameter_group()),
        option_group: found
            .db_cluster_option_group_memberships()
            .first()
            .and_then(|g| text(g.db_cluster_option_group_name())),
        lifecycle_support: text(found.engine_lifecycle_support()),
        serverless_v2: capacity
            .and_then(|c| Some((c.min_capacity()?.to_string(), c.max_capacity()?.to_string()))),
        database_name: text(found.database_name()),
        master_user: text(found.master_username()),
        managed_password: found.master_user_secret().is_some(),
        cluster: None,
        retention: found
            .backup_retention_period()
            .and_then(|d| u32::try_from(d).ok()),
        latest_restorable: time(found.latest_restorable_time()),
    })
}

async fn instance(region: &Region, id: &str) -> Result<Option<Database>, CloudError> {
    let call = region.rds().describe_db_instances();
    let answer = call.db_instance_identifier(id).send().await;
    match answer.named(INSTANCES) {
        Ok(answer) => Ok(answer.db_instances().iter().find_map(of_instance)),
        Err(e) if error::is_not_found(&e) => Ok(None),
        Err(e) => Err(e),
    }
}

async fn cluster(region: &Region, id: &str) -> Result<Option<Database>, CloudError> {
    let call = region.rds().describe_db_clusters();
    let answer = call.db_cluster_identifier(id).send().await;
    let found = match answer.named(CLUSTERS) {
        Ok(answer) => answer.db_clusters,
        Err(e) if error::is_not_found(&e) => return Ok(None),
        Err(e) => return Err(e),
    };
    let Some(found) = found.and_then(|list| list.into_iter().next()) else {
        return Ok(None);
    };
    let Some(mut out) = of_cluster(&found) else {
        return Ok(None);
    };
    let members = found.db_cluster_members();
    let writer = members
        .iter()
        .find(|m| m.is_cluster_writer() == Some(true))
        .or(members.first())
        .and_then(|m| text(m.db_instance_identifier()));
    if let Some(writer) = writer
        && let Some(writer) = instance(region, &writer).await?
    {
        out.instance_class = writer.instance_class;
        out.parameter_group = writer.parameter_group;
    }
    Ok(Some(out))
}

fn of_snapshot(found: &DbSnapshot) -> Option<DatabaseSnapshot> {
    Some(DatabaseSnapshot {
        id: text(found.db_snapshot_identifier())?,
        arn: text(found.db_snapshot_arn()).unwrap_or_default(),
        status: text(found.status()).unwrap_or_default(),
        kind: text(found.snapshot_type()).unwrap_or_default(),
        created: time(found.snapshot_create_time()),
        original_created: time(found.original_snapshot_create_time()),
        data_time: time(found.snapshot_database_time()),
        encrypted: found.encrypted(),
        storage_gib: gib(found.allocated_storage()),
        engine_version: text(found.engine_version()),
        source_resource_id: text(found.dbi_resource_id()),
    })
}

fn of_cluster_snapshot(found: &DbClusterSnapshot) -> Option<DatabaseSnapshot> {
    Some(DatabaseSnapshot {
        id: text(found.db_cluster_snapshot_identifier())?,
        arn: text(found.db_cluster_snapshot_arn()).unwrap_or_default(),
        status: text(found.status()).unwrap_or_default(),
        kind: text(found.snapshot_type()).unwrap_or_default(),
        created: time(found.snapshot_create_time()),
        original_created: None,
        data_time: None,
        encrypted: found.storage_encrypted(),
        storage_gib: gib(found.allocated_storage()),
        engine_version: text(found.engine_version()),
        source_resource_id: text(found.db_cluster_resource_id()),
    })
}

async fn instance_snapshots(
    region: &Region,
    source: &Database,
    kind: Option<&str>,
) -> Result<Vec<DatabaseSnapshot>, CloudError> {
    let mut out = Vec::new();
    pages!(SNAPSHOTS, |token| {
        // By the id that survives renames, so that those of a namesake are left out.
        let own = Filter::builder()
            .name("dbi-resource-id")
            .values(&source.resource_id)
            .build();
        let call = region.rds().describe_db_snapshots().max_records(PAGE);
        let call = call.filters(own).set_snapshot_type(kind.map(str::to_owned));
        let page = call.set_marker(token).send().await.named(SNAPSHOTS)?;
        out.extend(page.db_snapshots().iter().filter_map(of_snapshot));
        Ok(page.marker)
    })?;
    Ok(out)
}

async fn cluster_snapshots(
    region: &Region,
    source: &Database,
    kind: Option<&str>,
) -> Result<Vec<DatabaseSnapshot>, CloudError> {
    let mut out = Vec::new();
    pages!(CLUSTER_SNAPSHOTS, |token| {
        let call = region.rds().describe_db_cluster_snapshots();
        let call = call.db_cluster_identifier(&source.id).max_records(PAGE);
        let call = call.set_snapshot_type(kind.map(str::to_owned));
        let page = call
            .set_marker(token)
            .send()
            .await
            .named(CLUSTER_SNAPSHOTS)?;
        let found = page.db_cluster_snapshots().iter();
        out.extend(found.filter_map(of_cluster_snapshot));
        Ok(page.marker)
    })?;
    Ok(out)
}

#[async_trait]
impl Databases for AwsCloud {
    async fn instance(
        &self,
        target: &Target,
        region: &str,
        id: &str,
    ) -> Result<Option<Database>, CloudError> {
        let session = self.session(target);
        let clients = session.region(region).await;
        instance(&clients, id)
            .await
            .map_err(|e| located(e, &session, region))
    }

    async fn cluster(
        &self,
        target: &Target,
        region: &str,
        id: &str,
    ) -> Result<Option<Database>, CloudError> {
        let session = self.session(target);
        let clients = session.region(region).await;
        cluster(&clients, id)
            .await
            .map_err(|e| located(e, &session, region))
    }

    async fn snapshots(
        &self,
        target: &Target,
        region: &str,
        source: &Database,
    ) -> Result<Vec<DatabaseSnapshot>, CloudError> {
        let session = self.session(target);
        let clients = session.region(region).await;
        let mut out = Vec::new();
        for kind in [None, Some("awsbackup")] {
            let found = match source.kind {
                CopyKind::Cluster => cluster_snapshots(&clients, source, kind).await,
                _ => instance_snapshots(&clients, source, kind).await,
            };
            out.extend(found.map_err(|e| located(e, &session, region))?);
        }
        out.retain(|s| {
            s.source_resource_id
                .as_ref()
                .is_none_or(|id| *id == source.resource_id)
        });
        Ok(out)
    }

    async fn has_subnet_group(
        &self,
        target: &Target,
        region: &str,
        name: &str,
    ) -> Result<bool, CloudError> {
        let session = self.session(target);
        let clients = session.region(region).await;
        let call = clients.rds().describe_db_subnet_groups();
        let answer = call.db_subnet_group_name(name).send().await;
        match answer.named("rds:DescribeDBSubnetGroups") {
            Ok(answer) => Ok(!answer.db_subnet_groups().is_empty()),
            // `DBSubnetGroupNotFoundFault`
            Err(e) if error::is_not_found(&e) => Ok(false),
            Err(e) => Err(located(e, &session, region)),
        }
    }

    async fn quotas(&self, target: &Target, region: &str) -> Result<Vec<Quota>, CloudError> {
        let session = self.session(target);
        let clients = session.region(region).await;
        let answer = clients.rds().describe_account_attributes().send().await;
        let answer = answer
            .named("rds:DescribeAccountAttributes")
            .map_err(|e| located(e, &session, region))?;
        let quotas = answer.account_quotas().iter();
        Ok(quotas
            .filter_map(|q| {
                Some(Quota {
                    name: text(q.account_quota_name())?,
                    used: q.used()?,
                    max: q.max()?,
                })
            })
            .collect())
    }

    async fn restore_instance(
        &self,
        target: &Target,
        point: &Point,
        new: &NewDatabase,
    ) -> Result<Option<String>, CloudError> {
        let session = self.session(target);
        let clients = session.region(&new.region).await;
        restore_instance(&clients, point, new)
            .await
            .map_err(|e| located(e, &session, &new.region))
    }

    async fn restore_cluster(
        &self,
        target: &Target,
        point: &Point,
        new: &NewDatabase,
    ) -> Result<Option<String>, CloudError> {
        let session = self.session(target);
        let clients = session.region(&new.region).await;
        restore_cluster(&clients, point, new)
            .await
            .map_err(|e| located(e, &session, &new.region))
    }

    async fn create_member(
        &self,
        target: &Target,
        new: &NewDatabase,
    ) -> Result<Option<String>, CloudError> {
        let session = self.session(target);
        let clients = session.region(&new.region).await;
        create_member(&clients, new)
            .await
            .map_err(|e| located(e, &session, &new.region))
    }
}
