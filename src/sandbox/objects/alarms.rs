//! CloudWatch alarms.

use super::super::world::Account;
use super::super::{Sandbox, refused};
use crate::cloud::{Call, CloudError, ObjectReading};
use crate::inventory::Observed;
use crate::model::object::ObjectKey;

pub fn read(_sandbox: &Sandbox, _account: &Account, key: &ObjectKey) -> Observed<ObjectReading> {
    Observed::Unknown(format!("{:?} cannot be read yet", key.kind))
}

pub fn execute(_sandbox: &Sandbox, _account: &mut Account, _call: &Call) -> Result<(), CloudError> {
    Err(refused("objects", "NotImplemented", "not yet"))
}
