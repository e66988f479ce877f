//! The one door to the cloud, in our own types: `src/aws` and `src/sandbox` stand behind it.

pub mod copies;
pub mod databases;
pub mod health;
pub mod restore_tests;
pub mod store;
pub mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use jiff::Timestamp;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cost::question::{Answered, Question};
use crate::inventory::{EnvironmentInventory, Observed};
use crate::model::lifecycle::LifecycleConfiguration;
use crate::model::object::{
    AnomalyMonitor, AnomalySubscription, Budget, CompositeAlarm, MetricAlarm, MetricId,
    NotificationKey, Object, ObjectKey, Subscriber, Topic,
};
use crate::model::settings::{BackupCopy, Settings};
use crate::model::{ResourceType, Tags};

/// One environment as the cloud is asked for it. Part of a saved plan, so it holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    pub environment: String,
    /// The guard: nothing runs against any other account.
    pub account: String,
    pub regions: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
}

/// What the controls of this run need to see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Want {
    /// All resources with their tags.
    pub tags: bool,
    /// Buckets with tags and lifecycle configurations.
    pub lifecycle: bool,
    /// Bucket sizes: only where a rule is judged by its saving.
    pub sizes: bool,
    /// All budgets with notifications and subscribers.
    pub budgets: bool,
    /// Anomaly monitors and subscriptions (asks Cost Explorer, which bills).
    pub anomaly: bool,
    /// Cost allocation tags (asks Cost Explorer, which bills).
    pub cost_tags: bool,
    /// Whether the billing metric exists.
    pub billing_metric: bool,
    /// Topics to look at, by ARN; whether one is there is an answer too.
    pub topics: BTreeSet<String>,
    /// Alarms of all kinds in these regions, with the tags of those whose names begin with
    /// [`Want::own_alarm_prefixes`].
    pub alarms: BTreeSet<String>,
    pub own_alarm_prefixes: BTreeSet<String>,
    /// Topics that those alarms notify, wherever they are.
    pub alarm_topics: bool,
    /// Whether the metrics that those alarms watch exist.
    pub alarm_metrics: bool,
    /// What alarm thresholds are derived from, of resources and of regions. It comes with
    /// [`Want::tags`]; what fails of both then leaves gaps of the control `alarms` too, for all
    /// types that alarms are made for.
    pub attributes: bool,
    /// Backup settings of databases and tables, with the tags of both.
    pub backups: bool,
    /// Versioning of buckets whose names are like one of these globs.
    pub versioned: BTreeSet<String>,
    /// Where tables are replicated to.
    pub replicas: bool,
    /// All snapshots of RDS instances and clusters, and who may restore the manual ones.
    pub snapshots: bool,
}

impl Want {
    /// Whether the versioning of a bucket is asked for.
    pub fn versioning_of(&self, bucket: &str) -> bool {
        self.versioned.iter().any(|glob| {
            globset::Glob::new(glob).is_ok_and(|g| g.compile_matcher().is_match(bucket))
        })
    }

    pub fn is_nothing(&self) -> bool {
        *self == Want::default()
    }
}

/// A resource as a write names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subject {
    pub arn: String,
    #[serde(rename = "type")]
    pub kind: ResourceType,
    pub name: String,
    pub region: String,
}

/// Every write that exists, with all its parameters: executing one leaves nothing to decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", deny_unknown_fields)]
pub enum Call {
    /// Adds or overwrites these keys on up to 20 resources of one region; others stay.
    TagResources {
        region: String,
        resources: Vec<Subject>,
        set: Tags,
    },
    /// Removes these keys from up to 20 resources of one region.
    UntagResources {
        region: String,
        resources: Vec<Subject>,
        keys: BTreeSet<String>,
    },
    /// Replaces the whole configuration of a bucket.
    PutLifecycle {
        region: String,
        bucket: String,
        configuration: LifecycleConfiguration,
    },
    /// Removes the configuration of a bucket, once nothing is left in it.
    DeleteLifecycle {
        region: String,
        bucket: String,
    },

    /// Makes a topic with its policy and tags, without subscriptions.
    CreateTopic {
        topic: Topic,
        tags: Tags,
    },
    SetTopicPolicy {
        region: String,
        arn: String,
        policy: String,
    },
    /// Sends a confirmation to an e-mail address.
    Subscribe {
        region: String,
        topic: String,
        subscription: String,
    },
    DeleteTopic {
        region: String,
        arn: String,
    },
    /// Tells the subscribers of a topic something.
    Publish {
        region: String,
        topic: String,
        subject: String,
        message: String,
    },

