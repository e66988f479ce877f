//! Alarms of scenario files, and what observing shows for their thresholds: attributes of resources,
//! limits of regions, load balancers and APIs.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::world::{Account, AlarmItem, Item};
use super::{Sandbox, gaps};
use crate::cloud::Target;
use crate::config::values::{Datapoints, OneOrMany, Sourced};
use crate::inventory::{Attributes, DISCOVERED, EnvironmentInventory, Observed, RegionFacts};
use crate::model::object::{
    AlarmMetric, CompositeAlarm, Extra, MetricAlarm, MetricId, MetricQuery, Object, QueryKind,
};
use crate::model::{Amount, Control, ResourceType, Tags};

/// Types that alarms are made for: what fails of their listings is a gap of `alarms` too.
pub(super) const TYPES: [ResourceType; 8] = [
    ResourceType::RDS_INSTANCE,
    ResourceType::RDS_CLUSTER,
    ResourceType::LAMBDA_FUNCTION,
    ResourceType::DYNAMODB_TABLE,
    ResourceType::SQS_QUEUE,
    ResourceType::SNS_TOPIC,
    ResourceType::LOG_GROUP,
    ResourceType::ELASTICACHE_CLUSTER,
];

/// `attributes` of a `[[resource]]`; what is left out has a common value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttributeSeed {
    pub class: Option<String>,
    pub engine: Option<String>,
    pub allocated_gib: Option<u64>,
    pub storage_type: Option<String>,
    pub replica_of: Option<String>,
    pub cluster: Option<String>,
    /// ElastiCache.
    pub nodes: Option<u32>,
    /// Lambda: seconds.
    pub timeout: Option<u32>,
    /// Lambda: ARNs.
    pub event_sources: BTreeSet<String>,
    /// SQS: a queue of the same region; left out, the one with `-dlq` at its end.
    pub dead_letter_queue: Option<String>,
}

/// `[[alarm]]`: one that is there already. A metric, or metric math, or a band, or a rule.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedAlarm {
    pub environment: Option<String>,
    pub region: Option<String>,
    pub name: Sourced<OneOrMany<String>>,
    #[serde(default)]
    pub tags: Tags,
    pub metric: Option<SeedMetricId>,
    /// Further metrics of metric math, by id.
    #[serde(default)]
    pub with: BTreeMap<String, SeedMetricId>,
    pub expression: Option<String>,
    #[serde(default)]
    pub band: bool,
    pub rule: Option<String>,
    pub above: Option<Amount>,
    pub below: Option<Amount>,
    pub period: Option<u32>,
    pub datapoints: Option<Datapoints>,
    pub missing: Option<String>,
    /// Names of topics.
    #[serde(default)]
    pub actions: Vec<String>,
    /// What a newer SDK may have written.
    #[serde(default)]
    pub extra: Extra,
    pub state: Option<String>,
    /// For how long it has been in that state.
    #[serde(default)]
    pub state_days: u32,
    /// Its actions are switched off.
    #[serde(default)]
    pub muted: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedMetricId {
    pub namespace: String,
    pub metric: String,
    #[serde(default)]
    pub dimensions: BTreeMap<String, String>,
    pub statistic: Option<String>,
}

impl SeedMetricId {
    fn id(&self) -> MetricId {
        MetricId {
            namespace: self.namespace.clone(),
            metric: self.metric.clone(),
            dimensions: self.dimensions.clone(),
        }
    }

    fn query(&self, id: &str, period: u32, returned: bool) -> MetricQuery {
        MetricQuery {
            id: id.to_owned(),
            return_data: returned,
            label: None,
            kind: QueryKind::Metric {
                metric: self.id(),
                statistic: self.statistic.clone().unwrap_or("Sum".to_owned()),
                period,
            },
        }
    }
}

/// `[[region]]`: what belongs to no single resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegionSeed {
    pub environment: Option<String>,
    pub region: Option<String>,
    pub lambda_concurrency: Option<u32>,
    /// `app/name/id`
    pub load_balancers: Vec<String>,
    /// `targetgroup/name/id` by load balancer.
    pub target_groups: BTreeMap<String, Vec<String>>,
    /// Names of REST APIs; their stage is `prod`.
    pub rest_apis: Vec<String>,
    /// Ids of HTTP APIs; their stage is `$default`.
    pub http_apis: Vec<String>,
    /// Buckets with request metrics.
    pub metered_buckets: Vec<String>,
}

