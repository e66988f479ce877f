//! The embedded accounts: what they hold, and the scenario files that seed them.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Serialize};

use super::alarms::{self, AttributeSeed, RegionSeed, SeedAlarm};
use super::backups::{BackupSeed, ProofSeed, Pushed};
use super::ledger::{CommitmentSeed, CostSeed};
use super::metrics::SeedMetric;
use crate::config::node::Node;
use crate::config::values::{OneOrMany, Period, Sourced};
use crate::config::workspace::Workspace;
use crate::config::{Diagnostic, Loaded};
use crate::inventory::{BucketSize, NotChecked};
use crate::model::lifecycle::{LifecycleConfiguration, Rule};
use crate::model::object::policy::{Publisher, policy_of};
use crate::model::object::{
    self, AnomalyMonitor, AnomalySubscription, Budget, CostTypes, MonitorScope, NotificationKey,
    Object, Subscriber,
};
use crate::model::{Amount, ResourceType, Tags};

/// What `[scenario]`, `[[resource]]` and `[[deny]]` of a scenario file say; the rest of the file
/// has the shape of `opsctl.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    pub title: String,
    pub about: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedResource {
    /// The first one, where there is only one.
    environment: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    /// The first region of the environment, if not given.
    region: Option<String>,
    /// One resource for each name.
    name: Sourced<OneOrMany<String>>,
    #[serde(default)]
    tags: Tags,
    /// Of a bucket: GB in STANDARD; left out, there are no size metrics.
    size_gb: Option<Amount>,
    /// Of a bucket: number of objects.
    objects: Option<u64>,
    /// Of a bucket: the rules that are there.
    #[serde(default)]
    lifecycle: Vec<Rule>,
    /// Of a bucket: its TransitionDefaultMinimumObjectSize.
    minimum_object_size: Option<String>,
    /// What alarm thresholds are derived from.
    attributes: Option<AttributeSeed>,
    /// How it is backed up, and what a snapshot is.
    backup: Option<BackupSeed>,
    /// Of a topic: services that its policy lets publish, `budgets`, `costalerts`, `cloudwatch`.
    #[serde(default)]
    publishers: Vec<String>,
    /// Of a topic: subscriptions like `email:ops@example.com`.
    #[serde(default)]
    confirmed: BTreeSet<String>,
    #[serde(default)]
    pending: BTreeSet<String>,
    /// Of a topic: the key that encrypts it.
    kms_key: Option<String>,
}

/// A budget that somebody else made, or an older version of ours.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedBudget {
    environment: String,
    name: Sourced<String>,
    limit_usd: Amount,
    #[serde(default = "monthly")]
    time_unit: String,
    /// Whether credits and refunds count, as AWS has it by default.
    #[serde(default = "yes")]
    credits: bool,
    #[serde(default)]
    filters: BTreeMap<String, BTreeSet<String>>,
    /// `actual GREATER_THAN 80 percent` and who is told.
    #[serde(default)]
    alerts: BTreeMap<NotificationKey, BTreeSet<String>>,
    actual_usd: Option<Amount>,
    forecast_usd: Option<Amount>,
    unhealthy: Option<String>,
    #[serde(default)]
    tags: Tags,
}

fn monthly() -> String {
    "MONTHLY".to_owned()
}

fn yes() -> bool {
    true
}

/// What billing knows of one environment's account.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedBilling {
    /// Cost allocation tags, and whether they are active.
    #[serde(default)]
    cost_tags: BTreeMap<String, bool>,
    /// The name of a monitor of all services.
    monitor: Option<String>,
    #[serde(default)]
    member: bool,
    #[serde(default)]
    billing_alerts_off: bool,
}

/// `[[database]]`: what is in a database instance and its newest snapshot.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedDatabase {
    environment: String,
    /// Of an `rds-instance` among the resources.
    name: Sourced<String>,
    engine: String,
    engine_version: String,
    instance_class: String,
    size_gb: u32,
    #[serde(default)]
    encrypted: bool,
    /// Between the snapshot and now.
    snapshot_age: Period,
    /// Between the newest row in the snapshot and now.
    newest_row_age: Period,
    /// Rows in the table `orders`.
    orders: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deny {
    environment: String,
    operation: String,
}