    /// Makes a budget with all its notifications and subscribers.
    CreateBudget {
        budget: Budget,
        tags: Tags,
    },
    /// Replaces all but name and notifications; sets CalculatedSpend to zero until new billing
    /// data arrives. Source: API model, `budgets:UpdateBudget`.
    UpdateBudget {
        budget: Budget,
    },
    DeleteBudget {
        budget: String,
    },
    CreateNotification {
        budget: String,
        notification: NotificationKey,
        subscribers: BTreeSet<Subscriber>,
    },
    DeleteNotification {
        budget: String,
        notification: NotificationKey,
    },
    CreateSubscriber {
        budget: String,
        notification: NotificationKey,
        subscriber: Subscriber,
    },
    DeleteSubscriber {
        budget: String,
        notification: NotificationKey,
        subscriber: Subscriber,
    },

    CreateAnomalyMonitor {
        monitor: AnomalyMonitor,
        tags: Tags,
    },
    DeleteAnomalyMonitor {
        name: String,
    },
    CreateAnomalySubscription {
        subscription: AnomalySubscription,
        tags: Tags,
    },
    UpdateAnomalySubscription {
        subscription: AnomalySubscription,
    },
    DeleteAnomalySubscription {
        name: String,
    },
    /// Makes tag keys dimensions of cost, or stops that; up to 20.
    SetCostAllocationTags {
        keys: BTreeSet<String>,
        active: bool,
    },

    /// Makes or wholly overwrites an alarm; `tags` count only when it is made.
    /// Source: API model, `cloudwatch:PutMetricAlarm`.
    PutMetricAlarm {
        alarm: MetricAlarm,
        tags: Tags,
    },
    PutCompositeAlarm {
        alarm: CompositeAlarm,
        tags: Tags,
    },
    /// Sets the state of an alarm until its next evaluation; its actions are carried out as ever.
    /// Source: API model, `cloudwatch:SetAlarmState`.
    SetAlarmState {
        region: String,
        name: String,
        /// `OK`, `ALARM`, `INSUFFICIENT_DATA`.
        state: String,
        reason: String,
    },
    /// One alarm, or up to 100 of the metric kind.
    DeleteAlarms {
        region: String,
        names: Vec<String>,
    },

    /// Makes the protection of an RDS instance or cluster stronger.
    ProtectDatabase {
        database: Subject,
        protection: Protection,
    },
    /// Begins to replicate the automated backups of an RDS instance. It goes to the region of the
    /// copy. Source: API model, `rds:StartDBInstanceAutomatedBackupsReplication`.
    CopyBackups {
        /// ARN of the instance.
        source: String,
        copy: BackupCopy,
    },
    /// Switches the point-in-time recovery of a DynamoDB table on.
    RecoverPointInTime {
        region: String,
        table: String,
    },
    /// Switches the versioning of a bucket on.
    EnableVersioning {
        region: String,
        bucket: String,
    },
}

/// What is switched on, and nothing else: by this nothing can be switched off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protection {
    pub retention_days: Option<u32>,
    pub deletion_protection: bool,
    pub copy_tags_to_snapshot: bool,
    /// Not in the next maintenance window but now (`ApplyImmediately`), with everything else that
    /// waits for that window. Only for what AWS would put off.
    pub at_once: bool,
}

impl Call {
    /// The region that it goes to; budgets and Cost Explorer live in us-east-1.
    pub fn region(&self) -> &str {
        match self {
            Call::TagResources { region, .. }
            | Call::UntagResources { region, .. }
            | Call::PutLifecycle { region, .. }
            | Call::DeleteLifecycle { region, .. }
            | Call::SetTopicPolicy { region, .. }
            | Call::Subscribe { region, .. }
            | Call::DeleteTopic { region, .. }
            | Call::Publish { region, .. }
            | Call::SetAlarmState { region, .. }
            | Call::DeleteAlarms { region, .. }
            | Call::RecoverPointInTime { region, .. }
            | Call::EnableVersioning { region, .. } => region,
            Call::ProtectDatabase { database, .. } => &database.region,
            Call::CopyBackups { copy, .. } => &copy.region,
            Call::CreateTopic { topic, .. } => &topic.region,
            Call::PutMetricAlarm { alarm, .. } => &alarm.region,
            Call::PutCompositeAlarm { alarm, .. } => &alarm.region,
            Call::CreateBudget { .. }
            | Call::UpdateBudget { .. }
            | Call::DeleteBudget { .. }
            | Call::CreateNotification { .. }
            | Call::DeleteNotification { .. }
            | Call::CreateSubscriber { .. }
            | Call::DeleteSubscriber { .. }
            | Call::CreateAnomalyMonitor { .. }
            | Call::DeleteAnomalyMonitor { .. }
            | Call::CreateAnomalySubscription { .. }
            | Call::UpdateAnomalySubscription { .. }
            | Call::DeleteAnomalySubscription { .. }
            | Call::SetCostAllocationTags { .. } => "us-east-1",
        }
    }

