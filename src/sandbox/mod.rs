//! The embedded account: an in-memory world behind the same door as AWS, strict where AWS is
//! strict. It is what people try opsctl on, and what property, fault and kill tests run on.

pub mod alarms;
pub mod backups;
mod health;
pub mod ledger;
pub mod metrics;
mod money;
pub mod objects;
pub mod rds;
pub mod scenario;
mod store;
mod usual;
pub mod world;
mod writes;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::cloud::{
    AlarmEvent, Call, Cloud, CloudError, LifecycleReading, LockError, LockPlace, Meter,
    MetricPoint, ObjectReading, Series, SeriesQuery, SettingsReading, Subject, Target, TimeSpan,
    Want,
};
use crate::cost::question::{Answered, Question};
use crate::inventory::{Bucket, EnvironmentInventory, Gap, Observed, Resource};
use crate::model::object::{MetricId, ObjectKey};
use crate::model::{Control, ResourceType, Tags, check_tag_key, check_tag_value};
use crate::plan::file::write_atomically;
use world::{Account, World};
use writes::{each, put_lifecycle};

/// What a fault does to one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The call is refused with this code; nothing happens.
    Refuse(String),
    /// The call fails in a way that leaves open whether it was carried out; it was not.
    Broken(String),
    /// The call is carried out, and the answer is lost.
    AnswerLost,
}

/// Decides about a fault by operation and resource name.
pub type Faults = dyn Fn(&str, &str) -> Option<Fault> + Send + Sync;

/// The operations that observing needs, with the types that each lists.
const LISTINGS: [(&str, &[ResourceType]); 13] = [
    ("rds:DescribeDBInstances", &[ResourceType::RDS_INSTANCE]),
    ("rds:DescribeDBClusters", &[ResourceType::RDS_CLUSTER]),
    ("rds:DescribeDBSnapshots", &[ResourceType::RDS_SNAPSHOT]),
    (
        "rds:DescribeDBClusterSnapshots",
        &[ResourceType::RDS_CLUSTER_SNAPSHOT],
    ),
    ("lambda:ListFunctions", &[ResourceType::LAMBDA_FUNCTION]),
    ("dynamodb:ListTables", &[ResourceType::DYNAMODB_TABLE]),
    ("sqs:ListQueues", &[ResourceType::SQS_QUEUE]),
    ("sns:ListTopics", &[ResourceType::SNS_TOPIC]),
    (
        "cloudwatch:DescribeAlarms",
        &[ResourceType::CLOUDWATCH_ALARM],
    ),
    ("logs:DescribeLogGroups", &[ResourceType::LOG_GROUP]),
    (
        "elasticache:DescribeCacheClusters",
        &[ResourceType::ELASTICACHE_CLUSTER],
    ),
    (
        "elasticache:DescribeReplicationGroups",
        &[ResourceType::ELASTICACHE_REPLICATION_GROUP],
    ),
    ("s3:ListBuckets", &[ResourceType::S3_BUCKET]),
];

/// The sandbox side of the door.
pub struct Sandbox {
    world: Mutex<World>,
    /// Where the state is kept; `None` keeps it in memory.
    state: Option<PathBuf>,
    /// What this process wrote there last.
    written: Mutex<Vec<u8>>,
    faults: Option<Box<Faults>>,
    clock: ledger::Clock,
    meter: Meter,
}

impl Sandbox {
    /// A world that ends with the process.
    pub fn in_memory(world: World) -> Self {
        Sandbox {
            world: Mutex::new(world),
            state: None,
            written: Mutex::default(),
            faults: None,
            clock: ledger::Clock::default(),
            meter: Meter::default(),
        }
    }

