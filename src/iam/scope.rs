//! How far AWS lets an action be narrowed: to which resources, under which conditions.
//!
//! Source: Service Authorization Reference, the resource types and condition keys of each action.

use std::collections::BTreeMap;

use super::facts::Facts;

/// Operator, then key, then values.
pub type Conditions = BTreeMap<&'static str, BTreeMap<String, Vec<String>>>;

/// Tag of a copy that a drill made: the run's id.
pub const DRILL_TAG: &str = "opsctl:drill";
/// Names of copies begin with it.
pub const DRILL_PREFIX: &str = "drill-";
const MANAGED: &str = crate::model::object::MANAGED_TAG;

/// What a grant is limited to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// AWS scopes it to nothing, and the service has one endpoint for all regions.
    Anywhere,
    /// AWS scopes it to nothing but the region.
    Regional,
    /// The role that the policy is for.
    OwnRole,
    ExplorerViews,
    Buckets,
    Rds,
    /// The types of RDS that are tag-checked.
    RdsTags,
    Databases,
    Clusters,
    ReplicatedBackups,
    Functions,
    FunctionTags,
    Tables,
    TableTags,
    Queues,
    QueueTags,
    AllTopics,
    TopicTags,
    AllAlarms,
    AlarmTags,
    LogGroups,
    LogGroupTags,
    Caches,
    CacheTags,
    BucketTags,
    AllBudgets,
    OwnBudgets,
    NewOwnBudgets,
    NewAnomaly,
    OwnAnomaly,
    /// Alarms by the prefix of their names.
    OwnAlarms,
    /// The same, and they may only notify topics of the account.
    OwnAlarmActions,
    ConfiguredTopics,
    NewTopics,
    OwnTopics,
    Mail,
    NotifiedTopics,
    LockBucket,
    LockObject,
    EvidenceBucket,
    EvidenceRecords,
    EvidenceHistory,
    DumpBuckets,
    DumpObjects,
    /// Metrics of drills.
    DrillMetrics,
    /// A copy of a database that is about to be made, and what it is made from.
    NewInstanceCopies,
    NewClusterCopies,
    NewMembers,
    NewCopyTags,
    Copies,
    FinalSnapshots,
    RdsKeys,
    RdsGrants,
    SourceTables,
    SourceTableRestores,
    TableCopies,
    TableBackups,
}

fn put(conditions: &mut Conditions, operator: &'static str, key: &str, values: &[String]) {
    conditions
        .entry(operator)
        .or_default()
        .insert(key.to_owned(), values.to_vec());
}

