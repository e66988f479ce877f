//! CloudWatch alarms.

use super::super::world::{Account, AlarmItem, Item};
use super::super::writes::lost;
use super::super::{Sandbox, gaps, refused};
use crate::cloud::{Call, CloudError, ObjectReading, Target, Want};
use crate::inventory::{AlarmDefinition, AlarmFact, EnvironmentInventory, Observed};
use crate::model::object::{Object, ObjectKey};
use crate::model::{Control, ResourceType, Tags};

fn arn(account: &Account, object: &Object) -> String {
    let kind = object.kind();
    kind.arn("aws", object.region(), &account.id, object.name())
}

/// The alarms of the regions that were asked for; their tags where they bear a name of ours.
pub fn observe(
    sandbox: &Sandbox,
    account: &Account,
    target: &Target,
    want: &Want,
    controls: &[Control],
    seen: &mut EnvironmentInventory,
) {
    for region in &want.alarms {
        let operation = "cloudwatch:DescribeAlarms";
        if let Err(e) = sandbox.enter(account, operation, region) {
            seen.gaps
                .extend(gaps(target, region, controls, operation, None, &e));
            let unknown = Observed::Unknown(e.to_string());
            seen.alarms.insert(region.clone(), unknown);
            continue;
        }
        let mut found = Vec::new();
        let there = account.alarms.iter();
        for (arn, item) in there.filter(|(_, item)| item.alarm.region() == region) {
            let name = item.alarm.name();
            let definition = match &item.alarm {
                Object::MetricAlarm(alarm) => AlarmDefinition::Metric(alarm.clone()),
                Object::CompositeAlarm(alarm) => AlarmDefinition::Composite(alarm.clone()),
                other => AlarmDefinition::Other {
                    name: other.name().to_owned(),
                    region: region.clone(),
                },
            };
            let ours = want.own_alarm_prefixes.iter();
            let tags = if ours.into_iter().any(|prefix| name.starts_with(prefix)) {
                let operation = "cloudwatch:ListTagsForResource";
                match sandbox.enter(account, operation, name) {
                    Ok(_) => Observed::Known(tags(account, arn)),
                    Err(e) => {
                        let gap = gaps(target, region, controls, operation, Some(name), &e);
                        seen.gaps.extend(gap);
                        Observed::Unknown(e.to_string())
                    }
                }
            } else {
                Observed::default()
            };
            found.push(AlarmFact {
                arn: arn.clone(),
                definition,
                state: item.state.clone(),
                state_reason: String::new(),
                state_since: None,
                tags,
            });
        }
        seen.alarms.insert(region.clone(), Observed::Known(found));
    }
}

fn tags(account: &Account, arn: &str) -> Tags {
    let item = account.resources.get(arn);
    item.map(|i| i.tags.clone()).unwrap_or_default()
}

pub fn read(sandbox: &Sandbox, account: &Account, key: &ObjectKey) -> Observed<ObjectReading> {
    for operation in [
        "cloudwatch:DescribeAlarms",
        "cloudwatch:ListTagsForResource",
    ] {
        if let Err(e) = sandbox.enter(account, operation, &key.name) {
            return Observed::Unknown(e.to_string());
        }
    }
    let arn = key.kind.arn("aws", &key.region, &account.id, &key.name);
    account.alarms.get(&arn).map_or(Observed::Absent, |item| {
        Observed::Known(ObjectReading {
            object: item.alarm.clone(),
            tags: Observed::Known(tags(account, &arn)),
        })
    })
}

pub fn execute(sandbox: &Sandbox, account: &mut Account, call: &Call) -> Result<(), CloudError> {
    match call {
        Call::PutMetricAlarm { alarm, tags } => {
            let object = Object::MetricAlarm(alarm.clone());
            put(sandbox, account, "cloudwatch:PutMetricAlarm", object, tags)
        }
        Call::PutCompositeAlarm { alarm, tags } => {
            let object = Object::CompositeAlarm(alarm.clone());
            put(
                sandbox,
                account,
                "cloudwatch:PutCompositeAlarm",
                object,
                tags,
            )
        }
        Call::DeleteAlarms { region, names } => {
            let operation = "cloudwatch:DeleteAlarms";
            let first = names.first().map_or("", String::as_str);
            let lose = sandbox.enter(account, operation, first)?;
            for name in names {
                let arn = format!("arn:aws:cloudwatch:{region}:{}:alarm:{name}", account.id);
                account.alarms.remove(&arn);
                account.resources.remove(&arn);
            }
            if lose { Err(lost(operation)) } else { Ok(()) }
        }
        _ => Err(refused("cloudwatch", "InvalidAction", "not an alarm call")),
    }
}

/// Completely overwrites what is there; tags count only when it is made.
/// Source: API model, `cloudwatch:PutMetricAlarm`.
fn put(
    sandbox: &Sandbox,
    account: &mut Account,
    operation: &str,
    object: Object,
    tags: &Tags,
) -> Result<(), CloudError> {
    let lose = sandbox.enter(account, operation, object.name())?;
    let wrong = |message: &str| Err(refused(operation, "ValidationError", message));
    if object.name().is_empty() || object.name().chars().count() > 255 {
        return wrong("an alarm name has 1 to 255 characters");
    }
    if let Object::MetricAlarm(alarm) = &object {
        for set in [
            &alarm.alarm_actions,
            &alarm.ok_actions,
            &alarm.insufficient_data_actions,
        ] {
            if set.len() > 5 {
                return wrong("at most five actions for a state");
            }
        }
        let here = format!("arn:aws:sns:{}:", alarm.region);
        let mut topics = alarm.actions().filter(|a| a.starts_with("arn:aws:sns:"));
        if topics.any(|a| !a.starts_with(&here)) {
            return wrong("an action is not in the region of the alarm");
        }
        if alarm.datapoints_to_alarm > alarm.evaluation_periods {
            return wrong("more data points than periods");
        }
    }
    let arn = arn(account, &object);
    account
        .resources
        .entry(arn.clone())
        .or_insert_with(|| Item {
            kind: ResourceType::CLOUDWATCH_ALARM,
            name: object.name().to_owned(),
            region: object.region().to_owned(),
            tags: tags.clone(),
        });
    let state = account.alarms.get(&arn).map(|a| a.state.clone());
    let item = AlarmItem {
        alarm: object,
        state: state.unwrap_or_else(|| "INSUFFICIENT_DATA".to_owned()),
    };
    account.alarms.insert(arn, item);
    if lose { Err(lost(operation)) } else { Ok(()) }
}
