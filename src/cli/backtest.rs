//! `opsctl plan --backtest`: reads the history that planned alarms watch, and evaluates them over it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};

use super::context::{Interrupt, Progress};
use super::session::Session;
use super::{Failure, Global};
use crate::backtest::{Backtest, Run, queries, report, run, run_composite, unable};
use crate::cloud::{Cloud, CloudError, Series, SeriesQuery, Target, TimeSpan};
use crate::inventory::{Gap, Observed};
use crate::model::object::{MetricId, Object, ObjectKey, ObjectKind};
use crate::model::{Address, Control};
use crate::plan::{Operation, Plan, file};

/// Points of one minute are kept for 15 days. Source: CloudWatch user guide, "Metrics retention".
const LONGEST: Duration = Duration::from_secs(15 * 86_400);
/// Points may come late by so much, and would look like missing ones.
const LATE: SignedDuration = SignedDuration::from_mins(3);

/// A length of time such as `14d`, up to the 15 days that CloudWatch keeps points of a minute.
pub fn duration(text: &str) -> Result<Duration, String> {
    let length = humantime::parse_duration(text).map_err(|e| e.to_string())?;
    match length {
        l if l > LONGEST => Err("CloudWatch keeps points of one minute for 15 days".to_owned()),
        l if l < Duration::from_secs(3600) => Err("at least 1h".to_owned()),
        l => Ok(l),
    }
}

/// Environment and region.
type Place = (String, String);
type Wanted = (MetricId, String, u32);

fn wanted(query: &SeriesQuery) -> Wanted {
    (query.metric.clone(), query.statistic.clone(), query.period)
}

/// Adds a backtest of every planned alarm to the plan.
pub async fn add(
    global: &Global,
    session: &Session,
    plan: &mut Plan,
    length: Duration,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let progress = Progress::spinner(global, "reading the history of metrics");
    let now = Timestamp::now();
    tokio::select! {
        found = collect(session.cloud.as_ref(), plan, length, now) => {
            let (backtest, gaps) = found?;
            plan.backtest = backtest;
            plan.unobserved.extend(gaps);
        }
        () = interrupt.cancel.cancelled() => return Ok(()),
    }
    drop(progress);
    plan.unobserved.sort();
    plan.unobserved.dedup();
    plan.summary.unobserved = plan.unobserved.len() as u64;
    plan.api = session.cloud.meter().snapshot();
    file::seal(plan);
    Ok(())
}

async fn collect(
    cloud: &dyn Cloud,
    plan: &Plan,
    length: Duration,
    now: Timestamp,
) -> Result<(Vec<Backtest>, Vec<Gap>), Failure> {
    let time = |e: jiff::Error| Failure::new(format!("the clock of this machine is off: {e}"));
    let to = now.checked_sub(LATE).map_err(time)?;
    let to = Timestamp::from_second(to.as_second() / 60 * 60).map_err(time)?;
    let span = TimeSpan {
        from: to.checked_sub(length).map_err(time)?,
        to,
    };
    let planned: Vec<(&Address, &Object)> = plan
        .changes
        .iter()
        .filter_map(|change| match &change.operation {
            Operation::Object {
                after: Some(after), ..
            } if matches!(
                after.kind(),
                ObjectKind::MetricAlarm | ObjectKind::CompositeAlarm
            ) =>
            {
                Some((&change.address, after.as_ref()))
            }
            _ => None,
        })
        .collect();
    let targets: BTreeMap<&str, &Target> = plan
        .targets
        .iter()
        .map(|t| (t.environment.as_str(), t))
        .collect();
    let mut alarms: BTreeMap<Place, BTreeMap<String, Object>> = BTreeMap::new();
    for (address, object) in &planned {
        let place = (address.environment().to_owned(), object.region().to_owned());
        let here = alarms.entry(place).or_default();
        here.insert(object.name().to_owned(), (*object).clone());
    }
    let mut out: Vec<Backtest> = Vec::new();
    let mut gaps = Vec::new();
    for ((environment, region), here) in &mut alarms {
        let Some(target) = targets.get(environment.as_str()) else {
            continue;
        };
        add_children(cloud, target, region, here).await;
        let (runs, failed) = runs(cloud, target, region, here, &span).await;
        for error in failed {
            gaps.push(Gap {
                environment: environment.clone(),
                account: target.account.clone(),
                region: region.clone(),
                control: Control::Alarms,
                operation: error.operation.clone(),
                resource: None,
                error: format!("{}: {}", error.code, error.message),
            });
        }
        for (address, object) in &planned {
            if address.environment() == environment && object.region() == region {
                out.push(match runs.get(object.name()) {
                    Some(Ok(run)) => report(address, object, run, &span),
                    Some(Err(why)) => unable(address, &span, why),
                    None => unable(address, &span, "its children refer to each other"),
                });
            }
        }
    }
    out.sort_by(|a, b| a.address.cmp(&b.address));
    Ok((out, gaps))
}

