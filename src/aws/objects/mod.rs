//! What is ours as a whole: reads of single objects, and their writes.

use super::error;
use super::session::{Region, Session};
use crate::cloud::{Call, CloudError, ObjectReading};
use crate::inventory::Observed;
use crate::model::object::ObjectKey;

/// One object right now.
pub async fn read(_session: &Session, key: &ObjectKey) -> Observed<ObjectReading> {
    Observed::Unknown(format!("{:?} cannot be read yet", key.kind))
}

/// One write; `region` is that of [`Call::region`].
pub async fn execute(_session: &Session, _region: &Region, _call: &Call) -> Result<(), CloudError> {
    Err(error::own("objects", error::NOT_IMPLEMENTED, "not yet"))
}