/// Resources and conditions; no resource means that the profile has no use for it.
pub fn limits(scope: Scope, facts: &Facts) -> (Vec<String>, Conditions) {
    let mut conditions = Conditions::new();
    let arn = |service: &str, rest: &str| facts.arn(service, "*", rest);
    let arns = |service: &str, all: &[&str]| -> Vec<String> {
        all.iter().map(|rest| arn(service, rest)).collect()
    };
    let s3 = |rest: &str| format!("arn:{}:s3:::{rest}", facts.partition);
    let resources = match scope {
        Scope::Anywhere | Scope::Regional | Scope::DrillMetrics | Scope::NewAnomaly => {
            vec!["*".to_owned()]
        }
        Scope::OwnRole => facts.role.iter().cloned().collect(),
        Scope::ExplorerViews => arns("resource-explorer-2", &["view/*"]),
        Scope::Buckets | Scope::BucketTags => vec![s3("*")],
        Scope::Rds => arns("rds", &["*"]),
        Scope::RdsTags => arns(
            "rds",
            &["db:*", "cluster:*", "snapshot:*", "cluster-snapshot:*"],
        ),
        Scope::Databases => arns("rds", &["db:*"]),
        Scope::Clusters => arns("rds", &["cluster:*"]),
        Scope::ReplicatedBackups => arns("rds", &["db:*", "auto-backup:*"]),
        Scope::Functions | Scope::FunctionTags => arns("lambda", &["function:*"]),
        Scope::Tables | Scope::TableTags => arns("dynamodb", &["table/*"]),
        Scope::Queues | Scope::QueueTags => arns("sqs", &["*"]),
        Scope::AllTopics | Scope::TopicTags => arns("sns", &["*"]),
        Scope::AllAlarms | Scope::AlarmTags => arns("cloudwatch", &["alarm:*"]),
        Scope::LogGroups | Scope::LogGroupTags => arns("logs", &["log-group:*"]),
        Scope::Caches => arns("elasticache", &["*"]),
        Scope::CacheTags => arns("elasticache", &["cluster:*", "replicationgroup:*"]),
        Scope::AllBudgets => vec![facts.arn("budgets", "", "budget/*")],
        Scope::OwnBudgets | Scope::NewOwnBudgets => {
            vec![facts.arn("budgets", "", &format!("budget/{}*", facts.base))]
        }
        Scope::OwnAnomaly => ["anomalymonitor/*", "anomalysubscription/*"]
            .map(|rest| facts.arn("ce", "", rest))
            .to_vec(),
        Scope::OwnAlarms | Scope::OwnAlarmActions => facts
            .alarm_prefixes
            .iter()
            .map(|prefix| arn("cloudwatch", &format!("alarm:{prefix}*")))
            .collect(),
        Scope::ConfiguredTopics | Scope::NewTopics | Scope::OwnTopics | Scope::Mail => {
            facts.topics.iter().cloned().collect()
        }
        Scope::NotifiedTopics => facts.notified.iter().cloned().collect(),
        Scope::LockBucket => facts.lock.iter().map(|(b, _)| s3(b)).collect(),
        Scope::LockObject => facts
            .lock
            .iter()
            .map(|(b, k)| s3(&format!("{b}/{k}")))
            .collect(),
        Scope::EvidenceBucket => facts.evidence.iter().map(|(b, _)| s3(b)).collect(),
        Scope::EvidenceRecords => facts
            .evidence
            .iter()
            .map(|(b, p)| s3(&format!("{b}/{p}*")))
            .collect(),
        Scope::EvidenceHistory => facts
            .evidence
            .iter()
            .flat_map(|(b, p)| ["history/*", "notify/*"].map(|f| s3(&format!("{b}/{p}{f}"))))
            .collect(),
        Scope::DumpBuckets => facts.dumps.iter().map(|(b, _)| s3(b)).collect(),
        Scope::DumpObjects => facts
            .dumps
            .iter()
            .map(|(b, p)| s3(&format!("{b}/{p}*")))
            .collect(),
        Scope::NewInstanceCopies => {
            let mut all = arns(
                "rds",
                &["db:drill-*", "snapshot:*", "og:*", "pg:*", "subgrp:*"],
            );
            // A point in time is restored from the database itself, or from its kept backups.
            all.extend(
                facts
                    .databases
                    .iter()
                    .map(|n| arn("rds", &format!("db:{n}"))),
            );
            all.extend(arns("rds", &["auto-backup:*"]));
            all
        }
        Scope::NewClusterCopies => {
            let types = [
                "cluster:drill-*",
                "cluster-snapshot:*",
                "cluster-pg:*",
                "og:*",
                "subgrp:*",
            ];
            let mut all = arns("rds", &types);
            all.extend(
                facts
                    .clusters
                    .iter()
                    .map(|n| arn("rds", &format!("cluster:{n}"))),
            );
            all.extend(arns("rds", &["cluster-auto-backup:*"]));
            all
        }
        Scope::NewMembers => arns(
            "rds",
            &["db:drill-*", "cluster:drill-*", "og:*", "pg:*", "subgrp:*"],
        ),
        Scope::NewCopyTags | Scope::Copies => arns("rds", &["db:drill-*", "cluster:drill-*"]),
        Scope::FinalSnapshots => arns("rds", &["cluster-snapshot:drill-*"]),
        Scope::RdsKeys | Scope::RdsGrants => arns("kms", &["key/*"]),
        Scope::SourceTables | Scope::SourceTableRestores => {
            let mut all: Vec<String> = facts
                .tables
                .iter()
                .map(|n| arn("dynamodb", &format!("table/{n}")))
                .collect();
            if scope == Scope::SourceTableRestores {
                all.extend(
                    facts
                        .tables
                        .iter()
                        .map(|n| arn("dynamodb", &format!("table/{n}/backup/*"))),
                );
                all.extend(arns("dynamodb", &["table/drill-*"]));
            }
            all
        }
        Scope::TableBackups => facts
            .tables
            .iter()
            .map(|n| arn("dynamodb", &format!("table/{n}/backup/*")))
            .collect(),
        Scope::TableCopies => arns("dynamodb", &["table/drill-*"]),
    };
    let one = |value: &str| [value.to_owned()];
    // The region, wherever the service has endpoints of regions.
    match scope {
        Scope::Anywhere
        | Scope::OwnRole
        | Scope::AllBudgets
        | Scope::OwnBudgets
        | Scope::NewOwnBudgets
        | Scope::NewAnomaly
        | Scope::OwnAnomaly
        // The ARN names the region, or the bucket may be in another one.
        | Scope::ConfiguredTopics
        | Scope::NewTopics
        | Scope::OwnTopics
        | Scope::Mail
        | Scope::NotifiedTopics
        | Scope::LockBucket
        | Scope::LockObject
        | Scope::EvidenceBucket
        | Scope::EvidenceRecords
        | Scope::EvidenceHistory
        | Scope::DumpBuckets
        | Scope::DumpObjects => {}
        _ => put(&mut conditions, "StringEquals", "aws:RequestedRegion", &facts.regions),
    }
    // Bucket ARNs have no account: a bucket of the same name elsewhere is not meant.
    match scope {
        Scope::Buckets
        | Scope::BucketTags
        | Scope::LockBucket
        | Scope::LockObject
        | Scope::EvidenceBucket
        | Scope::EvidenceRecords
        | Scope::EvidenceHistory
        | Scope::DumpBuckets
        | Scope::DumpObjects => {
            put(
                &mut conditions,
                "StringEquals",
                "aws:ResourceAccount",
                &one(&facts.account),
            );
        }
        _ => {}
    }
    let request_tag = |tag: &str| format!("aws:RequestTag/{tag}");
    let resource_tag = |tag: &str| format!("aws:ResourceTag/{tag}");
    match scope {
        Scope::RdsTags
        | Scope::FunctionTags
        | Scope::TableTags
        | Scope::QueueTags
        | Scope::TopicTags
        | Scope::AlarmTags
        | Scope::LogGroupTags
        | Scope::CacheTags => {
            put(
                &mut conditions,
                "ForAllValues:StringEquals",
                "aws:TagKeys",
                &facts.tag_keys,
            );
        }
        Scope::NewAnomaly | Scope::NewTopics | Scope::NewOwnBudgets => {
            put(
                &mut conditions,
                "StringEquals",
                &request_tag(MANAGED),
                &one(&facts.managed),
            );
        }
        Scope::OwnAnomaly | Scope::OwnTopics => {
            put(
                &mut conditions,
                "StringEquals",
                &resource_tag(MANAGED),
                &one(&facts.managed),
            );
        }
        Scope::OwnAlarmActions => {
            let topics = facts.arn("sns", "*", "*");
            put(
                &mut conditions,
                "ForAllValues:StringLike",
                "cloudwatch:AlarmActions",
                &one(&topics),
            );
        }
        Scope::Mail => {
            put(
                &mut conditions,
                "StringEquals",
                "sns:Protocol",
                &one("email"),
            );
            put(
                &mut conditions,
                "StringEquals",
                "sns:Endpoint",
                &facts.addresses,
            );
        }
        Scope::LockBucket => {
            let keys: Vec<String> = facts.lock.iter().map(|(_, k)| k.clone()).collect();
            put(&mut conditions, "StringLikeIfExists", "s3:prefix", &keys);
        }
        Scope::EvidenceBucket => {
            let keys: Vec<String> = facts
                .evidence
                .iter()
                .map(|(_, p)| format!("{p}*"))
                .collect();
            put(&mut conditions, "StringLikeIfExists", "s3:prefix", &keys);
        }
        Scope::DumpBuckets => {
            let keys: Vec<String> = facts.dumps.iter().map(|(_, p)| format!("{p}*")).collect();
            put(&mut conditions, "StringLikeIfExists", "s3:prefix", &keys);
        }
        Scope::DrillMetrics => {
            put(
                &mut conditions,
                "StringEquals",
                "cloudwatch:namespace",
                &one("opsctl/Drill"),
            );
        }
        Scope::NewInstanceCopies
        | Scope::NewClusterCopies
        | Scope::NewMembers
        | Scope::NewCopyTags => {
            put(
                &mut conditions,
                "StringLike",
                &request_tag(DRILL_TAG),
                &one("*"),
            );
            if scope == Scope::NewInstanceCopies || scope == Scope::NewMembers {
                put(
                    &mut conditions,
                    "BoolIfExists",
                    "rds:PubliclyAccessible",
                    &one("false"),
                );
            }
        }
        Scope::Copies => {
            put(
                &mut conditions,
                "StringLike",
                &resource_tag(DRILL_TAG),
                &one("*"),
            );
        }
        Scope::RdsKeys | Scope::RdsGrants => {
            let services: Vec<String> = facts
                .regions
                .iter()
                .map(|r| format!("rds.{r}.{}", facts.domain()))
                .collect();
            put(&mut conditions, "StringEquals", "kms:ViaService", &services);
            if scope == Scope::RdsGrants {
                put(
                    &mut conditions,
                    "Bool",
                    "kms:GrantIsForAWSResource",
                    &one("true"),
                );
            }
        }
        _ => {}
    }
    (resources, conditions)
}
