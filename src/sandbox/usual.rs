//! The usual course of the metrics that AWS publishes for the resources of the embedded account, where
//! a scenario says nothing else: busy in the afternoon, quiet at night, rarely a failure.

use std::collections::{BTreeMap, BTreeSet};
use std::f64::consts::PI;

use super::alarms::{AttributeSeed, discoverable};
use super::world::Account;
use crate::controls::alarms::dimensions::KINDS;
use crate::controls::alarms::packs::classes::{cache_memory, rds_memory};
use crate::model::object::MetricId;

const GIB: f64 = (1u64 << 30) as f64;
const DAY: i64 = 86_400;

/// Of a metric within a day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Course {
    /// Between these two, from the quietest to the busiest minute.
    Gauge(f64, f64),
    /// So many in a minute.
    Counter(f64, f64),
    /// One in a minute out of so many; in the others there is no point.
    Rare(u64),
    /// One in a minute out of so many; in the others it is zero.
    Seldom(u64),
}

/// What AWS publishes for each resource of a type.
const PUBLISHED: [(&str, &[&str]); 4] = [
    (
        "AWS/RDS",
        &[
            "CPUUtilization",
            "FreeStorageSpace",
            "FreeableMemory",
            "DatabaseConnections",
            "ReplicaLag",
            "MaximumUsedTransactionIDs",
            "EBSByteBalance%",
            "BurstBalance",
        ],
    ),
    (
        "AWS/Lambda",
        &[
            "Invocations",
            "Errors",
            "Throttles",
            "Duration",
            "IteratorAge",
        ],
    ),
    (
        "AWS/SQS",
        &[
            "ApproximateAgeOfOldestMessage",
            "ApproximateNumberOfMessagesVisible",
        ],
    ),
    (
        "AWS/ElastiCache",
        &[
            "CPUUtilization",
            "EngineCPUUtilization",
            "DatabaseMemoryUsagePercentage",
            "FreeableMemory",
            "Evictions",
            "CurrConnections",
        ],
    ),
];

/// The resource that the dimensions name, if there is one, with what is known of it.
fn named<'a>(
    account: &'a Account,
    region: &str,
    id: &MetricId,
) -> Option<(&'a str, Option<&'a AttributeSeed>)> {
    let kind = KINDS
        .iter()
        .find(|k| k.namespace == id.namespace && id.dimensions.contains_key(k.dimension))?;
    let name = id.dimensions.get(kind.dimension)?;
    let expected = match (kind.namespace, id.dimensions.get("CacheNodeId")) {
        ("AWS/ElastiCache", Some(_)) => 2,
        // Metrics of a cache are those of its nodes.
        ("AWS/ElastiCache", None) => return None,
        _ => 1,
    };
    let (arn, item) = account.resources.iter().find(|(_, item)| {
        item.kind.as_str() == kind.kind && item.region == region && &item.name == name
    })?;
    (id.dimensions.len() == expected).then_some((item.name.as_str(), account.attributes.get(arn)))
}

