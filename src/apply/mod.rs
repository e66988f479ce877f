//! Executes a plan exactly: each change is read again before it is written, journalled, written,
//! and verified. Only this module asks the cloud to write.

pub mod journal;
mod lifecycle;
pub mod lock;
pub mod notify;
mod object;
pub mod page_test;
mod settings;
mod tags;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::cloud::{Call, Cloud, CloudError, Subject, Target};
use crate::model::object::ObjectKind;
use crate::model::{IGNORE_TAG, ResourceType, Tags, ignore_reason, owner_of};
use crate::plan::{ActionKind, Change, Operation, Plan};
use journal::Journal;

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum OutcomeKind {
    /// Written and verified.
    Applied,
    /// The target moved since the plan: not written.
    Stale,
    /// Not written, or not verified.
    Failed,
    /// Not tried: interrupted, or it was already as planned.
    Skipped,
}

/// What became of one change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    pub outcome: OutcomeKind,
    /// Which field moved, what failed, or why it was skipped.
    pub error: Option<String>,
    pub duration_ms: u64,
}

impl Outcome {
    fn of(outcome: OutcomeKind, error: impl Into<Option<String>>) -> Self {
        Outcome {
            outcome,
            error: error.into(),
            duration_ms: 0,
        }
    }

    /// Skipped because nothing is left to do, which is no failure.
    pub const ALREADY: &'static str = "already as planned";
    pub const INTERRUPTED: &'static str = "interrupted before it was tried";
}

/// What limits an apply, checked before the first write.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    pub max_changes: Option<u64>,
    pub max_deletes: Option<u64>,
    /// Changes that cause an outage are allowed.
    pub allow_disruptive: bool,
}

impl Limits {
    /// # Errors
    /// Says which limit the plan is over. Without `--max-deletes` nothing with data behind it may
    /// be deleted; removing rules of ours deletes no data and is not counted then.
    pub fn check(&self, plan: &Plan) -> Result<(), String> {
        let changes = plan.changes.len() as u64;
        if let Some(max) = self.max_changes
            && changes > max
        {
            return Err(format!(
                "the plan has {changes} changes, --max-changes allows {max}: nothing was changed"
            ));
        }
        if let Some(max) = self.max_deletes {
            let deletes = plan
                .changes
                .iter()
                .filter(|c| c.action == ActionKind::Delete)
                .count() as u64;
            if deletes > max {
                return Err(format!(
                    "the plan has {deletes} deletions, --max-deletes allows {max}: nothing was changed"
                ));
            }
        }
        let outages: Vec<String> = plan
            .changes
            .iter()
            .filter_map(|c| Some(format!("{} ({})", c.address, c.disruption()?)))
            .collect();
        if !self.allow_disruptive && !outages.is_empty() {
            let n = match outages.len() {
                1 => "1 change causes an outage".to_owned(),
                n => format!("{n} changes cause an outage"),
            };
            return Err(format!(
                "{n}, and --allow-disruptive was not given: nothing was changed. {}",
                outages.join("; ")
            ));
        }
        Ok(())
    }
}

/// All that the executor is given besides the plan.
pub struct Run<'a> {
    pub cloud: &'a dyn Cloud,
    pub journal: &'a Journal,
    /// Cancelled by Ctrl-C: calls in flight finish, nothing new begins.
    pub cancel: &'a CancellationToken,
    pub concurrency: usize,
    /// Called for each change as it ends.
    pub done: &'a (dyn Fn(&Change, &Outcome) + Send + Sync),
}

/// Executes the plan; the outcomes are in the order of its changes.
pub async fn apply(run: &Run<'_>, plan: &Plan) -> Vec<Outcome> {
    let targets: BTreeMap<&str, &Target> = plan
        .targets
        .iter()
        .map(|t| (t.environment.as_str(), t))
        .collect();
    // Tag changes that write the same keys and values in one region share their calls.
    let mut batches: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (i, change) in plan.changes.iter().enumerate() {
        let key = match &change.operation {
            Operation::Tags {
                after,
                unless_owned,
                ..
            } => format!(
                "tags {} {} {unless_owned} {}",
                change.address.environment(),
                change.resource.region,
                serde_json::to_string(after).unwrap_or_default()
            ),
            Operation::Lifecycle { .. } | Operation::Object { .. } | Operation::Settings { .. } => {
                format!("one {i:09}")
            }
        };
        batches.entry(key).or_default().push(i);
    }
    // What others rest on comes first when it is made, and last when it is removed.
    let mut phases: BTreeMap<u8, Vec<Vec<usize>>> = BTreeMap::new();
    for batch in batches.into_values() {
        let phase = phases.entry(rank(&plan.changes[batch[0]])).or_default();
        phase.extend(batch.chunks(20).map(<[usize]>::to_vec));
    }
    let mut outcomes: Vec<Option<Outcome>> = vec![None; plan.changes.len()];
    let mut broken: BTreeMap<String, String> = BTreeMap::new();
    for batches in phases.into_values() {
        one_phase(run, plan, &targets, batches, &broken, &mut outcomes).await;
        for (change, outcome) in plan.changes.iter().zip(&outcomes) {
            let failed = outcome.as_ref().is_some_and(|o| {
                !(o.outcome == OutcomeKind::Applied || o.error.as_deref() == Some(Outcome::ALREADY))
            });
            if failed && change.action == ActionKind::Delete {
                for key in held_by(change) {
                    broken.insert(key, change.address.to_string());
                }
            }
            if failed && change.action == ActionKind::Create {
                broken.insert(change.resource.arn.clone(), change.address.to_string());
                if is_referred_to_by_name(change) {
                    let name = change.resource.name.clone();
                    broken.insert(name, change.address.to_string());
                }
            }
        }
    }
    outcomes
        .into_iter()
        .map(|o| {
            o.unwrap_or_else(|| Outcome::of(OutcomeKind::Failed, "lost by the executor".to_owned()))
        })
        .collect()
}

