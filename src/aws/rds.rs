//! RDS, with Aurora, Neptune and DocumentDB, which answer to the same calls. All listings carry tags.

use std::collections::BTreeSet;

use aws_sdk_rds::types::{DbInstance, Tag};
use futures::future::join;

use super::backups;

use super::error::Named;
use super::listing::{Listed, Listing, pages, tags};
use super::pace::Api;
use super::session::Region;
use crate::cloud::{CloudError, Subject};
use crate::inventory::Attributes;
use crate::model::{ResourceType, Tags};

/// The largest page of the Describe calls. Source: RDS API reference.
const PAGE: i32 = 100;

pub fn pairs(list: &[Tag]) -> Tags {
    tags(list.iter().map(|t| (t.key(), t.value())))
}

pub fn sdk(set: &Tags) -> Vec<Tag> {
    set.iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect()
}

fn attributes(found: &DbInstance) -> Attributes {
    let text = |value: Option<&str>| value.filter(|v| !v.is_empty()).map(str::to_owned);
    let gib = found
        .allocated_storage()
        .and_then(|g| u64::try_from(g).ok());
    Attributes {
        class: text(found.db_instance_class()),
        engine: text(found.engine()),
        // Aurora's storage grows by itself; AWS says 1 GiB for it.
        allocated_storage: gib
            .filter(|_| found.engine().is_none_or(|e| !e.starts_with("aurora")))
            .map(|g| g << 30),
        storage_type: text(found.storage_type()),
        replica_of: text(found.read_replica_source_db_instance_identifier()),
        cluster: text(found.db_cluster_identifier()),
        ..Attributes::default()
    }
}

macro_rules! listing {
    ($name:ident, $kind:ident, $operation:literal, $call:ident, $list:ident, $arn:ident, $id:ident, $attributes:expr, $backup:expr) => {
        async fn $name(region: &Region) -> Listing {
            let mut listing = Listing::new(ResourceType::$kind, $operation, &region.name);
            let items = &mut listing.items;
            let outcome = pages!($operation, |token| {
                let page = region
                    .rds()
                    .$call()
                    .max_records(PAGE)
                    .set_marker(token)
                    .send()
                    .await
                    .named($operation)?;
                items.extend(page.$list().iter().filter_map(|found| {
                    Some(Listed {
                        arn: found.$arn()?.to_owned(),
                        name: found.$id()?.to_owned(),
                        // An empty list says "untagged", an absent one says nothing.
                        tags: found.tag_list.as_deref().map(pairs),
                        attributes: $attributes(found),
                        backup: Some(Box::new($backup(found))),
                        ..Listed::new("", "")
                    })
                }));
                Ok(page.marker)
            });
            listing.ended(outcome)
        }
    };
}

listing!(
    instances,
    RDS_INSTANCE,
    "rds:DescribeDBInstances",
    describe_db_instances,
    db_instances,
    db_instance_arn,
    db_instance_identifier,
    |found| Some(Box::new(attributes(found))),
    backups::of_instance
);
listing!(
    clusters,
    RDS_CLUSTER,
    "rds:DescribeDBClusters",
    describe_db_clusters,
    db_clusters,
    db_cluster_arn,
    db_cluster_identifier,
    |_| None,
    backups::of_cluster
);

/// Which snapshots are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snapshots {
    None,
    /// Those that somebody made: only they are tagged.
    Manual,
    /// With those that RDS and AWS Backup make.
    All,
}

impl Snapshots {
    /// The types that are asked for, in a call each; none is automated and manual ones.
    /// Source: API model, `rds:DescribeDBSnapshots`, SnapshotType.
    fn types(self) -> &'static [Option<&'static str>] {
        match self {
            Snapshots::None => &[],
            Snapshots::Manual => &[Some("manual")],
            Snapshots::All => &[None, Some("awsbackup")],
        }
    }
}

macro_rules! snapshots {
    ($name:ident, $kind:ident, $operation:literal, $call:ident, $list:ident, $fact:path) => {
        async fn $name(region: &Region, which: Snapshots) -> Option<Listing> {
            let mut listing = Listing::new(ResourceType::$kind, $operation, &region.name);
            if which == Snapshots::None {
                return None;
            }
            for kind in which.types() {
                let found = &mut listing.snapshots;
                let outcome = pages!($operation, |token| {
                    let page = region
                        .rds()
                        .$call()
                        .set_snapshot_type(kind.map(str::to_owned))
                        .max_records(PAGE)
                        .set_marker(token)
                        .send()
                        .await
                        .named($operation)?;
                    found.extend(page.$list().iter().filter_map(|snapshot| {
                        // An empty list says "untagged", an absent one says nothing.
                        let tagged = snapshot.tag_list.is_some();
                        Some(($fact(snapshot)?, tagged))
                    }));
                    Ok(page.marker)
                });
                listing.error = listing.error.or(outcome.err());
            }
            let manual = listing.snapshots.iter().filter(|(s, _)| s.made == "manual");
            listing.items = manual
                .map(|(snapshot, tagged)| Listed {
                    arn: snapshot.arn.clone(),
                    name: snapshot.name.clone(),
                    tags: tagged.then(|| snapshot.tags.clone()),
                    ..Listed::new("", "")
                })
                .collect();
            Some(listing)
        }
    };
}

snapshots!(
    snapshots,
    RDS_SNAPSHOT,
    "rds:DescribeDBSnapshots",
    describe_db_snapshots,
    db_snapshots,
    backups::of_snapshot
);
snapshots!(
    cluster_snapshots,
    RDS_CLUSTER_SNAPSHOT,
    "rds:DescribeDBClusterSnapshots",
    describe_db_cluster_snapshots,
    db_cluster_snapshots,
    backups::of_cluster_snapshot
);

/// Instances, clusters and snapshots of both.
pub async fn list(region: &Region, which: Snapshots) -> Vec<Listing> {
    let ((a, b), (c, d)) = join(
        join(instances(region), clusters(region)),
        join(snapshots(region, which), cluster_snapshots(region, which)),
    )
    .await;
    [Some(a), Some(b), c, d].into_iter().flatten().collect()
}

pub async fn read_tags(region: &Region, subject: &Subject) -> Result<Tags, CloudError> {
    region.pace(Api::RdsTags).await;
    let call = region
        .rds()
        .list_tags_for_resource()
        .resource_name(&subject.arn);
    let answer = call.send().await.named("rds:ListTagsForResource")?;
    Ok(pairs(answer.tag_list()))
}

pub async fn tag(region: &Region, subject: &Subject, set: &Tags) -> Result<(), CloudError> {
    region.pace(Api::RdsTags).await;
    let call = region
        .rds()
        .add_tags_to_resource()
        .resource_name(&subject.arn);
    let answer = call.set_tags(Some(sdk(set))).send().await;
    answer.named("rds:AddTagsToResource").map(drop)
}

pub async fn untag(
    region: &Region,
    subject: &Subject,
    keys: &BTreeSet<String>,
) -> Result<(), CloudError> {
    region.pace(Api::RdsTags).await;
    let call = region
        .rds()
        .remove_tags_from_resource()
        .resource_name(&subject.arn);
    let answer = call
        .set_tag_keys(Some(keys.iter().cloned().collect()))
        .send()
        .await;
    answer.named("rds:RemoveTagsFromResource").map(drop)
}
