//! From answers to entries and findings. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::days::Days;
use super::entry::*;
use super::findings;
use super::measure::entry;
use super::question::{Anomaly, Answer};
use super::splits::{Cells, Table, table};
use super::steps::{Outcome, PayerAnswers, Purpose};
use super::whole::whole;
use crate::config::Resolved;
use crate::inventory::Gap;
use crate::model::Control;
use crate::plan::Finding;

/// Days by which Cost Explorer's data may lag behind. Source: "Cost Explorer updates your cost data
/// at least once every 24 hours".
pub(crate) const LAG: i32 = 2;

/// How many users an environment has.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Users {
    #[default]
    NotTold,
    /// `users` of `opsctl.toml`.
    Configured(u64),
    /// The newest point of a metric, and its name.
    Measured(Decimal, String),
    Unknown(String),
}

/// One environment that is audited.
pub struct EnvironmentInput<'a> {
    pub resolved: &'a Resolved,
    pub account: String,
    /// Index into [`AuditInput::payers`].
    pub payer: usize,
    pub users: Users,
}

/// All that an audit rests on.
pub struct AuditInput<'a> {
    /// In UTC.
    pub today: Date,
    pub environments: &'a [EnvironmentInput<'a>],
    pub payers: &'a [PayerAnswers],
    /// The accounts of all environments of the project, audited or not.
    pub accounts: &'a BTreeSet<String>,
    /// Only some environments were asked for: other accounts are not part of the whole.
    pub narrowed: bool,
}

/// What the audit says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CostReport {
    /// One for each environment, then the whole.
    pub entries: Vec<CostEntry>,
    pub findings: Vec<Finding>,
    pub gaps: Vec<Gap>,
    pub notes: Vec<String>,
}

/// What one entry is about.
pub(super) struct Subject<'a> {
    pub environments: Vec<&'a EnvironmentInput<'a>>,
    pub account: String,
    pub label: Option<String>,
    /// `None`: not known.
    pub cells: Option<Cells>,
    /// All of the account, so that splits by account are splits of it.
    pub whole_account: bool,
}

