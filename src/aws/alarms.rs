//! The alarms of an account: all kinds in one sweep of each region, the tags of those that may be
//! ours, the topics that they notify, and whether the metrics that they watch exist.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use aws_sdk_cloudwatch::types::{AlarmType, StateValue};
use aws_smithy_types::DateTime;
use futures::future::join_all;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use tokio::sync::OnceCell;

use super::error::{self, Named};
use super::listing::pages;
use super::objects::{composite_alarm, metric_alarm};
use super::pace::Api;
use super::session::{Region, Session};
use super::{cloudwatch, metrics, money, tagging};
use crate::cloud::{AlarmEvent, CloudError, Subject, Want};
use crate::inventory::{
    AlarmDefinition, AlarmFact, EnvironmentInventory, Gap, MetricsKey, Observed,
};
use crate::model::object::{MANAGED_TAG, MetricId};
use crate::model::{Arn, Control, ResourceType, Tags};

pub const DESCRIBE: &str = "cloudwatch:DescribeAlarms";
const READ_TAGS: &str = "cloudwatch:ListTagsForResource";
const LIST_METRICS: &str = "cloudwatch:ListMetrics";
const TOPIC: &str = "sns:GetTopicAttributes";
/// From so many alarms on, the tagging API is asked for the tags of all of them at once.
const FEW: usize = 10;

/// All alarms of one region, as far as they could be read; without tags.
#[derive(Debug, Default)]
pub struct Sweep {
    pub alarms: Vec<AlarmFact>,
    pub error: Option<CloudError>,
}

/// The sweep of each region, made once, whoever asks first.
#[derive(Debug, Default)]
pub struct Sweeps(std::sync::Mutex<HashMap<String, Arc<OnceCell<Sweep>>>>);

impl Sweeps {
    fn cell(&self, region: &str) -> Arc<OnceCell<Sweep>> {
        let mut cells = self.0.lock().unwrap_or_else(|e| e.into_inner());
        Arc::clone(cells.entry(region.to_owned()).or_default())
    }

    /// Runs `look` over the sweep of a region.
    pub async fn of<T>(&self, region: &Region, look: impl FnOnce(&Sweep) -> T) -> T {
        let cell = self.cell(&region.name);
        look(cell.get_or_init(|| sweep(region)).await)
    }
}

fn instant(time: Option<&DateTime>) -> Option<Timestamp> {
    Timestamp::from_second(time?.secs()).ok()
}

async fn sweep(region: &Region) -> Sweep {
    let mut found = Sweep::default();
    let alarms = &mut found.alarms;
    let outcome = pages!(DESCRIBE, |token| {
        region.pace(Api::DescribeAlarms).await;
        let page = region
            .cloudwatch()
            .describe_alarms()
            // Without types only metric alarms come. Source: CloudWatch API reference.
            .alarm_types(AlarmType::MetricAlarm)
            .alarm_types(AlarmType::CompositeAlarm)
            .alarm_types(AlarmType::LogAlarm)
            .max_records(100)
            .set_next_token(token)
            .send()
            .await
            .named(DESCRIBE)?;
        let fact = |arn: Option<&str>,
                    definition: Option<AlarmDefinition>,
                    state: Option<&StateValue>,
                    reason: Option<&str>,
                    since: Option<&DateTime>| {
            Some(AlarmFact {
                arn: arn?.to_owned(),
                definition: definition?,
                state: state.map(|s| s.as_str().to_owned()).unwrap_or_default(),
                state_reason: reason.unwrap_or_default().to_owned(),
                state_since: instant(since),
                tags: Observed::default(),
            })
        };
        alarms.extend(page.metric_alarms().iter().filter_map(|a| {
            fact(
                a.alarm_arn(),
                metric_alarm(&region.name, a),
                a.state_value(),
                a.state_reason(),
                // The other time also moves when only the reason changes.
                a.state_transitioned_timestamp()
                    .or(a.state_updated_timestamp()),
            )
        }));
        alarms.extend(page.composite_alarms().iter().filter_map(|a| {
            fact(
                a.alarm_arn(),
                composite_alarm(&region.name, a),
                a.state_value(),
                a.state_reason(),
                a.state_transitioned_timestamp()
                    .or(a.state_updated_timestamp()),
            )
        }));
        alarms.extend(page.log_alarms().iter().filter_map(|a| {
            let definition = AlarmDefinition::Other {
                name: a.alarm_name()?.to_owned(),
                region: region.name.clone(),
            };
            fact(
                a.alarm_arn(),
                Some(definition),
                a.state_value(),
                a.state_reason(),
                a.state_transitioned_timestamp()
                    .or(a.state_updated_timestamp()),
            )
        }));
        Ok(page.next_token)
    });
    found.error = outcome.err();
    found
}