    /// A world in which it is always `now`; costs are relative to it.
    pub fn at(mut self, now: Timestamp) -> Self {
        self.clock = ledger::Clock(Some(now));
        self
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Calls on which `faults` decides fail as it says.
    pub fn with_faults(mut self, faults: Box<Faults>) -> Self {
        self.faults = Some(faults);
        self
    }

    /// The world with the changes that earlier runs made to it, kept in `state`.
    ///
    /// A state of another version of the scenario is left behind. An unreadable one is an error:
    /// `sandbox reset` is the user's to say.
    pub fn persistent(world: World, state: PathBuf) -> Result<Self, String> {
        let mut sandbox = Sandbox::in_memory(world);
        if let Some(kept) = read_state(&state)? {
            let mut current = sandbox.lock();
            if kept.seed == current.seed {
                *current = kept;
            }
        }
        sandbox.state = Some(state);
        Ok(sandbox)
    }

    /// The world as it stands, for tests and `sandbox show`.
    pub fn world(&self) -> World {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn fault(&self, operation: &str, resource: &str) -> Option<Fault> {
        self.faults.as_ref().and_then(|f| f(operation, resource))
    }

    /// Counts a call, and refuses it where the scenario or a fault says so.
    fn enter(
        &self,
        account: &Account,
        operation: &str,
        resource: &str,
    ) -> Result<bool, CloudError> {
        self.meter.request(operation, false);
        let refuse = |code: &str, message: String| CloudError {
            operation: operation.to_owned(),
            code: code.to_owned(),
            message,
            maybe_done: false,
        };
        if account.denied.iter().any(|d| d == operation) {
            return Err(refuse(
                "AccessDenied",
                format!(
                    "User: arn:aws:iam::{}:user/sandbox is not authorized to perform: {operation}",
                    account.id
                ),
            ));
        }
        match self.fault(operation, resource) {
            Some(Fault::Refuse(code)) => Err(refuse(&code, format!("injected for {resource}"))),
            Some(Fault::Broken(code)) => Err(CloudError {
                maybe_done: true,
                ..refuse(&code, format!("injected for {resource}"))
            }),
            Some(Fault::AnswerLost) => Ok(true),
            None => Ok(false),
        }
    }

    /// Changes the world under a file lock, so that two processes cannot overwrite each other.
    fn change<T>(&self, f: impl FnOnce(&mut World) -> T) -> Result<T, String> {
        let Some(state) = &self.state else {
            return Ok(f(&mut self.lock()));
        };
        let folder = state.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let guard = state.with_extension("lock");
        let file =
            std::fs::File::create(&guard).map_err(|e| format!("{}: {e}", guard.display()))?;
        file.lock()
            .map_err(|e| format!("{}: {e}", guard.display()))?;
        let mut world = self.lock();
        let mut written = self.written.lock().unwrap_or_else(|e| e.into_inner());
        // Another process may have written since; what this one wrote need not be parsed again.
        let unchanged = !written.is_empty() && std::fs::read(state).is_ok_and(|b| b == *written);
        if !unchanged
            && let Some(kept) = read_state(state)?
            && kept.seed == world.seed
        {
            *world = kept;
        }
        let out = f(&mut world);
        let text = serde_json::to_vec(&*world).map_err(|e| e.to_string())?;
        write_atomically(state, &text).map_err(|e| format!("{}: {e}", state.display()))?;
        *written = text;
        Ok(out)
    }
}

fn read_state(path: &Path) -> Result<Option<World>, String> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| {
            format!(
                "{}: {e}. `opsctl sandbox reset` starts afresh",
                path.display()
            )
        }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(format!("{}: {e}", path.display())),
    }
}

fn refused(operation: &str, code: &str, message: impl Into<String>) -> CloudError {
    CloudError {
        operation: operation.to_owned(),
        code: code.to_owned(),
        message: message.into(),
        maybe_done: false,
    }
}

/// Adds what one listing shows, or the gap that its refusal leaves.
fn gaps(
    target: &Target,
    region: &str,
    controls: &[Control],
    operation: &str,
    resource: Option<&str>,
    error: &CloudError,
) -> Vec<Gap> {
    controls
        .iter()
        .map(|control| Gap {
            environment: target.environment.clone(),
            account: target.account.clone(),
            region: region.to_owned(),
            control: *control,
            operation: operation.to_owned(),
            resource: resource.map(str::to_owned),
            error: format!("{}: {}", error.code, error.message),
        })
        .collect()
}

#[async_trait]
impl Cloud for Sandbox {
    async fn caller_account(&self, target: &Target) -> Result<String, CloudError> {
        self.meter.request("sts:GetCallerIdentity", false);
        self.lock()
            .accounts
            .get(&target.environment)
            .map(|a| a.id.clone())
            .ok_or_else(|| {
                refused(
                    "sts:GetCallerIdentity",
                    "NoSuchEnvironment",
                    format!("the scenario has no environment `{}`", target.environment),
                )
            })
    }

