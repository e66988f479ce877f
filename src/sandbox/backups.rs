//! Backup settings and snapshots of the embedded account, and what drills published.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::world::{Account, Item};
use super::writes::lost;
use super::{Sandbox, gaps, refused};
use crate::cloud::{
    Call, CloudError, MetricPoint, Protection, SettingsReading, Subject, Target, Want,
};
use crate::drill::metrics;
use crate::inventory::{
    BackupFacts, DatabaseFact, EnvironmentInventory, Observed, SnapshotFact, TableFact,
    VersioningFact,
};
use crate::model::object::MetricId;
use crate::model::settings::{BackupCopy, Settings, Versioning};
use crate::model::{Control, ResourceType};

/// How far the newest restorable moment trails. Source: RDS user guide, "Restoring a DB instance to a
/// specified time".
const TRAIL: SignedDuration = SignedDuration::from_mins(5);

/// `backup` of a `[[resource]]`; what is left out is as a careful person has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackupSeed {
    pub retention_days: u32,
    /// Asked for, and not in force before the maintenance window.
    pub pending_retention: Option<u32>,
    pub deletion_protection: bool,
    pub copy_tags_to_snapshot: bool,
    /// Other regions with a copy of the automated backups, and for how many days they keep it.
    pub copied_to: BTreeMap<String, u32>,
    pub multi_az: bool,
    pub encrypted: bool,
    pub status: String,
    /// What waits for the maintenance window.
    pub pending: BTreeSet<String>,
    pub point_in_time_recovery: bool,
    /// Other regions of a global table.
    pub replicas: BTreeSet<String>,
    pub versioning: Versioning,
    pub mfa_delete: bool,
    /// Of a snapshot: the database, if its name does not begin with that of one.
    pub of: Option<String>,
    /// Of a snapshot: `manual`, `automated`, `awsbackup`.
    pub made: String,
    /// Of a snapshot, in hours.
    pub age_hours: u32,
    /// Of a snapshot: accounts that may restore it, or `all`.
    pub shared_with: BTreeSet<String>,
}

impl Default for BackupSeed {
    fn default() -> Self {
        BackupSeed {
            retention_days: 35,
            pending_retention: None,
            deletion_protection: true,
            copy_tags_to_snapshot: true,
            copied_to: BTreeMap::new(),
            multi_az: true,
            encrypted: true,
            status: "available".to_owned(),
            pending: BTreeSet::new(),
            point_in_time_recovery: true,
            replicas: BTreeSet::new(),
            versioning: Versioning::Enabled,
            mfa_delete: false,
            of: None,
            made: "manual".to_owned(),
            age_hours: 20,
            shared_with: BTreeSet::new(),
        }
    }
}

/// `[[proof]]`: a drill that passed before this scenario began, as the metric shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofSeed {
    pub environment: String,
    pub drill: String,
    pub hours_ago: u32,
}

/// A point that was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pushed {
    pub region: String,
    pub metric: MetricId,
    pub at: Timestamp,
    pub value: f64,
}

fn seed(account: &Account, arn: &str) -> BackupSeed {
    account.protection.get(arn).cloned().unwrap_or_default()
}

fn settings(kind: &ResourceType, seed: &BackupSeed) -> Settings {
    let instance = *kind == ResourceType::RDS_INSTANCE;
    let database = instance || *kind == ResourceType::RDS_CLUSTER;
    let retention = seed.pending_retention.unwrap_or(seed.retention_days);
    Settings {
        retention_days: database.then_some(retention),
        deletion_protection: database.then_some(seed.deletion_protection),
        copy_tags_to_snapshot: database.then_some(seed.copy_tags_to_snapshot),
        copied_to: instance.then(|| seed.copied_to.keys().cloned().collect()),
        point_in_time_recovery: (*kind == ResourceType::DYNAMODB_TABLE)
            .then_some(seed.point_in_time_recovery),
        versioning: (*kind == ResourceType::S3_BUCKET).then_some(seed.versioning),
    }
}

