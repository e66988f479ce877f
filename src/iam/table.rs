//! Every operation that opsctl can make, with what IAM asks for it.
//!
//! Operations are named as the meter counts them. Sources: Service Authorization Reference (actions,
//! resource types, dependent actions); S3 user guide, "Required permissions for S3 API operations";
//! DynamoDB developer guide, "Using IAM with DynamoDB backup and restore"; tagging API reference,
//! TagResources (the permission of the owning service is needed too).

use super::scope::Scope::{self, *};
use super::{Part, Role};

/// One IAM action as far as it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    pub action: &'static str,
    pub scope: Scope,
    /// Why it is needed although opsctl makes no call of that name, or hardly ever; else empty.
    pub why: &'static str,
}

/// The grants of an operation where one part of a profile makes it.
#[derive(Debug, Clone, Copy)]
pub struct Use {
    pub role: Role,
    pub part: Part,
    pub grants: &'static [Grant],
}

/// An operation; without uses it needs no permission.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub operation: &'static str,
    pub uses: &'static [Use],
}

const fn g(action: &'static str, scope: Scope) -> Grant {
    Grant {
        action,
        scope,
        why: "",
    }
}

const fn w(action: &'static str, scope: Scope, why: &'static str) -> Grant {
    Grant { action, scope, why }
}

const fn plan(part: Part, grants: &'static [Grant]) -> Use {
    Use {
        role: Role::Plan,
        part,
        grants,
    }
}

const fn apply(part: Part, grants: &'static [Grant]) -> Use {
    Use {
        role: Role::Apply,
        part,
        grants,
    }
}

const fn drill(part: Part, grants: &'static [Grant]) -> Use {
    Use {
        role: Role::Drill,
        part,
        grants,
    }
}

const fn row(operation: &'static str, uses: &'static [Use]) -> Row {
    Row { operation, uses }
}

const OWNER: &str = "the tagging API asks the service that owns the resource as the caller";
const TAGGED: &str = "it is made with tags, and those are authorised by themselves";
const LOOKED: &str = "asked where the tagging API tells nothing of the type";
const FALLBACK: &str = "where the tagging API does not know the type";
const KEYS: &str = "RDS reads an encrypted backup with a grant that it makes as the caller";
const TARGET: &str = "DynamoDB fills the restored table as the caller";
const RARE: &str = "made where a backup or a copy is of that kind";
const VALIDATOR: &str = "`drill run --as-validator` of AWS Backup's restore tests";
const HARDENING: &str = "where a backup setting is not as the policy says";
const UNTAGS: &str = "an alias of a key is removed once the right key stands";
const DESTROYS: &str = "`apply` of a plan made with --destroy, or of what the policy no longer has";
const CHANGES: &str = "where what is there differs from what the policy says";
const COMMITTED: &str = "asked where the costs show commitments, or while questions are left";
const HISTORY: &str = "history of reports and notifications, and the last drills";
const DOCTOR: &str = "`doctor` asks whether the role may do all this";
const SHARED: &str = "who else sees a snapshot, and whether backups are kept elsewhere";
const ACTIVATES: &str = "a key is activated once AWS has seen it on a cost line";
const ACCOUNT_MONITOR: &str = "where no monitor of the services is there yet";

/// The actions of the owning services for tags, both ways.
const SET_TAGS: &[Grant] = &[
    g("tag:TagResources", Regional),
    w("s3:PutBucketTagging", BucketTags, OWNER),
    w("rds:AddTagsToResource", RdsTags, OWNER),
    w("lambda:TagResource", FunctionTags, OWNER),
    w("dynamodb:TagResource", TableTags, OWNER),
    w("sqs:TagQueue", QueueTags, OWNER),
    w("sns:TagResource", TopicTags, OWNER),
    w("cloudwatch:TagResource", AlarmTags, OWNER),
    w("logs:TagResource", LogGroupTags, OWNER),
    w("elasticache:AddTagsToResource", CacheTags, OWNER),
];
const REMOVE_TAGS: &[Grant] = &[
    w("tag:UntagResources", Regional, UNTAGS),
    w("rds:RemoveTagsFromResource", RdsTags, UNTAGS),
    w("lambda:UntagResource", FunctionTags, UNTAGS),
    w("dynamodb:UntagResource", TableTags, UNTAGS),
    w("sqs:UntagQueue", QueueTags, UNTAGS),
    w("sns:UntagResource", TopicTags, UNTAGS),
    w("cloudwatch:UntagResource", AlarmTags, UNTAGS),
    w("logs:UntagResource", LogGroupTags, UNTAGS),
    w("elasticache:RemoveTagsFromResource", CacheTags, UNTAGS),
];