/// All accounts of one scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct World {
    pub scenario: String,
    /// Of the scenario file: a state made from another version of it starts afresh.
    pub seed: String,
    /// By environment.
    pub accounts: BTreeMap<String, Account>,
    /// Locks that are held: `bucket/key` and what stands in them.
    #[serde(default)]
    pub locks: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Account {
    pub id: String,
    /// By ARN.
    pub resources: BTreeMap<String, Item>,
    /// By name.
    pub buckets: BTreeMap<String, BucketItem>,
    /// Operations that answer AccessDenied.
    #[serde(default)]
    pub denied: Vec<String>,
    /// By ARN: what a topic holds besides its tags, which stand in `resources`.
    #[serde(default)]
    pub topics: BTreeMap<String, TopicItem>,
    /// By ARN; their tags stand in `resources`.
    #[serde(default)]
    pub alarms: BTreeMap<String, AlarmItem>,
    /// Budgets, anomaly detection, cost allocation tags.
    #[serde(default)]
    pub money: Money,
    /// What alarm thresholds are derived from, by ARN.
    #[serde(default)]
    pub attributes: BTreeMap<String, AttributeSeed>,
    /// The same of whole regions.
    #[serde(default)]
    pub regions: BTreeMap<String, RegionSeed>,
    /// Metrics with a history.
    #[serde(default)]
    pub metrics: Vec<SeedMetric>,
    /// The first region.
    #[serde(default)]
    pub home: String,
    /// It pays for all accounts and sees what they cost.
    #[serde(default)]
    pub payer: bool,
    /// What it costs.
    #[serde(default)]
    pub costs: Vec<CostSeed>,
    #[serde(default)]
    pub commitments: Vec<CommitmentSeed>,
    /// What is in database instances, by their names.
    #[serde(default)]
    pub databases: BTreeMap<String, Database>,
    /// How things are backed up, by ARN; what is not here is as a careful person has it.
    #[serde(default)]
    pub protection: BTreeMap<String, BackupSeed>,
    /// Drills that passed long ago.
    #[serde(default)]
    pub proofs: Vec<ProofSeed>,
    /// Points of metrics that were written.
    #[serde(default)]
    pub pushed: Vec<Pushed>,
}

/// A topic that was never written to has the policy that SNS gives it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TopicItem {
    #[serde(default)]
    pub policy: Option<String>,
    #[serde(default)]
    pub kms_key: Option<String>,
    /// `email:ops@example.com`
    #[serde(default)]
    pub confirmed: BTreeSet<String>,
    #[serde(default)]
    pub pending: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlarmItem {
    /// A metric or composite alarm.
    pub alarm: Object,
    /// `OK`, `ALARM`, `INSUFFICIENT_DATA`.
    pub state: String,
    /// For so many days.
    #[serde(default)]
    pub state_days: u32,
}

