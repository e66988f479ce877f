//! CloudWatch alarms.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::super::world::{Account, AlarmItem, Item};
use super::super::writes::lost;
use super::super::{Sandbox, gaps, refused};
use super::alarm_limits;
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
                state_since: Timestamp::now()
                    .checked_sub(SignedDuration::from_hours(24 * i64::from(item.state_days)))
                    .ok(),
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
        Call::SetAlarmState {
            region,
            name,
            state,
            ..
        } => {
            let operation = "cloudwatch:SetAlarmState";
            let lose = sandbox.enter(account, operation, name)?;
            let arn = format!("arn:aws:cloudwatch:{region}:{}:alarm:{name}", account.id);
            let Some(item) = account.alarms.get_mut(&arn) else {
                let message = format!("there is no alarm {name}");
                return Err(refused(operation, "ResourceNotFound", message));
            };
            item.state.clone_from(state);
            if lose { Err(lost(operation)) } else { Ok(()) }
        }
        Call::DeleteAlarms { region, names } => {
            let operation = "cloudwatch:DeleteAlarms";
            let first = names.first().map_or("", String::as_str);
            let lose = sandbox.enter(account, operation, first)?;
            let at =
                |name: &str| format!("arn:aws:cloudwatch:{region}:{}:alarm:{name}", account.id);
            let composites = names.iter().filter(|name| {
                let held = account.alarms.get(&at(name));
                held.is_some_and(|h| matches!(h.alarm, Object::CompositeAlarm(_)))
            });
            if names.len() > 100 || composites.count() > 1 {
                let message = "at most 100 alarms, and one composite among them";
                return Err(refused(operation, "ValidationError", message));
            }
            // What a composite rests on goes after it. Source: API reference, DeleteAlarms.
            let needed: BTreeSet<&str> = account
                .alarms
                .values()
                .filter_map(|item| match &item.alarm {
                    Object::CompositeAlarm(c) if &c.region == region => Some(c),
                    _ => None,
                })
                .filter(|c| !names.contains(&c.name))
                .flat_map(|c| c.children.iter().map(String::as_str))
                .collect();
            if let Some(name) = names.iter().find(|n| needed.contains(n.as_str())) {
                let message = format!("a composite alarm depends on {name}");
                return Err(refused(operation, "ValidationError", message));
            }
            let arns: Vec<String> = names.iter().map(|name| at(name)).collect();
            for arn in arns {
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
    let wrong = |message: String| refused(operation, "ValidationError", message);
    if let Some(why) = alarm_limits::refuses(&object) {
        return Err(wrong(why));
    }
    if let Object::CompositeAlarm(alarm) = &object {
        for child in &alarm.children {
            let arn = format!(
                "arn:aws:cloudwatch:{}:{}:alarm:{child}",
                alarm.region, account.id
            );
            if !account.alarms.contains_key(&arn) {
                return Err(wrong(format!(
                    "the rule names {child}, which does not exist"
                )));
            }
        }
    }
    if tags.len() > 50 {
        return Err(wrong("more than 50 tags".to_owned()));
    }
    let arn = arn(account, &object);
    // One name for all kinds of alarms.
    let held = account.alarms.get(&arn);
    if held.is_some_and(|held| held.alarm.kind() != object.kind()) {
        return Err(wrong("an alarm of another kind has this name".to_owned()));
    }
    account
        .resources
        .entry(arn.clone())
        .or_insert_with(|| Item {
            kind: ResourceType::CLOUDWATCH_ALARM,
            name: object.name().to_owned(),
            region: object.region().to_owned(),
            tags: tags.clone(),
        });
    let before = account.alarms.get(&arn);
    let item = AlarmItem {
        alarm: object,
        state: before.map_or_else(|| "INSUFFICIENT_DATA".to_owned(), |a| a.state.clone()),
        state_days: before.map_or(0, |a| a.state_days),
    };
    account.alarms.insert(arn, item);
    if lose { Err(lost(operation)) } else { Ok(()) }
}
