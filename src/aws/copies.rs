//! The copies of restore drills: looked at by name, found by prefix, deleted with a permit.
//!
//! Source: RDS API reference, DescribeDBInstances, DescribeDBClusters (errors
//! `DBInstanceNotFound`, `DBClusterNotFoundFault`), DeleteDBInstance (`SkipFinalSnapshot`,
//! `DeleteAutomatedBackups`), ModifyDBInstance; DynamoDB API reference, DescribeTable, DeleteTable.

use std::collections::BTreeSet;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::TableDescription;
use aws_sdk_rds::primitives::DateTime;
use aws_sdk_rds::types::{DbCluster, DbInstance, Tag};
use jiff::Timestamp;

use super::error::{self, Named};
use super::listing::{pages, tags};
use super::session::Region;
use super::{AwsCloud, dynamodb, located, rds};
use crate::cloud::copies::{Copies, CopyKind, CopySeen};
use crate::cloud::{CloudError, Subject, Target};
use crate::drill::label;
use crate::drill::remove::{Ours, Permit};
use crate::drill::scratch::Secret;
use crate::inventory::Observed;
use crate::model::{ResourceType, Tags};

const INSTANCES: &str = "rds:DescribeDBInstances";
const CLUSTERS: &str = "rds:DescribeDBClusters";
const TABLES: &str = "dynamodb:ListTables";
/// The largest page of the Describe calls. Source: RDS API reference.
const PAGE: i32 = 100;

fn text(value: Option<&str>) -> Option<String> {
    value.filter(|v| !v.is_empty()).map(str::to_owned)
}

pub fn time(at: Option<&DateTime>) -> Option<Timestamp> {
    at.and_then(|at| Timestamp::new(at.secs(), at.subsec_nanos().try_into().ok()?).ok())
}

/// What a listing that has no tags at all means is not known.
fn known(list: Option<&[Tag]>) -> Observed<Tags> {
    match list {
        Some(list) => Observed::Known(tags(list.iter().map(|t| (t.key(), t.value())))),
        None => Observed::Unknown("the answer has no tags".to_owned()),
    }
}

fn address(host: Option<&str>, port: Option<i32>) -> Option<(String, u16)> {
    let port = port
        .and_then(|p| u16::try_from(p).ok())
        .filter(|p| *p > 0)?;
    Some((text(host)?, port))
}

fn is_pending(found: &DbInstance) -> bool {
    // Every member of it is a change that has not arrived yet; an empty one says so too.
    found
        .pending_modified_values()
        .is_some_and(|p| *p != aws_sdk_rds::types::PendingModifiedValues::builder().build())
}

fn instance(region: &Region, found: &DbInstance) -> CopySeen {
    let replicas = found.read_replica_db_instance_identifiers().iter();
    let clusters = found.read_replica_db_cluster_identifiers().iter();
    CopySeen {
        kind: CopyKind::Instance,
        region: region.name.clone(),
        id: text(found.db_instance_identifier()).unwrap_or_default(),
        arn: text(found.db_instance_arn()).unwrap_or_default(),
        resource_id: text(found.dbi_resource_id()),
        created: time(found.instance_create_time()),
        status: text(found.db_instance_status()).unwrap_or_default(),
        tags: known(found.tag_list.as_deref()),
        // Of a member of a cluster this is the cluster's business.
        deletion_protection: found.deletion_protection().unwrap_or_default()
            && found.db_cluster_identifier().is_none_or(str::is_empty),
        replicas: replicas.chain(clusters).cloned().collect(),
        replica_of: text(found.read_replica_source_db_instance_identifier())
            .or_else(|| text(found.read_replica_source_db_cluster_identifier())),
        restored_from: None,
        cluster: text(found.db_cluster_identifier()),
        members: Vec::new(),
        endpoint: found
            .endpoint()
            .and_then(|e| address(e.address(), e.port())),
        publicly_accessible: found.publicly_accessible(),
        pending_changes: is_pending(found),
    }
}