fn database(account: &Account, arn: &str, item: &Item, now: Timestamp) -> DatabaseFact {
    let seed = seed(account, arn);
    let attributes = account.attributes.get(arn).cloned().unwrap_or_default();
    let cluster = item.kind == ResourceType::RDS_CLUSTER;
    let usual = if cluster {
        "aurora-postgresql"
    } else {
        "postgres"
    };
    DatabaseFact {
        settings: settings(&item.kind, &seed),
        pending_retention: seed.pending_retention,
        pending: seed.pending.clone(),
        status: seed.status.clone(),
        engine: attributes.engine.unwrap_or_else(|| usual.to_owned()),
        encrypted: seed.encrypted,
        multi_az: seed.multi_az,
        replica_of: attributes.replica_of,
        cluster: attributes.cluster,
        restorable: (seed.retention_days > 0)
            .then(|| now.checked_sub(TRAIL).ok())
            .flatten(),
        resource_id: None,
    }
}

fn snapshot(account: &Account, arn: &str, item: &Item, now: Timestamp) -> SnapshotFact {
    let seed = seed(account, arn);
    let databases = account
        .resources
        .values()
        .filter(|i| i.kind == ResourceType::RDS_INSTANCE || i.kind == ResourceType::RDS_CLUSTER);
    let named = databases
        .filter(|d| item.name.starts_with(&d.name))
        .max_by_key(|d| d.name.len());
    let age = SignedDuration::from_hours(i64::from(seed.age_hours));
    SnapshotFact {
        arn: arn.to_owned(),
        name: item.name.clone(),
        source: seed
            .of
            .or_else(|| named.map(|d| d.name.clone()))
            .unwrap_or_default(),
        resource_id: None,
        made: seed.made,
        status: "available".to_owned(),
        encrypted: seed.encrypted,
        data_time: now.checked_sub(age).ok(),
        shared: match seed.shared_with.is_empty() {
            true => Observed::Absent,
            false => Observed::Known(seed.shared_with),
        },
        tags: item.tags.clone(),
    }
}

/// Listings that the control needs, with what each shows.
pub(super) fn listed(operation: &str, want: &Want) -> bool {
    let sources = [
        "rds:DescribeDBInstances",
        "rds:DescribeDBClusters",
        "dynamodb:ListTables",
        "s3:ListBuckets",
    ];
    let snapshots = ["rds:DescribeDBSnapshots", "rds:DescribeDBClusterSnapshots"];
    want.backups
        && (sources.contains(&operation) || (want.snapshots && snapshots.contains(&operation)))
}

/// Adds what the control needs of the resources that were seen.
pub(super) fn observe(
    sandbox: &Sandbox,
    account: &Account,
    target: &Target,
    want: &Want,
    failed: &BTreeSet<ResourceType>,
    seen: &mut EnvironmentInventory,
) {
    const CONTROLS: [Control; 1] = [Control::Backups];
    let now = sandbox.now();
    let mut facts = BackupFacts {
        at: Some(now),
        ..BackupFacts::default()
    };
    let mut found = Vec::new();
    let mut ask =
        |operation: &str, region: &str, name: &str| match sandbox.enter(account, operation, name) {
            Ok(_) => Ok(()),
            Err(e) => {
                found.extend(gaps(target, region, &CONTROLS, operation, Some(name), &e));
                Err(e.to_string())
            }
        };
    for resource in &seen.resources {
        let Some(item) = account.resources.get(&resource.arn) else {
            continue;
        };
        let (arn, region, name) = (&resource.arn, &resource.region, &resource.name);
        match &resource.kind {
            k if *k == ResourceType::RDS_INSTANCE || *k == ResourceType::RDS_CLUSTER => {
                let fact = database(account, arn, item, now);
                facts.databases.insert(arn.clone(), fact);
            }
            k if *k == ResourceType::DYNAMODB_TABLE => {
                let seed = seed(account, arn);
                let mut answer = ask("dynamodb:DescribeContinuousBackups", region, name);
                if want.replicas {
                    answer = answer.and(ask("dynamodb:DescribeTable", region, name));
                }
                let fact = answer.map(|()| TableFact {
                    point_in_time_recovery: seed.point_in_time_recovery,
                    restorable: None,
                    replicas: seed.replicas,
                });
                let fact = fact.map_or_else(Observed::Unknown, Observed::Known);
                facts.tables.insert(arn.clone(), fact);
            }
            k if *k == ResourceType::S3_BUCKET && want.versioning_of(name) => {
                let seed = seed(account, arn);
                let answer = ask("s3:GetBucketVersioning", region, name);
                let fact = answer.map(|()| VersioningFact {
                    state: seed.versioning,
                    mfa_delete: seed.mfa_delete,
                });
                let fact = fact.map_or_else(Observed::Unknown, Observed::Known);
                facts.buckets.insert(name.clone(), fact);
            }
            _ => {}
        }
    }
    for kind in [
        ResourceType::RDS_SNAPSHOT,
        ResourceType::RDS_CLUSTER_SNAPSHOT,
    ] {
        for region in target.regions.iter().filter(|_| want.snapshots) {
            let key = (region.clone(), kind.clone());
            if failed.contains(&kind) {
                let unknown = Observed::Unknown("the listing was refused".to_owned());
                facts.snapshots.insert(key, unknown);
                continue;
            }
            let operation = match kind == ResourceType::RDS_SNAPSHOT {
                true => "rds:DescribeDBSnapshotAttributes",
                false => "rds:DescribeDBClusterSnapshotAttributes",
            };
            let here = account.resources.iter();
            let here = here.filter(|(_, i)| i.kind == kind && i.region == *region);
            let snapshots = here.map(|(arn, item)| {
                let mut fact = snapshot(account, arn, item, now);
                if fact.made == "manual"
                    && let Err(e) = ask(operation, region, &item.name)
                {
                    fact.shared = Observed::Unknown(e);
                }
                fact
            });
            let snapshots = snapshots.collect();
            facts.snapshots.insert(key, Observed::Known(snapshots));
        }
    }
    seen.gaps.extend(found);
    seen.backups = facts;
}

