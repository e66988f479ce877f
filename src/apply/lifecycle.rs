//! Writes the lifecycle configuration of one bucket.

use std::time::Duration;

use super::{
    Outcome, OutcomeKind, Run, TRIES, VERIFY_AFTER, VERIFY_SECONDS, standing, subject, write,
};
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

/// What the plan says about one bucket.
pub(super) struct Planned<'a> {
    pub before: Option<&'a LifecycleConfiguration>,
    pub after: Option<&'a LifecycleConfiguration>,
    pub unless_owned: bool,
}

/// Looks at the bucket as it is now: `None` means go, else nothing is to be written.
async fn look(
    run: &Run<'_>,
    target: &Target,
    change: &Change,
    planned: &Planned<'_>,
) -> Option<Outcome> {
    let (bucket, region) = (&change.resource.name, &change.resource.region);
    let unread = |error: &str| {
        Outcome::of(
            OutcomeKind::Failed,
            format!("could not be read before the write, so nothing was changed: {error}"),
        )
    };
    let reading = run.cloud.read_lifecycle(target, region, bucket).await;
    let now = match &reading.configuration {
        Observed::Known(configuration) => Some(configuration),
        Observed::Absent => None,
        Observed::Unknown(error) => return Some(unread(error)),
    };
    if difference(planned.after, now).is_none() {
        return Some(Outcome::of(
            OutcomeKind::Skipped,
            Outcome::ALREADY.to_owned(),
        ));
    }
    if let Some(moved) = difference(planned.before, now) {
        return Some(Outcome::of(
            OutcomeKind::Stale,
            format!("moved since the plan: {moved}"),
        ));
    }
    if let Some(element) = reading.unknown_element {
        return Some(Outcome::of(
            OutcomeKind::Stale,
            format!(
                "the configuration has <{element}> now, which this version does not know and would lose"
            ),
        ));
    }
    match run.cloud.read_tags(target, &subject(change)).await {
        Observed::Known(tags) => standing(&tags, planned.unless_owned),
        Observed::Absent => Some(Outcome::of(
            OutcomeKind::Stale,
            "the bucket is gone".to_owned(),
        )),
        Observed::Unknown(error) => Some(unread(&error)),
    }
}

pub(super) async fn one(
    run: &Run<'_>,
    target: &Target,
    change: &Change,
    planned: Planned<'_>,
) -> Outcome {
    let (bucket, region) = (&change.resource.name, &change.resource.region);
    let call = match planned.after {
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
    for attempt in 1..=TRIES {
        match look(run, target, change, &planned).await {
            // The answer to an earlier try was lost, but it was carried out.
            Some(end) if end.outcome == OutcomeKind::Skipped && refused.is_some() => {
                return Outcome::of(OutcomeKind::Applied, None);
            }
            Some(end) => return end,
            None if run.cancel.is_cancelled() => {
                return Outcome::of(OutcomeKind::Skipped, Outcome::INTERRUPTED.to_owned());
            }
            None => {}
        }
        match write(run, target, &[change.address.as_str()], &call).await {
            Err(e) => return Outcome::of(OutcomeKind::Failed, e),
            Ok(results) => match results.into_iter().next() {
                Some(Err(e)) if e.is_transient() && attempt < TRIES => {
                    let pause = Duration::from_millis(250 << attempt);
                    tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                    refused = Some(e.to_string());
                }
                Some(Err(e)) if !e.maybe_done => {
                    return Outcome::of(OutcomeKind::Failed, e.to_string());
                }
                Some(Err(e)) => {
                    refused = Some(e.to_string());
                    break;
                }
                _ => break,
            },
        }
    }
    verify(run, target, change, planned.after, refused).await
}

async fn verify(
    run: &Run<'_>,
    target: &Target,
    change: &Change,
    after: Option<&LifecycleConfiguration>,
    refused: Option<String>,
) -> Outcome {
    let (bucket, region) = (&change.resource.name, &change.resource.region);
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
                    Some(error) => format!("{error}; the bucket is not as planned"),
                    None => format!(
                        "written, but not visible as planned after {VERIFY_SECONDS} s: {wrong}"
                    ),
                }
            }
        }
    }
    Outcome::of(OutcomeKind::Failed, problem)
}