/// Whether others name it by its name and not by its ARN.
fn is_referred_to_by_name(change: &Change) -> bool {
    let Operation::Object { after, .. } = &change.operation else {
        return false;
    };
    after.as_ref().is_some_and(|object| {
        matches!(
            object.kind(),
            ObjectKind::MetricAlarm | ObjectKind::CompositeAlarm | ObjectKind::AnomalyMonitor
        )
    })
}

/// The order of changes that rest on each other.
fn rank(change: &Change) -> u8 {
    match &change.operation {
        Operation::Tags { .. } | Operation::Lifecycle { .. } | Operation::Settings { .. } => 0,
        Operation::Object { before, after, .. } => match (before, after) {
            (_, Some(object)) => object.kind().rank(),
            (Some(object), None) => 10 - object.kind().rank(),
            (None, None) => 0,
        },
    }
}

/// Runs the batches of one phase; `broken` are ARNs and names that could not be made before it.
///
/// Batches of one type in one region share a lane: a lane that waits for the rate of its API (three
/// alarms a second) leaves slots to the others.
async fn one_phase(
    run: &Run<'_>,
    plan: &Plan,
    targets: &BTreeMap<&str, &Target>,
    batches: Vec<Vec<usize>>,
    broken: &BTreeMap<String, String>,
    outcomes: &mut [Option<Outcome>],
) {
    let mut lanes: BTreeMap<(&str, &str, &str), Vec<Vec<usize>>> = BTreeMap::new();
    for batch in batches {
        let first = &plan.changes[batch[0]];
        let lane = (
            first.address.environment(),
            first.resource.region.as_str(),
            first.resource.kind.as_str(),
        );
        lanes.entry(lane).or_default().push(batch);
    }
    let concurrency = run.concurrency.max(1);
    let slots = Semaphore::new(concurrency);
    let slots = &slots;
    let width = (concurrency / lanes.len().max(1)).max(2);
    let lanes = lanes.into_values().map(|batches| {
        let work = stream::iter(batches).map(move |batch| async move {
            // Never closed.
            let _slot = slots.acquire().await;
            let changes: Vec<&Change> = batch.iter().map(|i| &plan.changes[*i]).collect();
            let started = Instant::now();
            let results = match blocked(changes[0], broken) {
                // Interrupted, nothing is known of what it needs: it was only not tried.
                Some(why) if !run.cancel.is_cancelled() => {
                    vec![Outcome::of(OutcomeKind::Failed, why)]
                }
                _ => one_batch(run, targets, &changes).await,
            };
            let took = started.elapsed().as_millis() as u64;
            batch
                .into_iter()
                .zip(results.into_iter().map(move |mut o| {
                    o.duration_ms = took;
                    o
                }))
                .collect::<Vec<_>>()
        });
        work.buffer_unordered(width).boxed()
    });
    let mut running = stream::select_all(lanes);
    while let Some(results) = running.next().await {
        for (i, outcome) in results {
            (run.done)(&plan.changes[i], &outcome);
            outcomes[i] = Some(outcome);
        }
    }
}

/// Why a change is not tried: what it rests on was not made, or what rests on it was not removed.
fn blocked(change: &Change, broken: &BTreeMap<String, String>) -> Option<String> {
    match &change.operation {
        Operation::Object {
            after: Some(after), ..
        } => {
            let address = after.references().into_iter().find_map(|r| broken.get(r))?;
            Some(format!("not tried: it needs {address}, which was not made"))
        }
        Operation::Object {
            before: Some(_), ..
        } => {
            let resource = &change.resource;
            let named = still_used(&resource.region, &resource.name);
            let found = [still_used("", &resource.arn), named];
            let address = found.iter().find_map(|key| broken.get(key))?;
            Some(format!(
                "not tried: {address} needs it, which was not removed"
            ))
        }
        _ => None,
    }
}

/// The mark of a thing that something still needs; things with an ARN need no region.
fn still_used(region: &str, name: &str) -> String {
    format!("needed: {region} {name}")
}

/// What the object of a removal rests on.
fn held_by(change: &Change) -> Vec<String> {
    let Operation::Object {
        before: Some(before),
        after: None,
        ..
    } = &change.operation
    else {
        return Vec::new();
    };
    let region = &change.resource.region;
    let references = before.references().into_iter();
    references
        .map(|r| match r.starts_with("arn:") {
            true => still_used("", r),
            false => still_used(region, r),
        })
        .collect()
}

