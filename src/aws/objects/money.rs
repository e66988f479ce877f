//! Budgets, anomaly detection, cost allocation tags: which file does what.

use rust_decimal::Decimal;

use super::super::error;
use super::super::session::{Region, Session};
use super::{anomaly, budgets, cost_tags};
use crate::aws::located;
use crate::cloud::{Call, CloudError, ObjectReading};
use crate::inventory::Observed;
use crate::model::MOST_AMOUNT;
use crate::model::object::{CostAllocationTag, Object, ObjectKey, ObjectKind};

/// The services live there, whatever the environment's regions.
pub const REGION: &str = "us-east-1";

/// A number as AWS writes it. `1200.0` and `1200` are the same one.
pub fn decimal(text: &str) -> Option<Decimal> {
    Decimal::from_str_exact(text)
        .or_else(|_| Decimal::from_scientific(text))
        .ok()
        .map(|d| d.normalize())
        .filter(|d| d.abs() <= MOST_AMOUNT)
}

/// One object right now. What Cost Explorer keeps is ours by its name alone: it has no tags that
/// could be read with it.
pub async fn read(session: &Session, key: &ObjectKey) -> Observed<ObjectReading> {
    let region = session.region(REGION).await;
    let name = key.name.as_str();
    let found = match key.kind {
        ObjectKind::Budget => budgets::read(&region, name)
            .await
            .map(|b| b.map(|(budget, tags)| (Object::Budget(budget), tags))),
        ObjectKind::AnomalyMonitor => anomaly::monitors(&region).await.map(|all| {
            let mut all = all.into_iter().map(|fact| fact.monitor);
            all.find(|m| m.name == name)
                .map(|m| (Object::AnomalyMonitor(m), Observed::Absent))
        }),
        ObjectKind::AnomalySubscription => anomaly::subscriptions(&region).await.map(|(_, all)| {
            let mut all = all.into_iter().map(|fact| fact.subscription);
            all.find(|s| s.name == name)
                .map(|s| (Object::AnomalySubscription(s), Observed::Absent))
        }),
        _ => cost_tags::read(&region, Some(name)).await.map(|all| {
            all.get(name).map(|fact| {
                let tag = CostAllocationTag {
                    key: name.to_owned(),
                    active: fact.active,
                };
                (Object::CostAllocationTag(tag), Observed::Absent)
            })
        }),
    };
    match found {
        Ok(Some((object, tags))) => Observed::Known(ObjectReading { object, tags }),
        Ok(None) => Observed::Absent,
        Err(error) => Observed::Unknown(located(error, session, REGION).to_string()),
    }
}

pub async fn execute(_session: &Session, region: &Region, call: &Call) -> Result<(), CloudError> {
    if let Call::SetCostAllocationTags { keys, active } = call {
        return cost_tags::set(region, keys, *active).await;
    }
    if let Some(result) = budgets::execute(region, call).await {
        return result;
    }
    if let Some(result) = anomaly::execute(region, call).await {
        return result;
    }
    let message = "this call is not one of budgets or anomaly detection";
    Err(error::own("objects", error::NOT_IMPLEMENTED, message))
}