/// Alarms that composites of the plan rest on and that are there already.
async fn add_children(
    cloud: &dyn Cloud,
    target: &Target,
    region: &str,
    here: &mut BTreeMap<String, Object>,
) {
    let mut tried: BTreeSet<String> = BTreeSet::new();
    loop {
        let missing: BTreeSet<String> = here
            .values()
            .filter_map(|object| match object {
                Object::CompositeAlarm(alarm) => Some(&alarm.children),
                _ => None,
            })
            .flatten()
            .filter(|child| !here.contains_key(*child) && !tried.contains(*child))
            .cloned()
            .collect();
        if missing.is_empty() {
            return;
        }
        let reads = missing.iter().map(|name| async move {
            let key = ObjectKey {
                kind: ObjectKind::MetricAlarm,
                region: region.to_owned(),
                name: name.clone(),
            };
            cloud.read_object(target, &key).await
        });
        for (name, found) in missing.iter().zip(join_all(reads).await) {
            if let Observed::Known(reading) = found {
                here.insert(name.clone(), reading.object);
            }
        }
        tried.extend(missing);
    }
}

type Runs = BTreeMap<String, Result<Run, String>>;

/// All alarms of one region over the span, and each kind of failure once.
async fn runs(
    cloud: &dyn Cloud,
    target: &Target,
    region: &str,
    here: &BTreeMap<String, Object>,
    span: &TimeSpan,
) -> (Runs, Vec<CloudError>) {
    let mut asked: BTreeMap<Wanted, SeriesQuery> = BTreeMap::new();
    for object in here.values() {
        if let Object::MetricAlarm(alarm) = object {
            let all = queries(alarm).unwrap_or_default();
            asked.extend(all.into_iter().map(|q| (wanted(&q), q)));
        }
    }
    let list: Vec<SeriesQuery> = asked.values().cloned().collect();
    let answers = match list.is_empty() {
        true => Vec::new(),
        false => cloud.metric_data(target, region, &list, span).await,
    };
    let series: BTreeMap<&Wanted, Result<Series, CloudError>> = asked.keys().zip(answers).collect();
    let mut failed: BTreeMap<&str, &CloudError> = BTreeMap::new();
    for error in series.values().filter_map(|s| s.as_ref().err()) {
        failed.insert(&error.code, error);
    }
    let failed = failed.into_values().cloned().collect();
    let mut runs = Runs::new();
    for (name, object) in here {
        if let Object::MetricAlarm(alarm) = object {
            let found = queries(alarm).and_then(|all| {
                let points: Result<Vec<Series>, String> = all
                    .iter()
                    .map(|q| match series.get(&wanted(q)) {
                        Some(Ok(points)) => Ok(points.clone()),
                        Some(Err(e)) => Err(format!("{}: {}", e.code, e.message)),
                        None => Err("its metrics were not read".to_owned()),
                    })
                    .collect();
                run(alarm, &points?, span)
            });
            runs.insert(name.clone(), found);
        }
    }
    // Composites rest on each other without circles, so this ends.
    loop {
        let next = here.iter().find_map(|(name, object)| match object {
            Object::CompositeAlarm(alarm) if !runs.contains_key(name) => {
                let ready = |child: &String| runs.contains_key(child) || !here.contains_key(child);
                alarm.children.iter().all(ready).then_some((name, alarm))
            }
            _ => None,
        });
        let Some((name, alarm)) = next else {
            return (runs, failed);
        };
        let children = alarm
            .children
            .iter()
            .filter_map(|child| Some((child.clone(), runs.get(child)?.as_ref())))
            .map(|(child, run)| (child, run.map_err(String::clone)))
            .collect();
        let found = run_composite(alarm, &children);
        runs.insert(name.clone(), found);
    }
}