    async fn observe(&self, target: &Target, want: &Want) -> EnvironmentInventory {
        let world = self.lock().clone();
        let account = world
            .accounts
            .get(&target.environment)
            .cloned()
            .unwrap_or_default();
        let mut seen = EnvironmentInventory {
            environment: target.environment.clone(),
            account: target.account.clone(),
            regions: target.regions.clone(),
            ..EnvironmentInventory::default()
        };
        let wanted: Vec<Control> = [
            (want.tags, Control::Tags),
            (want.lifecycle, Control::Lifecycle),
            (want.attributes, Control::Alarms),
            (want.backups, Control::Backups),
        ]
        .into_iter()
        .filter_map(|(yes, control)| yes.then_some(control))
        .collect();
        let mut failed: BTreeSet<ResourceType> = BTreeSet::new();
        let mut untold = false;
        for region in &target.regions {
            if !wanted.is_empty()
                && let Err(e) = self.enter(&account, "tag:GetResources", region)
            {
                untold = true;
                seen.gaps
                    .extend(gaps(target, region, &wanted, "tag:GetResources", None, &e));
            }
            for (operation, kinds) in LISTINGS {
                let buckets = operation == "s3:ListBuckets";
                // One call for all regions, and only the buckets are lifecycle's business.
                let backed_up = backups::listed(operation, want);
                let asked = buckets || want.tags || backed_up;
                if (buckets && region != &target.regions[0]) || !asked {
                    continue;
                }
                let mut concerned: Vec<Control> = if buckets {
                    wanted.clone()
                } else if (want.attributes || want.alarm_metrics)
                    && kinds.iter().any(|k| alarms::TYPES.contains(k))
                {
                    vec![Control::Tags, Control::Alarms]
                } else {
                    vec![Control::Tags]
                };
                if backed_up && !buckets {
                    concerned.push(Control::Backups);
                }
                if let Err(e) = self.enter(&account, operation, region) {
                    failed.extend(kinds.iter().cloned());
                    seen.gaps
                        .extend(gaps(target, region, &concerned, operation, None, &e));
                }
            }
        }
        for (arn, item) in &account.resources {
            let bucket = item.kind == ResourceType::S3_BUCKET;
            let source = want.backups
                && [
                    ResourceType::RDS_INSTANCE,
                    ResourceType::RDS_CLUSTER,
                    ResourceType::DYNAMODB_TABLE,
                ]
                .contains(&item.kind);
            if failed.contains(&item.kind) || !(want.tags || bucket || source) {
                continue;
            }
            if !target.regions.contains(&item.region) {
                if bucket {
                    seen.buckets_elsewhere
                        .push((item.name.clone(), item.region.clone()));
                }
                continue;
            }
            // Through the tagging API alone, what never had a tag does not show.
            if !item.kind.is_listed() && item.tags.is_empty() {
                continue;
            }
            seen.resources.push(Resource {
                arn: arn.clone(),
                kind: item.kind.clone(),
                name: item.name.clone(),
                region: item.region.clone(),
                tags: if untold {
                    Observed::Unknown("tag:GetResources was refused".to_owned())
                } else {
                    Observed::Known(item.tags.clone())
                },
            });
            if !bucket || !want.lifecycle {
                continue;
            }
            let Some(held) = account.buckets.get(&item.name) else {
                continue;
            };
            let lifecycle =
                match self.enter(&account, "s3:GetBucketLifecycleConfiguration", &item.name) {
                    Ok(_) => held
                        .lifecycle
                        .clone()
                        .map_or(Observed::Absent, Observed::Known),
                    Err(e) => {
                        seen.gaps.extend(gaps(
                            target,
                            &item.region,
                            &[Control::Lifecycle],
                            "s3:GetBucketLifecycleConfiguration",
                            Some(&item.name),
                            &e,
                        ));
                        Observed::Unknown(e.to_string())
                    }
                };
            let size = match held.size {
                Some(size) if want.sizes => Observed::Known(size),
                _ => Observed::Absent,
            };
            seen.buckets.insert(
                item.name.clone(),
                Bucket {
                    name: item.name.clone(),
                    region: item.region.clone(),
                    lifecycle,
                    unknown_element: None,
                    size,
                },
            );
        }
        if want.sizes && want.lifecycle && !seen.buckets.is_empty() {
            for region in &target.regions {
                if let Err(e) = self.enter(&account, "cloudwatch:GetMetricData", region) {
                    seen.gaps.extend(gaps(
                        target,
                        region,
                        &[Control::Lifecycle],
                        "cloudwatch:GetMetricData",
                        None,
                        &e,
                    ));
                    for bucket in seen.buckets.values_mut().filter(|b| &b.region == region) {
                        bucket.size = Observed::Unknown(e.to_string());
                    }
                }
            }
        }
        if want.tags {
            seen.types_checked = ResourceType::LISTED
                .iter()
                .filter(|kind| !failed.contains(*kind))
                .map(|kind| kind.as_str().to_owned())
                .collect();
            seen.types_not_checked
                .extend(world::not_listed(&account, &target.regions));
        }
        if want.attributes {
            alarms::observe(self, &account, target, &mut seen);
        }
        if want.backups {
            backups::observe(self, &account, target, want, &failed, &mut seen);
        }
        money::observe(self, &account, target, want, &mut seen);
        seen.sort();
        seen
    }