/// Audits. The whole is the last entry.
pub fn audit(input: &AuditInput<'_>) -> CostReport {
    let days = Days::of(input.today);
    let mut report = CostReport::default();
    // (position of its first environment, entry)
    let mut placed: Vec<(usize, CostEntry)> = Vec::new();
    let mut others = Vec::new();
    for (index, payer) in input.payers.iter().enumerate() {
        let members: Vec<(usize, &EnvironmentInput<'_>)> = input
            .environments
            .iter()
            .enumerate()
            .filter(|(_, e)| e.payer == index)
            .collect();
        gaps(payer, &members, &mut report.gaps);
        notes(payer, input, &mut report.notes);
        let daily = payer.answer(&Purpose::Daily).and_then(|a| table(a, &days));
        let daily = daily.filter(|t| !ends_before(payer, t, &days));
        let complete = complete_days(payer, daily.as_ref(), &days);
        let (subjects, rest) = subjects(payer, &members, daily.as_ref(), &days, input);
        for (position, subject) in subjects {
            let entry = entry(payer, &subject, daily.as_ref(), complete, &days);
            if let Some(first) = subject.environments.first() {
                findings::per_environment(&mut report.findings, &entry, first, &days);
            }
            placed.push((position, entry));
        }
        for subject in rest {
            let entry = entry(payer, &subject, daily.as_ref(), complete, &days);
            others.push((subject.label, entry));
        }
    }
    placed.sort_by_key(|(position, _)| *position);
    report.entries = placed.into_iter().map(|(_, entry)| entry).collect();
    let mut whole = whole(&report.entries, &others, &days);
    for (index, payer) in input.payers.iter().enumerate() {
        let member = input.environments.iter().find(|e| e.payer == index);
        if let Some(member) = member {
            payer_wide(payer, input, member, &mut report, &mut whole);
        }
    }
    report.entries.push(whole);
    report.gaps.sort();
    report.gaps.dedup();
    report
        .findings
        .sort_by(|a, b| (b.severity, &a.address, &a.id).cmp(&(a.severity, &b.address, &b.id)));
    report
}

/// An export of earlier months only: it says nothing about this one, but at its very start.
fn ends_before(payer: &PayerAnswers, daily: &Table, days: &Days) -> bool {
    let begun = daily.newest.is_some() || daily.has_today;
    payer.scope.export && !begun && days.complete() > LAG
}

/// Complete days of this month that are known: those before today, as far as there is data, where
/// it may still be on its way.
///
/// An export ends where it was made: there the days without a line are not known, and neither is
/// all of its last one.
fn complete_days(payer: &PayerAnswers, daily: Option<&Table>, days: &Days) -> i32 {
    let newest = daily
        .and_then(|t| t.newest)
        .map_or(0, |day| i32::from(day.day()));
    if payer.scope.export {
        return match daily {
            Some(table) if table.has_today => days.complete(),
            _ => (newest - 1).max(0),
        };
    }
    newest.max(days.complete() - LAG).clamp(0, days.complete())
}

/// What could not be asked, for each environment that it would have told of.
fn gaps(payer: &PayerAnswers, members: &[(usize, &EnvironmentInput<'_>)], out: &mut Vec<Gap>) {
    for (step, outcome) in &payer.steps {
        let Outcome::Failed(error) = outcome else {
            continue;
        };
        for (_, member) in members {
            let about = match &step.purpose {
                Purpose::Forecast(account) | Purpose::SharedAccount(account) => {
                    *account == member.account
                }
                _ => true,
            };
            if about {
                out.push(Gap {
                    environment: member.resolved.environment.clone(),
                    account: payer.scope.account.clone(),
                    region: "us-east-1".to_owned(),
                    control: Control::Cost,
                    operation: error.operation.clone(),
                    resource: None,
                    error: format!("{}: {}", error.code, error.message),
                });
            }
        }
    }
}

fn notes(payer: &PayerAnswers, input: &AuditInput<'_>, out: &mut Vec<String>) {
    if let Some(Answer::NoData { reason }) = payer.answer(&Purpose::Daily) {
        out.push(format!(
            "account {}: there is no cost data yet ({reason}); a new account has some after about a day",
            payer.scope.account
        ));
    }
    // A management account that is configured as if it stood alone.
    let Some(Answer::Usage { rows, .. }) = payer.answer(&Purpose::Daily) else {
        return;
    };
    let seen: BTreeSet<&String> = rows.iter().filter_map(|r| r.keys.first()).collect();
    let paid_elsewhere: Vec<&str> = input
        .environments
        .iter()
        .filter(|e| {
            input
                .payers
                .get(e.payer)
                .is_some_and(|p| p.scope.account != payer.scope.account)
                && seen.contains(&e.account)
        })
        .map(|e| e.resolved.environment.as_str())
        .collect();
    if !paid_elsewhere.is_empty() {
        out.push(format!(
            "the account of `{0}` also pays for {1}: with [payer] environment = \"{0}\" in opsctl.toml all are asked for at once, for the price of one",
            payer.environment,
            paid_elsewhere.join(", ")
        ));
    }
}

type Subjects<'a> = (Vec<(usize, Subject<'a>)>, Vec<Subject<'a>>);

/// What entries there are for one payer, and what else it pays for.
fn subjects<'a>(
    payer: &PayerAnswers,
    members: &[(usize, &'a EnvironmentInput<'a>)],
    daily: Option<&Table>,
    days: &Days,
    input: &AuditInput<'_>,
) -> Subjects<'a> {
    let mut out = Vec::new();
    let mut rest = Vec::new();
    let mut by_account: BTreeMap<&str, Vec<(usize, &'a EnvironmentInput<'a>)>> = BTreeMap::new();
    for (position, member) in members {
        by_account
            .entry(&member.account)
            .or_default()
            .push((*position, member));
    }
    // An export without the account may be of another payer.
    let of = |account: &str| match daily?.by_first.get(account) {
        None if payer.scope.export => None,
        cells => Some(cells.cloned().unwrap_or_default()),
    };
    for (account, group) in &by_account {
        let first = group.first().map_or(0, |(position, _)| *position);
        let together = |group: &[(usize, &'a EnvironmentInput<'a>)]| Subject {
            environments: group.iter().map(|(_, e)| *e).collect(),
            account: (*account).to_owned(),
            label: None,
            cells: of(account),
            whole_account: true,
        };
        if !payer.scope.shared.contains(*account) {
            out.push((first, together(group)));
            continue;
        }
        // Told apart by the tag, if any of them shows.
        let split = payer
            .answer(&Purpose::SharedAccount((*account).to_owned()))
            .and_then(|a| table(a, days))
            .filter(|t| {
                group
                    .iter()
                    .any(|(_, e)| t.by_first.contains_key(&e.resolved.environment))
            });
        let Some(mut split) = split else {
            out.push((first, together(group)));
            continue;
        };
        for (position, member) in group {
            out.push((
                *position,
                Subject {
                    environments: vec![member],
                    account: (*account).to_owned(),
                    label: None,
                    cells: Some(
                        split
                            .by_first
                            .remove(&member.resolved.environment)
                            .unwrap_or_default(),
                    ),
                    whole_account: false,
                },
            ));
        }
        // Neighbours that are not audited are not "the rest" of the account.
        let names = group.iter().flat_map(|(_, e)| &e.resolved.neighbours);
        for name in names {
            split.by_first.remove(name);
        }
        let mut cells = Cells::new();
        for more in split.by_first.into_values() {
            for (service, amounts) in more {
                let into = cells.entry(service).or_default();
                for (day, amount) in amounts {
                    *into.entry(day).or_default() += amount;
                }
            }
        }
        rest.push(Subject {
            environments: Vec::new(),
            account: (*account).to_owned(),
            label: Some("without the tag of an environment".to_owned()),
            cells: Some(cells),
            whole_account: false,
        });
    }
    if input.narrowed {
        return (out, Vec::new());
    }
    let others = daily
        .into_iter()
        .flat_map(|t| &t.by_first)
        .filter(|(account, _)| !input.accounts.contains(*account));
    rest.extend(others.map(|(account, cells)| Subject {
        environments: Vec::new(),
        account: account.clone(),
        label: None,
        cells: Some(cells.clone()),
        whole_account: true,
    }));
    (out, rest)
}