fn cluster(region: &Region, found: &DbCluster) -> CopySeen {
    let members = found.db_cluster_members().iter();
    CopySeen {
        kind: CopyKind::Cluster,
        region: region.name.clone(),
        id: text(found.db_cluster_identifier()).unwrap_or_default(),
        arn: text(found.db_cluster_arn()).unwrap_or_default(),
        resource_id: text(found.db_cluster_resource_id()),
        created: time(found.cluster_create_time()),
        status: text(found.status()).unwrap_or_default(),
        tags: known(found.tag_list.as_deref()),
        deletion_protection: found.deletion_protection().unwrap_or_default(),
        replicas: found.read_replica_identifiers().to_vec(),
        replica_of: text(found.replication_source_identifier()),
        restored_from: None,
        cluster: None,
        members: members
            .filter_map(|m| text(m.db_instance_identifier()))
            .collect(),
        endpoint: address(found.endpoint(), found.port()),
        publicly_accessible: found.publicly_accessible(),
        pending_changes: found.pending_modified_values().is_some_and(|p| {
            *p != aws_sdk_rds::types::ClusterPendingModifiedValues::builder().build()
        }),
    }
}

fn table(region: &Region, found: &TableDescription, tags: Observed<Tags>) -> CopySeen {
    let replicas = found.replicas().iter();
    CopySeen {
        kind: CopyKind::Table,
        region: region.name.clone(),
        id: text(found.table_name()).unwrap_or_default(),
        arn: text(found.table_arn()).unwrap_or_default(),
        resource_id: text(found.table_id()),
        created: time(found.creation_date_time()),
        status: found
            .table_status()
            .map(|s| s.as_str().to_owned())
            .unwrap_or_default(),
        tags,
        deletion_protection: found.deletion_protection_enabled().unwrap_or_default(),
        replicas: replicas.filter_map(|r| text(r.region_name())).collect(),
        replica_of: None,
        restored_from: found
            .restore_summary()
            .and_then(|s| text(s.source_table_arn())),
        cluster: None,
        members: Vec::new(),
        endpoint: None,
        publicly_accessible: None,
        pending_changes: false,
    }
}

fn subject(copy: &CopySeen) -> Subject {
    Subject {
        arn: copy.arn.clone(),
        kind: match copy.kind {
            CopyKind::Instance => ResourceType::RDS_INSTANCE,
            CopyKind::Cluster => ResourceType::RDS_CLUSTER,
            CopyKind::Table => ResourceType::DYNAMODB_TABLE,
        },
        name: copy.id.clone(),
        region: copy.region.clone(),
    }
}

/// Tags that the listing did not tell. A failure that passes is an error: whoever asks tries again,
/// and does not take the tags for unreadable.
async fn with_tags(region: &Region, mut copy: CopySeen) -> Result<CopySeen, CloudError> {
    if copy.tags.is_unknown() && !copy.arn.is_empty() {
        let read = match copy.kind {
            CopyKind::Table => dynamodb::read_tags(region, &subject(&copy)).await,
            _ => rds::read_tags(region, &subject(&copy)).await,
        };
        copy.tags = match read {
            Ok(tags) => Observed::Known(tags),
            Err(e) if e.is_transient() => return Err(e),
            // The tags of a new table are known a while after the table itself.
            // Source: DynamoDB API reference, TagResource.
            Err(e) if copy.kind == CopyKind::Table && error::is_not_found(&e) => {
                Observed::Known(Tags::new())
            }
            Err(e) => Observed::Unknown(error::text(&e)),
        };
    }
    Ok(copy)
}

async fn described_table(region: &Region, id: &str) -> Result<Option<CopySeen>, CloudError> {
    let call = region.dynamodb().describe_table().table_name(id);
    match call.send().await.named(dynamodb::DESCRIBE) {
        Ok(answer) => Ok(answer.table.map(|t| table(region, &t, Observed::default()))),
        Err(e) if error::is_not_found(&e) => Ok(None),
        Err(e) => Err(e),
    }
}

/// A name of a table in the listing, or an instance or cluster whole.
async fn look(region: &Region, kind: CopyKind, id: &str) -> Result<Option<CopySeen>, CloudError> {
    let found = match kind {
        CopyKind::Instance => {
            let call = region.rds().describe_db_instances();
            let answer = call.db_instance_identifier(id).send().await;
            answer.named(INSTANCES).map(|a| {
                let named = |i: &&DbInstance| i.db_instance_identifier() == Some(id);
                a.db_instances()
                    .iter()
                    .find(named)
                    .map(|i| instance(region, i))
            })
        }
        CopyKind::Cluster => {
            let call = region.rds().describe_db_clusters();
            let answer = call.db_cluster_identifier(id).send().await;
            answer.named(CLUSTERS).map(|a| {
                let named = |c: &&DbCluster| c.db_cluster_identifier() == Some(id);
                a.db_clusters()
                    .iter()
                    .find(named)
                    .map(|c| cluster(region, c))
            })
        }
        CopyKind::Table => described_table(region, id).await,
    };
    match found {
        Ok(Some(copy)) => Ok(Some(with_tags(region, copy).await?)),
        Ok(None) => Ok(None),
        Err(e) if error::is_not_found(&e) => Ok(None),
        Err(e) => Err(e),
    }
}