async fn one_batch(
    run: &Run<'_>,
    targets: &BTreeMap<&str, &Target>,
    changes: &[&Change],
) -> Vec<Outcome> {
    let every = |kind, text: &str| vec![Outcome::of(kind, text.to_owned()); changes.len()];
    if run.cancel.is_cancelled() {
        return every(OutcomeKind::Skipped, Outcome::INTERRUPTED);
    }
    let Some(target) = changes
        .first()
        .and_then(|c| targets.get(c.address.environment()))
    else {
        return every(
            OutcomeKind::Failed,
            "the plan names no account for this environment",
        );
    };
    match &changes[0].operation {
        Operation::Tags { .. } => tags::batch(run, target, changes).await,
        Operation::Lifecycle {
            before,
            after,
            unless_owned,
        } => {
            let planned = lifecycle::Planned {
                before: before.as_ref(),
                after: after.as_ref(),
                unless_owned: *unless_owned,
            };
            vec![lifecycle::one(run, target, changes[0], planned).await]
        }
        Operation::Object {
            before,
            after,
            tags,
        } => {
            let planned = object::Planned {
                before: before.as_deref(),
                after: after.as_deref(),
                tags,
            };
            vec![object::one(run, target, changes[0], planned).await]
        }
        Operation::Settings {
            before,
            after,
            copy,
            unless_owned,
        } => {
            let planned = settings::Planned {
                before,
                after,
                copy: copy.as_ref(),
                unless_owned: *unless_owned,
            };
            vec![settings::one(run, target, changes[0], planned).await]
        }
    }
}

/// Journals a call, durably, and only then makes it.
async fn write(
    run: &Run<'_>,
    target: &Target,
    addresses: &[&str],
    call: &Call,
) -> Result<Vec<Result<(), CloudError>>, String> {
    let id = run
        .journal
        .intent(&target.environment, addresses, call)
        .map_err(|e| format!("the journal could not be written, so nothing was changed: {e}"))?;
    let results = run.cloud.execute(target, call).await;
    // The write has happened; a journal that cannot note its end does not undo it.
    let noted = run.journal.result(id, &results);
    if let Err(e) = noted {
        tracing::warn!("the journal could not note the end of a call: {e}");
    }
    Ok(results)
}

/// Tries of a change that is one resource as a whole; before each, what it replaces is read again.
const TRIES: u32 = 5;

/// How the calls of one try ended.
enum Tried {
    Done,
    /// To be tried again, after looking again.
    Again(String),
    /// Refused, perhaps because the try before it was carried out: looking tells.
    Refused(String),
    End(Outcome),
}

/// Makes the calls of one try, in order. `busy`: how long to wait for what is no fault but a state
/// that passes. `before`: an earlier try was broken off.
async fn attempt(
    run: &Run<'_>,
    target: &Target,
    address: &str,
    calls: Vec<Call>,
    number: u32,
    before: bool,
    busy: fn(&CloudError) -> Option<Duration>,
) -> Tried {
    for call in calls {
        let error = match write(run, target, &[address], &call).await {
            Err(e) => return Tried::End(Outcome::of(OutcomeKind::Failed, e)),
            Ok(results) => match results.into_iter().next() {
                Some(Err(error)) => error,
                _ => continue,
            },
        };
        let pause = busy(&error).or(error
            .is_transient()
            .then(|| Duration::from_millis(250 << number)));
        return match pause {
            Some(pause) if number < TRIES => {
                tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                Tried::Again(error.to_string())
            }
            _ if !error.maybe_done && !before => {
                Tried::End(Outcome::of(OutcomeKind::Failed, error.to_string()))
            }
            _ => Tried::Refused(error.to_string()),
        };
    }
    Tried::Done
}

fn subject(change: &Change) -> Subject {
    Subject {
        arn: change.resource.arn.clone(),
        kind: ResourceType::new(change.resource.kind.clone()),
        name: change.resource.name.clone(),
        region: change.resource.region.clone(),
    }
}

/// Why a resource is to be left alone by its tags as they are right now; the plan may rest on tags
/// that were older.
fn standing(tags: &Tags, unless_owned: bool) -> Option<Outcome> {
    if ignore_reason(tags).is_some() {
        return Some(Outcome::of(
            OutcomeKind::Stale,
            format!("the resource bears {IGNORE_TAG} now, so it is left alone"),
        ));
    }
    match owner_of(tags) {
        Some(owner) if unless_owned => Some(Outcome::of(
            OutcomeKind::Stale,
            format!("the resource belongs to {owner}, so it is left alone"),
        )),
        _ => None,
    }
}

/// How long to wait before each further look at what was written: reads may lag behind writes.
const VERIFY_AFTER: [Duration; 8] = [
    Duration::ZERO,
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(15),
];

/// The sum of [`VERIFY_AFTER`], for messages.
const VERIFY_SECONDS: u32 = 31;