/// The course of a metric, if AWS publishes one with exactly these dimensions.
pub(super) fn course(account: &Account, region: &str, id: &MetricId) -> Option<Course> {
    use Course::{Counter, Gauge, Rare, Seldom};
    let (namespace, metric) = (id.namespace.as_str(), id.metric.as_str());
    if namespace == "AWS/Lambda" && metric == "ConcurrentExecutions" && id.dimensions.is_empty() {
        let mut all = account.resources.values();
        let any = all.any(|r| r.kind.as_str() == "lambda-function" && r.region == region);
        return any.then_some(Gauge(3.0, 45.0));
    }
    if PUBLISHED.iter().all(|(n, _)| *n != namespace) {
        let there = discoverable(account, region);
        let same = |m: &MetricId| m.namespace == namespace && m.dimensions == id.dimensions;
        if !there.iter().any(same) {
            return None;
        }
        return Some(match metric {
            "RequestCount" => Counter(400.0, 5_200.0),
            "HTTPCode_Target_5XX_Count" | "5XXError" | "5xx" => Rare(9),
            "TargetResponseTime" => Gauge(0.04, 0.19),
            "UnHealthyHostCount" => Seldom(u64::MAX),
            "Count" => Counter(150.0, 2_300.0),
            "Latency" => Gauge(38.0, 140.0),
            "AllRequests" => Counter(30.0, 700.0),
            "5xxErrors" => Seldom(40),
            "FirstByteLatency" => Gauge(20.0, 90.0),
            _ => return None,
        });
    }
    let (name, seed) = named(account, region, id)?;
    let fallback = AttributeSeed::default();
    let seed = seed.unwrap_or(&fallback);
    let class = seed.class.as_deref();
    Some(match (namespace, metric) {
        ("AWS/RDS", "CPUUtilization") => Gauge(12.0, 48.0),
        ("AWS/RDS", "FreeStorageSpace") => {
            let allocated = seed.allocated_gib.unwrap_or(100) as f64 * GIB;
            Gauge(0.41 * allocated, 0.4 * allocated)
        }
        ("AWS/RDS", "FreeableMemory") => {
            let memory = rds_memory(class.unwrap_or("db.t4g.medium")).unwrap_or(1 << 33) as f64;
            Gauge(0.44 * memory, 0.31 * memory)
        }
        ("AWS/RDS", "DatabaseConnections") => Gauge(9.0, 38.0),
        ("AWS/RDS", "ReplicaLag") => {
            seed.replica_of.as_ref()?;
            Gauge(0.02, 1.4)
        }
        ("AWS/RDS", "MaximumUsedTransactionIDs") => Gauge(1.9e8, 1.9e8),
        ("AWS/RDS", "EBSByteBalance%") => Gauge(99.0, 96.0),
        ("AWS/RDS", "BurstBalance") => {
            (seed.storage_type.as_deref() == Some("gp2")).then_some(Gauge(99.0, 88.0))?
        }
        ("AWS/Lambda", "Invocations") => Counter(4.0, 60.0),
        ("AWS/Lambda", "Errors") => Seldom(400),
        ("AWS/Lambda", "Throttles") => Seldom(u64::MAX),
        ("AWS/Lambda", "Duration") => {
            let timeout = f64::from(seed.timeout.unwrap_or(30)) * 1_000.0;
            Gauge(0.18 * timeout, 0.42 * timeout)
        }
        ("AWS/Lambda", "IteratorAge") if !seed.event_sources.is_empty() => Gauge(200.0, 1_500.0),
        ("AWS/SQS", "ApproximateAgeOfOldestMessage") => Gauge(1.0, 25.0),
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible") => match name.ends_with("-dlq") {
            true => Seldom(u64::MAX),
            false => Gauge(0.0, 14.0),
        },
        ("AWS/ElastiCache", "CPUUtilization") => Gauge(6.0, 30.0),
        ("AWS/ElastiCache", "EngineCPUUtilization") => Gauge(8.0, 41.0),
        ("AWS/ElastiCache", "DatabaseMemoryUsagePercentage") => Gauge(61.0, 66.0),
        ("AWS/ElastiCache", "FreeableMemory") => {
            let memory = cache_memory(class.unwrap_or("cache.t4g.small")).unwrap_or(1 << 30);
            Gauge(0.42 * memory as f64, 0.37 * memory as f64)
        }
        ("AWS/ElastiCache", "Evictions") => Seldom(u64::MAX),
        ("AWS/ElastiCache", "CurrConnections") => Gauge(40.0, 260.0),
        _ => return None,
    })
}

