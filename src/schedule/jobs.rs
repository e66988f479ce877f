//! The jobs of a project: one audit of all environments, and the drills of each.

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::cadence::{self, Cadence};
use super::quote::slug;
use super::{AUDIT, Account, CLEANUP, Job, Kind};
use crate::cloud::Target;
use crate::config::Resolved;
use crate::config::workspace::Workspace;
use crate::drill::machine::span;
use crate::drill::record::seconds;
use crate::drill::spec::Spec;

/// When drills start where nobody said otherwise: after the nightly backups of most accounts, and
/// outside the hour that daylight saving skips or repeats.
pub const DRILL_AT: u16 = 3 * 60 + 30;
/// When the state of drills is published.
pub const STATUS_AT: u16 = 5 * 60 + 30;
/// When the audit starts: it sees what the drills have left on record.
pub const AUDIT_AT: u16 = 6 * 60;

/// How jobs of a project are called where nobody said otherwise: short enough for Kubernetes, which
/// adds eleven characters to a name and takes 63.
pub fn name(project: &str) -> String {
    let short: String = slug(project).chars().take(23).collect();
    format!("opsctl-{}", short.trim_end_matches('-'))
}

/// What is asked for.
pub struct Wanted<'a> {
    pub workspace: &'a Workspace,
    pub environments: &'a [(Target, Resolved)],
    pub audit: bool,
    pub drill: bool,
    /// Minute of the day, instead of the usual one.
    pub at: Option<u16>,
    pub jitter: Duration,
    pub name: &'a str,
    /// By environment; the empty one is for all the others.
    pub roles: &'a BTreeMap<String, String>,
    /// Options that every job passes on.
    pub global: &'a [String],
    /// Ends the command, as the caller wrote it.
    pub extra: &'a [String],
    pub sandbox: bool,
}

/// The jobs, and what is to be said about them.
///
/// # Errors
/// `drill_every` is so short that no calendar can hold it.
pub fn jobs(wanted: &Wanted<'_>) -> Result<(Vec<Job>, Vec<String>), String> {
    let mut jobs = Vec::new();
    let mut notes = Vec::new();
    let mut taken: Vec<String> = Vec::new();
    if wanted.drill {
        for (target, resolved) in wanted.environments {
            let specs = Spec::all(target, resolved)?;
            if specs.is_empty() {
                notes.push(format!(
                    "{} has no drill: nothing is scheduled for it",
                    target.environment
                ));
                continue;
            }
            let short: String = slug(&target.environment).chars().take(12).collect();
            let stem = format!("drill-{}", short.trim_end_matches('-'));
            let mut id = stem.clone();
            for number in 2.. {
                if !taken.contains(&id) {
                    break;
                }
                id = format!("{stem}-{number}");
            }
            taken.push(id.clone());
            jobs.push(drills(wanted, target, resolved, &specs, id, &mut notes)?);
        }
    }
    if !jobs.is_empty() {
        jobs.push(status(wanted, &jobs));
    }
    if wanted.audit {
        jobs.push(audit(wanted));
    }
    Ok((jobs, notes))
}

fn drills(
    wanted: &Wanted<'_>,
    target: &Target,
    resolved: &Resolved,
    specs: &[Spec],
    id: String,
    notes: &mut Vec<String>,
) -> Result<Job, String> {
    let environment = &target.environment;
    let whole: Duration = specs.iter().map(|s| s.timeout + CLEANUP).sum();
    let one = specs
        .iter()
        .map(|s| s.timeout + CLEANUP)
        .max()
        .unwrap_or(CLEANUP);
    let every = resolved
        .policies
        .backups
        .as_ref()
        .and_then(|b| b.drill_every.as_ref().map(|p| p.value));
    let limit = match specs.len() {
        1 => "its limits.timeout and cleanup".to_owned(),
        n => format!("the limits.timeout and cleanup of {n} drills"),
    };
    let (cadence, why) = match every {
        None => (
            Cadence::Month,
            vec![
                "drill_every is not set: monthly, as most auditors expect at least quarterly"
                    .to_owned(),
            ],
        ),
        Some(every) => {
            let every = every.0;
            let chosen = cadence::choose(every, whole, wanted.jitter).ok_or_else(|| {
                format!(
                    "{environment}: drill_every is {}, and one run may take {} ({limit}): no schedule keeps the drills from being overdue; raise drill_every, or lower limits.timeout",
                    span(seconds(every)),
                    span(seconds(whole)),
                )
            })?;
            let gap = span(chosen.cadence.longest_gap_seconds() as f64);
            let mut why = vec![format!(
                "drill_every is {}: runs are at most {gap} apart, and one takes at most {} ({limit}).",
                span(seconds(every)),
                span(seconds(whole)),
            )];
            why.push(match chosen.spare {
                true => {
                    "One run may fail or never start without a drill becoming overdue.".to_owned()
                }
                false => {
                    "There is no room for a second try: after a run that fails, drills are overdue."
                        .to_owned()
                }
            });
            if !chosen.spare {
                notes.push(format!(
                    "{environment}: drill_every ({}) leaves no room for a run that fails; {} may be overdue after one",
                    span(seconds(every)),
                    specs[0].name
                ));
            }
            (chosen.cadence, why)
        }
    };
    let mut arguments = vec![
        "drill".to_owned(),
        "run".to_owned(),
        format!("--env={environment}"),
    ];
    arguments.extend(wanted.global.iter().cloned());
    arguments.extend(wanted.extra.iter().cloned());
    let evidence = wanted
        .workspace
        .evidence
        .as_ref()
        .map(|e| e.environment.value.as_str());
    Ok(Job {
        kind: Kind::Drill,
        name: format!("{}-{id}", wanted.name),
        title: format!("restore drills of {environment}"),
        drills: specs.iter().map(|s| s.name.clone()).collect(),
        cadence,
        minute: wanted.at.unwrap_or(DRILL_AT),
        spread: spread(wanted, &id),
        longest_seconds: whole.as_secs(),
        longest_one_seconds: one.as_secs(),
        arguments,
        accounts: accounts(
            wanted,
            std::iter::once(environment.as_str()).chain(evidence),
        ),
        why,
        id,
    })
}

