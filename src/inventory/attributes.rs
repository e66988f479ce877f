//! What thresholds are derived from: sizes, limits and relations of single resources, and what a
//! region as a whole tells.

use std::collections::{BTreeMap, BTreeSet};

use super::Observed;
use crate::model::object::MetricId;

/// Of one resource.
///
/// An entry means that the listing of its service was read: there, `None` says that the resource
/// has no such thing. No entry for a resource means that nothing is known. What takes a call of its
/// own is [`Observed`] by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// RDS: `db.t4g.medium` (`DBInstanceClass`); ElastiCache: `cache.t4g.small` (`CacheNodeType`).
    pub class: Option<String>,
    /// RDS: `postgres`, `aurora-mysql`, …; ElastiCache: `redis`, `valkey`, `memcached`.
    pub engine: Option<String>,
    /// RDS: bytes (`AllocatedStorage` is in GiB). `None` for Aurora, whose storage grows by itself.
    pub allocated_storage: Option<u64>,
    /// RDS: `gp2`, `gp3`, `io1`, …
    pub storage_type: Option<String>,
    /// RDS: identifier of the instance that it replicates
    /// (`ReadReplicaSourceDBInstanceIdentifier`).
    pub replica_of: Option<String>,
    /// RDS: identifier of the cluster that it belongs to.
    pub cluster: Option<String>,
    /// ElastiCache: ids of its nodes, `0001`, … (`ShowCacheNodeInfo`; they follow from
    /// `NumCacheNodes` too).
    pub nodes: BTreeSet<String>,
    /// Lambda: seconds (`Timeout`).
    pub timeout: Option<u32>,
    /// Lambda: ARNs that its event source mappings read (`lambda:ListEventSourceMappings`, one
    /// sweep of a region). `Absent`: it has none.
    pub event_sources: Observed<BTreeSet<String>>,
    /// SQS: ARN of its dead-letter queue (`deadLetterTargetArn` of its `RedrivePolicy`,
    /// `sqs:GetQueueAttributes`). `Absent`: it has none.
    pub dead_letter_queue: Observed<String>,
    /// DynamoDB: `PAY_PER_REQUEST` or `PROVISIONED` (`dynamodb:DescribeTable`).
    pub billing_mode: Observed<String>,
}

/// Of one region, for what is no property of a single resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegionFacts {
    /// How many Lambda functions may run at once (`lambda:GetAccountSettings`,
    /// `AccountLimit.ConcurrentExecutions`).
    pub lambda_concurrency: Observed<u32>,
    /// The metrics named in [`DISCOVERED`], by namespace: load balancers and APIs are found through
    /// the dimensions of their metrics. A namespace that was not asked for has no entry.
    pub metrics: BTreeMap<String, Observed<BTreeSet<MetricId>>>,
}

/// Namespaces and metric names by whose dimensions resources without a listing of their own are
/// found (`cloudwatch:ListMetrics`); metrics without data for two weeks do not show.
///
/// Source: CloudWatch API reference, ListMetrics.
pub const DISCOVERED: [(&str, &str); 3] = [
    // LoadBalancer, and with it AvailabilityZone or TargetGroup.
    ("AWS/ApplicationELB", "RequestCount"),
    // LoadBalancer and TargetGroup, and with them AvailabilityZone.
    ("AWS/ApplicationELB", "UnHealthyHostCount"),
    // REST: ApiName (and Stage, Method, Resource); HTTP: ApiId (and Stage, …).
    ("AWS/ApiGateway", "Count"),
];