const VIEW_BUDGETS: &[Use] = &[plan(Part::Budgets, &[g("budgets:ViewBudget", AllBudgets)])];
const MODIFY_BUDGETS: &[Use] = &[apply(
    Part::Budgets,
    &[g("budgets:ModifyBudget", OwnBudgets)],
)];

/// A restore of RDS with what it rests on.
const RESTORE_KEYS: [Grant; 3] = [
    w("rds:AddTagsToResource", NewCopyTags, TAGGED),
    w("kms:CreateGrant", RdsGrants, KEYS),
    w("kms:DescribeKey", RdsKeys, KEYS),
];

macro_rules! rds_read {
    ($($operation:literal: $($part:ident)*, $why:expr;)*) => {
        &[$(row($operation, &[
            plan(Part::Resources, &[w($operation, Rds, $why)]),
            $(drill(Part::$part, &[w($operation, Rds, RARE)]),)*
        ]),)*]
    };
}

macro_rules! own_tags {
    ($($operation:literal: $scope:ident, $part:expr, $why:expr;)*) => {
        &[$(row($operation, &[apply($part, &[w($operation, $scope, $why)])]),)*]
    };
}

macro_rules! cost {
    ($($operation:literal: $why:expr;)*) => {
        &[$(row($operation, &[plan(Part::Cost, &[w($operation, Anywhere, $why)])]),)*]
    };
}