/// Adds the alarms that `want` asks for to an inventory that has its resources already.
pub async fn observe(
    session: &Session,
    want: &Want,
    sweeps: &Sweeps,
    inventory: &mut EnvironmentInventory,
) {
    let regions = join_all(want.alarms.iter().map(|name| session.region(name))).await;
    let reads = regions.iter().map(|region| async move {
        let found = sweeps
            .of(region, |sweep| match &sweep.error {
                None => Ok(sweep.alarms.clone()),
                Some(error) => Err(error.clone()),
            })
            .await;
        (region, found)
    });
    let mut gaps = Vec::new();
    let mut all: Vec<(&Arc<Region>, Vec<AlarmFact>)> = Vec::new();
    for (region, found) in join_all(reads).await {
        match found {
            Ok(alarms) => all.push((region, alarms)),
            Err(error) => {
                let text = error::text(&error);
                gaps.push((region.name.clone(), DESCRIBE, None, text.clone()));
                let unknown = Observed::Unknown(text);
                inventory.alarms.insert(region.name.clone(), unknown);
            }
        }
    }
    let known: HashMap<&str, &Tags> = inventory
        .resources
        .iter()
        .filter(|r| r.kind == ResourceType::CLOUDWATCH_ALARM)
        .filter_map(|r| Some((r.arn.as_str(), r.tags.known()?)))
        .collect();
    let tagged = all
        .iter_mut()
        .map(|(region, alarms)| read_tags(region, alarms, want, &known));
    for failures in join_all(tagged).await {
        gaps.extend(failures);
    }
    if want.alarm_metrics {
        let (found, failures) = existing(session, &all).await;
        inventory.metrics = found;
        gaps.extend(failures);
    }
    for (region, mut alarms) in all {
        alarms.sort_by(|a, b| a.definition.name().cmp(b.definition.name()));
        let name = region.name.clone();
        inventory.alarms.insert(name, Observed::Known(alarms));
    }
    let target = &session.target;
    if want.alarm_topics {
        let topics = topics(inventory);
        let unread = topics
            .iter()
            .filter(|arn| !inventory.topics.contains_key(*arn));
        let reads = unread.map(|arn| async move { (arn, money::topic(session, arn).await) });
        for (arn, (fact, failed)) in join_all(reads).await {
            let parsed = Arn::parse(arn);
            // Nobody expects to read the topics of other accounts.
            let own = parsed.as_ref().is_some_and(|a| a.account == target.account);
            gaps.extend(failed.into_iter().filter(|_| own).map(|error| {
                let region = parsed.as_ref().map_or("", |a| a.region).to_owned();
                let name = arn.rsplit(':').next().map(str::to_owned);
                (region, TOPIC, name, error::text(&error))
            }));
            inventory.topics.insert(arn.clone(), fact);
        }
    }
    for (region, operation, resource, error) in gaps {
        // The billing alarm is the budgets control's; it lives where the billing metric is.
        let billing = want.budgets && region == money::REGION && operation != TOPIC;
        let controls = [Some(Control::Alarms), billing.then_some(Control::Budgets)];
        inventory
            .gaps
            .extend(controls.into_iter().flatten().map(|control| Gap {
                environment: target.environment.clone(),
                account: target.account.clone(),
                region: region.clone(),
                control,
                operation: operation.to_owned(),
                resource: resource.clone(),
                error: error.clone(),
            }));
    }
}