    async fn read_tags(&self, target: &Target, subject: &Subject) -> Observed<Tags> {
        let world = self.lock().clone();
        let Some(account) = world.accounts.get(&target.environment) else {
            return Observed::Unknown("no such environment".to_owned());
        };
        match self.enter(account, "tag:GetResources", &subject.name) {
            Err(e) => Observed::Unknown(e.to_string()),
            Ok(_) => account
                .resources
                .get(&subject.arn)
                .map_or(Observed::Absent, |item| Observed::Known(item.tags.clone())),
        }
    }

    async fn read_lifecycle(
        &self,
        target: &Target,
        _region: &str,
        bucket: &str,
    ) -> LifecycleReading {
        let world = self.lock().clone();
        let configuration = match world.accounts.get(&target.environment) {
            None => Observed::Unknown("no such environment".to_owned()),
            Some(account) => {
                match self.enter(account, "s3:GetBucketLifecycleConfiguration", bucket) {
                    Err(e) => Observed::Unknown(e.to_string()),
                    Ok(_) => match account.buckets.get(bucket) {
                        None => Observed::Unknown(format!("NoSuchBucket: {bucket}")),
                        Some(held) => held
                            .lifecycle
                            .clone()
                            .map_or(Observed::Absent, Observed::Known),
                    },
                }
            }
        };
        LifecycleReading {
            configuration,
            unknown_element: None,
        }
    }

    async fn execute(&self, target: &Target, call: &Call) -> Vec<Result<(), CloudError>> {
        let count = call.resources();
        let result = self.change(|world| {
            let Some(account) = world.accounts.get_mut(&target.environment) else {
                return vec![
                    Err(refused(
                        "sandbox",
                        "NoSuchEnvironment",
                        target.environment.clone()
                    ));
                    count
                ];
            };
            match call {
                Call::TagResources { resources, set, .. } => {
                    each(self, account, "tag:TagResources", resources, |tags| {
                        for (key, value) in set {
                            check_tag_key(key)
                                .and(check_tag_value(value))
                                .map_err(|e| e.to_string())?;
                            tags.insert(key.clone(), value.clone());
                        }
                        if tags.len() > 50 {
                            Err("more than 50 tags".to_owned())
                        } else {
                            Ok(())
                        }
                    })
                }
                Call::UntagResources {
                    resources, keys, ..
                } => each(self, account, "tag:UntagResources", resources, |tags| {
                    if let Some(key) = keys.iter().find(|k| k.starts_with("aws:")) {
                        return Err(format!("{key} belongs to AWS"));
                    }
                    tags.retain(|k, _| !keys.contains(k));
                    Ok(())
                }),
                Call::PutLifecycle {
                    region,
                    bucket,
                    configuration,
                } => {
                    vec![put_lifecycle(
                        self,
                        account,
                        region,
                        bucket,
                        Some(configuration),
                    )]
                }
                Call::DeleteLifecycle { region, bucket } => {
                    vec![put_lifecycle(self, account, region, bucket, None)]
                }
                Call::ProtectDatabase { .. }
                | Call::CopyBackups { .. }
                | Call::RecoverPointInTime { .. }
                | Call::EnableVersioning { .. } => vec![backups::execute(self, account, call)],
                other => vec![objects::execute(self, account, other)],
            }
        });
        result.unwrap_or_else(|e| vec![Err(refused("sandbox", "StateFile", e)); count])
    }

