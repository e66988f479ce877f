//! Writes of tags: through the tagging API, and through the owning service where that cannot.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;

use super::session::Region;
use super::tagging::Failures;
use super::{error, own, tagging};
use crate::cloud::{CloudError, Subject};
use crate::model::Tags;

/// Rounds for resources that the owning service throttled; the SDK does not see those.
const ROUNDS: u32 = 6;
/// The first pause between rounds; it doubles. Source: the practice of Cloud Custodian, `tags.py`.
const PAUSE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 1500 });

/// One change of tags.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    Set(&'a Tags),
    Remove(&'a BTreeSet<String>),
}

impl Change<'_> {
    async fn through_tagging(
        self,
        region: &Region,
        arns: Vec<String>,
    ) -> Result<Failures, CloudError> {
        match self {
            Change::Set(set) => tagging::tag(region, arns, set).await,
            Change::Remove(keys) => tagging::untag(region, arns, keys).await,
        }
    }

    async fn through_owner(self, region: &Region, subject: &Subject) -> Result<(), CloudError> {
        match self {
            Change::Set(set) => own::tag(region, subject, set).await,
            Change::Remove(keys) => own::untag(region, subject, keys).await,
        }
    }
}

/// The tagging API may not support the type, or not exist here at all.
///
/// `InternalServiceException` can mean an unsupported type as well as a transient fault.
/// Source: tagging API reference, FailureInfo.
fn is_unsupported(error: &CloudError) -> bool {
    error::is_not_implemented(error)
        || matches!(
            error.code.as_str(),
            "InternalServiceException" | "InvalidParameterException"
        )
}

/// Changes up to 20 resources; the results are in their order.
pub async fn apply(
    region: &Region,
    subjects: &[Subject],
    change: Change<'_>,
) -> Vec<Result<(), CloudError>> {
    let mut results: Vec<Result<(), CloudError>> = vec![Ok(()); subjects.len()];
    let mut pending: Vec<usize> = (0..subjects.len()).collect();
    for round in 1..=ROUNDS {
        let arns = pending.iter().map(|i| subjects[*i].arn.clone()).collect();
        match change.through_tagging(region, arns).await {
            Ok(failures) => {
                for i in &pending {
                    results[*i] = failures.get(&subjects[*i].arn).cloned().map_or(Ok(()), Err);
                }
            }
            Err(error) => {
                // The SDK has repeated a failed call as a whole already.
                pending
                    .drain(..)
                    .for_each(|i| results[i] = Err(error.clone()));
            }
        }
        pending.retain(|i| matches!(&results[*i], Err(e) if error::is_throttle(&e.code)));
        if pending.is_empty() || round == ROUNDS {
            break;
        }
        let pause = PAUSE * (1 << (round - 1));
        tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
    }
    let again = results
        .iter()
        .enumerate()
        .filter_map(|(i, result)| matches!(result, Err(e) if is_unsupported(e)).then_some(i));
    let again: Vec<usize> = again.collect();
    let fallbacks = again
        .iter()
        .map(|i| change.through_owner(region, &subjects[*i]));
    for (i, outcome) in again.iter().zip(join_all(fallbacks).await) {
        // Where the service has no call either, the first error says more.
        if !matches!(&outcome, Err(e) if e.code == error::NOT_IMPLEMENTED) {
            results[*i] = outcome;
        }
    }
    results
}
