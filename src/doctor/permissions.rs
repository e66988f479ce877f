//! Whether the caller may do what the profile needs.

use std::collections::{BTreeMap, BTreeSet};

use super::command::Commands;
use super::{Check, is_denied};
use crate::cloud::CloudError;
use crate::cloud::health::{Case, Ruling};
use crate::iam::Role;
use crate::iam::facts::Facts;
use crate::iam::policy::{Because, because, policy};
use crate::inventory::Gap;

/// Stands for whatever a star stands for.
const ANY: &str = "opsctl-doctor";

/// The questions that a policy raises: each of its statements, with its own resources and conditions,
/// so that exactly what it grants is asked for; once for each value of a condition that has several,
/// as a role may well be allowed less than all of them.
pub fn cases(role: Role, facts: &Facts) -> Vec<Case> {
    let operations: BTreeMap<(String, String), BTreeSet<String>> = because(role, facts)
        .into_iter()
        .map(|b| ((b.sid, b.action), b.operations))
        .collect();
    let mut out = Vec::new();
    for statement in policy(role, facts).statement {
        let single = |operator: &str| !operator.starts_with("ForAllValues");
        let rounds = statement
            .condition
            .iter()
            .filter(|(operator, _)| single(operator))
            .flat_map(|(_, keys)| keys.values().map(Vec::len))
            .max()
            .unwrap_or(1)
            .max(1);
        for round in 0..rounds {
            let mut context: Vec<(String, Vec<String>)> = Vec::new();
            let mut with = Vec::new();
            let mut region = facts.regions.first().map_or("us-east-1", String::as_str);
            for (operator, keys) in &statement.condition {
                for (key, values) in keys {
                    if !single(operator) {
                        let all = values.iter().map(|v| v.replace('*', ANY)).collect();
                        context.push((key.clone(), all));
                        continue;
                    }
                    // Values of several keys that are of regions stand in the same order.
                    let Some(value) = values.get(round % values.len().max(1)) else {
                        continue;
                    };
                    if key == "aws:RequestedRegion" {
                        region = value;
                    }
                    if values.len() > 1 {
                        with.push(format!("{key} = {value}"));
                    }
                    context.push((key.clone(), vec![value.replace('*', ANY)]));
                }
            }
            for resource in &statement.resource {
                let resource = match resource.as_str() {
                    "*" => "*".to_owned(),
                    arn => concrete(arn, region),
                };
                let of = |action: &String| {
                    operations
                        .get(&(statement.sid.clone(), action.clone()))
                        .cloned()
                };
                out.push(Case {
                    actions: statement.action.clone(),
                    resource,
                    context: context.clone(),
                    with: with.join(", "),
                    operations: statement
                        .action
                        .iter()
                        .filter_map(|a| Some((a.clone(), of(a)?)))
                        .collect(),
                });
            }
        }
    }
    out
}

/// An ARN without stars: its region, and a name for the rest.
fn concrete(arn: &str, region: &str) -> String {
    let mut parts: Vec<String> = arn.splitn(6, ':').map(str::to_owned).collect();
    if let Some(place) = parts.get_mut(3)
        && place == "*"
    {
        *place = region.to_owned();
    }
    parts.join(":").replace('*', ANY)
}

fn why(role: Role) -> &'static str {
    match role {
        Role::Plan => "what may not be read is not seen, and plan and audit end with exit code 3",
        Role::Apply => "a change that may not be written fails in the middle of an apply",
        Role::Drill => "a drill that may not delete leaves its copy running, and paid for",
    }
}

const GRANT: &str = "this writes the policy that grants exactly what is needed";
const ASK: &str =
    "allow the role to ask about itself; this writes the policy, with the role's own NAME";

fn grant(role: Role, commands: &Commands) -> [Option<String>; 1] {
    [commands.opsctl(&["iam", role.as_str()])]
}

fn ask(role: Role, commands: &Commands) -> [Option<String>; 1] {
    [commands.opsctl(&["iam", role.as_str(), "--role-name", "NAME"])]
}

