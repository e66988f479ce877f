//! What the alarms of the packs are about: resources, their nodes, and what is only seen through its
//! metrics.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::dimensions;
use super::packs::{Of, Scene, Subject};
use crate::controls::Input;
use crate::inventory::{Observed, Resource};
use crate::model::object::MetricId;
use crate::model::{Arn, ResourceType, Tags};

pub fn scene<'a>(input: &Input<'a>) -> Scene<'a> {
    let inventory = input.inventory;
    let mut dead_letters: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut queues_unseen = BTreeSet::new();
    if !inventory.types_checked.contains("sqs-queue") {
        queues_unseen.extend(inventory.regions.iter().map(String::as_str));
    }
    for queue in &inventory.resources {
        if queue.kind != ResourceType::SQS_QUEUE {
            continue;
        }
        match inventory.attributes.get(&queue.arn) {
            Some(seen) => match &seen.dead_letter_queue {
                Observed::Known(arn) => {
                    dead_letters.entry(arn).or_default().insert(&queue.arn);
                }
                Observed::Absent => {}
                Observed::Unknown(_) => {
                    queues_unseen.insert(queue.region.as_str());
                }
            },
            None => {
                queues_unseen.insert(queue.region.as_str());
            }
        }
    }
    Scene {
        inventory,
        dead_letters,
        queues_unseen,
    }
}

/// Resources by type, so that each alarm looks only at its own.
pub fn by_kind<'a>(input: &Input<'a>) -> BTreeMap<&'a str, Vec<&'a Resource>> {
    let mut out: BTreeMap<&str, Vec<&Resource>> = BTreeMap::new();
    for resource in &input.inventory.resources {
        out.entry(resource.kind.as_str())
            .or_default()
            .push(resource);
    }
    out
}

/// All that one alarm of a pack could be for.
pub fn of<'a>(
    input: &Input<'a>,
    resources: &BTreeMap<&str, Vec<&'a Resource>>,
    of: Of,
) -> Vec<Subject<'a>> {
    let all = |kind: &str| resources.get(kind).into_iter().flatten().copied();
    let attributes = |r: &Resource| input.inventory.attributes.get(&r.arn);
    match of {
        Of::Resource(kind) => all(kind)
            .filter_map(|resource| {
                let (_, dimensions) = dimensions::of(resource)?;
                Some(Subject {
                    attributes: attributes(resource),
                    label: resource.name.clone(),
                    dimensions,
                    resource: Cow::Borrowed(resource),
                })
            })
            .collect(),
        Of::Node => all("elasticache-cluster")
            .flat_map(|cluster| {
                let seen = attributes(cluster);
                let mut nodes: Vec<&str> = seen
                    .map(|a| a.nodes.iter().map(String::as_str).collect())
                    .unwrap_or_default();
                if nodes.is_empty() {
                    nodes.push("0001");
                }
                let several = nodes.len() > 1;
                nodes
                    .into_iter()
                    .map(|node| Subject {
                        attributes: seen,
                        label: if several {
                            format!("{}-{node}", cluster.name)
                        } else {
                            cluster.name.clone()
                        },
                        dimensions: BTreeMap::from([
                            ("CacheClusterId".to_owned(), cluster.name.clone()),
                            ("CacheNodeId".to_owned(), node.to_owned()),
                        ]),
                        resource: Cow::Borrowed(cluster),
                    })
                    .collect::<Vec<_>>()
            })
            .collect(),
        Of::Region(kind) => {
            let mut regions = BTreeSet::new();
            all(kind)
                .filter(|r| regions.insert(r.region.as_str()))
                .map(|first| Subject {
                    // Of the region, so that no tag of one function decides about it.
                    resource: Cow::Owned(Resource {
                        arn: format!(
                            "arn:{}:lambda:{}:{}:account",
                            crate::model::partition(&first.region),
                            first.region,
                            input.inventory.account
                        ),
                        kind: ResourceType::new("lambda-account"),
                        name: first.region.clone(),
                        region: first.region.clone(),
                        tags: Observed::Known(Tags::new()),
                    }),
                    attributes: None,
                    label: first.region.clone(),
                    dimensions: BTreeMap::new(),
                })
                .collect()
        }
        Of::LoadBalancer | Of::TargetGroup | Of::RestApi | Of::HttpApi | Of::MeteredBucket => {
            discovered(input, of)
        }
    }
}