impl SeedAlarm {
    /// The alarm with this name, as it stands in an account.
    pub fn object(&self, name: &str, region: &str, account: &str) -> Object {
        let actions: BTreeSet<String> = self
            .actions
            .iter()
            .map(|topic| format!("arn:aws:sns:{region}:{account}:{topic}"))
            .collect();
        if let Some(rule) = &self.rule {
            let children = rule.split('"').skip(1).step_by(2).map(str::to_owned);
            return Object::CompositeAlarm(CompositeAlarm {
                region: region.to_owned(),
                name: name.to_owned(),
                description: String::new(),
                rule: rule.clone(),
                children: children.collect(),
                actions_enabled: !self.muted,
                alarm_actions: actions,
                ok_actions: BTreeSet::new(),
                insufficient_data_actions: BTreeSet::new(),
                extra: self.extra.clone(),
            });
        }
        let period = self.period.unwrap_or(300);
        let expression = |id: &str, text: String| MetricQuery {
            id: id.to_owned(),
            return_data: true,
            label: None,
            kind: QueryKind::Expression {
                expression: text,
                period: None,
            },
        };
        let fallback = SeedMetricId {
            namespace: "AWS/Lambda".to_owned(),
            metric: "Errors".to_owned(),
            dimensions: BTreeMap::new(),
            statistic: None,
        };
        let metric = self.metric.as_ref().unwrap_or(&fallback);
        let watched = if self.band {
            let band = expression("band", "ANOMALY_DETECTION_BAND(m1, 2)".to_owned());
            AlarmMetric::Math(vec![band, metric.query("m1", period, true)])
        } else if let Some(text) = &self.expression {
            let mut queries: Vec<_> = self
                .with
                .iter()
                .map(|(id, metric)| metric.query(id, period, false))
                .collect();
            queries.push(expression("result", text.clone()));
            queries.sort_by(|a, b| a.id.cmp(&b.id));
            AlarmMetric::Math(queries)
        } else {
            AlarmMetric::Single {
                metric: metric.id(),
                statistic: metric.statistic.clone().unwrap_or("Sum".to_owned()),
                period,
            }
        };
        let (comparison, threshold) = match (self.band, self.above, self.below) {
            (true, _, _) => ("LessThanLowerOrGreaterThanUpperThreshold", None),
            (_, Some(above), _) => ("GreaterThanThreshold", Some(above.0.normalize())),
            (_, None, Some(below)) => ("LessThanThreshold", Some(below.0.normalize())),
            (_, None, None) => ("GreaterThanThreshold", Some(0.into())),
        };
        let (m, n) = self.datapoints.map_or((1, 1), |d| d.0);
        Object::MetricAlarm(MetricAlarm {
            region: region.to_owned(),
            name: name.to_owned(),
            description: String::new(),
            metric: watched,
            comparison: comparison.to_owned(),
            threshold,
            threshold_metric_id: self.band.then(|| "band".to_owned()),
            evaluation_periods: n,
            datapoints_to_alarm: m,
            treat_missing_data: self.missing.clone().unwrap_or("missing".to_owned()),
            low_samples: None,
            actions_enabled: !self.muted,
            alarm_actions: actions,
            ok_actions: BTreeSet::new(),
            insufficient_data_actions: BTreeSet::new(),
            extra: self.extra.clone(),
        })
    }
}

/// An alarm that a scenario only names among its resources.
pub(super) fn plain(item: &Item, account: &str) -> AlarmItem {
    let seed = SeedAlarm {
        environment: None,
        region: None,
        name: Sourced {
            value: OneOrMany(Vec::new()),
            origin: Default::default(),
        },
        tags: Tags::new(),
        metric: None,
        with: BTreeMap::new(),
        expression: None,
        band: false,
        rule: None,
        above: Some(Amount(5.into())),
        below: None,
        period: None,
        datapoints: None,
        missing: None,
        actions: Vec::new(),
        extra: Extra::new(),
        state: None,
        state_days: 0,
        muted: false,
    };
    AlarmItem {
        alarm: seed.object(&item.name, &item.region, account),
        state: "OK".to_owned(),
        state_days: 0,
    }
}

/// The metrics through which load balancers, APIs and metered buckets show.
pub(super) fn discoverable(account: &Account, region: &str) -> Vec<MetricId> {
    let Some(seed) = account.regions.get(region) else {
        return Vec::new();
    };
    let metric = |namespace: &str, metric: &str, dimensions: &[(&str, &str)]| MetricId {
        namespace: namespace.to_owned(),
        metric: metric.to_owned(),
        dimensions: dimensions
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
    };
    let mut out = Vec::new();
    for lb in &seed.load_balancers {
        for name in [
            "RequestCount",
            "HTTPCode_Target_5XX_Count",
            "TargetResponseTime",
        ] {
            out.push(metric("AWS/ApplicationELB", name, &[("LoadBalancer", lb)]));
        }
        for group in seed.target_groups.get(lb).into_iter().flatten() {
            let dimensions = [("LoadBalancer", lb.as_str()), ("TargetGroup", group)];
            for name in ["RequestCount", "UnHealthyHostCount"] {
                out.push(metric("AWS/ApplicationELB", name, &dimensions));
            }
        }
    }
    for api in &seed.rest_apis {
        let dimensions = [("ApiName", api.as_str()), ("Stage", "prod")];
        for name in ["Count", "5XXError", "Latency"] {
            out.push(metric("AWS/ApiGateway", name, &dimensions));
        }
        out.push(metric("AWS/ApiGateway", "Count", &dimensions[..1]));
    }
    for api in &seed.http_apis {
        let dimensions = [("ApiId", api.as_str()), ("Stage", "$default")];
        for name in ["Count", "5xx", "Latency"] {
            out.push(metric("AWS/ApiGateway", name, &dimensions));
        }
    }
    for bucket in &seed.metered_buckets {
        let dimensions = [
            ("BucketName", bucket.as_str()),
            ("FilterId", "EntireBucket"),
        ];
        for name in ["AllRequests", "5xxErrors", "FirstByteLatency"] {
            out.push(metric("AWS/S3", name, &dimensions));
        }
    }
    out
}

