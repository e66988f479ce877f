//! What the embedded accounts cost: 13 months of days, made from a seed.

use super::world::World;
use super::{Sandbox, refused};
use crate::cloud::{CloudError, Target};
use crate::cost::question::{Answered, Question};

pub(super) fn ask(
    _sandbox: &Sandbox,
    _world: &World,
    _payer: &Target,
    _question: &Question,
) -> Result<Answered, CloudError> {
    Err(refused("ce", "NotImplemented", "not yet"))
}