fn read_operation(kind: &ResourceType) -> &'static str {
    match kind {
        k if *k == ResourceType::RDS_INSTANCE => "rds:DescribeDBInstances",
        k if *k == ResourceType::RDS_CLUSTER => "rds:DescribeDBClusters",
        k if *k == ResourceType::DYNAMODB_TABLE => "dynamodb:DescribeContinuousBackups",
        _ => "s3:GetBucketVersioning",
    }
}

pub(super) fn read(
    sandbox: &Sandbox,
    account: &Account,
    subject: &Subject,
) -> Observed<SettingsReading> {
    if let Err(e) = sandbox.enter(account, read_operation(&subject.kind), &subject.name) {
        return Observed::Unknown(e.to_string());
    }
    if !account.resources.contains_key(&subject.arn) {
        return Observed::Absent;
    }
    let seed = seed(account, &subject.arn);
    // Only databases have a maintenance window.
    let waits = subject.kind.as_str().starts_with("rds-");
    Observed::Known(SettingsReading {
        settings: settings(&subject.kind, &seed),
        pending: if waits { seed.pending } else { BTreeSet::new() },
    })
}

pub(super) fn execute(
    sandbox: &Sandbox,
    account: &mut Account,
    call: &Call,
) -> Result<(), CloudError> {
    match call {
        Call::ProtectDatabase {
            database,
            protection,
        } => protect(sandbox, account, database, protection),
        Call::CopyBackups { source, copy } => copy_backups(sandbox, account, source, copy),
        Call::RecoverPointInTime { region, table } => {
            let operation = "dynamodb:UpdateContinuousBackups";
            let arn = format!("arn:aws:dynamodb:{region}:{}:table/{table}", account.id);
            let lose = sandbox.enter(account, operation, table)?;
            let seed = there(account, &arn, operation, "TableNotFoundException")?;
            seed.point_in_time_recovery = true;
            if lose { Err(lost(operation)) } else { Ok(()) }
        }
        Call::EnableVersioning { region, bucket } => {
            let operation = "s3:PutBucketVersioning";
            let lose = sandbox.enter(account, operation, bucket)?;
            let held = account.buckets.get(bucket);
            if held.is_none_or(|b| b.region != *region) {
                return Err(refused(operation, "NoSuchBucket", bucket.clone()));
            }
            let arn = format!("arn:aws:s3:::{bucket}");
            let seed = there(account, &arn, operation, "NoSuchBucket")?;
            if seed.mfa_delete {
                let message = "This operation requires a code of the MFA device";
                return Err(refused(operation, "AccessDenied", message));
            }
            seed.versioning = Versioning::Enabled;
            if lose { Err(lost(operation)) } else { Ok(()) }
        }
        _ => Err(refused("sandbox", "NotImplemented", "no such write")),
    }
}

fn there<'a>(
    account: &'a mut Account,
    arn: &str,
    operation: &str,
    missing: &str,
) -> Result<&'a mut BackupSeed, CloudError> {
    if !account.resources.contains_key(arn) {
        return Err(refused(operation, missing, arn));
    }
    Ok(account.protection.entry(arn.to_owned()).or_default())
}

