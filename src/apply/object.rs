//! Makes, changes and removes what is ours as a whole.

mod calls;
#[cfg(test)]
mod tests;

use super::{
    Outcome, OutcomeKind, Run, TRIES, Tried, VERIFY_AFTER, VERIFY_SECONDS, attempt, standing,
};
use crate::cloud::{ObjectReading, Target};
use crate::inventory::Observed;
use crate::model::Tags;
use crate::model::object::{MANAGED_TAG, Object, ObjectKind, fields};
use crate::plan::Change;

pub use calls::calls;

/// What the plan says about one object.
pub(super) struct Planned<'a> {
    pub before: Option<&'a Object>,
    pub after: Option<&'a Object>,
    /// Of something that is made.
    pub tags: &'a Tags,
}

impl Planned<'_> {
    fn object(&self) -> Option<&Object> {
        self.after.or(self.before)
    }
}

/// What is left to do after looking again, or why nothing is.
enum Look {
    /// It stands like this (`None`: it is not there), and may be written.
    Go(Option<Box<Object>>),
    End(Outcome),
}

/// Whether a tag has to say that a thing is ours, and not only its name: these keep tags for
/// certain.
fn needs_tag(kind: ObjectKind) -> bool {
    matches!(
        kind,
        ObjectKind::Topic
            | ObjectKind::Budget
            | ObjectKind::MetricAlarm
            | ObjectKind::CompositeAlarm
    )
}

/// Whether the tags that a thing bears right now still make it ours; else why it is not.
fn owned(kind: ObjectKind, tags: &Observed<Tags>, planned: &Tags) -> Result<(), Outcome> {
    match tags {
        // Somebody may have made a thing of our name, or another project's run.
        Observed::Known(tags) => match (tags.get(MANAGED_TAG), planned.get(MANAGED_TAG)) {
            (None, _) => Err(Outcome::of(
                OutcomeKind::Stale,
                format!("it does not bear {MANAGED_TAG}, so it is not ours to write"),
            )),
            (Some(is), Some(wanted)) if is != wanted => Err(Outcome::of(
                OutcomeKind::Stale,
                format!("its {MANAGED_TAG} is {is} and not {wanted}, so it is not ours to write"),
            )),
            _ => standing(tags, false).map_or(Ok(()), Err),
        },
        Observed::Unknown(error) => Err(Outcome::of(
            OutcomeKind::Failed,
            format!("its tags could not be read before the write, so nothing was changed: {error}"),
        )),
        Observed::Absent if needs_tag(kind) => Err(Outcome::of(
            OutcomeKind::Stale,
            format!("it does not bear {MANAGED_TAG}, so it is not ours to write"),
        )),
        Observed::Absent => Ok(()),
    }
}

/// The first field in which two states of a thing differ, in words.
fn difference(expected: Option<&Object>, now: Option<&Object>) -> String {
    match (expected, now) {
        (Some(_), None) => "it is gone".to_owned(),
        (None, Some(_)) => "it is there now".to_owned(),
        _ => fields(expected, now).into_iter().next().map_or_else(
            || "it differs".to_owned(),
            |(field, was, is)| {
                let text = |v: Option<String>| v.unwrap_or_else(|| "absent".to_owned());
                format!("{field} was {}, is {}", text(was), text(is))
            },
        ),
    }
}

/// `again`: an earlier try of this change was broken off.
async fn look(run: &Run<'_>, target: &Target, planned: &Planned<'_>, again: bool) -> Look {
    let end = |kind, text: String| Look::End(Outcome::of(kind, text));
    let Some(object) = planned.object() else {
        return end(OutcomeKind::Failed, "the change names no object".to_owned());
    };
    let reading = match run.cloud.read_object(target, &object.key()).await {
        Observed::Known(reading) => Some(reading),
        Observed::Absent => None,
        Observed::Unknown(error) => {
            return end(
                OutcomeKind::Failed,
                format!("could not be read before the write, so nothing was changed: {error}"),
            );
        }
    };
    let now = reading.as_ref().map(|r| &r.object);
    if now == planned.after {
        return end(OutcomeKind::Skipped, Outcome::ALREADY.to_owned());
    }
    // After a try that may have got half-way, the state in between is ours.
    let between = again && calls("", planned.before, planned.after, planned.tags).len() > 1;
    if now != planned.before && !between {
        return end(
            OutcomeKind::Stale,
            format!("moved since the plan: {}", difference(planned.before, now)),
        );
    }
    if let Some(ObjectReading { object, tags }) = &reading
        && let Err(end) = owned(object.kind(), tags, planned.tags)
    {
        return Look::End(end);
    }
    Look::Go(reading.map(|r| Box::new(r.object)))
}

pub(super) async fn one(
    run: &Run<'_>,
    target: &Target,
    change: &Change,
    planned: Planned<'_>,
) -> Outcome {
    let mut refused: Option<String> = None;
    for number in 1..=TRIES {
        let now = match look(run, target, &planned, refused.is_some()).await {
            // The answer to an earlier try was lost, but it was carried out.
            Look::End(end) if end.outcome == OutcomeKind::Skipped && refused.is_some() => {
                return Outcome::of(OutcomeKind::Applied, None);
            }
            Look::End(end) => return end,
            Look::Go(_) if run.cancel.is_cancelled() => {
                return Outcome::of(OutcomeKind::Skipped, Outcome::INTERRUPTED.to_owned());
            }
            Look::Go(now) => now,
        };
        let calls = calls(
            &change.resource.arn,
            now.as_deref(),
            planned.after,
            planned.tags,
        );
        let address = &change.address;
        let broken_off = refused.is_some();
        match attempt(
            run,
            target,
            address.as_str(),
            calls,
            number,
            broken_off,
            |_| None,
        )
        .await
        {
            Tried::Done => refused = None,
            Tried::Again(error) => {
                refused = Some(error);
                continue;
            }
            Tried::Refused(error) => refused = Some(error),
            Tried::End(end) => return end,
        }
        break;
    }
    verify(run, target, &planned, refused).await
}

async fn verify(
    run: &Run<'_>,
    target: &Target,
    planned: &Planned<'_>,
    refused: Option<String>,
) -> Outcome {
    let Some(object) = planned.object() else {
        return Outcome::of(OutcomeKind::Failed, "the change names no object".to_owned());
    };
    let mut problem = String::new();
    for wait in VERIFY_AFTER {
        tokio::time::sleep(wait).await;
        let reading = run.cloud.read_object(target, &object.key()).await;
        let now = match &reading {
            Observed::Known(reading) => Some(&reading.object),
            Observed::Absent => None,
            Observed::Unknown(error) => {
                problem = format!("written, but could not be verified: {error}");
                continue;
            }
        };
        if now == planned.after {
            return Outcome::of(OutcomeKind::Applied, None);
        }
        let wrong = difference(planned.after, now);
        problem = match &refused {
            Some(error) => format!("{error}; it is not as planned: {wrong}"),
            None => {
                format!("written, but not visible as planned after {VERIFY_SECONDS} s: {wrong}")
            }
        };
    }
    Outcome::of(OutcomeKind::Failed, problem)
}
