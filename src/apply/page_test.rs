//! Proves that an alarm reaches its topics: sets its state, looks at what CloudWatch did, puts the
//! state back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::cloud::{Call, Cloud, CloudError, Target, Want};
use crate::inventory::{AlarmDefinition, AlarmFact, Observed};
use crate::model::Arn;

const ALARM: &str = "ALARM";
/// How long CloudWatch gets for its actions.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(1);

/// What a test would do, before it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    pub region: String,
    pub name: String,
    /// The state that it has, and gets back.
    pub state: String,
    /// Topics that are told of the alarm.
    pub topics: BTreeSet<String>,
    /// Topics that are told when the state is put back.
    pub topics_after: BTreeSet<String>,
    /// Actions that are no notification: `arn:aws:automate:…:ec2:stop`.
    pub other_actions: BTreeSet<String>,
    /// Composite alarms that look at it, and may fire with it.
    pub composites: BTreeSet<String>,
}

/// What became of the message to one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The topic took the message.
    Accepted,
    /// CloudWatch tried, and says why it failed.
    Failed(String),
    /// Nothing in the alarm's history within the time that it got.
    Unknown,
}

/// What a test showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub deliveries: BTreeMap<String, Delivery>,
    /// Why the state could not be put back, where it could not.
    pub not_restored: Option<String>,
    /// Why the history could not be read, where it could not.
    pub unread: Option<String>,
}

impl Shown {
    /// Every topic took its message, and the state is as it was.
    pub fn passed(&self) -> bool {
        let accepted = self.deliveries.values().all(|d| *d == Delivery::Accepted);
        accepted && !self.deliveries.is_empty() && self.not_restored.is_none()
    }
}

fn is_topic(action: &str) -> bool {
    Arn::parse(action).is_some_and(|arn| arn.service == "sns")
}

fn actions<'a>(fact: &'a AlarmFact, state: &str) -> BTreeSet<&'a String> {
    let (alarm, ok, insufficient) = match &fact.definition {
        AlarmDefinition::Metric(a) => (
            &a.alarm_actions,
            &a.ok_actions,
            &a.insufficient_data_actions,
        ),
        AlarmDefinition::Composite(a) => (
            &a.alarm_actions,
            &a.ok_actions,
            &a.insufficient_data_actions,
        ),
        AlarmDefinition::Other { .. } => return BTreeSet::new(),
    };
    match state {
        ALARM => alarm.iter().collect(),
        "OK" => ok.iter().collect(),
        _ => insufficient.iter().collect(),
    }
}

/// Looks at the alarm; nothing is changed.
///
/// # Errors
/// Why it cannot be tested, and what to do about it.
pub async fn prepare(
    cloud: &dyn Cloud,
    target: &Target,
    region: &str,
    name: &str,
) -> Result<Option<Prepared>, String> {
    let want = Want {
        alarms: BTreeSet::from([region.to_owned()]),
        ..Want::default()
    };
    let inventory = cloud.observe(target, &want).await;
    let all = match inventory.alarms.get(region) {
        Some(Observed::Known(all)) => all,
        Some(Observed::Unknown(error)) => {
            return Err(format!("the alarms in {region} could not be read: {error}"));
        }
        _ => return Ok(None),
    };
    let Some(fact) = all.iter().find(|a| a.definition.name() == name) else {
        return Ok(None);
    };
    let enabled = match &fact.definition {
        AlarmDefinition::Metric(a) => a.actions_enabled,
        AlarmDefinition::Composite(a) => a.actions_enabled,
        AlarmDefinition::Other { .. } => {
            return Err(format!(
                "{name} is of a kind that opsctl cannot test (log, PromQL)"
            ));
        }
    };
    if !enabled {
        return Err(format!(
            "the actions of {name} are switched off, so nobody would be told: `aws cloudwatch enable-alarm-actions --alarm-names {name}` first"
        ));
    }
    if fact.state == ALARM {
        return Err(format!(
            "{name} is in ALARM already: only the change into it has actions. Nothing was changed"
        ));
    }
    let composites: Vec<&AlarmFact> = all
        .iter()
        .filter(|a| match &a.definition {
            AlarmDefinition::Composite(c) => c.children.contains(name),
            _ => false,
        })
        .collect();
    // What may follow: those of the alarm in both states, and of the composites above it.
    let follow = [ALARM, fact.state.as_str()]
        .into_iter()
        .flat_map(|state| actions(fact, state))
        .chain(composites.iter().flat_map(|c| c.definition.actions()));
    let topics = |state: &str| -> BTreeSet<String> {
        let all = actions(fact, state).into_iter();
        all.filter(|a| is_topic(a)).cloned().collect()
    };
    let prepared = Prepared {
        region: region.to_owned(),
        name: name.to_owned(),
        state: fact.state.clone(),
        topics: topics(ALARM),
        topics_after: topics(&fact.state),
        other_actions: follow.filter(|a| !is_topic(a)).cloned().collect(),
        composites: composites
            .iter()
            .map(|c| c.definition.name().to_owned())
            .collect(),
    };
    if prepared.topics.is_empty() {
        return Err(format!(
            "{name} notifies no topic when it goes into alarm: there is no delivery to test"
        ));
    }
    Ok(Some(prepared))
}