    /// How many resources it is about: so many results it has.
    pub fn resources(&self) -> usize {
        match self {
            Call::TagResources { resources, .. } | Call::UntagResources { resources, .. } => {
                resources.len()
            }
            _ => 1,
        }
    }
}

/// A failed call: the service's own code and message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {code}: {message}")]
pub struct CloudError {
    /// `service:Operation`.
    pub operation: String,
    /// The service's error code, or `timeout`, `connection`.
    pub code: String,
    pub message: String,
    /// The call may have been carried out although no answer came.
    pub maybe_done: bool,
}

/// A lifecycle configuration as it stands right now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifecycleReading {
    pub configuration: Observed<LifecycleConfiguration>,
    pub unknown_element: Option<String>,
}

impl CloudError {
    /// It may well succeed if what it rests on is read again and it is tried again.
    ///
    /// `OperationAborted`: somebody else was writing at the same moment (S3 API reference,
    /// PutBucketTagging).
    pub fn is_transient(&self) -> bool {
        self.maybe_done
            || matches!(
                self.code.as_str(),
                "OperationAborted"
                    | "SlowDown"
                    | "Throttling"
                    | "ThrottlingException"
                    | "RequestLimitExceeded"
                    | "ServiceUnavailable"
                    | "InternalError"
                    | "InternalServerError"
                    | "ProvisionedThroughputExceededException"
                    | "TooManyRequestsException"
                    | "RequestTimeout"
                    | "timeout"
                    | "connection"
            )
    }
}

/// An object as it stands, with what tells whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectReading {
    pub object: Object,
    /// `Absent`: the service has no tags for such a thing.
    pub tags: Observed<Tags>,
}

/// The settings of a resource right now, and what stands in the way of writing them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingsReading {
    /// All that a resource of this type has.
    pub settings: Settings,
    /// Modifications that wait for the maintenance window, other than of these settings.
    pub pending: BTreeSet<String>,
}

/// One value of a metric, now.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricPoint {
    pub metric: MetricId,
    pub value: f64,
    /// `Count`, `Seconds`, `None`.
    pub unit: &'static str,
}

/// One metric with a statistic, as a series of points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesQuery {
    pub metric: MetricId,
    /// `Sum`, `Average`, `p99`, …
    pub statistic: String,
    /// Seconds.
    pub period: u32,
}

/// An entry in the history of an alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmEvent {
    pub at: Timestamp,
    /// `StateUpdate`, `Action`, `ConfigurationUpdate`, …
    pub kind: String,
    /// E.g. `Successfully executed action arn:aws:sns:…`.
    pub summary: String,
}

/// From (inclusive) and to (exclusive).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeSpan {
    pub from: Timestamp,
    pub to: Timestamp,
}

/// Points in ascending order of time; a period without one is missing.
pub type Series = Vec<(Timestamp, f64)>;

/// Where the lock of a project is kept: an object in a bucket of one of its accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockPlace {
    pub target: Target,
    pub region: String,
    pub bucket: String,
    pub key: String,
}

/// Why a lock was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockError {
    /// Somebody else holds it: what they wrote into it.
    Held(String),
    Failed(CloudError),
}

/// The account behind the door. Only `apply` (and later `drill`) may call [`Cloud::execute`].
#[async_trait]
pub trait Cloud: Send + Sync {
    /// The account that the credentials belong to; compared with the guard before anything else.
    async fn caller_account(&self, target: &Target) -> Result<String, CloudError>;

    /// Sees everything that `want` asks for; failures become gaps, never errors.
    async fn observe(&self, target: &Target, want: &Want) -> EnvironmentInventory;

    /// The tags of one resource right now, from the service that owns it.
    async fn read_tags(&self, target: &Target, subject: &Subject) -> Observed<Tags>;

    /// The lifecycle configuration of one bucket right now.
    async fn read_lifecycle(&self, target: &Target, region: &str, bucket: &str)
    -> LifecycleReading;

    /// One object of ours right now, from the service that owns it. `Absent`: it is not there.
    async fn read_object(&self, target: &Target, key: &ObjectKey) -> Observed<ObjectReading>;

    /// The settings of one resource right now, from the service that owns it; with `copies` also
    /// what the regions named there know of copies. `Absent`: the resource is not there.
    async fn read_settings(
        &self,
        target: &Target,
        subject: &Subject,
        copies: &BTreeSet<String>,
    ) -> Observed<SettingsReading>;

    /// Writes points of metrics of our own; only drills do.
    ///
    /// # Errors
    /// What the service answers.
    async fn put_metrics(
        &self,
        target: &Target,
        region: &str,
        points: &[MetricPoint],
    ) -> Result<(), CloudError>;