/// What billing knows of an account.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Money {
    /// By name.
    pub budgets: BTreeMap<String, BudgetItem>,
    /// By ARN.
    pub monitors: BTreeMap<String, AnomalyMonitor>,
    /// By ARN.
    pub subscriptions: BTreeMap<String, SubscriptionItem>,
    /// Cost allocation tags by key: whether they are active.
    pub cost_tags: BTreeMap<String, bool>,
    /// Somebody else pays: cost allocation tags are not this account's to manage.
    pub member: bool,
    /// "Receive CloudWatch billing alerts" was never switched on.
    pub billing_alerts_off: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BudgetItem {
    pub budget: Budget,
    pub tags: Tags,
    pub actual: Option<Decimal>,
    pub forecast: Option<Decimal>,
    pub unhealthy: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubscriptionItem {
    pub subscription: AnomalySubscription,
    /// E-mail addresses that have not confirmed.
    #[serde(default)]
    pub unconfirmed: BTreeSet<String>,
}

/// A database instance and its newest snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Database {
    pub engine: String,
    pub engine_version: String,
    pub instance_class: String,
    pub size_gb: u32,
    pub encrypted: bool,
    /// Seconds between the snapshot and now.
    pub snapshot_age: u64,
    /// Seconds between the newest row in the snapshot and now.
    pub newest_row_age: u64,
    pub orders: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    pub kind: ResourceType,
    pub name: String,
    pub region: String,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct BucketItem {
    pub region: String,
    pub lifecycle: Option<LifecycleConfiguration>,
    pub size: Option<BucketSize>,
}

impl SeedResource {
    fn topic(&self, arn: &str) -> TopicItem {
        let named = |p: &Publisher| {
            let who = p.principal().split('.').next();
            self.publishers
                .iter()
                .any(|name| Some(name.as_str()) == who)
        };
        let publishers = Publisher::ALL.into_iter().filter(named).collect();
        TopicItem {
            policy: Some(policy_of(arn, None, &publishers)),
            kms_key: self.kms_key.clone(),
            confirmed: self.confirmed.clone(),
            pending: self.pending.clone(),
        }
    }
}

fn arn(kind: &str, region: &str, account: &str, name: &str) -> String {
    match kind {
        "s3-bucket" => format!("arn:aws:s3:::{name}"),
        "rds-instance" => format!("arn:aws:rds:{region}:{account}:db:{name}"),
        "rds-cluster" => format!("arn:aws:rds:{region}:{account}:cluster:{name}"),
        "rds-snapshot" => format!("arn:aws:rds:{region}:{account}:snapshot:{name}"),
        "rds-cluster-snapshot" => format!("arn:aws:rds:{region}:{account}:cluster-snapshot:{name}"),
        "lambda-function" => format!("arn:aws:lambda:{region}:{account}:function:{name}"),
        "dynamodb-table" => format!("arn:aws:dynamodb:{region}:{account}:table/{name}"),
        "sqs-queue" => format!("arn:aws:sqs:{region}:{account}:{name}"),
        "sns-topic" => format!("arn:aws:sns:{region}:{account}:{name}"),
        "cloudwatch-alarm" => format!("arn:aws:cloudwatch:{region}:{account}:alarm:{name}"),
        "log-group" => format!("arn:aws:logs:{region}:{account}:log-group:{name}"),
        "elasticache-cluster" => format!("arn:aws:elasticache:{region}:{account}:cluster:{name}"),
        "elasticache-replication-group" => {
            format!("arn:aws:elasticache:{region}:{account}:replicationgroup:{name}")
        }
        other => {
            // `service-type`, the inverse of `Arn::classify`.
            let (service, kind) = other.split_once('-').unwrap_or((other, "resource"));
            format!("arn:aws:{service}:{region}:{account}:{kind}/{name}")
        }
    }
}

/// A scenario file, taken apart: its own tables, and what has the shape of `opsctl.toml`.
pub struct Parsed {
    pub scenario: Scenario,
    pub workspace: Node,
    resources: Vec<SeedResource>,
    budgets: Vec<SeedBudget>,
    billing: BTreeMap<String, Sourced<SeedBilling>>,
    databases: Vec<SeedDatabase>,
    proofs: Vec<ProofSeed>,
    denied: Vec<Deny>,
    alarms: Vec<SeedAlarm>,
    regions: Vec<RegionSeed>,
    metrics: Vec<SeedMetric>,
    costs: Vec<Sourced<CostSeed>>,
    commitments: Vec<Sourced<CommitmentSeed>>,
}

impl Parsed {
    /// # Errors
    /// All mistakes in the scenario's own tables.
    pub fn new(mut node: Node) -> Result<Parsed, Vec<Diagnostic>> {
        let whole = node.origin;
        let mut take = |key: &str| {
            node.table_mut()
                .and_then(|t| t.remove(key))
                .map(|entry| entry.node)
        };
        let scenario = take("scenario")
            .ok_or_else(|| {
                vec![Diagnostic::error(
                    whole,
                    "a scenario needs a table [scenario]",
                )]
            })?
            .read()?;
        let resources = take("resource").map_or_else(|| Ok(Vec::new()), |n| n.read())?;
        let databases = take("database").map_or_else(|| Ok(Vec::new()), |n| n.read())?;
        let proofs = take("proof").map_or_else(|| Ok(Vec::new()), |n| n.read())?;
        let denied = take("deny").map_or_else(|| Ok(Vec::new()), |n| n.read())?;
        let alarms = take("alarm").map_or_else(|| Ok(Vec::new()), |n| n.read())?;
        let regions = take("region").map_or_else(|| Ok(Vec::new()), |n| n.read())?;
        let metrics = take("metric").map_or_else(|| Ok(Vec::new()), |n| n.read())?;
        let budgets = take("budget").map_or_else(|| Ok(Vec::new()), |n| n.read())?;
        let billing = take("billing").map_or_else(|| Ok(BTreeMap::new()), |n| n.read())?;
        let costs = take("cost").map_or_else(|| Ok(Vec::new()), |n| n.read())?;
        let commitments = take("commitment").map_or_else(|| Ok(Vec::new()), |n| n.read())?;
        Ok(Parsed {
            scenario,
            workspace: node,
            resources,
            budgets,
            billing,
            databases,
            proofs,
            denied,
            alarms,
            regions,
            metrics,
            costs,
            commitments,
        })
    }

    /// Puts what billing knows into the accounts.
    fn money(&self, world: &mut World, errors: &mut Vec<Diagnostic>) {
        for seed in &self.budgets {
            let Some(account) = world.accounts.get_mut(&seed.environment) else {
                let message = format!("there is no environment `{}`", seed.environment);
                errors.push(Diagnostic::error(seed.name.origin, message));
                continue;
            };
            let subscriber = |text: &String| {
                if text.starts_with("arn:") {
                    Subscriber::Sns(text.clone())
                } else {
                    Subscriber::Email(text.clone())
                }
            };
            let item = BudgetItem {
                budget: Budget {
                    name: seed.name.value.clone(),
                    kind: "COST".to_owned(),
                    time_unit: seed.time_unit.clone(),
                    limit: Some(object::Money {
                        amount: seed.limit_usd.0.normalize(),
                        unit: "USD".to_owned(),
                    }),
                    filters: seed.filters.clone(),
                    cost_types: CostTypes {
                        include_credit: seed.credits,
                        include_refund: seed.credits,
                        ..CostTypes::default()
                    },
                    notifications: (seed.alerts.iter())
                        .map(|(key, told)| (key.clone(), told.iter().map(subscriber).collect()))
                        .collect(),
                    extra: BTreeMap::new(),
                },
                tags: seed.tags.clone(),
                actual: seed.actual_usd.map(|a| a.0),
                forecast: seed.forecast_usd.map(|a| a.0),
                unhealthy: seed.unhealthy.clone(),
            };
            let name = seed.name.value.clone();
            if account.money.budgets.insert(name, item).is_some() {
                let message = format!("the budget `{}` is there twice", seed.name.value);
                errors.push(Diagnostic::error(seed.name.origin, message));
            }
        }
        for (environment, seed) in &self.billing {
            let Some(account) = world.accounts.get_mut(environment) else {
                let message = format!("there is no environment `{environment}`");
                errors.push(Diagnostic::error(seed.origin, message));
                continue;
            };
            account.money.cost_tags = seed.cost_tags.clone();
            account.money.member = seed.member;
            account.money.billing_alerts_off = seed.billing_alerts_off;
            if let Some(name) = &seed.monitor {
                let arn = format!("arn:aws:ce::{}:anomalymonitor/seeded", account.id);
                let monitor = AnomalyMonitor {
                    name: name.clone(),
                    scope: MonitorScope::Dimension("SERVICE".to_owned()),
                };
                account.money.monitors.insert(arn, monitor);
            }
        }
    }

    /// The accounts as the scenario seeds them.
    ///
    /// # Errors
    /// A resource in an unknown environment, twice, or with rules that S3 would refuse.
    pub fn world(&self, name: &str, seed: &str, loaded: &Loaded) -> Result<World, Vec<Diagnostic>> {
        let Some(workspace) = &loaded.workspace else {
            return Err(loaded.diagnostics.clone());
        };
        let mut world = World {
            scenario: name.to_owned(),
            seed: seed.to_owned(),
            accounts: BTreeMap::new(),
            locks: BTreeMap::new(),
        };
        for (environment, config) in &workspace.environments {
            let account = Account {
                id: config.account.value.clone(),
                payer: workspace
                    .payer
                    .as_ref()
                    .is_some_and(|p| p.environment.value == *environment),
                home: config
                    .regions
                    .first()
                    .map(|r| r.value.clone())
                    .unwrap_or_default(),
                proofs: self
                    .proofs
                    .iter()
                    .filter(|p| &p.environment == environment)
                    .cloned()
                    .collect(),
                denied: self
                    .denied
                    .iter()
                    .filter(|d| &d.environment == environment)
                    .map(|d| d.operation.clone())
                    .collect(),
                ..Account::default()
            };
            world.accounts.insert(environment.clone(), account);
        }
        let mut errors = Vec::new();
        for seed in &self.resources {
            let environment = match &seed.environment {
                Some(name) => name.clone(),
                None => workspace
                    .environments
                    .keys()
                    .next()
                    .cloned()
                    .unwrap_or_default(),
            };
            let (Some(config), Some(account)) = (
                workspace.environments.get(&environment),
                world.accounts.get_mut(&environment),
            ) else {
                errors.push(Diagnostic::error(
                    seed.name.origin,
                    format!("there is no environment `{environment}`"),
                ));
                continue;
            };
            let region = match &seed.region {
                Some(region) => region.clone(),
                None => config
                    .regions
                    .first()
                    .map(|r| r.value.clone())
                    .unwrap_or_default(),
            };
            for name in &seed.name.value.0 {
                let arn = arn(&seed.kind, &region, &account.id, name);
                if seed.kind == "sns-topic" {
                    account.topics.insert(arn.clone(), seed.topic(&arn));
                }
                let item = Item {
                    kind: ResourceType::new(seed.kind.clone()),
                    name: name.clone(),
                    region: region.clone(),
                    tags: seed.tags.clone(),
                };
                if let Some(attributes) = &seed.attributes {
                    account.attributes.insert(arn.clone(), attributes.clone());
                }
                if let Some(backup) = &seed.backup {
                    account.protection.insert(arn.clone(), backup.clone());
                }
                if account.resources.insert(arn, item).is_some() {
                    errors.push(Diagnostic::error(
                        seed.name.origin,
                        format!("{} `{name}` is there twice", seed.kind),
                    ));
                }
                if seed.kind == "s3-bucket" {
                    let lifecycle = (!seed.lifecycle.is_empty()).then(|| LifecycleConfiguration {
                        transition_default_minimum_object_size: Some(
                            seed.minimum_object_size
                                .clone()
                                .unwrap_or_else(|| "all_storage_classes_128K".to_owned()),
                        ),
                        rules: seed.lifecycle.clone(),
                    });
                    if let Some(violation) = lifecycle
                        .as_ref()
                        .and_then(|l| l.violations().into_iter().next())
                    {
                        errors.push(Diagnostic::error(seed.name.origin, violation));
                    }
                    let size = seed.size_gb.map(|gb| BucketSize {
                        standard_bytes: (gb.0 * Decimal::from(1024u64 * 1024 * 1024))
                            .to_u64()
                            .unwrap_or_default(),
                        objects: seed.objects.unwrap_or_default(),
                    });
                    let bucket = BucketItem {
                        region: region.clone(),
                        lifecycle,
                        size,
                    };
                    account.buckets.insert(name.clone(), bucket);
                }
            }
        }
        errors.extend(self.seed_alarms(workspace, &mut world));
        self.money(&mut world, &mut errors);
        self.add_costs(workspace, &mut world, &mut errors);
        for seed in &self.databases {
            let account = world.accounts.get_mut(&seed.environment).filter(|account| {
                account
                    .resources
                    .values()
                    .any(|r| r.kind == ResourceType::RDS_INSTANCE && r.name == seed.name.value)
            });
            let Some(account) = account else {
                errors.push(Diagnostic::error(
                    seed.name.origin,
                    format!(
                        "{} has no rds-instance `{}`",
                        seed.environment, seed.name.value
                    ),
                ));
                continue;
            };
            let database = Database {
                engine: seed.engine.clone(),
                engine_version: seed.engine_version.clone(),
                instance_class: seed.instance_class.clone(),
                size_gb: seed.size_gb,
                encrypted: seed.encrypted,
                snapshot_age: seed.snapshot_age.0.as_secs(),
                newest_row_age: seed.newest_row_age.0.as_secs(),
                orders: seed.orders,
            };
            account.databases.insert(seed.name.value.clone(), database);
        }
        if errors.is_empty() {
            Ok(world)
        } else {
            Err(errors)
        }
    }
}

impl Parsed {
    /// Alarms, regions and metrics, in the environments and regions that they are for.
    fn seed_alarms(&self, workspace: &Workspace, world: &mut World) -> Vec<Diagnostic> {
        let mut errors = Vec::new();
        let place = |environment: &Option<String>, region: &Option<String>| {
            let first = || workspace.environments.keys().next().cloned();
            let environment = environment.clone().or_else(first).unwrap_or_default();
            let config = workspace.environments.get(&environment);
            let home = || {
                config
                    .and_then(|c| c.regions.first())
                    .map(|r| r.value.clone())
            };
            let region = region.clone().or_else(home).unwrap_or_default();
            (environment, region)
        };
        for seed in &self.alarms {
            let (environment, region) = place(&seed.environment, &seed.region);
            let Some(account) = world.accounts.get_mut(&environment) else {
                errors.push(Diagnostic::error(
                    seed.name.origin,
                    format!("there is no environment `{environment}`"),
                ));
                continue;
            };
            for name in &seed.name.value.0 {
                let arn = arn("cloudwatch-alarm", &region, &account.id, name);
                let item = Item {
                    kind: ResourceType::CLOUDWATCH_ALARM,
                    name: name.clone(),
                    region: region.clone(),
                    tags: seed.tags.clone(),
                };
                if account.resources.insert(arn.clone(), item).is_some() {
                    errors.push(Diagnostic::error(
                        seed.name.origin,
                        format!("alarm `{name}` is there twice"),
                    ));
                }
                let alarm = AlarmItem {
                    alarm: seed.object(name, &region, &account.id),
                    state: seed.state.clone().unwrap_or_else(|| "OK".to_owned()),
                    state_days: seed.state_days,
                };
                account.alarms.insert(arn, alarm);
            }
        }
        for seed in &self.regions {
            let (environment, region) = place(&seed.environment, &seed.region);
            if let Some(account) = world.accounts.get_mut(&environment) {
                account.regions.insert(region, seed.clone());
            }
        }
        for seed in &self.metrics {
            let (environment, region) = place(&seed.environment, &seed.region);
            if let Some(account) = world.accounts.get_mut(&environment) {
                account.metrics.push(SeedMetric {
                    environment: Some(environment.clone()),
                    region: Some(region),
                    ..seed.clone()
                });
            }
        }
        for account in world.accounts.values_mut() {
            let named: Vec<(String, AlarmItem)> = account
                .resources
                .iter()
                .filter(|(arn, item)| {
                    item.kind == ResourceType::CLOUDWATCH_ALARM
                        && !account.alarms.contains_key(*arn)
                })
                .map(|(arn, item)| (arn.clone(), alarms::plain(item, &account.id)))
                .collect();
            account.alarms.extend(named);
        }
        errors
    }

    fn add_costs(&self, workspace: &Workspace, world: &mut World, errors: &mut Vec<Diagnostic>) {
        let first = workspace.environments.keys().next();
        let place = |named: &Option<String>| named.as_ref().or(first).cloned().unwrap_or_default();
        for seed in &self.costs {
            let name = place(&seed.environment);
            if let Some(mistake) = seed.mistake() {
                errors.push(Diagnostic::error(seed.origin, mistake));
            }
            match world.accounts.get_mut(&name) {
                Some(account) => account.costs.push(seed.value.clone()),
                None => errors.push(Diagnostic::error(
                    seed.origin,
                    format!("there is no environment `{name}`"),
                )),
            }
        }
        for seed in &self.commitments {
            let name = place(&seed.environment);
            match world.accounts.get_mut(&name) {
                Some(account) => account.commitments.push(seed.value.clone()),
                None => errors.push(Diagnostic::error(
                    seed.origin,
                    format!("there is no environment `{name}`"),
                )),
            }
        }
    }
}

/// Types of a sandbox account that, as in AWS, only show where they are tagged.
pub(super) fn not_listed(account: &Account, regions: &[String]) -> Vec<NotChecked> {
    account
        .resources
        .values()
        .filter(|item| !item.kind.is_listed() && regions.contains(&item.region))
        .map(|item| NotChecked {
            kind: item.kind.as_str().to_owned(),
            region: item.region.clone(),
            reason: "only where tagged: found through the tagging API".to_owned(),
        })
        .collect()
}