/// Commitments and what else belongs to a payer and no environment.
fn payer_wide(
    payer: &PayerAnswers,
    input: &AuditInput<'_>,
    member: &EnvironmentInput<'_>,
    report: &mut CostReport,
    whole: &mut CostEntry,
) {
    let percent_of = |purpose: Purpose| match payer.answer(&purpose) {
        Some(Answer::Percent { percent }) => Some(percent.round_dp(1).normalize().to_string()),
        _ => None,
    };
    let all = [
        Purpose::SavingsPlansUtilization,
        Purpose::SavingsPlansCoverage,
        Purpose::ReservationUtilization,
        Purpose::ReservationCoverage,
    ];
    let mut notes = BTreeSet::new();
    let mut asked = false;
    let mut none = 0;
    for purpose in &all {
        match payer.outcome(purpose) {
            Some(Outcome::NotAsked { wanted: false, .. }) => {
                none += 1;
                asked = true;
            }
            Some(Outcome::NotAsked { reason, .. }) => {
                notes.insert(format!("not asked: {reason}"));
                asked = true;
            }
            Some(Outcome::Failed(e)) => {
                notes.insert(format!("unknown: {}", e.code));
                asked = true;
            }
            Some(Outcome::Answered(answered)) => {
                if let Answer::NoData { reason } = &answered.answer {
                    notes.insert(format!("n/a: {reason}"));
                }
                asked = true;
            }
            None => {}
        }
    }
    if none == all.len() {
        notes.insert("n/a: no charge is of Savings Plans or reservations".to_owned());
    }
    if asked {
        let [utilization, coverage, reserved, reserved_coverage] = all.map(percent_of);
        let commitments = Commitments {
            savings_plans_utilization: utilization,
            savings_plans_coverage: coverage,
            reservation_utilization: reserved,
            reservation_coverage: reserved_coverage,
            note: (!notes.is_empty()).then(|| notes.into_iter().collect::<Vec<_>>().join("; ")),
        };
        findings::commitments(&mut report.findings, &commitments, payer, member);
        let alone = input
            .environments
            .iter()
            .filter(|e| e.payer == member.payer);
        if alone.count() == 1
            && let Some(entry) = report
                .entries
                .iter_mut()
                .find(|e| e.environment.as_deref() == Some(&member.resolved.environment))
        {
            entry.commitments = Some(commitments.clone());
        }
        if input.payers.len() == 1 {
            whole.commitments = Some(commitments);
        }
    }
    // Anomalies that are of no entry in particular.
    let placed: BTreeSet<&str> = report
        .entries
        .iter()
        .flat_map(|e| e.anomalies.iter().flatten())
        .map(|a| a.id.as_str())
        .collect();
    let about = |anomaly: &Anomaly| match &anomaly.account {
        None => true,
        Some(account) => payer.scope.shared.contains(account) || !input.accounts.contains(account),
    };
    let unplaced: Vec<AnomalyEntry> = match payer.answer(&Purpose::Anomalies) {
        Some(Answer::Anomalies { anomalies }) if !input.narrowed => anomalies
            .iter()
            .filter(|a| !placed.contains(a.id.as_str()) && about(a))
            .map(AnomalyEntry::from)
            .collect(),
        _ => Vec::new(),
    };
    for anomaly in &unplaced {
        findings::anomaly(&mut report.findings, anomaly, "USD", member);
    }
    if let Some(list) = &mut whole.anomalies {
        list.extend(unplaced);
    }
}

/// The amount of an entry's field, where it is known.
pub(super) fn number(text: &Option<String>) -> Option<Decimal> {
    Decimal::from_str_exact(text.as_deref()?).ok()
}