/// Every night, for the environments that have drills: the alarm on overdue drills takes silence for
/// trouble.
fn status(wanted: &Wanted<'_>, drills: &[Job]) -> Job {
    let environments: Vec<&str> = drills
        .iter()
        .flat_map(|job| job.accounts.first())
        .map(|account| account.environment.as_str())
        .collect();
    let mut arguments: Vec<String> = ["drill", "status", "--publish"].map(str::to_owned).into();
    let named = drills
        .iter()
        .flat_map(|job| &job.arguments)
        .filter(|a| a.starts_with("--env="));
    arguments.extend(named.cloned());
    arguments.extend(wanted.global.iter().cloned());
    let evidence = wanted
        .workspace
        .evidence
        .iter()
        .map(|e| e.environment.value.as_str());
    let id = "status".to_owned();
    Job {
        kind: Kind::Status,
        name: format!("{}-{id}", wanted.name),
        title: "when each drill passed last, as a metric".to_owned(),
        drills: Vec::new(),
        cadence: Cadence::Day,
        minute: wanted.at.unwrap_or(STATUS_AT),
        spread: spread(wanted, &id),
        longest_seconds: AUDIT.as_secs(),
        longest_one_seconds: AUDIT.as_secs(),
        arguments,
        accounts: accounts(wanted, environments.iter().copied().chain(evidence)),
        why: vec![
            "Every night: the alarm on overdue drills takes two silent days as trouble.".to_owned(),
        ],
        id,
    }
}

fn audit(wanted: &Wanted<'_>) -> Job {
    let environments: Vec<&str> = wanted
        .environments
        .iter()
        .map(|(t, _)| t.environment.as_str())
        .collect();
    let mut arguments = vec!["audit".to_owned()];
    arguments.extend(environments.iter().map(|e| format!("--env={e}")));
    arguments.extend(wanted.global.iter().cloned());
    arguments.extend(wanted.extra.iter().cloned());
    let others = wanted
        .workspace
        .payer
        .iter()
        .map(|p| p.environment.value.as_str());
    let evidence = wanted
        .workspace
        .evidence
        .iter()
        .map(|e| e.environment.value.as_str());
    let id = "audit".to_owned();
    Job {
        kind: Kind::Audit,
        name: format!("{}-{id}", wanted.name),
        title: format!("audit of {}", environments.join(", ")),
        drills: Vec::new(),
        cadence: Cadence::Day,
        minute: wanted.at.unwrap_or(AUDIT_AT),
        spread: spread(wanted, &id),
        longest_seconds: AUDIT.as_secs(),
        longest_one_seconds: AUDIT.as_secs(),
        arguments,
        accounts: accounts(
            wanted,
            environments.iter().copied().chain(others).chain(evidence),
        ),
        why: vec!["Every night; it changes nothing.".to_owned()],
        id,
    }
}

/// A few minutes that are the same at every generation and differ between jobs and projects, so that
/// not everybody's jobs start at the same moment.
fn spread(wanted: &Wanted<'_>, id: &str) -> u16 {
    let most = (wanted.jitter.as_secs() / 60).min(24 * 60 - 1);
    let digest = Sha256::digest(format!("{}/{id}", wanted.name));
    let number = u64::from(u32::from_be_bytes([
        digest[0], digest[1], digest[2], digest[3],
    ]));
    u16::try_from(number % (most + 1)).unwrap_or(0)
}

fn accounts<'a>(wanted: &Wanted<'_>, environments: impl Iterator<Item = &'a str>) -> Vec<Account> {
    let mut out: Vec<Account> = Vec::new();
    if wanted.sandbox {
        return out;
    }
    for name in environments {
        let Some(environment) = wanted.workspace.environments.get(name) else {
            continue;
        };
        if out.iter().any(|a| a.environment == name) {
            continue;
        }
        let role = wanted.roles.get(name).or_else(|| wanted.roles.get(""));
        out.push(Account {
            environment: name.to_owned(),
            account: environment.account.value.clone(),
            region: environment
                .regions
                .first()
                .map_or_else(String::new, |r| r.value.clone()),
            profile: environment.profile.clone(),
            assumes: environment.role_arn.is_some(),
            role_arn: role.cloned(),
            variable: format!(
                "OPSCTL_ROLE_ARN_{}",
                slug(name).replace('-', "_").to_uppercase()
            ),
        });
    }
    out
}
