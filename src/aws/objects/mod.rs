//! What is ours as a whole: reads of single objects, and their writes.

mod alarms;
pub(super) mod anomaly;
pub(super) mod budgets;
pub(super) mod cost_tags;
mod expression;
mod money;
pub(super) mod topics;

pub use alarms::{composite_alarm, metric_alarm, to_stat};

use super::session::{Region, Session};
use crate::cloud::{Call, CloudError, ObjectReading};
use crate::inventory::Observed;
use crate::model::object::{ObjectKey, ObjectKind};

/// One object right now.
pub async fn read(session: &Session, key: &ObjectKey) -> Observed<ObjectReading> {
    match key.kind {
        ObjectKind::Topic => topics::read(session, key).await,
        ObjectKind::Budget
        | ObjectKind::AnomalyMonitor
        | ObjectKind::AnomalySubscription
        | ObjectKind::CostAllocationTag => money::read(session, key).await,
        ObjectKind::MetricAlarm | ObjectKind::CompositeAlarm => alarms::read(session, key).await,
    }
}

/// One write; `region` is that of [`Call::region`].
pub async fn execute(session: &Session, region: &Region, call: &Call) -> Result<(), CloudError> {
    match call {
        Call::CreateTopic { .. }
        | Call::SetTopicPolicy { .. }
        | Call::Subscribe { .. }
        | Call::DeleteTopic { .. }
        | Call::Publish { .. } => topics::execute(session, region, call).await,
        Call::PutMetricAlarm { .. }
        | Call::PutCompositeAlarm { .. }
        | Call::SetAlarmState { .. }
        | Call::DeleteAlarms { .. } => alarms::execute(session, region, call).await,
        _ => money::execute(session, region, call).await,
    }
}
