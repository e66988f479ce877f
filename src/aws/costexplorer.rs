//! Cost Explorer: every page of every answer is billed.

use super::error;
use super::session::Session;
use crate::cloud::CloudError;
use crate::cost::question::{Answered, Question};

/// Asks one question, all pages of it.
pub async fn ask(_session: &Session, _question: &Question) -> Result<Answered, CloudError> {
    Err(error::own("ce", error::NOT_IMPLEMENTED, "not yet"))
}