/// Region, operation, resource, error.
type Failure = (String, &'static str, Option<String>, String);

fn subject(region: &Region, alarm: &AlarmFact) -> Subject {
    Subject {
        arn: alarm.arn.clone(),
        kind: ResourceType::CLOUDWATCH_ALARM,
        name: alarm.definition.name().to_owned(),
        region: region.name.clone(),
    }
}

async fn read_one(
    region: &Arc<Region>,
    index: usize,
    subject: Subject,
) -> (usize, Result<Tags, CloudError>) {
    let _slot = region.slot().await;
    (index, cloudwatch::read_tags(region, &subject).await)
}

/// Reads the tags of the alarms that bear a name of ours.
async fn read_tags(
    region: &Arc<Region>,
    alarms: &mut [AlarmFact],
    want: &Want,
    known: &HashMap<&str, &Tags>,
) -> Vec<Failure> {
    let ours = |alarm: &AlarmFact| {
        let name = alarm.definition.name();
        let mut prefixes = want.own_alarm_prefixes.iter();
        prefixes.any(|prefix| name.starts_with(prefix.as_str()))
    };
    let own: Vec<usize> = (0..alarms.len()).filter(|i| ours(&alarms[*i])).collect();
    let listed = match own.len() > FEW && !want.tags {
        true => {
            tagging::read_all(region, Some(&["cloudwatch:alarm"]))
                .await
                .by_arn
        }
        false => HashMap::new(),
    };
    let mut unread = Vec::new();
    for i in own {
        let alarm = &mut alarms[i];
        let found = listed
            .get(&alarm.arn)
            .or(known.get(alarm.arn.as_str()).copied());
        match found.filter(|t| t.contains_key(MANAGED_TAG)) {
            Some(tags) => alarm.tags = Observed::Known(tags.clone()),
            // What is made of it has to be certain: the tagging API may lag behind a new alarm.
            None => unread.push((i, subject(region, alarm))),
        }
    }
    let reads = stream::iter(unread).map(|(i, subject)| read_one(region, i, subject));
    let answers: Vec<_> = reads
        .buffer_unordered(region.shared.concurrency)
        .collect()
        .await;
    let mut failures = Vec::new();
    for (i, answer) in answers {
        let Some(alarm) = alarms.get_mut(i) else {
            continue;
        };
        alarm.tags = match answer {
            Ok(tags) => Observed::Known(tags),
            Err(error) => {
                let text = error::text(&error);
                let name = alarm.definition.name().to_owned();
                failures.push((name, error.code, text.clone()));
                Observed::Unknown(text)
            }
        };
    }
    // One for all that failed alike.
    let mut groups: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for (name, code, text) in failures {
        groups.entry(code).or_default().push((name, text));
    }
    groups
        .into_values()
        .filter_map(|mut group| {
            group.sort();
            let count = group.len();
            let (name, text) = group.into_iter().next()?;
            Some(match count {
                1 => (region.name.clone(), READ_TAGS, Some(name), text),
                n => {
                    let text = format!("{text} ({name} and {} more)", n - 1);
                    (region.name.clone(), READ_TAGS, None, text)
                }
            })
        })
        .collect()
}

async fn list_metrics(
    session: &Session,
    key: MetricsKey,
) -> (MetricsKey, Result<Vec<MetricId>, CloudError>) {
    let region = session.region(&key.region).await;
    let _slot = region.slot().await;
    let found = metrics::list(&region, &key.namespace, Some(&key.metric)).await;
    (key, found)
}

type Existing = BTreeMap<MetricsKey, Observed<BTreeSet<MetricId>>>;

/// The metrics that exist under the names that alarms watch: one sweep for each name.
async fn existing(
    session: &Session,
    all: &[(&Arc<Region>, Vec<AlarmFact>)],
) -> (Existing, Vec<Failure>) {
    let mut wanted: BTreeSet<MetricsKey> = BTreeSet::new();
    for (region, alarms) in all {
        for alarm in alarms {
            wanted.extend(alarm.definition.metrics().into_iter().map(|m| MetricsKey {
                region: region.name.clone(),
                namespace: m.namespace.clone(),
                metric: m.metric.clone(),
            }));
        }
    }
    let reads = stream::iter(wanted).map(|key| list_metrics(session, key));
    let mut out = Existing::new();
    let mut failures: BTreeMap<(String, String), String> = BTreeMap::new();
    let mut reads = reads.buffer_unordered(session.shared.concurrency);
    while let Some((key, found)) = reads.next().await {
        let observed = match found {
            Ok(metrics) => Observed::Known(metrics.into_iter().collect()),
            Err(error) => {
                let text = error::text(&error);
                failures.insert((key.region.clone(), error.code), text.clone());
                Observed::Unknown(text)
            }
        };
        out.insert(key, observed);
    }
    let failures = failures
        .into_iter()
        .map(|((region, _), text)| (region, LIST_METRICS, None, text))
        .collect();
    (out, failures)
}

/// The topics that alarms notify, wherever they are.
pub fn topics(inventory: &EnvironmentInventory) -> BTreeSet<String> {
    let alarms = inventory.alarms.values().filter_map(Observed::known);
    alarms
        .flatten()
        .flat_map(|alarm| alarm.definition.actions())
        .filter(|action| Arn::parse(action).is_some_and(|arn| arn.service == "sns"))
        .cloned()
        .collect()
}

const HISTORY: &str = "cloudwatch:DescribeAlarmHistory";

/// What happened to an alarm, oldest first.
pub async fn history(
    region: &Region,
    name: &str,
    since: Timestamp,
) -> Result<Vec<AlarmEvent>, CloudError> {
    let mut found = Vec::new();
    pages!(HISTORY, |token| {
        region.pace(Api::DeleteAlarms).await;
        let page = region
            .cloudwatch()
            .describe_alarm_history()
            .alarm_name(name)
            // Without types only metric alarms count. Source: CloudWatch API reference.
            .alarm_types(AlarmType::MetricAlarm)
            .alarm_types(AlarmType::CompositeAlarm)
            .start_date(DateTime::from_secs(since.as_second()))
            .max_records(100)
            .set_next_token(token)
            .send()
            .await
            .named(HISTORY)?;
        found.extend(page.alarm_history_items().iter().filter_map(|item| {
            Some(AlarmEvent {
                at: item
                    .timestamp()
                    .and_then(|t| Timestamp::from_nanosecond(t.as_nanos()).ok())?,
                kind: item.history_item_type()?.as_str().to_owned(),
                summary: item.history_summary().unwrap_or_default().to_owned(),
            })
        }));
        Ok(page.next_token)
    })?;
    found.retain(|event| event.at >= since);
    found.sort_by_key(|event| event.at);
    Ok(found)
}
