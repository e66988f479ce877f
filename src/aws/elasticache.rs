//! ElastiCache clusters and replication groups; the members of a group are clusters of their own.

use std::collections::BTreeSet;

use aws_sdk_elasticache::types::{CacheCluster, Tag};
use futures::future::join;

use super::error::Named;
use super::listing::{Listed, Listing, pages, tags};
use super::pace::Api;
use super::session::Region;
use crate::cloud::{CloudError, Subject};
use crate::inventory::Attributes;
use crate::model::{ResourceType, Tags};

/// The largest page of the Describe calls. Source: ElastiCache API reference.
const PAGE: i32 = 100;

fn attributes(found: &CacheCluster) -> Attributes {
    let nodes = found.cache_nodes().iter();
    let mut nodes: BTreeSet<String> = nodes
        .filter_map(|n| n.cache_node_id().map(str::to_owned))
        .collect();
    if nodes.is_empty() {
        // Source: ElastiCache user guide: ids are 0001, 0002, ….
        nodes = (1..=found.num_cache_nodes().unwrap_or_default())
            .map(|n| format!("{n:04}"))
            .collect();
    }
    Attributes {
        class: found.cache_node_type().map(str::to_owned),
        engine: found.engine().map(str::to_owned),
        nodes,
        ..Attributes::default()
    }
}

macro_rules! listing {
    ($name:ident, $kind:ident, $operation:literal, $call:ident, $list:ident, $id:ident, $prefix:literal, $attributes:expr $(, $option:ident)?) => {
        async fn $name(region: &Region) -> Listing {
            let mut listing = Listing::new(ResourceType::$kind, $operation, &region.name);
            let items = &mut listing.items;
            let outcome = pages!($operation, |token| {
                let call = region.elasticache().$call()$(.$option(true))?.max_records(PAGE);
                let page = call.set_marker(token).send().await.named($operation)?;
                items.extend(page.$list().iter().filter_map(|found| {
                    let name = found.$id()?;
                    let arn = found.arn().map_or_else(
                        || region.arn("elasticache", &format!("{}:{name}", $prefix)),
                        str::to_owned,
                    );
                    Some(Listed {
                        attributes: $attributes(found),
                        ..Listed::new(arn, name)
                    })
                }));
                Ok(page.marker)
            });
            listing.ended(outcome)
        }
    };
}

listing!(
    clusters,
    ELASTICACHE_CLUSTER,
    "elasticache:DescribeCacheClusters",
    describe_cache_clusters,
    cache_clusters,
    cache_cluster_id,
    "cluster",
    |found| Some(Box::new(attributes(found))),
    show_cache_node_info
);
listing!(
    groups,
    ELASTICACHE_REPLICATION_GROUP,
    "elasticache:DescribeReplicationGroups",
    describe_replication_groups,
    replication_groups,
    replication_group_id,
    "replicationgroup",
    |_| None
);

pub async fn list(region: &Region) -> Vec<Listing> {
    let (a, b) = join(clusters(region), groups(region)).await;
    vec![a, b]
}

pub async fn read_tags(region: &Region, subject: &Subject) -> Result<Tags, CloudError> {
    region.pace(Api::CacheTags).await;
    let call = region.elasticache().list_tags_for_resource();
    let answer = call.resource_name(&subject.arn).send().await;
    let answer = answer.named("elasticache:ListTagsForResource")?;
    Ok(tags(answer.tag_list().iter().map(|t| (t.key(), t.value()))))
}

pub async fn tag(region: &Region, subject: &Subject, set: &Tags) -> Result<(), CloudError> {
    region.pace(Api::CacheTags).await;
    let list = set
        .iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build());
    let call = region.elasticache().add_tags_to_resource();
    let call = call
        .resource_name(&subject.arn)
        .set_tags(Some(list.collect()));
    call.send()
        .await
        .named("elasticache:AddTagsToResource")
        .map(drop)
}

pub async fn untag(
    region: &Region,
    subject: &Subject,
    keys: &BTreeSet<String>,
) -> Result<(), CloudError> {
    region.pace(Api::CacheTags).await;
    let call = region.elasticache().remove_tags_from_resource();
    let call = call
        .resource_name(&subject.arn)
        .set_tag_keys(Some(keys.iter().cloned().collect()));
    call.send()
        .await
        .named("elasticache:RemoveTagsFromResource")
        .map(drop)
}
