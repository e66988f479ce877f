//! The next things to do: the most urgent of each area, so that three steps are three different ones.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use super::areas::{amount, area_of, saving};
use super::money::over_budget;
use super::{Area, AreaId, Inputs, Standing, Step};
use crate::audit::Reported;
use crate::audit::pending::{apply_command, shell};
use crate::catalog;
use crate::cost::CostEntry;
use crate::drill::machine::span;
use crate::drill::record::seconds_between;
use crate::drill::review::State;
use crate::model::{Control, Severity, usd};

/// Steps in a report.
const MOST: usize = 3;

/// From here on a saving counts as much as a finding of medium severity, in USD a month.
const WORTH: i64 = 10;

/// Told by [`of_money`], which names the environments and their amounts.
const OVER_BUDGET: &str = "cost.over-budget";
const FORECAST: &str = "cost.forecast-over-budget";

/// The most urgent step of each area, then the most urgent of those: by severity, money that is spent
/// before what may happen, then by what is saved, then by how many things it is about.
pub(super) fn steps(inputs: &Inputs<'_>, areas: &[Area]) -> Vec<Step> {
    let mut all = of_findings(inputs);
    all.extend(of_savings(inputs));
    all.extend(of_drills(inputs));
    all.extend(of_money(inputs, areas));
    all.sort_by(|a, b| {
        let rank = |s: &Step| {
            let spent = s.finding.as_deref() == Some(OVER_BUDGET);
            let saves = amount(&s.saves_usd_per_month);
            (s.severity, spent, saves, s.count)
        };
        rank(b).cmp(&rank(a)).then_with(|| a.title.cmp(&b.title))
    });
    let mut taken: BTreeSet<AreaId> = BTreeSet::new();
    all.retain(|step| taken.insert(step.area));
    all.truncate(MOST);
    all
}

/// Findings of one kind are one step.
fn of_findings(inputs: &Inputs<'_>) -> Vec<Step> {
    let mut groups: BTreeMap<&str, Vec<&Reported>> = BTreeMap::new();
    let told = [OVER_BUDGET, FORECAST];
    for finding in &inputs.audit.findings {
        if told.contains(&finding.id.as_str()) {
            continue;
        }
        groups.entry(&finding.id).or_default().push(finding);
    }
    groups
        .into_iter()
        .filter_map(|(id, members)| {
            let first = members.iter().max_by_key(|f| f.severity)?;
            // Low: worth knowing, and nothing to do next.
            if first.severity == Severity::Low {
                return None;
            }
            let entry = catalog::find(id);
            let (command, how) = fix(first.control, &members);
            Some(Step {
                area: area_of(first.control),
                title: entry.map_or_else(|| first.message.clone(), |e| e.title.to_owned()),
                effect: entry.map_or_else(|| first.evidence.clone(), |e| e.matters.to_owned()),
                severity: first.severity,
                saves_usd_per_month: None,
                count: members.len() as u64,
                command,
                how,
                finding: Some(id.to_owned()),
            })
        })
        .collect()
}

/// The command that fixes all of them, or what the worst of them needs.
fn fix(control: Control, members: &[&Reported]) -> (Option<String>, String) {
    let ours = |f: &&&Reported| f.remediation == apply_command(&f.address);
    if members.iter().all(|f| ours(&f)) {
        let command = match members {
            [one] => apply_command(&one.address),
            _ => {
                let environments: BTreeSet<&str> =
                    members.iter().map(|f| f.address.environment()).collect();
                let mut command = "opsctl apply".to_owned();
                for environment in environments {
                    command.push_str(&format!(" -e {}", shell(environment)));
                }
                format!("{command} --control {control}")
            }
        };
        return (Some(command), String::new());
    }
    let worst = members.iter().max_by_key(|f| f.severity);
    let how = worst.map_or_else(String::new, |f| match members.len() {
        1 => f.remediation.clone(),
        _ => format!("for example {}: {}", f.address, f.remediation),
    });
    (None, how)
}

/// Changes that save money, by environment.
fn of_savings(inputs: &Inputs<'_>) -> Vec<Step> {
    let mut by: BTreeMap<(Control, &str), Vec<&crate::plan::Change>> = BTreeMap::new();
    for change in inputs.changes {
        if amount(&change.monthly_cost_delta_usd).is_some_and(|d| d < Decimal::ZERO) {
            by.entry((change.control, change.address.environment()))
                .or_default()
                .push(change);
        }
    }
    by.into_iter()
        .map(|((control, environment), changes)| {
            let saved = saving(changes.iter().copied());
            let what = match control {
                Control::Lifecycle => "Let old objects move to cheaper storage",
                _ => "Make the changes that save money",
            };
            Step {
                area: area_of(control),
                title: format!("{what} in {environment}"),
                effect: format!("Saves {} USD a month.", usd(saved)),
                severity: match saved >= Decimal::from(WORTH) {
                    true => Severity::Medium,
                    false => Severity::Low,
                },
                saves_usd_per_month: Some(format!("{saved:.2}")),
                count: changes.len() as u64,
                command: Some(format!(
                    "opsctl apply -e {} --control {control}",
                    shell(environment)
                )),
                how: String::new(),
                finding: None,
            }
        })
        .collect()
}