/// Every metric that AWS publishes for the resources of a region.
pub(super) fn published(account: &Account, region: &str) -> BTreeSet<MetricId> {
    let mut out = BTreeSet::new();
    let here = account.resources.iter().filter(|(_, r)| r.region == region);
    for (arn, item) in here {
        let Some(kind) = KINDS.iter().find(|k| k.kind == item.kind.as_str()) else {
            continue;
        };
        let Some((_, metrics)) = PUBLISHED.iter().find(|(n, _)| *n == kind.namespace) else {
            continue;
        };
        let own = BTreeMap::from([(kind.dimension.to_owned(), item.name.clone())]);
        let nodes = account.attributes.get(arn).and_then(|a| a.nodes);
        let all: Vec<_> = match kind.namespace {
            "AWS/ElastiCache" => (1..=nodes.unwrap_or(1))
                .map(|n| {
                    let mut with = own.clone();
                    with.insert("CacheNodeId".to_owned(), format!("{n:04}"));
                    with
                })
                .collect(),
            _ => vec![own],
        };
        for (metric, dimensions) in metrics
            .iter()
            .flat_map(|metric| all.iter().map(move |d| (metric, d)))
        {
            out.insert(MetricId {
                namespace: kind.namespace.to_owned(),
                metric: (*metric).to_owned(),
                dimensions: dimensions.clone(),
            });
        }
    }
    out.retain(|id| course(account, region, id).is_some());
    out.insert(MetricId {
        namespace: "AWS/Lambda".to_owned(),
        metric: "ConcurrentExecutions".to_owned(),
        dimensions: BTreeMap::new(),
    });
    out.retain(|id| course(account, region, id).is_some());
    let whole = |namespace: &str, metric: &str| MetricId {
        namespace: namespace.to_owned(),
        metric: metric.to_owned(),
        dimensions: BTreeMap::new(),
    };
    // Lambda publishes its counters for all functions together too.
    for metric in ["Errors", "Invocations", "Throttles", "Duration"] {
        out.insert(whole("AWS/Lambda", metric));
    }
    if region == "us-east-1" && !account.money.billing_alerts_off {
        out.insert(MetricId {
            dimensions: BTreeMap::from([("Currency".to_owned(), "USD".to_owned())]),
            ..whole("AWS/Billing", "EstimatedCharges")
        });
    }
    out
}

impl Course {
    /// One point, of the period that begins so many seconds after 1970. `noise` is even.
    pub fn point(self, statistic: &str, start: i64, period: i64, noise: u64) -> Option<f64> {
        let middle = start + period / 2;
        let hours = middle.rem_euclid(DAY) as f64 / 3_600.0;
        let wave = (1.0 - ((hours - 3.0) * PI / 12.0).cos()) / 2.0;
        let jitter = 1.0 + ((noise % 2_001) as f64 / 10_000.0 - 0.1);
        let minutes = (period / 60).max(1);
        if statistic == "SampleCount" {
            return match self {
                Course::Rare(n) => noise.is_multiple_of(n).then_some(1.0),
                _ => Some(minutes as f64),
            };
        }
        // A period of several minutes has as many chances.
        let chance = |n: u64| noise.is_multiple_of((n / minutes.unsigned_abs()).max(1));
        match self {
            Course::Gauge(low, high) => {
                Some((low + (high - low) * wave) * jitter_of(jitter, low, high))
            }
            Course::Counter(low, high) => {
                let each = (low + (high - low) * wave) * jitter;
                let times = if statistic == "Sum" {
                    minutes as f64
                } else {
                    1.0
                };
                Some((each * times).round())
            }
            Course::Rare(n) => chance(n).then_some(1.0),
            Course::Seldom(u64::MAX) => Some(0.0),
            Course::Seldom(n) => Some(f64::from(u8::from(chance(n)))),
        }
    }
}

/// What hardly moves during the day does not tremble either, so that no share is over 100 %.
fn jitter_of(jitter: f64, low: f64, high: f64) -> f64 {
    let spread = (high - low).abs() / high.abs().max(low.abs()).max(f64::MIN_POSITIVE);
    1.0 + (jitter - 1.0) * spread.min(1.0)
}