const READS: &[Row] = &[
    // STS API reference: no permission is needed, and none can take it away.
    row("sts:GetCallerIdentity", &[]),
    // `doctor`, where the role may ask about itself.
    row(
        "iam:SimulatePrincipalPolicy",
        &[
            plan(
                Part::Simulate,
                &[w("iam:SimulatePrincipalPolicy", OwnRole, DOCTOR)],
            ),
            drill(
                Part::Simulate,
                &[w("iam:SimulatePrincipalPolicy", OwnRole, DOCTOR)],
            ),
        ],
    ),
    row(
        "tag:GetResources",
        &[plan(Part::Buckets, &[g("tag:GetResources", Regional)])],
    ),
    row(
        "resource-explorer-2:Search",
        &[plan(
            Part::Resources,
            &[g("resource-explorer-2:Search", ExplorerViews)],
        )],
    ),
    row(
        "s3:ListBuckets",
        &[plan(Part::Buckets, &[g("s3:ListAllMyBuckets", Anywhere)])],
    ),
    // A bucket's region stands in the answer even where it is refused: only those that opsctl goes on
    // to read or write need the permission.
    row(
        "s3:HeadBucket",
        &[
            drill(Part::DumpDrill, &[g("s3:ListBucket", DumpBuckets)]),
            plan(
                Part::Evidence,
                &[w("s3:ListBucket", EvidenceBucket, HISTORY)],
            ),
            drill(Part::Evidence, &[g("s3:ListBucket", EvidenceBucket)]),
        ],
    ),
    row(
        "s3:GetBucketTagging",
        &[plan(
            Part::Buckets,
            &[w("s3:GetBucketTagging", Buckets, LOOKED)],
        )],
    ),
    row(
        "s3:GetBucketLifecycleConfiguration",
        &[plan(
            Part::Lifecycle,
            &[g("s3:GetLifecycleConfiguration", Buckets)],
        )],
    ),
    row(
        "s3:GetBucketVersioning",
        &[plan(
            Part::Backups,
            &[w("s3:GetBucketVersioning", Buckets, HARDENING)],
        )],
    ),
    row(
        "cloudwatch:GetMetricData",
        &[
            plan(Part::Sizes, &[g("cloudwatch:GetMetricData", Regional)]),
            plan(Part::Metrics, &[g("cloudwatch:GetMetricData", Regional)]),
            plan(Part::Backups, &[g("cloudwatch:GetMetricData", Regional)]),
        ],
    ),
    row(
        "cloudwatch:ListMetrics",
        &[
            plan(
                Part::BillingMetric,
                &[g("cloudwatch:ListMetrics", Regional)],
            ),
            plan(Part::Attributes, &[g("cloudwatch:ListMetrics", Regional)]),
            plan(Part::Metrics, &[g("cloudwatch:ListMetrics", Regional)]),
        ],
    ),
    row(
        "cloudwatch:DescribeAlarms",
        &[
            plan(
                Part::Resources,
                &[g("cloudwatch:DescribeAlarms", AllAlarms)],
            ),
            plan(Part::Alarms, &[g("cloudwatch:DescribeAlarms", AllAlarms)]),
        ],
    ),
    row(
        "cloudwatch:ListTagsForResource",
        &[
            plan(
                Part::Resources,
                &[g("cloudwatch:ListTagsForResource", AllAlarms)],
            ),
            plan(
                Part::Alarms,
                &[g("cloudwatch:ListTagsForResource", AllAlarms)],
            ),
        ],
    ),
    row(
        "lambda:ListFunctions",
        &[plan(
            Part::Resources,
            &[g("lambda:ListFunctions", Regional)],
        )],
    ),
    row(
        "lambda:ListTags",
        &[plan(
            Part::Resources,
            &[w("lambda:ListTags", Functions, LOOKED)],
        )],
    ),
    row(
        "lambda:GetAccountSettings",
        &[plan(
            Part::Attributes,
            &[g("lambda:GetAccountSettings", Regional)],
        )],
    ),
    row(
        "lambda:ListEventSourceMappings",
        &[plan(
            Part::Attributes,
            &[g("lambda:ListEventSourceMappings", Regional)],
        )],
    ),
    row(
        "dynamodb:ListTables",
        &[
            plan(Part::Resources, &[g("dynamodb:ListTables", Regional)]),
            drill(Part::DynamoDrill, &[g("dynamodb:ListTables", Regional)]),
        ],
    ),
    row(
        "dynamodb:DescribeTable",
        &[
            plan(
                Part::Attributes,
                &[w(
                    "dynamodb:DescribeTable",
                    Tables,
                    "asked where a table has a provisioned capacity alarm",
                )],
            ),
            drill(
                Part::DynamoDrill,
                &[
                    w("dynamodb:DescribeTable", SourceTables, RARE),
                    w("dynamodb:DescribeTable", TableCopies, RARE),
                ],
            ),
        ],
    ),
    row(
        "dynamodb:ListTagsOfResource",
        &[
            plan(
                Part::Resources,
                &[w("dynamodb:ListTagsOfResource", Tables, LOOKED)],
            ),
            drill(
                Part::DynamoDrill,
                &[w("dynamodb:ListTagsOfResource", TableCopies, RARE)],
            ),
        ],
    ),
    row(
        "dynamodb:DescribeContinuousBackups",
        &[
            plan(
                Part::Backups,
                &[w("dynamodb:DescribeContinuousBackups", Tables, HARDENING)],
            ),
            drill(
                Part::DynamoDrill,
                &[w("dynamodb:DescribeContinuousBackups", SourceTables, RARE)],
            ),
        ],
    ),
    row(
        "sqs:ListQueues",
        &[plan(Part::Resources, &[g("sqs:ListQueues", Regional)])],
    ),
    row(
        "sqs:GetQueueUrl",
        &[plan(
            Part::Resources,
            &[w("sqs:GetQueueUrl", Queues, LOOKED)],
        )],
    ),
    row(
        "sqs:ListQueueTags",
        &[plan(
            Part::Resources,
            &[w("sqs:ListQueueTags", Queues, LOOKED)],
        )],
    ),
    row(
        "sqs:GetQueueAttributes",
        &[plan(
            Part::Attributes,
            &[g("sqs:GetQueueAttributes", Queues)],
        )],
    ),
    row(
        "sns:ListTopics",
        &[plan(Part::Resources, &[g("sns:ListTopics", Regional)])],
    ),
    row(
        "sns:ListTagsForResource",
        &[
            plan(Part::Resources, &[g("sns:ListTagsForResource", AllTopics)]),
            plan(
                Part::AlarmTopics,
                &[g("sns:ListTagsForResource", AllTopics)],
            ),
            plan(
                Part::Topics,
                &[g("sns:ListTagsForResource", ConfiguredTopics)],
            ),
        ],
    ),
    row(
        "sns:GetTopicAttributes",
        &[
            plan(Part::AlarmTopics, &[g("sns:GetTopicAttributes", AllTopics)]),
            plan(
                Part::Topics,
                &[g("sns:GetTopicAttributes", ConfiguredTopics)],
            ),
        ],
    ),
    row(
        "sns:ListSubscriptionsByTopic",
        &[
            plan(
                Part::AlarmTopics,
                &[g("sns:ListSubscriptionsByTopic", AllTopics)],
            ),
            plan(
                Part::Topics,
                &[g("sns:ListSubscriptionsByTopic", ConfiguredTopics)],
            ),
        ],
    ),
    row(
        "logs:DescribeLogGroups",
        &[plan(
            Part::Resources,
            &[g("logs:DescribeLogGroups", Regional)],
        )],
    ),
    row(
        "logs:ListTagsForResource",
        &[plan(
            Part::Resources,
            &[w("logs:ListTagsForResource", LogGroups, LOOKED)],
        )],
    ),
    row(
        "elasticache:DescribeCacheClusters",
        &[plan(
            Part::Resources,
            &[g("elasticache:DescribeCacheClusters", Caches)],
        )],
    ),
    row(
        "elasticache:DescribeReplicationGroups",
        &[plan(
            Part::Resources,
            &[g("elasticache:DescribeReplicationGroups", Caches)],
        )],
    ),
    row(
        "elasticache:ListTagsForResource",
        &[plan(
            Part::Resources,
            &[w("elasticache:ListTagsForResource", Caches, LOOKED)],
        )],
    ),
    row("budgets:DescribeBudget", VIEW_BUDGETS),
    row("budgets:DescribeBudgets", VIEW_BUDGETS),
    row("budgets:DescribeNotificationsForBudget", VIEW_BUDGETS),
    row(
        "budgets:DescribeBudgetNotificationsForAccount",
        VIEW_BUDGETS,
    ),
    row("budgets:DescribeSubscribersForNotification", VIEW_BUDGETS),
    row(
        "budgets:ListTagsForResource",
        &[plan(
            Part::Budgets,
            &[g("budgets:ListTagsForResource", AllBudgets)],
        )],
    ),
    row(
        "ce:GetAnomalyMonitors",
        &[plan(Part::Anomaly, &[g("ce:GetAnomalyMonitors", Anywhere)])],
    ),
    row(
        "ce:GetAnomalySubscriptions",
        &[plan(
            Part::Anomaly,
            &[g("ce:GetAnomalySubscriptions", Anywhere)],
        )],
    ),
    row(
        "ce:ListCostAllocationTags",
        &[
            plan(Part::CostTags, &[g("ce:ListCostAllocationTags", Anywhere)]),
            plan(Part::Cost, &[g("ce:ListCostAllocationTags", Anywhere)]),
        ],
    ),
];

