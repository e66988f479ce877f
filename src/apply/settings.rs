//! Makes the settings of one resource stronger, one call after the other.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{
    Outcome, OutcomeKind, Run, TRIES, Tried, VERIFY_AFTER, VERIFY_SECONDS, attempt, standing,
    subject,
};
use crate::cloud::{Call, CloudError, Protection, Target};
use crate::inventory::Observed;
use crate::model::ResourceType;
use crate::model::settings::{BackupCopy, Settings};
use crate::plan::Change;

/// How long to wait for a database that is busy, with the call before or with a backup.
const BUSY: Duration = Duration::from_secs(10);

/// The database is in a state in which it takes no modification; most of these pass.
fn is_busy(error: &CloudError) -> bool {
    matches!(
        error.code.as_str(),
        "InvalidDBInstanceState" | "InvalidDBInstanceStateFault" | "InvalidDBClusterStateFault"
    )
}

/// What the plan says about one resource.
pub(super) struct Planned<'a> {
    pub before: &'a Settings,
    pub after: &'a Settings,
    pub copy: Option<&'a BackupCopy>,
    pub unless_owned: bool,
}

impl Planned<'_> {
    fn copies(&self) -> BTreeSet<String> {
        self.copy.iter().map(|c| c.region.clone()).collect()
    }
}

/// What is left to write after looking again, or why nothing is.
enum Look {
    Go(Box<Settings>),
    End(Outcome),
}

/// The calls that make `after` out of what is there now. Empty: it is so.
fn calls(change: &Change, now: &Settings, planned: &Planned<'_>) -> Vec<Call> {
    let after = planned.after;
    let mut out = Vec::new();
    let kind = ResourceType::new(change.resource.kind.clone());
    let (region, name) = (&change.resource.region, &change.resource.name);
    let on = |wanted: Option<bool>, now: Option<bool>| wanted == Some(true) && now != Some(true);
    // The copy first: a database that was just modified is not available for a while.
    let copied = |region: &String| now.copied_to.as_ref().is_some_and(|c| c.contains(region));
    if let Some(copy) = planned.copy.filter(|c| !copied(&c.region)) {
        out.push(Call::CopyBackups {
            source: change.resource.arn.clone(),
            copy: copy.clone(),
        });
    }
    let protection = Protection {
        retention_days: after
            .retention_days
            .filter(|days| now.retention_days != Some(*days)),
        deletion_protection: on(after.deletion_protection, now.deletion_protection),
        copy_tags_to_snapshot: on(after.copy_tags_to_snapshot, now.copy_tags_to_snapshot),
        // Between two lengths AWS changes it soon by itself; only from none to some it would wait.
        // Source: API model, `rds:ModifyDBInstance`, BackupRetentionPeriod.
        at_once: now.retention_days == Some(0) && after.retention_days > Some(0),
    };
    if protection != Protection::default() {
        out.push(Call::ProtectDatabase {
            database: subject(change),
            protection,
        });
    }
    if kind == ResourceType::DYNAMODB_TABLE
        && on(after.point_in_time_recovery, now.point_in_time_recovery)
    {
        out.push(Call::RecoverPointInTime {
            region: region.clone(),
            table: name.clone(),
        });
    }
    if kind == ResourceType::S3_BUCKET && after.versioning != now.versioning {
        out.push(Call::EnableVersioning {
            region: region.clone(),
            bucket: name.clone(),
        });
    }
    out
}

async fn look(run: &Run<'_>, target: &Target, change: &Change, planned: &Planned<'_>) -> Look {
    let end = |kind, text: String| Look::End(Outcome::of(kind, text));
    let unread = |error: &str| {
        end(
            OutcomeKind::Failed,
            format!("could not be read before the write, so nothing was changed: {error}"),
        )
    };
    let subject = subject(change);
    let reading = run
        .cloud
        .read_settings(target, &subject, &planned.copies())
        .await;
    let reading = match reading {
        Observed::Known(reading) => reading,
        Observed::Absent => return end(OutcomeKind::Stale, "the resource is gone".to_owned()),
        Observed::Unknown(error) => return unread(&error),
    };
    let now = reading.settings;
    if now.satisfies(planned.after) {
        return end(OutcomeKind::Skipped, Outcome::ALREADY.to_owned());
    }
    if let Some(moved) = now.moved(planned.before, planned.after) {
        return end(OutcomeKind::Stale, format!("moved since the plan: {moved}"));
    }
    // A write may carry out at once what waits for the maintenance window, and with it an outage.
    if !reading.pending.is_empty() {
        let waiting: Vec<String> = reading.pending.into_iter().collect();
        return end(
            OutcomeKind::Stale,
            format!(
                "modifications wait for its maintenance window now ({}), so it is left alone",
                waiting.join(", ")
            ),
        );
    }
    match run.cloud.read_tags(target, &subject).await {
        Observed::Known(tags) => match standing(&tags, planned.unless_owned) {
            Some(outcome) => Look::End(outcome),
            None => Look::Go(Box::new(now)),
        },
        Observed::Absent => end(OutcomeKind::Stale, "the resource is gone".to_owned()),
        Observed::Unknown(error) => unread(&error),
    }
}

pub(super) async fn one(
    run: &Run<'_>,
    target: &Target,
    change: &Change,
    planned: Planned<'_>,
) -> Outcome {
    let mut refused: Option<String> = None;
    for number in 1..=TRIES {
        let now = match look(run, target, change, &planned).await {
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
        let calls = calls(change, &now, &planned);
        let address = &change.address;
        let broken_off = refused.is_some();
        let busy: fn(&CloudError) -> Option<Duration> = |e| is_busy(e).then_some(BUSY);
        match attempt(
            run,
            target,
            address.as_str(),
            calls,
            number,
            broken_off,
            busy,
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
    verify(run, target, change, &planned, refused).await
}

async fn verify(
    run: &Run<'_>,
    target: &Target,
    change: &Change,
    planned: &Planned<'_>,
    refused: Option<String>,
) -> Outcome {
    let subject = subject(change);
    let mut problem = String::new();
    for wait in VERIFY_AFTER {
        tokio::time::sleep(wait).await;
        let reading = run
            .cloud
            .read_settings(target, &subject, &planned.copies())
            .await;
        let now = match reading {
            Observed::Known(reading) => reading.settings,
            Observed::Absent => {
                problem = "written, but the resource is gone".to_owned();
                continue;
            }
            Observed::Unknown(error) => {
                problem = format!("written, but could not be verified: {error}");
                continue;
            }
        };
        if now.satisfies(planned.after) {
            return Outcome::of(OutcomeKind::Applied, None);
        }
        let wrong: Vec<String> = Settings::fields(&now, planned.after)
            .into_iter()
            .filter_map(|(name, is, wanted)| {
                let (is, wanted) = (is.unwrap_or_default(), wanted?);
                Some(format!("{name} is {is}, not {wanted}"))
            })
            .collect();
        let wrong = wrong.join(", ");
        problem = match &refused {
            Some(error) => format!("{error}; it is not as planned: {wrong}"),
            None => {
                format!("written, but not visible as planned after {VERIFY_SECONDS} s: {wrong}")
            }
        };
    }
    Outcome::of(OutcomeKind::Failed, problem)
}
