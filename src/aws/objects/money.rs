//! Budgets, anomaly detection, cost allocation tags.

use super::super::error;
use super::super::session::{Region, Session};
use crate::cloud::{Call, CloudError, ObjectReading};
use crate::inventory::Observed;
use crate::model::object::ObjectKey;

pub async fn read(_session: &Session, key: &ObjectKey) -> Observed<ObjectReading> {
    Observed::Unknown(format!("{:?} cannot be read yet", key.kind))
}

pub async fn execute(_session: &Session, _region: &Region, _call: &Call) -> Result<(), CloudError> {
    Err(error::own("objects", error::NOT_IMPLEMENTED, "not yet"))
}