/// What is found through the dimensions of its metrics.
fn discovered<'a>(input: &Input<'a>, of: Of) -> Vec<Subject<'a>> {
    let Some(namespace) = of.discovered_in() else {
        return Vec::new();
    };
    let by_arn: BTreeMap<&str, &Resource> = input
        .inventory
        .resources
        .iter()
        .map(|r| (r.arn.as_str(), r))
        .collect();
    let mut out = Vec::new();
    for (region, facts) in &input.inventory.region_facts {
        let Some(Observed::Known(metrics)) = facts.metrics.get(namespace) else {
            continue;
        };
        let mut seen = BTreeSet::new();
        for metric in metrics {
            let Some((arn, label)) = recognise(input, of, region, metric) else {
                continue;
            };
            if !seen.insert(&metric.dimensions) {
                continue;
            }
            let resource = match by_arn.get(arn.as_str()) {
                Some(found) => Cow::Borrowed(*found),
                None => Cow::Owned(untagged(input, region, arn)),
            };
            out.push(Subject {
                attributes: None,
                label,
                dimensions: metric.dimensions.clone(),
                resource,
            });
        }
    }
    out
}

/// What the tagging API does not show has no tags, if the API could be asked.
fn untagged(input: &Input, region: &str, arn: String) -> Resource {
    let refused = input
        .inventory
        .gaps
        .iter()
        .find(|g| g.region == region && g.operation == "tag:GetResources");
    let (kind, name) = Arn::parse(&arn).map_or_else(
        || (ResourceType::new("unknown"), arn.clone()),
        |parsed| {
            let (kind, name) = parsed.classify();
            (kind, name.to_owned())
        },
    );
    Resource {
        kind,
        name,
        region: region.to_owned(),
        tags: match refused {
            Some(gap) => Observed::Unknown(gap.error.clone()),
            None => Observed::Known(Tags::new()),
        },
        arn,
    }
}

/// The ARN and a name of what a metric is of, where the dimensions are exactly those that an alarm
/// needs. REST APIs are named by their metrics, not by their id.
fn recognise(input: &Input, of: Of, region: &str, metric: &MetricId) -> Option<(String, String)> {
    let partition = crate::model::partition(region);
    let account = &input.inventory.account;
    let dimensions: Vec<(&str, &str)> = metric
        .dimensions
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    let elb =
        |tail: &str| format!("arn:{partition}:elasticloadbalancing:{region}:{account}:{tail}");
    // `app/name/id` and `targetgroup/name/id`.
    let named = |tail: &str| tail.split('/').nth(1).unwrap_or(tail).to_owned();
    match (of, metric.metric.as_str(), dimensions.as_slice()) {
        (Of::LoadBalancer, "RequestCount", [("LoadBalancer", lb)]) => {
            Some((elb(&format!("loadbalancer/{lb}")), named(lb)))
        }
        (Of::TargetGroup, "UnHealthyHostCount", [("LoadBalancer", lb), ("TargetGroup", group)]) => {
            Some((elb(group), format!("{}-{}", named(lb), named(group))))
        }
        (Of::RestApi, "Count", [("ApiName", name), ("Stage", stage)]) => Some((
            format!("arn:{partition}:apigateway:{region}::/restapis-by-name/{name}"),
            format!("{name}-{stage}"),
        )),
        (Of::HttpApi, "Count", [("ApiId", id), ("Stage", stage)]) => Some((
            format!("arn:{partition}:apigateway:{region}::/apis/{id}"),
            format!("{id}-{stage}"),
        )),
        (Of::MeteredBucket, "AllRequests", [("BucketName", bucket), ("FilterId", filter)]) => {
            Some((
                format!("arn:{partition}:s3:::{bucket}"),
                format!("{bucket}-{filter}"),
            ))
        }
        _ => None,
    }
}
