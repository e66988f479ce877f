//! Budgets, topics, anomaly detection, cost allocation tags and alarms of the embedded account.

pub mod alarm_limits;
pub(super) mod alarms;
mod money;
pub(super) mod topics;

pub(super) use money::enter_ce;

use super::Sandbox;
use super::world::Account;
use crate::cloud::{AlarmEvent, Call, CloudError, ObjectReading};
use crate::inventory::Observed;
use crate::model::object::{Object, ObjectKey, ObjectKind};

pub(super) fn read(
    sandbox: &Sandbox,
    account: &Account,
    key: &ObjectKey,
) -> Observed<ObjectReading> {
    match key.kind {
        ObjectKind::Topic => topics::read(sandbox, account, key),
        ObjectKind::Budget
        | ObjectKind::AnomalyMonitor
        | ObjectKind::AnomalySubscription
        | ObjectKind::CostAllocationTag => money::read(sandbox, account, key),
        ObjectKind::MetricAlarm | ObjectKind::CompositeAlarm => alarms::read(sandbox, account, key),
    }
}

pub(super) fn execute(
    sandbox: &Sandbox,
    account: &mut Account,
    call: &Call,
) -> Result<(), CloudError> {
    match call {
        Call::CreateTopic { .. }
        | Call::SetTopicPolicy { .. }
        | Call::Subscribe { .. }
        | Call::DeleteTopic { .. } => topics::execute(sandbox, account, call),
        Call::PutMetricAlarm { .. }
        | Call::PutCompositeAlarm { .. }
        | Call::SetAlarmState { .. }
        | Call::DeleteAlarms { .. } => alarms::execute(sandbox, account, call),
        _ => money::execute(sandbox, account, call),
    }
}

/// The history of an alarm as far as it goes here: the actions of the state that it has now.
pub(super) fn alarm_history(
    sandbox: &Sandbox,
    account: &Account,
    region: &str,
    name: &str,
    since: jiff::Timestamp,
) -> Result<Vec<AlarmEvent>, CloudError> {
    sandbox.enter(account, "cloudwatch:DescribeAlarmHistory", name)?;
    let arn = format!("arn:aws:cloudwatch:{region}:{}:alarm:{name}", account.id);
    let Some(item) = account.alarms.get(&arn) else {
        return Ok(Vec::new());
    };
    let actions = match (&item.alarm, item.state.as_str()) {
        (Object::MetricAlarm(a), "ALARM") => &a.alarm_actions,
        (Object::CompositeAlarm(a), "ALARM") => &a.alarm_actions,
        _ => return Ok(Vec::new()),
    };
    let event = |kind: &str, summary: String| AlarmEvent {
        at: since,
        kind: kind.to_owned(),
        summary,
    };
    let mut out = vec![event("StateUpdate", "Alarm updated to ALARM".to_owned())];
    out.extend(actions.iter().map(|action| {
        // A topic that was never written to is only a resource.
        let there = account.topics.contains_key(action) || account.resources.contains_key(action);
        let summary = match there {
            true => format!("Successfully executed action {action}"),
            false => format!("Failed to execute action {action}. Received error: NotFound"),
        };
        event("Action", summary)
    }));
    Ok(out)
}