/// Attributes of the resources that were seen, and what the regions tell.
pub(super) fn observe(
    sandbox: &Sandbox,
    account: &Account,
    target: &Target,
    seen: &mut EnvironmentInventory,
) {
    const ALARMS: [Control; 1] = [Control::Alarms];
    let mut found = BTreeMap::new();
    let mut new_gaps = Vec::new();
    let mut gap = |region: &str, operation: &str, resource: Option<&str>, e: &_| {
        new_gaps.extend(gaps(target, region, &ALARMS, operation, resource, e));
    };
    for region in &target.regions {
        let mut facts = RegionFacts::default();
        let operation = "lambda:GetAccountSettings";
        facts.lambda_concurrency = match sandbox.enter(account, operation, region) {
            // What a new account gets. Source: Lambda developer guide, "Lambda quotas".
            Ok(_) => Observed::Known(
                account
                    .regions
                    .get(region)
                    .and_then(|r| r.lambda_concurrency)
                    .unwrap_or(1_000),
            ),
            Err(e) => {
                gap(region, operation, None, &e);
                Observed::Unknown(e.to_string())
            }
        };
        let there = discoverable(account, region);
        for (namespace, metric) in DISCOVERED {
            let operation = "cloudwatch:ListMetrics";
            let entry = facts
                .metrics
                .entry(namespace.to_owned())
                .or_insert_with(|| Observed::Known(BTreeSet::new()));
            match sandbox.enter(account, operation, namespace) {
                Ok(_) => {
                    let matching = there
                        .iter()
                        .filter(|m| m.namespace == namespace && m.metric == metric);
                    if let Observed::Known(all) = entry {
                        all.extend(matching.cloned());
                    }
                }
                Err(e) => {
                    gap(region, operation, Some(namespace), &e);
                    *entry = Observed::Unknown(e.to_string());
                }
            }
        }
        seen.region_facts.insert(region.clone(), facts);
        let operation = "lambda:ListEventSourceMappings";
        let mappings = sandbox.enter(account, operation, region);
        if let Err(e) = &mappings {
            gap(region, operation, None, e);
        }
        for resource in seen.resources.iter().filter(|r| &r.region == region) {
            let seed = account.attributes.get(&resource.arn);
            let seed = seed.cloned().unwrap_or_default();
            let mut one = Attributes::default();
            match resource.kind.as_str() {
                "rds-instance" => {
                    let engine = seed.engine.unwrap_or("postgres".to_owned());
                    one.class = Some(seed.class.unwrap_or("db.t4g.medium".to_owned()));
                    one.allocated_storage = (!engine.starts_with("aurora"))
                        .then(|| seed.allocated_gib.unwrap_or(100) * 1024 * 1024 * 1024);
                    one.engine = Some(engine);
                    one.storage_type = Some(seed.storage_type.unwrap_or("gp3".to_owned()));
                    one.replica_of = seed.replica_of;
                    one.cluster = seed.cluster;
                }
                "lambda-function" => {
                    one.timeout = Some(seed.timeout.unwrap_or(30));
                    one.event_sources = match &mappings {
                        Err(e) => Observed::Unknown(e.to_string()),
                        Ok(_) if seed.event_sources.is_empty() => Observed::Absent,
                        Ok(_) => Observed::Known(seed.event_sources),
                    };
                }
                "elasticache-cluster" => {
                    one.class = Some(seed.class.unwrap_or("cache.t4g.small".to_owned()));
                    one.engine = Some(seed.engine.unwrap_or("redis".to_owned()));
                    let nodes = seed.nodes.unwrap_or(1);
                    one.nodes = (1..=nodes).map(|n| format!("{n:04}")).collect();
                }
                "sqs-queue" => {
                    let operation = "sqs:GetQueueAttributes";
                    let dead = seed.dead_letter_queue.map_or_else(
                        || format!("{}-dlq", resource.arn),
                        |name| {
                            let own = resource.arn.rsplit_once(':');
                            format!("{}:{name}", own.map_or("", |(start, _)| start))
                        },
                    );
                    one.dead_letter_queue = match sandbox.enter(account, operation, &resource.name)
                    {
                        Ok(_) if account.resources.contains_key(&dead) => Observed::Known(dead),
                        Ok(_) => Observed::Absent,
                        Err(e) => {
                            gap(region, operation, Some(&resource.name), &e);
                            Observed::Unknown(e.to_string())
                        }
                    };
                }
                _ => continue,
            }
            found.insert(resource.arn.clone(), one);
        }
    }
    seen.attributes = found;
    seen.gaps.extend(new_gaps);
}
