//! Writes tags: the same keys and values on up to 20 resources at a time.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;

use super::{Outcome, OutcomeKind, Run, VERIFY_AFTER, VERIFY_SECONDS, standing, subject, write};
use crate::cloud::{Call, Subject, Target};
use crate::inventory::Observed;
use crate::model::Tags;
use crate::plan::{Change, Operation, project_tags};

type Values = BTreeMap<String, Option<String>>;

fn values(change: &Change) -> (&Values, &Values) {
    match &change.operation {
        Operation::Tags { before, after, .. } => (before, after),
        // Batches are made of tag changes only.
        Operation::Lifecycle { .. } | Operation::Object { .. } | Operation::Settings { .. } => {
            unreachable!("a change of something else in a tag batch")
        }
    }
}

fn show(value: &Option<String>) -> String {
    value
        .as_ref()
        .map_or_else(|| "absent".to_owned(), |v| format!("\"{v}\""))
}

/// What is left to do after looking again, or why nothing is.
enum Look {
    Go(Tags),
    End(Outcome),
}

async fn look(run: &Run<'_>, target: &Target, change: &Change, subject: &Subject) -> Look {
    let (before, after) = values(change);
    let tags = match run.cloud.read_tags(target, subject).await {
        Observed::Known(tags) => tags,
        Observed::Absent => {
            return Look::End(Outcome::of(
                OutcomeKind::Stale,
                "the resource is gone".to_owned(),
            ));
        }
        Observed::Unknown(error) => {
            return Look::End(Outcome::of(
                OutcomeKind::Failed,
                format!("could not be read before the write, so nothing was changed: {error}"),
            ));
        }
    };
    let unless_owned = matches!(
        change.operation,
        Operation::Tags {
            unless_owned: true,
            ..
        }
    );
    if let Some(end) = standing(&tags, unless_owned) {
        return Look::End(end);
    }
    let now = project_tags(&tags, before.keys());
    if &now == after {
        return Look::End(Outcome::of(
            OutcomeKind::Skipped,
            Outcome::ALREADY.to_owned(),
        ));
    }
    // A value that is already as planned is ours, from a run that was cut off.
    let moved = before
        .iter()
        .find(|(key, was)| now[*key] != **was && now[*key] != after[*key]);
    match moved {
        Some((key, was)) => Look::End(Outcome::of(
            OutcomeKind::Stale,
            format!(
                "tag {key} moved since the plan: it was {}, is {}",
                show(was),
                show(&now[key])
            ),
        )),
        None => Look::Go(tags),
    }
}

/// Applies changes that all set and remove the same.
pub(super) async fn batch(run: &Run<'_>, target: &Target, changes: &[&Change]) -> Vec<Outcome> {
    let (_, after) = values(changes[0]);
    let set: Tags = after
        .iter()
        .filter_map(|(k, v)| Some((k.clone(), v.clone()?)))
        .collect();
    let remove: BTreeSet<String> = after
        .iter()
        .filter(|(_, v)| v.is_none())
        .map(|(k, _)| k.clone())
        .collect();
    let subjects: Vec<Subject> = changes.iter().map(|c| subject(c)).collect();
    let looks = join_all(
        changes
            .iter()
            .zip(&subjects)
            .map(|(change, subject)| look(run, target, change, subject)),
    )
    .await;
    let mut doubts: Vec<Option<String>> = vec![None; changes.len()];
    let mut outcomes: Vec<Option<Outcome>> = Vec::new();
    let mut seen: Vec<Tags> = Vec::new();
    for look in looks {
        match look {
            Look::Go(tags) => {
                outcomes.push(None);
                seen.push(tags);
            }
            Look::End(outcome) => {
                outcomes.push(Some(outcome));
                seen.push(Tags::new());
            }
        }
    }
    if run.cancel.is_cancelled() {
        return finish(outcomes, || {
            Outcome::of(OutcomeKind::Skipped, Outcome::INTERRUPTED.to_owned())
        });
    }
    // First what is added, then what is removed: a key is never missing in between.
    if !set.is_empty() {
        step(
            run,
            target,
            changes,
            &subjects,
            &mut outcomes,
            &mut doubts,
            |resources| Call::TagResources {
                region: subjects[0].region.clone(),
                resources,
                set: set.clone(),
            },
        )
        .await;
    }
    if !remove.is_empty() {
        // An old spelling may be the last place where its value stands: it goes only once the right
        // key was seen with it.
        let added: Values = after
            .iter()
            .filter(|(_, v)| v.is_some())
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        let checks = verify_open(run, target, &subjects, &outcomes, &added, &seen, &doubts).await;
        for (i, check) in checks {
            if check.outcome != OutcomeKind::Applied {
                outcomes[i] = Some(check);
            }
        }
        step(
            run,
            target,
            changes,
            &subjects,
            &mut outcomes,
            &mut doubts,
            |resources| Call::UntagResources {
                region: subjects[0].region.clone(),
                resources,
                keys: remove.clone(),
            },
        )
        .await;
    }
    let checks = verify_open(run, target, &subjects, &outcomes, after, &seen, &doubts).await;
    for (i, check) in checks {
        outcomes[i] = Some(check);
    }
    finish(outcomes, || {
        Outcome::of(OutcomeKind::Failed, "not verified".to_owned())
    })
}