fn protect(
    sandbox: &Sandbox,
    account: &mut Account,
    database: &Subject,
    protection: &Protection,
) -> Result<(), CloudError> {
    let cluster = database.kind == ResourceType::RDS_CLUSTER;
    let (operation, missing) = match cluster {
        true => ("rds:ModifyDBCluster", "DBClusterNotFoundFault"),
        false => ("rds:ModifyDBInstance", "DBInstanceNotFound"),
    };
    let lose = sandbox.enter(account, operation, &database.name)?;
    let seed = there(account, &database.arn, operation, missing)?;
    if seed.status != "available" {
        let message = format!("{} is {}", database.name, seed.status);
        return Err(refused(operation, "InvalidDBInstanceState", message));
    }
    if let Some(days) = protection.retention_days {
        if !(1..=35).contains(&days) {
            let message = format!("a retention of {days} days");
            return Err(refused(operation, "InvalidParameterValue", message));
        }
        if seed.retention_days == 0 && !protection.at_once {
            seed.pending_retention = Some(days);
        } else {
            seed.retention_days = days;
            seed.pending_retention = None;
        }
    }
    seed.deletion_protection |= protection.deletion_protection;
    seed.copy_tags_to_snapshot |= protection.copy_tags_to_snapshot;
    if protection.at_once {
        // As AWS does: everything that waited is carried out too.
        seed.pending.clear();
    }
    if lose { Err(lost(operation)) } else { Ok(()) }
}

fn copy_backups(
    sandbox: &Sandbox,
    account: &mut Account,
    source: &str,
    copy: &BackupCopy,
) -> Result<(), CloudError> {
    let operation = "rds:StartDBInstanceAutomatedBackupsReplication";
    let lose = sandbox.enter(account, operation, source)?;
    let seed = there(account, source, operation, "DBInstanceNotFound")?;
    let wrong = |message: String| Err(refused(operation, "InvalidParameterValue", message));
    if seed.retention_days == 0 {
        return Err(refused(
            operation,
            "InvalidDBInstanceState",
            "automated backups are off",
        ));
    }
    if seed.encrypted && copy.kms_key.is_none() {
        return wrong("an encrypted instance needs a key in the other region".to_owned());
    }
    if !(1..=35).contains(&copy.retention_days) {
        return wrong(format!("a retention of {} days", copy.retention_days));
    }
    if seed.copied_to.contains_key(&copy.region) {
        return Err(refused(
            operation,
            "InvalidDBInstanceAutomatedBackupState",
            format!("it is replicated to {} already", copy.region),
        ));
    }
    seed.copied_to
        .insert(copy.region.clone(), copy.retention_days);
    if lose { Err(lost(operation)) } else { Ok(()) }
}

pub(super) fn put_metrics(
    sandbox: &Sandbox,
    account: &mut Account,
    region: &str,
    points: &[MetricPoint],
) -> Result<(), CloudError> {
    let operation = "cloudwatch:PutMetricData";
    let lose = sandbox.enter(account, operation, region)?;
    let at = sandbox.now();
    account.pushed.extend(points.iter().map(|point| Pushed {
        region: region.to_owned(),
        metric: point.metric.clone(),
        at,
        value: point.value,
    }));
    if lose { Err(lost(operation)) } else { Ok(()) }
}

/// The points of a metric that drills wrote, oldest first; `None`: it is no such metric.
pub(super) fn points(
    account: &Account,
    region: &str,
    metric: &MetricId,
    now: Timestamp,
) -> Option<Vec<(Timestamp, f64)>> {
    if metric.namespace != metrics::NAMESPACE {
        return None;
    }
    let pushed = account.pushed.iter();
    let pushed = pushed.filter(|p| p.region == region && p.metric == *metric);
    let mut out: Vec<(Timestamp, f64)> = pushed.map(|p| (p.at, p.value)).collect();
    let here = account.home == region && metric.metric == metrics::PASSED;
    for proof in account.proofs.iter().filter(|_| here) {
        let said = |key: &str| metric.dimensions.get(key).map(String::as_str);
        let own = said(metrics::DRILL) == Some(proof.drill.as_str())
            && said(metrics::ENVIRONMENT) == Some(proof.environment.as_str());
        let age = SignedDuration::from_hours(i64::from(proof.hours_ago));
        out.extend(
            own.then(|| now.checked_sub(age).ok())
                .flatten()
                .map(|t| (t, 1.0)),
        );
    }
    out.sort_by_key(|(at, _)| *at);
    Some(out)
}