const RDS_READS: &[Row] = rds_read! {
    "rds:DescribeDBInstances": RdsDrill AuroraDrill, "";
    "rds:DescribeDBClusters": AuroraDrill, "";
    "rds:DescribeDBSnapshots": RdsDrill, "";
    "rds:DescribeDBClusterSnapshots": AuroraDrill, "";
    "rds:ListTagsForResource": RdsDrill AuroraDrill, LOOKED;
};

const COST_READS: &[Row] = cost! {
    "ce:GetCostAndUsage": "";
    "ce:GetCostForecast": "";
    "ce:GetAnomalies": COMMITTED;
    "ce:GetReservationCoverage": COMMITTED;
    "ce:GetReservationUtilization": COMMITTED;
    "ce:GetSavingsPlansCoverage": COMMITTED;
    "ce:GetSavingsPlansUtilization": COMMITTED;
};

const OWN_TAGS: &[Row] = own_tags! {
    "lambda:TagResource": FunctionTags, Part::Tags, FALLBACK;
    "sqs:TagQueue": QueueTags, Part::Tags, FALLBACK;
    "logs:TagResource": LogGroupTags, Part::Tags, FALLBACK;
    "elasticache:AddTagsToResource": CacheTags, Part::Tags, FALLBACK;
    "cloudwatch:TagResource": AlarmTags, Part::Tags, FALLBACK;
    "sns:TagResource": TopicTags, Part::Tags, FALLBACK;
    "lambda:UntagResource": FunctionTags, Part::Tags, FALLBACK;
    "dynamodb:UntagResource": TableTags, Part::Tags, FALLBACK;
    "sqs:UntagQueue": QueueTags, Part::Tags, FALLBACK;
    "sns:UntagResource": TopicTags, Part::Tags, FALLBACK;
    "cloudwatch:UntagResource": AlarmTags, Part::Tags, FALLBACK;
    "logs:UntagResource": LogGroupTags, Part::Tags, FALLBACK;
    "elasticache:RemoveTagsFromResource": CacheTags, Part::Tags, FALLBACK;
};