fn of_drills(inputs: &Inputs<'_>) -> Vec<Step> {
    let review = &inputs.drills.review;
    let mut out: Vec<Step> = review
        .sources
        .iter()
        .filter(|s| matches!(s.state, State::Overdue | State::Never))
        .map(|source| {
            let since = match source.last_passed {
                None => "No drill of it has ever passed".to_owned(),
                Some(at) => format!(
                    "The last drill that passed is {} ago",
                    span(seconds_between(at, review.to))
                ),
            };
            Step {
                area: AreaId::Backups,
                title: format!("Restore {} in {}", source.drill, source.environment),
                effect: format!(
                    "{since}: nobody knows whether {} can be restored, and how long it takes.",
                    source.source
                ),
                severity: Severity::High,
                saves_usd_per_month: None,
                count: 1,
                command: Some(format!(
                    "opsctl drill run {} -e {}",
                    shell(&source.drill),
                    shell(&source.environment)
                )),
                how: String::new(),
                finding: None,
            }
        })
        .collect();
    if !inputs.drills.faults.is_empty() {
        out.push(Step {
            area: AreaId::Backups,
            title: "Find out what happened to the records of drills".to_owned(),
            effect: "They are not as they were written: as evidence they are worth nothing until that is explained.".to_owned(),
            severity: Severity::Critical,
            saves_usd_per_month: None,
            count: inputs.drills.faults.len() as u64,
            command: Some("opsctl drill verify".to_owned()),
            how: String::new(),
            finding: None,
        });
    }
    out
}

fn moved_most(entry: &CostEntry) -> String {
    entry.top_movers.first().map_or_else(String::new, |m| {
        format!(" {} moved most, by {}.", m.name, m.change)
    })
}

/// What the costs themselves say, by name of the environments.
fn of_money(inputs: &Inputs<'_>, areas: &[Area]) -> Vec<Step> {
    let mut out = Vec::new();
    let all = over_budget(inputs);
    let (now, later): (Vec<_>, Vec<_>) = all.iter().partition(|over| over.now());
    if let Some(first) = now.first() {
        let names: Vec<&str> = now.iter().map(|over| over.environment).collect();
        let amounts: Vec<String> = now
            .iter()
            .filter_map(|over| {
                let spent = over.spent?;
                Some(format!(
                    "{} has spent {} USD of {}, {} over it.",
                    over.environment,
                    usd(spent),
                    usd(over.budget),
                    usd(spent - over.budget)
                ))
            })
            .collect();
        let mut command = "opsctl audit cost".to_owned();
        for name in &names {
            command.push_str(&format!(" -e {}", shell(name)));
        }
        // How far is too far is the policy's to say.
        let findings = inputs.audit.findings.iter();
        let judged = findings
            .filter(|f| f.id == OVER_BUDGET)
            .map(|f| f.severity)
            .max();
        let (them, budgets) = match names.len() {
            1 => ("it", "budget"),
            _ => ("them", "budgets"),
        };
        out.push(Step {
            area: AreaId::Money,
            title: format!(
                "Find out why {} spent more than the {budgets}, or raise {them}",
                names.join(", ")
            ),
            effect: format!("{}{}", amounts.join(" "), moved_most(first.entry)),
            severity: judged.unwrap_or(Severity::High),
            saves_usd_per_month: None,
            count: now.len() as u64,
            command: Some(command),
            how: String::new(),
            finding: Some(OVER_BUDGET.to_owned()),
        });
    }
    for over in later {
        let Some(end) = over.end else { continue };
        out.push(Step {
            area: AreaId::Money,
            title: format!(
                "Bring {} back into its budget, or raise it",
                over.environment
            ),
            effect: format!(
                "The month is likely to end {} USD over it.{}",
                usd(end - over.budget),
                moved_most(over.entry)
            ),
            severity: Severity::High,
            saves_usd_per_month: None,
            count: 1,
            command: Some(format!("opsctl audit cost -e {}", shell(over.environment))),
            how: String::new(),
            finding: Some(FORECAST.to_owned()),
        });
    }
    let unknown = areas
        .iter()
        .any(|a| a.id == AreaId::Money && a.value.is_none() && a.standing != Standing::NotLookedAt)
        || (inputs.costs.is_some() && inputs.current_costs().is_none());
    if unknown {
        out.push(Step {
            area: AreaId::Money,
            title: "Ask what things cost".to_owned(),
            effect: "Nothing is known of this month's costs: neither what was spent nor how it will end.".to_owned(),
            severity: Severity::Medium,
            saves_usd_per_month: None,
            count: 1,
            command: Some("opsctl audit cost --explain".to_owned()),
            how: String::new(),
            finding: None,
        });
    }
    out
}