    async fn read_object(&self, target: &Target, key: &ObjectKey) -> Observed<ObjectReading> {
        let world = self.lock();
        match world.accounts.get(&target.environment) {
            None => Observed::Unknown("no such environment".to_owned()),
            Some(account) => objects::read(self, account, key),
        }
    }

    async fn read_settings(
        &self,
        target: &Target,
        subject: &Subject,
        _: &BTreeSet<String>,
    ) -> Observed<SettingsReading> {
        let world = self.lock();
        match world.accounts.get(&target.environment) {
            None => Observed::Unknown("no such environment".to_owned()),
            Some(account) => backups::read(self, account, subject),
        }
    }

    async fn put_metrics(
        &self,
        target: &Target,
        region: &str,
        points: &[MetricPoint],
    ) -> Result<(), CloudError> {
        let operation = "cloudwatch:PutMetricData";
        let put = self.change(|world| match world.accounts.get_mut(&target.environment) {
            None => Err(refused(operation, "NoSuchEnvironment", &target.environment)),
            Some(account) => backups::put_metrics(self, account, region, points),
        });
        put.unwrap_or_else(|e| Err(refused(operation, "StateFile", e)))
    }

    async fn ask_cost(&self, payer: &Target, question: &Question) -> Result<Answered, CloudError> {
        let world = self.lock();
        ledger::ask(self, &world, payer, question)
    }

    async fn metric_data(
        &self,
        target: &Target,
        region: &str,
        queries: &[SeriesQuery],
        span: &TimeSpan,
    ) -> Vec<Result<Series, CloudError>> {
        let world = self.lock();
        match world.accounts.get(&target.environment) {
            None => vec![Ok(Series::new()); queries.len()],
            Some(account) => metrics::data(self, account, region, queries, span),
        }
    }

    async fn alarm_history(
        &self,
        target: &Target,
        region: &str,
        name: &str,
        since: jiff::Timestamp,
    ) -> Result<Vec<AlarmEvent>, CloudError> {
        let world = self.lock();
        match world.accounts.get(&target.environment) {
            None => Ok(Vec::new()),
            Some(account) => objects::alarm_history(self, account, region, name, since),
        }
    }

    async fn list_metrics(
        &self,
        target: &Target,
        region: &str,
        namespace: &str,
        metric: Option<&str>,
    ) -> Result<Vec<MetricId>, CloudError> {
        let world = self.lock();
        match world.accounts.get(&target.environment) {
            None => Ok(Vec::new()),
            Some(account) => metrics::list(self, account, region, namespace, metric),
        }
    }

    async fn lock(&self, place: &LockPlace, body: &str) -> Result<String, LockError> {
        self.meter.request("s3:PutObject", false);
        let taken = self.change(|world| {
            let key = format!("{}/{}", place.bucket, place.key);
            match world.locks.get(&key) {
                Some(holder) => Err(LockError::Held(holder.clone())),
                None => {
                    world.locks.insert(key, body.to_owned());
                    Ok(String::new())
                }
            }
        });
        taken.unwrap_or_else(|e| Err(LockError::Failed(refused("s3:PutObject", "StateFile", e))))
    }

    async fn unlock(&self, place: &LockPlace, body: &str, _: &str) -> Result<(), CloudError> {
        self.meter.request("s3:DeleteObject", false);
        let done = self.change(|world| {
            let key = format!("{}/{}", place.bucket, place.key);
            if world.locks.get(&key).is_some_and(|holder| holder == body) {
                world.locks.remove(&key);
                Ok(())
            } else {
                Err(refused(
                    "s3:DeleteObject",
                    "NotOurs",
                    "the lock is somebody else's by now",
                ))
            }
        });
        done.unwrap_or_else(|e| Err(refused("s3:DeleteObject", "StateFile", e)))
    }

    fn objects(&self) -> &dyn crate::cloud::store::ObjectStore {
        self
    }

    fn health(&self) -> &dyn crate::cloud::health::Health {
        self
    }

    fn meter(&self) -> &Meter {
        &self.meter
    }
}