const WRITES: &[Row] = &[
    row("tag:TagResources", &[apply(Part::Tags, SET_TAGS)]),
    row("tag:UntagResources", &[apply(Part::Tags, REMOVE_TAGS)]),
    row(
        "s3:PutBucketTagging",
        &[apply(
            Part::Tags,
            &[w("s3:PutBucketTagging", BucketTags, FALLBACK)],
        )],
    ),
    row(
        "s3:DeleteBucketTagging",
        &[apply(
            Part::Tags,
            &[w("s3:PutBucketTagging", BucketTags, FALLBACK)],
        )],
    ),
    row(
        "s3:PutBucketLifecycleConfiguration",
        &[apply(
            Part::Lifecycle,
            &[g("s3:PutLifecycleConfiguration", Buckets)],
        )],
    ),
    row(
        "s3:DeleteBucketLifecycle",
        &[apply(
            Part::Lifecycle,
            &[g("s3:PutLifecycleConfiguration", Buckets)],
        )],
    ),
    row(
        "sns:CreateTopic",
        &[apply(
            Part::Topics,
            &[
                g("sns:CreateTopic", NewTopics),
                w("sns:TagResource", NewTopics, TAGGED),
            ],
        )],
    ),
    row(
        "sns:SetTopicAttributes",
        &[apply(
            Part::Topics,
            &[w("sns:SetTopicAttributes", OwnTopics, CHANGES)],
        )],
    ),
    row(
        "sns:Subscribe",
        &[apply(Part::Mail, &[g("sns:Subscribe", Mail)])],
    ),
    row(
        "sns:DeleteTopic",
        &[apply(
            Part::Topics,
            &[w("sns:DeleteTopic", OwnTopics, DESTROYS)],
        )],
    ),
    row(
        "budgets:CreateBudget",
        &[apply(
            Part::Budgets,
            &[
                g("budgets:ModifyBudget", OwnBudgets),
                w("budgets:TagResource", NewOwnBudgets, TAGGED),
            ],
        )],
    ),
    row("budgets:UpdateBudget", MODIFY_BUDGETS),
    row("budgets:DeleteBudget", MODIFY_BUDGETS),
    row("budgets:CreateNotification", MODIFY_BUDGETS),
    row("budgets:DeleteNotification", MODIFY_BUDGETS),
    row("budgets:CreateSubscriber", MODIFY_BUDGETS),
    row("budgets:DeleteSubscriber", MODIFY_BUDGETS),
    row(
        "ce:CreateAnomalyMonitor",
        &[apply(
            Part::Anomaly,
            &[
                w("ce:CreateAnomalyMonitor", NewAnomaly, ACCOUNT_MONITOR),
                w("ce:TagResource", NewAnomaly, TAGGED),
            ],
        )],
    ),
    row(
        "ce:CreateAnomalySubscription",
        &[apply(
            Part::Anomaly,
            &[
                g("ce:CreateAnomalySubscription", NewAnomaly),
                w("ce:TagResource", NewAnomaly, TAGGED),
            ],
        )],
    ),
    row(
        "ce:UpdateAnomalySubscription",
        &[apply(
            Part::Anomaly,
            &[w("ce:UpdateAnomalySubscription", OwnAnomaly, CHANGES)],
        )],
    ),
    row(
        "ce:DeleteAnomalyMonitor",
        &[apply(
            Part::Anomaly,
            &[w("ce:DeleteAnomalyMonitor", OwnAnomaly, DESTROYS)],
        )],
    ),
    row(
        "ce:DeleteAnomalySubscription",
        &[apply(
            Part::Anomaly,
            &[w("ce:DeleteAnomalySubscription", OwnAnomaly, DESTROYS)],
        )],
    ),
    row(
        "ce:UpdateCostAllocationTagsStatus",
        &[apply(
            Part::CostTags,
            &[w("ce:UpdateCostAllocationTagsStatus", Anywhere, ACTIVATES)],
        )],
    ),
    row(
        "cloudwatch:PutMetricAlarm",
        &[apply(
            Part::Alarms,
            &[
                g("cloudwatch:PutMetricAlarm", OwnAlarmActions),
                w("cloudwatch:TagResource", OwnAlarms, TAGGED),
            ],
        )],
    ),
    row(
        "cloudwatch:PutCompositeAlarm",
        &[apply(
            Part::Alarms,
            &[
                w(
                    "cloudwatch:PutCompositeAlarm",
                    OwnAlarmActions,
                    "objectives (`[alarms.slo]`) are composite alarms",
                ),
                w("cloudwatch:TagResource", OwnAlarms, TAGGED),
            ],
        )],
    ),
    row(
        "cloudwatch:DeleteAlarms",
        &[apply(
            Part::Alarms,
            &[w("cloudwatch:DeleteAlarms", OwnAlarms, DESTROYS)],
        )],
    ),
    // `doctor --page-test`
    row(
        "cloudwatch:SetAlarmState",
        &[apply(
            Part::Alarms,
            &[w(
                "cloudwatch:SetAlarmState",
                OwnAlarms,
                "`doctor --page-test`",
            )],
        )],
    ),
    row(
        "cloudwatch:DescribeAlarmHistory",
        &[apply(
            Part::Alarms,
            &[w(
                "cloudwatch:DescribeAlarmHistory",
                OwnAlarms,
                "`doctor --page-test`",
            )],
        )],
    ),
    row(
        "sns:Publish",
        &[
            plan(Part::Notify, &[g("sns:Publish", NotifiedTopics)]),
            drill(Part::Notify, &[g("sns:Publish", NotifiedTopics)]),
        ],
    ),
    // Hardening of backups.
    row(
        "rds:ModifyDBInstance",
        &[
            apply(
                Part::BackupDatabases,
                &[w("rds:ModifyDBInstance", Databases, HARDENING)],
            ),
            drill(Part::RdsDrill, &[w("rds:ModifyDBInstance", Copies, RARE)]),
            drill(
                Part::AuroraDrill,
                &[w("rds:ModifyDBInstance", Copies, RARE)],
            ),
        ],
    ),
    row(
        "rds:ModifyDBCluster",
        &[
            apply(
                Part::BackupDatabases,
                &[w("rds:ModifyDBCluster", Clusters, HARDENING)],
            ),
            drill(Part::AuroraDrill, &[w("rds:ModifyDBCluster", Copies, RARE)]),
        ],
    ),
    row(
        "rds:StartDBInstanceAutomatedBackupsReplication",
        &[apply(
            Part::BackupCopies,
            &[w(
                "rds:StartDBInstanceAutomatedBackupsReplication",
                ReplicatedBackups,
                HARDENING,
            )],
        )],
    ),
    row(
        "dynamodb:UpdateContinuousBackups",
        &[apply(
            Part::BackupTables,
            &[w("dynamodb:UpdateContinuousBackups", Tables, HARDENING)],
        )],
    ),
    row(
        "s3:PutBucketVersioning",
        &[apply(
            Part::BackupVersioning,
            &[w("s3:PutBucketVersioning", Buckets, HARDENING)],
        )],
    ),
];