    /// Asks about costs, all pages of it. Every page is billed; see [`Meter::bill`].
    ///
    /// # Errors
    /// What the service answers; that there is no data is an answer.
    async fn ask_cost(&self, payer: &Target, question: &Question) -> Result<Answered, CloudError>;

    /// The data points of metrics; the answers are in the order of the questions, and a metric
    /// without any points has an empty series.
    async fn metric_data(
        &self,
        target: &Target,
        region: &str,
        queries: &[SeriesQuery],
        span: &TimeSpan,
    ) -> Vec<Result<Series, CloudError>>;

    /// The metrics that exist in a namespace, with their dimensions.
    async fn list_metrics(
        &self,
        target: &Target,
        region: &str,
        namespace: &str,
        metric: Option<&str>,
    ) -> Result<Vec<MetricId>, CloudError>;

    /// What happened to an alarm since then, oldest first; AWS keeps it for 30 days.
    ///
    /// # Errors
    /// What the service answers.
    async fn alarm_history(
        &self,
        target: &Target,
        region: &str,
        name: &str,
        since: Timestamp,
    ) -> Result<Vec<AlarmEvent>, CloudError>;

    /// Carries out one write; the results are in the order of its resources (one for a bucket).
    async fn execute(&self, target: &Target, call: &Call) -> Vec<Result<(), CloudError>>;

    /// Takes the project's lock, writing `body` into it; the token is for [`Cloud::unlock`].
    async fn lock(&self, place: &LockPlace, body: &str) -> Result<String, LockError>;

    /// Releases a lock that still says `body`.
    async fn unlock(&self, place: &LockPlace, body: &str, token: &str) -> Result<(), CloudError>;

    /// Objects in buckets.
    fn objects(&self) -> &dyn store::ObjectStore;

    /// Restore tests of AWS Backup; `None` in the sandbox, which has no AWS Backup.
    fn restore_tests(&self) -> Option<&dyn restore_tests::RestoreTests> {
        None
    }

    /// The copies of restore drills; `None` in an account that has none, as the sandbox.
    fn copies(&self) -> Option<&dyn copies::Copies> {
        None
    }

    /// Databases that restore drills can restore; `None` in an account without RDS, as the sandbox.
    fn databases(&self) -> Option<&dyn databases::Databases> {
        None
    }

    /// What the doctor asks.
    fn health(&self) -> &dyn health::Health;

    /// Tables that restore drills can restore; `None` in an account without DynamoDB, as the sandbox.
    fn tables(&self) -> Option<&dyn tables::Tables> {
        None
    }

    /// What has been asked of the cloud so far.
    fn meter(&self) -> &Meter;

    /// How often each operation was answered without an error in one environment.
    fn answered(&self, _: &Target) -> BTreeMap<String, u64> {
        BTreeMap::new()
    }
}

/// Counts requests as they leave, for the `api` block of every output and for progress.
#[derive(Debug, Default)]
pub struct Meter {
    requests: AtomicU64,
    retries: AtomicU64,
    throttled: AtomicU64,
    /// Millionths of a USD.
    billed: AtomicU64,
    by_operation: Mutex<BTreeMap<String, u64>>,
}

impl Meter {
    /// One request on the wire, named `service:Operation`; `retry` when it is not the first try.
    pub fn request(&self, operation: &str, retry: bool) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if retry {
            self.retries.fetch_add(1, Ordering::Relaxed);
        }
        let mut map = self.by_operation.lock().unwrap_or_else(|e| e.into_inner());
        match map.get_mut(operation) {
            Some(count) => *count += 1,
            None => {
                map.insert(operation.to_owned(), 1);
            }
        }
    }

    /// Notes what AWS bills for a request, in millionths of a USD.
    pub fn bill(&self, microdollars: u64) {
        self.billed.fetch_add(microdollars, Ordering::Relaxed);
    }

    pub fn throttled(&self) {
        self.throttled.fetch_add(1, Ordering::Relaxed);
    }

    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub fn snapshot(&self) -> ApiUse {
        ApiUse {
            requests: self.requests(),
            retries: self.retries.load(Ordering::Relaxed),
            throttled: self.throttled.load(Ordering::Relaxed),
            by_operation: self
                .by_operation
                .lock()
                .unwrap_or_else(|e| e.into_inner())
                .clone(),
            cost_usd: {
                let billed = Decimal::from(self.billed.load(Ordering::Relaxed));
                let usd = (billed / Decimal::from(1_000_000)).round_dp(4);
                if usd.scale() < 2 {
                    format!("{usd:.2}")
                } else {
                    usd.to_string()
                }
            },
        }
    }
}

/// The `api` block of every JSON output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApiUse {
    pub requests: u64,
    pub retries: u64,
    pub throttled: u64,
    pub by_operation: BTreeMap<String, u64>,
    /// What AWS bills for these requests, in USD.
    pub cost_usd: String,
}
