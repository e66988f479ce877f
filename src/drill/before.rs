//! What every drill of a source in AWS asks before it makes anything.

use jiff::{SignedDuration, Timestamp};

use super::label;
use super::machine::CLEANUP;
use super::source::Stop;
use super::spec::{Spec, TIMEOUT};
use crate::cloud::copies::{Copies, CopyKind};
use crate::cloud::{Cloud, CloudError, Target};

fn is_denied(error: &CloudError) -> bool {
    error.code.contains("AccessDenied") || error.code == "UnauthorizedOperation"
}

/// Whether a call failed for a reason that says nothing about what it asked about.
pub fn says_nothing(error: &CloudError) -> bool {
    is_denied(error) || error.is_transient()
}

/// A call that failed before anything was made.
pub fn unseen(what: &str, error: &CloudError) -> Stop {
    let help = is_denied(error).then(|| {
        format!(
            "allow {} to the role of the drill; `opsctl iam drill` prints its policy",
            error.operation
        )
    });
    Stop::CouldNotRun(format!("{what}: {error}"), help)
}

/// Whether the credentials are those of the configured account.
///
/// # Errors
/// They are not, or it cannot be told.
pub async fn account(cloud: &dyn Cloud, target: &Target) -> Result<(), Stop> {
    let account = cloud.caller_account(target).await;
    let account = account.map_err(|e| unseen("the account cannot be told", &e))?;
    match account == target.account {
        true => Ok(()),
        false => Err(Stop::could_not_run(format!(
            "the credentials are those of account {account}, not {}",
            target.account
        ))),
    }
}

/// Until when a run that asks for a copy now may be alive, if that is longer than every project takes
/// for granted.
pub fn until(spec: &Spec, intent: Timestamp) -> Option<Timestamp> {
    let most = SignedDuration::try_from(spec.timeout + CLEANUP).ok()?;
    (spec.timeout > TIMEOUT).then(|| intent.checked_add(most).unwrap_or(Timestamp::MAX))
}

/// Whether this machine's clock is far from AWS's; then what the record is to say.
pub fn clocks(machine: Timestamp, aws: Timestamp) -> Option<String> {
    (aws.duration_since(machine).abs() > SignedDuration::from_mins(5))
        .then(|| format!("this machine's clock shows {machine:.0}, and AWS's {aws:.0}"))
}

/// Whether no other drill of this source is alive somewhere, or left its copy behind.
///
/// # Errors
/// There is one, or it cannot be seen.
pub async fn alone(
    copies: &dyn Copies,
    spec: &Spec,
    run_id: &str,
    region: &str,
    kind: CopyKind,
    source_resource_id: &str,
) -> Result<(), Stop> {
    let found = copies
        .find(&spec.target, region, kind, None)
        .await
        .map_err(|e| unseen("whether another drill is running cannot be seen", &e))?;
    let other = found.iter().find(|copy| {
        let tags = copy.tags.known();
        let tag = |key: &str| tags.and_then(|t| t.get(key)).map(String::as_str);
        tag(label::SOURCE) == Some(source_resource_id)
            && tag(label::RUN).is_some_and(|run| run != run_id)
    });
    match other {
        None => Ok(()),
        Some(copy) => Err(Stop::CouldNotRun(
            format!(
                "another drill of {} is alive, or left a copy behind: {}",
                spec.source,
                copy.shown()
            ),
            Some("wait for it to end; `opsctl drill gc` removes what a dead one left".to_owned()),
        )),
    }
}