/// The lock, the evidence, dumps.
const OBJECTS: &[Row] = &[
    row(
        "s3:ListObjectsV2",
        &[
            plan(
                Part::Evidence,
                &[w("s3:ListBucket", EvidenceBucket, HISTORY)],
            ),
            drill(Part::Evidence, &[g("s3:ListBucket", EvidenceBucket)]),
            drill(Part::DumpDrill, &[g("s3:ListBucket", DumpBuckets)]),
        ],
    ),
    row(
        "s3:HeadObject",
        &[
            drill(
                Part::Evidence,
                &[
                    g("s3:GetObject", EvidenceRecords),
                    w(
                        "s3:GetObjectRetention",
                        EvidenceRecords,
                        "S3 tells how long a record is locked only to those who may read it",
                    ),
                ],
            ),
            drill(Part::DumpDrill, &[g("s3:GetObject", DumpObjects)]),
        ],
    ),
    row(
        "s3:GetObject",
        &[
            plan(
                Part::Evidence,
                &[w(
                    "s3:GetObject",
                    EvidenceRecords,
                    "history and the last drills",
                )],
            ),
            apply(
                Part::Lock,
                &[
                    g("s3:GetObject", LockObject),
                    w(
                        "s3:ListBucket",
                        LockBucket,
                        "without it S3 says 403 instead of 404 of a lock that was just released",
                    ),
                ],
            ),
            drill(Part::Evidence, &[g("s3:GetObject", EvidenceRecords)]),
            drill(Part::DumpDrill, &[g("s3:GetObject", DumpObjects)]),
        ],
    ),
    row(
        "s3:PutObject",
        &[
            plan(
                Part::Evidence,
                &[w(
                    "s3:PutObject",
                    EvidenceHistory,
                    "history of reports and notifications",
                )],
            ),
            apply(Part::Lock, &[g("s3:PutObject", LockObject)]),
            drill(Part::Evidence, &[g("s3:PutObject", EvidenceRecords)]),
        ],
    ),
    row(
        "s3:DeleteObject",
        &[apply(Part::Lock, &[g("s3:DeleteObject", LockObject)])],
    ),
];