async fn find(
    region: &Region,
    kind: CopyKind,
    resource_id: Option<&str>,
) -> Result<Vec<CopySeen>, CloudError> {
    let wanted = |id: &str, there: Option<&str>| {
        id.starts_with(label::PREFIX) || (there.is_some() && there == resource_id)
    };
    let mut out = Vec::new();
    match kind {
        CopyKind::Instance => pages!(INSTANCES, |token| {
            let call = region.rds().describe_db_instances().max_records(PAGE);
            let page = call.set_marker(token).send().await.named(INSTANCES)?;
            for found in page.db_instances() {
                let id = found.db_instance_identifier().unwrap_or_default();
                if wanted(id, found.dbi_resource_id()) {
                    out.push(instance(region, found));
                }
            }
            Ok(page.marker)
        })?,
        CopyKind::Cluster => pages!(CLUSTERS, |token| {
            let call = region.rds().describe_db_clusters().max_records(PAGE);
            let page = call.set_marker(token).send().await.named(CLUSTERS)?;
            for found in page.db_clusters() {
                let id = found.db_cluster_identifier().unwrap_or_default();
                if wanted(id, found.db_cluster_resource_id()) {
                    out.push(cluster(region, found));
                }
            }
            Ok(page.marker)
        })?,
        // A table cannot be renamed.
        CopyKind::Table => {
            let mut names = Vec::new();
            pages!(TABLES, |token| {
                let call = region.dynamodb().list_tables().limit(PAGE);
                let call = call.set_exclusive_start_table_name(token);
                let page = call.send().await.named(TABLES)?;
                names.extend(page.table_names().iter().cloned());
                Ok(page.last_evaluated_table_name)
            })?;
            for name in names.iter().filter(|n| wanted(n, None)) {
                out.extend(described_table(region, name).await?);
            }
        }
    }
    let mut whole = Vec::new();
    for copy in out {
        whole.push(with_tags(region, copy).await?);
    }
    Ok(whole)
}

async fn unprotect(region: &Region, copy: &CopySeen) -> Result<(), CloudError> {
    match copy.kind {
        CopyKind::Instance => {
            let call = region.rds().modify_db_instance();
            let call = call.db_instance_identifier(&copy.id);
            let call = call.deletion_protection(false).apply_immediately(true);
            call.send().await.named("rds:ModifyDBInstance").map(drop)
        }
        CopyKind::Cluster => {
            let call = region.rds().modify_db_cluster();
            let call = call.db_cluster_identifier(&copy.id);
            let call = call.deletion_protection(false).apply_immediately(true);
            call.send().await.named("rds:ModifyDBCluster").map(drop)
        }
        CopyKind::Table => {
            let call = region.dynamodb().update_table().table_name(&copy.id);
            let call = call.deletion_protection_enabled(false);
            call.send().await.named("dynamodb:UpdateTable").map(drop)
        }
    }
}

async fn delete(region: &Region, copy: &CopySeen) -> Result<(), CloudError> {
    match copy.kind {
        CopyKind::Instance => {
            let call = region.rds().delete_db_instance();
            let call = call.db_instance_identifier(&copy.id);
            let mut call = call.skip_final_snapshot(true);
            // The backups of a member of a cluster are the cluster's.
            if copy.cluster.is_none() {
                call = call.delete_automated_backups(true);
            }
            call.send().await.named("rds:DeleteDBInstance").map(drop)
        }
        CopyKind::Cluster => {
            let call = region.rds().delete_db_cluster();
            let call = call.db_cluster_identifier(&copy.id);
            let call = call.skip_final_snapshot(true);
            let call = call.delete_automated_backups(true);
            call.send().await.named("rds:DeleteDBCluster").map(drop)
        }
        CopyKind::Table => {
            let call = region.dynamodb().delete_table().table_name(&copy.id);
            call.send().await.named("dynamodb:DeleteTable").map(drop)
        }
    }
}