/// Verifies every resource that is still in the running, all at once.
async fn verify_open(
    run: &Run<'_>,
    target: &Target,
    subjects: &[Subject],
    outcomes: &[Option<Outcome>],
    after: &Values,
    seen: &[Tags],
    doubts: &[Option<String>],
) -> Vec<(usize, Outcome)> {
    let open = (0..outcomes.len()).filter(|i| outcomes[*i].is_none());
    join_all(open.map(async |i| {
        let doubt = doubts[i].as_deref();
        let check = verify(run, target, &subjects[i], after, &seen[i], doubt).await;
        (i, check)
    }))
    .await
}

fn finish(outcomes: Vec<Option<Outcome>>, mut rest: impl FnMut() -> Outcome) -> Vec<Outcome> {
    outcomes
        .into_iter()
        .map(|o| o.unwrap_or_else(&mut rest))
        .collect()
}

/// One call for all resources that are still in the running.
async fn step(
    run: &Run<'_>,
    target: &Target,
    changes: &[&Change],
    subjects: &[Subject],
    outcomes: &mut [Option<Outcome>],
    doubts: &mut [Option<String>],
    call: impl Fn(Vec<Subject>) -> Call,
) {
    let open: Vec<usize> = (0..outcomes.len())
        .filter(|i| outcomes[*i].is_none())
        .collect();
    if open.is_empty() {
        return;
    }
    let addresses: Vec<&str> = open.iter().map(|i| changes[*i].address.as_str()).collect();
    let call = call(open.iter().map(|i| subjects[*i].clone()).collect());
    match write(run, target, &addresses, &call).await {
        Err(e) => {
            for i in open {
                outcomes[i] = Some(Outcome::of(OutcomeKind::Failed, e.clone()));
            }
        }
        Ok(results) => {
            for (i, result) in open.into_iter().zip(results) {
                // Where the answer was lost, verifying tells what happened.
                match result {
                    Ok(()) => {}
                    Err(e) if e.maybe_done => doubts[i] = Some(e.to_string()),
                    Err(e) => outcomes[i] = Some(Outcome::of(OutcomeKind::Failed, e.to_string())),
                }
            }
        }
    }
}

async fn verify(
    run: &Run<'_>,
    target: &Target,
    subject: &Subject,
    after: &Values,
    seen: &Tags,
    doubt: Option<&str>,
) -> Outcome {
    let mut problem = String::new();
    for wait in VERIFY_AFTER {
        tokio::time::sleep(wait).await;
        match run.cloud.read_tags(target, subject).await {
            Observed::Known(tags) => {
                let now = project_tags(&tags, after.keys());
                let foreign_lost = seen
                    .keys()
                    .find(|k| !after.contains_key(*k) && !tags.contains_key(*k));
                if let Some((key, value)) = after.iter().find(|(k, v)| now[*k] != **v) {
                    problem = match doubt {
                        Some(error) => format!("{error}; tag {key} is {}", show(&now[key])),
                        None => format!(
                            "written, but tag {key} is {} and not {} after {VERIFY_SECONDS} s",
                            show(&now[key]),
                            show(value)
                        ),
                    };
                } else if let Some(key) = foreign_lost {
                    problem = format!("tag {key}, which is not ours, is gone after the write");
                } else {
                    return Outcome::of(OutcomeKind::Applied, None);
                }
            }
            Observed::Absent => {
                return Outcome::of(
                    OutcomeKind::Failed,
                    "the resource went away during the write".to_owned(),
                );
            }
            Observed::Unknown(error) => {
                problem = format!("written, but could not be verified: {error}")
            }
        }
    }
    Outcome::of(OutcomeKind::Failed, problem)
}