const DRILLS: &[Row] = &[
    row(
        "rds:RestoreDBInstanceFromDBSnapshot",
        &[drill(
            Part::RdsDrill,
            &[
                w(
                    "rds:RestoreDBInstanceFromDBSnapshot",
                    NewInstanceCopies,
                    RARE,
                ),
                RESTORE_KEYS[0],
                RESTORE_KEYS[1],
                RESTORE_KEYS[2],
            ],
        )],
    ),
    row(
        "rds:RestoreDBInstanceToPointInTime",
        &[drill(
            Part::RdsDrill,
            &[
                w(
                    "rds:RestoreDBInstanceToPointInTime",
                    NewInstanceCopies,
                    RARE,
                ),
                RESTORE_KEYS[0],
                RESTORE_KEYS[1],
                RESTORE_KEYS[2],
            ],
        )],
    ),
    row(
        "rds:RestoreDBClusterFromSnapshot",
        &[drill(
            Part::AuroraDrill,
            &[
                w("rds:RestoreDBClusterFromSnapshot", NewClusterCopies, RARE),
                RESTORE_KEYS[0],
                RESTORE_KEYS[1],
                RESTORE_KEYS[2],
            ],
        )],
    ),
    row(
        "rds:RestoreDBClusterToPointInTime",
        &[drill(
            Part::AuroraDrill,
            &[
                w("rds:RestoreDBClusterToPointInTime", NewClusterCopies, RARE),
                RESTORE_KEYS[0],
                RESTORE_KEYS[1],
                RESTORE_KEYS[2],
            ],
        )],
    ),
    row(
        "rds:CreateDBInstance",
        &[drill(
            Part::AuroraDrill,
            &[
                w("rds:CreateDBInstance", NewMembers, RARE),
                RESTORE_KEYS[0],
                RESTORE_KEYS[1],
                RESTORE_KEYS[2],
            ],
        )],
    ),
    row(
        "rds:AddTagsToResource",
        &[
            apply(Part::Tags, &[w("rds:AddTagsToResource", RdsTags, FALLBACK)]),
            drill(Part::RdsDrill, &[w("rds:AddTagsToResource", Copies, RARE)]),
            drill(
                Part::AuroraDrill,
                &[w("rds:AddTagsToResource", Copies, RARE)],
            ),
        ],
    ),
    row(
        "rds:RemoveTagsFromResource",
        &[
            apply(
                Part::Tags,
                &[w("rds:RemoveTagsFromResource", RdsTags, FALLBACK)],
            ),
            drill(
                Part::RdsDrill,
                &[w("rds:RemoveTagsFromResource", Copies, RARE)],
            ),
            drill(
                Part::AuroraDrill,
                &[w("rds:RemoveTagsFromResource", Copies, RARE)],
            ),
        ],
    ),
    row(
        "rds:DeleteDBInstance",
        &[
            drill(Part::RdsDrill, &[w("rds:DeleteDBInstance", Copies, RARE)]),
            drill(
                Part::AuroraDrill,
                &[w("rds:DeleteDBInstance", Copies, RARE)],
            ),
        ],
    ),
    row(
        "rds:DeleteDBCluster",
        &[drill(
            Part::AuroraDrill,
            &[
                w("rds:DeleteDBCluster", Copies, RARE),
                w(
                    "rds:DeleteDBCluster",
                    FinalSnapshots,
                    "AWS lists the final snapshot as a resource of the call, even where none is made",
                ),
            ],
        )],
    ),
    row(
        "dynamodb:RestoreTableToPointInTime",
        &[drill(
            Part::DynamoDrill,
            &[
                w(
                    "dynamodb:RestoreTableToPointInTime",
                    SourceTableRestores,
                    RARE,
                ),
                w("dynamodb:BatchWriteItem", TableCopies, TARGET),
                w("dynamodb:DeleteItem", TableCopies, TARGET),
                w("dynamodb:GetItem", TableCopies, TARGET),
                w("dynamodb:PutItem", TableCopies, TARGET),
                w("dynamodb:Query", TableCopies, TARGET),
                w("dynamodb:Scan", TableCopies, TARGET),
                w("dynamodb:UpdateItem", TableCopies, TARGET),
            ],
        )],
    ),
    row(
        "dynamodb:RestoreTableFromBackup",
        &[drill(
            Part::DynamoDrill,
            &[
                w("dynamodb:RestoreTableFromBackup", SourceTableRestores, RARE),
                w("dynamodb:BatchWriteItem", TableCopies, TARGET),
                w("dynamodb:DeleteItem", TableCopies, TARGET),
                w("dynamodb:GetItem", TableCopies, TARGET),
                w("dynamodb:PutItem", TableCopies, TARGET),
                w("dynamodb:Query", TableCopies, TARGET),
                w("dynamodb:Scan", TableCopies, TARGET),
                w("dynamodb:UpdateItem", TableCopies, TARGET),
            ],
        )],
    ),
    row(
        "dynamodb:ListBackups",
        &[drill(
            Part::DynamoDrill,
            &[w("dynamodb:ListBackups", Regional, RARE)],
        )],
    ),
    row(
        "dynamodb:DescribeBackup",
        &[drill(
            Part::DynamoDrill,
            &[w("dynamodb:DescribeBackup", TableBackups, RARE)],
        )],
    ),
    row(
        "dynamodb:TagResource",
        &[
            apply(
                Part::Tags,
                &[w("dynamodb:TagResource", TableTags, FALLBACK)],
            ),
            drill(
                Part::DynamoDrill,
                &[w("dynamodb:TagResource", TableCopies, RARE)],
            ),
        ],
    ),
    row(
        "dynamodb:UpdateTable",
        &[drill(
            Part::DynamoDrill,
            &[w("dynamodb:UpdateTable", TableCopies, RARE)],
        )],
    ),
    row(
        "dynamodb:DeleteTable",
        &[drill(
            Part::DynamoDrill,
            &[w("dynamodb:DeleteTable", TableCopies, RARE)],
        )],
    ),
    row(
        "dynamodb:Scan",
        &[drill(
            Part::DynamoDrill,
            &[
                w("dynamodb:Scan", SourceTables, RARE),
                w("dynamodb:Scan", TableCopies, RARE),
            ],
        )],
    ),
    row(
        "dynamodb:BatchGetItem",
        &[drill(
            Part::DynamoDrill,
            &[
                w("dynamodb:BatchGetItem", SourceTables, RARE),
                w("dynamodb:BatchGetItem", TableCopies, RARE),
            ],
        )],
    ),
    row(
        "dynamodb:GetItem",
        &[drill(
            Part::DynamoDrill,
            &[
                w("dynamodb:GetItem", SourceTables, RARE),
                w("dynamodb:GetItem", TableCopies, RARE),
            ],
        )],
    ),
    row(
        "cloudwatch:PutMetricData",
        &[drill(
            Part::Drill,
            &[w(
                "cloudwatch:PutMetricData",
                DrillMetrics,
                "the result of each drill as a metric",
            )],
        )],
    ),
    row(
        "backup:ListRestoreJobs",
        &[drill(
            Part::Drill,
            &[w("backup:ListRestoreJobs", Regional, VALIDATOR)],
        )],
    ),
    row(
        "backup:DescribeRestoreJob",
        &[drill(
            Part::Drill,
            &[w("backup:DescribeRestoreJob", Regional, VALIDATOR)],
        )],
    ),
    row(
        "backup:DescribeRecoveryPoint",
        &[drill(
            Part::Drill,
            &[w("backup:DescribeRecoveryPoint", Regional, VALIDATOR)],
        )],
    ),
    row(
        "backup:GetRestoreJobMetadata",
        &[drill(
            Part::Drill,
            &[w("backup:GetRestoreJobMetadata", Regional, VALIDATOR)],
        )],
    ),
    row(
        "backup:GetRestoreTestingPlan",
        &[drill(
            Part::Drill,
            &[w("backup:GetRestoreTestingPlan", Regional, VALIDATOR)],
        )],
    ),
    row(
        "backup:PutRestoreValidationResult",
        &[drill(
            Part::Drill,
            &[w("backup:PutRestoreValidationResult", Regional, VALIDATOR)],
        )],
    ),
];

