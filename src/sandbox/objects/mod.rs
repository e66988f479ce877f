//! Budgets, topics, anomaly detection, cost allocation tags and alarms of the embedded account.

pub(super) mod alarms;
mod money;
pub(super) mod topics;

pub(super) use money::enter_ce;

use super::Sandbox;
use super::world::Account;
use crate::cloud::{Call, CloudError, ObjectReading};
use crate::inventory::Observed;
use crate::model::object::{ObjectKey, ObjectKind};

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
        | Call::DeleteAlarms { .. } => alarms::execute(sandbox, account, call),
        _ => money::execute(sandbox, account, call),
    }
}
