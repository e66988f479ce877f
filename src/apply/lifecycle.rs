//! Writes the lifecycle configuration of one bucket.

use super::{Outcome, OutcomeKind, Run, VERIFY_AFTER, write};
use crate::cloud::{Call, Target};
use crate::inventory::Observed;
use crate::model::lifecycle::LifecycleConfiguration;
use crate::plan::Change;

fn difference(
    a: Option<&LifecycleConfiguration>,
    b: Option<&LifecycleConfiguration>,
) -> Option<String> {
    match (a, b) {
        (None, None) => None,
        (Some(a), Some(b)) => a.difference(b),
        (None, Some(_)) => Some("the bucket has a lifecycle configuration now".to_owned()),
        (Some(_), None) => Some("the lifecycle configuration is gone".to_owned()),
    }
}

pub(super) async fn one(
    run: &Run<'_>,
    target: &Target,
    change: &Change,
    before: Option<&LifecycleConfiguration>,
    after: Option<&LifecycleConfiguration>,
) -> Outcome {
    let (bucket, region) = (&change.resource.name, &change.resource.region);
    let reading = run.cloud.read_lifecycle(target, region, bucket).await;
    let now = match &reading.configuration {
        Observed::Known(configuration) => Some(configuration),
        Observed::Absent => None,
        Observed::Unknown(error) => {
            return Outcome::of(
                OutcomeKind::Failed,
                format!("could not be read before the write, so nothing was changed: {error}"),
            );
        }
    };
    if difference(after, now).is_none() {
        return Outcome::of(OutcomeKind::Skipped, Outcome::ALREADY.to_owned());
    }
    if let Some(moved) = difference(before, now) {
        return Outcome::of(OutcomeKind::Stale, format!("moved since the plan: {moved}"));
    }
    if let Some(element) = reading.unknown_element {
        return Outcome::of(
            OutcomeKind::Stale,
            format!(
                "the configuration has <{element}> now, which this version does not know and would lose"
            ),
        );
    }
    if run.cancel.is_cancelled() {
        return Outcome::of(OutcomeKind::Skipped, Outcome::INTERRUPTED.to_owned());
    }
    let call = match after {
        Some(configuration) => Call::PutLifecycle {
            region: region.clone(),
            bucket: bucket.clone(),
            configuration: configuration.clone(),
        },
        None => Call::DeleteLifecycle {
            region: region.clone(),
            bucket: bucket.clone(),
        },
    };
    let mut refused = None;
    match write(run, target, &[change.address.as_str()], &call).await {
        Err(e) => return Outcome::of(OutcomeKind::Failed, e),
        Ok(results) => {
            if let Some(Err(e)) = results.into_iter().next() {
                if !e.maybe_done {
                    return Outcome::of(OutcomeKind::Failed, e.to_string());
                }
                refused = Some(e.to_string());
            }
        }
    }
    let mut problem = String::new();
    for wait in VERIFY_AFTER {
        tokio::time::sleep(wait).await;
        let reading = run.cloud.read_lifecycle(target, region, bucket).await;
        let now = match &reading.configuration {
            Observed::Known(configuration) => Some(configuration),
            Observed::Absent => None,
            Observed::Unknown(error) => {
                problem = format!("written, but could not be verified: {error}");
                continue;
            }
        };
        match difference(after, now) {
            None => return Outcome::of(OutcomeKind::Applied, None),
            Some(wrong) => {
                problem = match &refused {
                    Some(error) => format!("{error}; the bucket is unchanged"),
                    None => format!("not as planned after the write: {wrong}"),
                }
            }
        }
    }
    Outcome::of(OutcomeKind::Failed, problem)
}