/// Backups as they are, for the control and for drills.
const BACKUPS: &[Row] = &[
    row(
        "rds:DescribeDBSnapshotAttributes",
        &[plan(
            Part::Backups,
            &[w("rds:DescribeDBSnapshotAttributes", Rds, SHARED)],
        )],
    ),
    row(
        "rds:DescribeDBClusterSnapshotAttributes",
        &[plan(
            Part::Backups,
            &[w("rds:DescribeDBClusterSnapshotAttributes", Rds, SHARED)],
        )],
    ),
    row(
        "rds:DescribeDBInstanceAutomatedBackups",
        &[plan(
            Part::Backups,
            &[w("rds:DescribeDBInstanceAutomatedBackups", Rds, SHARED)],
        )],
    ),
    row(
        "rds:DescribeDBSubnetGroups",
        &[
            drill(
                Part::RdsDrill,
                &[w("rds:DescribeDBSubnetGroups", Rds, RARE)],
            ),
            drill(
                Part::AuroraDrill,
                &[w("rds:DescribeDBSubnetGroups", Rds, RARE)],
            ),
        ],
    ),
    row(
        "rds:DescribeAccountAttributes",
        &[
            drill(
                Part::RdsDrill,
                &[w("rds:DescribeAccountAttributes", Regional, RARE)],
            ),
            drill(
                Part::AuroraDrill,
                &[w("rds:DescribeAccountAttributes", Regional, RARE)],
            ),
        ],
    ),
];

/// All rows.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    [
        READS, RDS_READS, COST_READS, WRITES, OWN_TAGS, OBJECTS, DRILLS, BACKUPS,
    ]
    .into_iter()
    .flatten()
}
