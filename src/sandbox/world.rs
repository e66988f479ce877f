//! The embedded accounts: what they hold, and the scenario files that seed them.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Serialize};

use crate::config::node::Node;
use crate::config::values::{OneOrMany, Period, Sourced};
use crate::config::{Diagnostic, Loaded};
use crate::inventory::{BucketSize, NotChecked};
use crate::model::lifecycle::{LifecycleConfiguration, Rule};
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
    /// What is in database instances, by their names.
    #[serde(default)]
    pub databases: BTreeMap<String, Database>,
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
    databases: Vec<SeedDatabase>,
    denied: Vec<Deny>,
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
        let denied = take("deny").map_or_else(|| Ok(Vec::new()), |n| n.read())?;
        Ok(Parsed {
            scenario,
            workspace: node,
            resources,
            databases,
            denied,
        })
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
                let item = Item {
                    kind: ResourceType::new(seed.kind.clone()),
                    name: name.clone(),
                    region: region.clone(),
                    tags: seed.tags.clone(),
                };
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