/// What IAM said to a role's questions.
pub fn simulated(role: Role, commands: &Commands, rulings: &[Ruling]) -> Vec<Check> {
    let name = format!("permissions-{}", role.as_str());
    let mut denied: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (action, ruling) in rulings {
        if let Err(how) = ruling {
            denied.entry(action).or_default().insert(how);
        }
    }
    let asked: BTreeSet<&str> = rulings.iter().map(|(action, _)| action.as_str()).collect();
    let check = Check::ok(
        commands.environment(),
        &name,
        format!(
            "all {} actions are allowed ({})",
            asked.len(),
            match commands.sandbox.is_some() {
                true => "the sandbox has no IAM: the scenario denies none",
                false => "asked of IAM, nothing was tried",
            }
        ),
        why(role),
    );
    if denied.is_empty() {
        return vec![check];
    }
    let mut by_service: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for action in denied.keys() {
        let (service, rest) = action.split_once(':').unwrap_or(("", action));
        by_service.entry(service).or_default().push(rest);
    }
    by_service
        .into_iter()
        .map(|(service, actions)| {
            let how: BTreeSet<&str> = denied
                .iter()
                .filter(|(a, _)| a.starts_with(&format!("{service}:")))
                .flat_map(|(_, how)| how.iter().copied())
                .collect();
            let how: Vec<&str> = how.into_iter().collect();
            check
                .clone()
                .problem(
                    format!("{service}: {} ({})", actions.join(", "), how.join("; ")),
                    GRANT,
                )
                .run(grant(role, commands))
        })
        .collect()
}

/// What can be told although IAM could not be asked: reads were tried, writes are not. In order is
/// only what was seen to be answered: `answered` has the operations of this environment that were, and
/// `needed` all that the purpose asks for.
pub fn tried(
    role: Role,
    commands: &Commands,
    because: &CloudError,
    gaps: &[Gap],
    needed: &[Because],
    answered: &BTreeMap<String, u64>,
) -> Vec<Check> {
    let name = format!("permissions-{}", role.as_str());
    let check = Check::ok(commands.environment(), &name, "", why(role));
    if role != Role::Plan {
        let found = format!(
            "cannot be told without doing it: IAM could not be asked ({}: {})",
            because.code, because.message
        );
        return vec![check.unknown(found, ASK).run(ask(role, commands))];
    }
    let failed: BTreeSet<&str> = gaps.iter().map(|g| g.operation.as_str()).collect();
    let not_tried: BTreeSet<&str> = needed
        .iter()
        .filter(|b| {
            let seen = |o: &String| answered.contains_key(o) || failed.contains(o.as_str());
            !b.operations.iter().any(seen)
        })
        .map(|b| b.action.as_str())
        .collect();
    let denied = denied_operations(gaps);
    let mut out: Vec<Check> = denied
        .iter()
        .map(|(operation, error)| {
            check
                .clone()
                .problem(format!("{operation}: {error}"), GRANT)
                .run(grant(role, commands))
        })
        .collect();
    let others: Vec<&str> = failed
        .into_iter()
        .filter(|o| !denied.contains_key(*o))
        .collect();
    let requests: u64 = answered.values().sum();
    let mut found = format!(
        "IAM could not be asked ({}: {}); {requests} requests were answered",
        because.code, because.message
    );
    if !others.is_empty() {
        found.push_str(&format!("; failed: {}", others.join(", ")));
    }
    if !not_tried.is_empty() {
        let names: Vec<&str> = not_tried.iter().copied().collect();
        found.push_str(&format!("; not tried: {}", names.join(", ")));
    }
    if !others.is_empty() || !not_tried.is_empty() {
        out.push(check.unknown(found, ASK).run(ask(role, commands)));
    } else if out.is_empty() {
        out.push(Check { found, ..check });
    }
    out
}

fn denied_operations(gaps: &[Gap]) -> BTreeMap<String, String> {
    gaps.iter()
        .filter(|g| is_denied(code(&g.error)))
        .map(|g| (g.operation.clone(), g.error.clone()))
        .collect()
}

/// The code that an error's text begins with.
fn code(error: &str) -> &str {
    error.split(':').next().unwrap_or_default().trim()
}

/// What could not be seen for other reasons than a permission, or although IAM said that it may be.
pub fn unseen(environment: &str, gaps: &[Gap], told: bool) -> Vec<Check> {
    let mut seen = BTreeSet::new();
    let mut out = Vec::new();
    for gap in gaps {
        let denied = is_denied(code(&gap.error));
        if (denied && !told) || !seen.insert((gap.operation.as_str(), gap.region.as_str())) {
            continue;
        }
        let check = Check::ok(
            environment,
            "reads",
            "",
            "what a control needs and cannot see makes plan and audit end with exit code 3",
        );
        let found = format!("{} in {}: {}", gap.operation, gap.region, gap.error);
        out.push(match denied {
            true => check.problem(found, "IAM allows it, so another policy denies it: a service control policy, a permission boundary, a resource policy"),
            false => check.unknown(found, "run it again; if it stays, accept it in opsctl.toml: [accept_unobserved.NAME] with a reason and an end"),
        });
    }
    out
}