async fn set_password(
    region: &Region,
    copy: &CopySeen,
    password: &Secret,
    unmanage: bool,
) -> Result<(), CloudError> {
    match copy.kind {
        CopyKind::Instance => {
            let call = region.rds().modify_db_instance();
            let call = call.db_instance_identifier(&copy.id);
            let call = call.master_user_password(password.reveal());
            let call = call.set_manage_master_user_password(unmanage.then_some(false));
            let answer = call.apply_immediately(true).send().await;
            answer.named("rds:ModifyDBInstance").map(drop)
        }
        CopyKind::Cluster => {
            let call = region.rds().modify_db_cluster();
            let call = call.db_cluster_identifier(&copy.id);
            let call = call.master_user_password(password.reveal());
            let call = call.set_manage_master_user_password(unmanage.then_some(false));
            let answer = call.apply_immediately(true).send().await;
            answer.named("rds:ModifyDBCluster").map(drop)
        }
        CopyKind::Table => Err(error::own(
            "opsctl",
            "NoPassword",
            "a table has no password",
        )),
    }
}

async fn set_tags(region: &Region, copy: &CopySeen, wanted: &Tags) -> Result<(), CloudError> {
    let subject = subject(copy);
    let there = copy.tags.known().cloned().unwrap_or_default();
    let extra: BTreeSet<String> = there
        .keys()
        .filter(|k| !wanted.contains_key(*k) && !k.starts_with("aws:"))
        .cloned()
        .collect();
    let set: Tags = wanted
        .iter()
        .filter(|(k, v)| there.get(*k) != Some(v))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    if !set.is_empty() {
        match copy.kind {
            CopyKind::Table => dynamodb::tag(region, &subject, &set).await?,
            _ => rds::tag(region, &subject, &set).await?,
        }
    }
    if !extra.is_empty() {
        match copy.kind {
            CopyKind::Table => dynamodb::untag(region, &subject, &extra).await?,
            _ => rds::untag(region, &subject, &extra).await?,
        }
    }
    Ok(())
}

#[async_trait]
impl Copies for AwsCloud {
    async fn look(
        &self,
        target: &Target,
        region: &str,
        kind: CopyKind,
        id: &str,
    ) -> Result<Option<CopySeen>, CloudError> {
        let session = self.session(target);
        let clients = session.region(region).await;
        look(&clients, kind, id)
            .await
            .map_err(|e| located(e, &session, region))
    }

    async fn find(
        &self,
        target: &Target,
        region: &str,
        kind: CopyKind,
        resource_id: Option<&str>,
    ) -> Result<Vec<CopySeen>, CloudError> {
        let session = self.session(target);
        let clients = session.region(region).await;
        find(&clients, kind, resource_id)
            .await
            .map_err(|e| located(e, &session, region))
    }

    async fn unprotect(&self, permit: &Permit) -> Result<(), CloudError> {
        let session = self.session(permit.target());
        let clients = session.region(&permit.copy().region).await;
        unprotect(&clients, permit.copy())
            .await
            .map_err(|e| located(e, &session, &permit.copy().region))
    }

    async fn delete(&self, permit: &Permit) -> Result<(), CloudError> {
        let session = self.session(permit.target());
        let clients = session.region(&permit.copy().region).await;
        delete(&clients, permit.copy())
            .await
            .map_err(|e| located(e, &session, &permit.copy().region))
    }

    async fn set_password(
        &self,
        ours: &Ours,
        password: &Secret,
        unmanage: bool,
    ) -> Result<(), CloudError> {
        let session = self.session(ours.target());
        let clients = session.region(&ours.copy().region).await;
        set_password(&clients, ours.copy(), password, unmanage)
            .await
            .map_err(|e| located(e, &session, &ours.copy().region))
    }

    async fn set_tags(&self, ours: &Ours, tags: &Tags) -> Result<(), CloudError> {
        let session = self.session(ours.target());
        let clients = session.region(&ours.copy().region).await;
        set_tags(&clients, ours.copy(), tags)
            .await
            .map_err(|e| located(e, &session, &ours.copy().region))
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }
}