async fn set(
    cloud: &dyn Cloud,
    target: &Target,
    prepared: &Prepared,
    state: &str,
    reason: &str,
) -> Result<(), CloudError> {
    let call = Call::SetAlarmState {
        region: prepared.region.clone(),
        name: prepared.name.clone(),
        state: state.to_owned(),
        reason: reason.to_owned(),
    };
    let results = cloud.execute(target, &call).await;
    results.into_iter().next().unwrap_or(Ok(()))
}

/// Carries the test out. `now` is the time on this machine, from which the history is read.
///
/// # Errors
/// Why the state could not be set; then nothing happened.
pub async fn run(
    cloud: &dyn Cloud,
    target: &Target,
    prepared: &Prepared,
    now: Timestamp,
) -> Result<Shown, CloudError> {
    let reason = "Test of the notifications by opsctl doctor --page-test; not a real alarm";
    if let Err(error) = set(cloud, target, prepared, ALARM, reason).await {
        if error.maybe_done {
            let back = "After a test by opsctl doctor --page-test";
            // It may have been set; that it cannot be put back then is said by the first error.
            let _ = set(cloud, target, prepared, &prepared.state, back).await;
        }
        return Err(error);
    }
    let (deliveries, unread) = watch(cloud, target, prepared, now).await;
    let back = "After a test of the notifications by opsctl doctor --page-test";
    let mut not_restored = None;
    for _ in 0..3 {
        match set(cloud, target, prepared, &prepared.state, back).await {
            Ok(()) => {
                not_restored = None;
                break;
            }
            Err(error) => {
                not_restored = Some(error.to_string());
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    Ok(Shown {
        deliveries,
        not_restored,
        unread,
    })
}

/// Waits until the history speaks of every topic.
async fn watch(
    cloud: &dyn Cloud,
    target: &Target,
    prepared: &Prepared,
    now: Timestamp,
) -> (BTreeMap<String, Delivery>, Option<String>) {
    let mut deliveries: BTreeMap<String, Delivery> = prepared
        .topics
        .iter()
        .map(|topic| (topic.clone(), Delivery::Unknown))
        .collect();
    let mut unread = None;
    let begun = tokio::time::Instant::now();
    // The clock of this machine may be ahead of AWS's.
    let since = now - jiff::SignedDuration::from_secs(60);
    while begun.elapsed() < PATIENCE {
        match cloud
            .alarm_history(target, &prepared.region, &prepared.name, since)
            .await
        {
            Ok(events) => {
                unread = None;
                let set_at = events
                    .iter()
                    .rposition(|e| e.kind == "StateUpdate")
                    .unwrap_or(0);
                // Actions follow the change of state, or bear its very time.
                let after = events.get(set_at).map_or(Timestamp::MIN, |e| e.at);
                for event in events
                    .iter()
                    .filter(|e| e.kind == "Action" && e.at >= after)
                {
                    for (topic, delivery) in &mut deliveries {
                        if !event.summary.contains(topic.as_str()) {
                            continue;
                        }
                        // Source: CloudWatch user guide, alarm history.
                        if event.summary.starts_with("Successfully executed action") {
                            *delivery = Delivery::Accepted;
                        } else {
                            *delivery = Delivery::Failed(event.summary.clone());
                        }
                    }
                }
            }
            Err(error) => {
                let hopeless = !error.is_transient();
                unread = Some(error.to_string());
                if hopeless {
                    break;
                }
            }
        }
        if deliveries.values().all(|d| *d != Delivery::Unknown) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    (deliveries, unread)
}
