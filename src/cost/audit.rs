//! From answers to entries and findings. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan;
use jiff::civil::Date;
use rust_decimal::Decimal;

use super::cents::{cents, percent, split, text};
use super::days::Days;
use super::entry::*;
use super::findings;
use super::forecast::estimate;
use super::question::Answer;
use super::splits::{Cells, Table, TwoMonths, of_account, table};
use super::steps::{Outcome, PayerAnswers, Purpose, only_untagged};
use super::usage_type::{Kind, kind};
use crate::config::Resolved;
use crate::inventory::Gap;
use crate::model::Control;
use crate::plan::Finding;

/// Days by which Cost Explorer's data may lag behind. Source: "Cost Explorer updates your cost data
/// at least once every 24 hours".
const LAG: i32 = 2;

/// Services in `top_movers`.
const MOVERS: usize = 5;

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
struct Subject<'a> {
    environments: Vec<&'a EnvironmentInput<'a>>,
    account: String,
    label: Option<String>,
    /// `None`: not known.
    cells: Option<Cells>,
    /// All of the account, so that splits by account are splits of it.
    whole_account: bool,
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
        let daily = payer
            .answer(&Purpose::Daily)
            .and_then(|a| table(a, &days));
        let complete = complete_days(daily.as_ref(), &days);
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
    report.findings.sort_by(|a, b| {
        (b.severity, &a.address, &a.id).cmp(&(a.severity, &b.address, &b.id))
    });
    report
}

/// Complete days of this month that are known: those before today, as far as there is data, where
/// it may still be on its way.
fn complete_days(daily: Option<&Table>, days: &Days) -> i32 {
    let newest = daily
        .and_then(|t| t.newest)
        .map_or(0, |day| i32::from(day.day()));
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
    let of = |account: &str| {
        daily.map(|t| t.by_first.get(account).cloned().unwrap_or_default())
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

/// One service in exact amounts.
#[derive(Default)]
struct Exact {
    to_date: Decimal,
    same: Decimal,
    previous_same: Decimal,
    previous_full: Decimal,
}

fn entry(
    payer: &PayerAnswers,
    subject: &Subject<'_>,
    daily: Option<&Table>,
    complete: i32,
    days: &Days,
) -> CostEntry {
    let names: Vec<&str> = subject
        .environments
        .iter()
        .map(|e| e.resolved.environment.as_str())
        .collect();
    let mut entry = CostEntry {
        environment: (!names.is_empty()).then(|| names.join("+")),
        account: Some(subject.account.clone()),
        currency: daily.map(|t| t.currency.clone()).unwrap_or_default(),
        estimated: daily.is_some_and(|t| t.estimated),
        month: Some(days.month.to_string()),
        left_out: payer
            .scope
            .filter
            .without_record_types
            .iter()
            .cloned()
            .collect(),
        idle_hours_note: Some("not measured by this audit".to_owned()),
        ..CostEntry::default()
    };
    if names.len() > 1 {
        entry.notes.push(format!(
            "{} share the account {} and no tag `{}` tells their costs apart",
            names.join(" and "),
            subject.account,
            super::steps::ENVIRONMENT_TAG
        ));
    }
    asked(&mut entry, payer);
    configured(&mut entry, subject);
    if let Some(cells) = &subject.cells {
        amounts(&mut entry, cells, complete, days);
        forecast(&mut entry, payer, subject, cells, complete, days);
        against_limits(&mut entry);
    }
    if subject.whole_account {
        by_account(&mut entry, payer, subject, days);
    } else {
        entry.notes.push(
            "regions, tags, usage types and credits are known only for the shared account as a whole"
                .to_owned(),
        );
    }
    anomalies(&mut entry, payer, subject);
    per_user(&mut entry, subject);
    entry
}

fn asked(entry: &mut CostEntry, payer: &PayerAnswers) {
    let answered = payer.steps.iter().filter_map(|(_, outcome)| match outcome {
        Outcome::Answered(answered) => Some(answered.asked_at),
        _ => None,
    });
    entry.asked_at = answered.min().map(|t| format!("{t:.0}"));
    for (step, outcome) in &payer.steps {
        if let Outcome::NotAsked {
            reason,
            wanted: true,
        } = outcome
        {
            entry.not_asked.push(format!("{}: {reason}", step.what));
        }
    }
}

/// What the files say: budget, stage, band, users.
fn configured(entry: &mut CostEntry, subject: &Subject<'_>) {
    let budgets: Option<Vec<Decimal>> = subject
        .environments
        .iter()
        .map(|e| {
            let config = e.resolved.config.as_ref()?;
            config.monthly_budget_usd.as_ref().map(|b| b.value.0)
        })
        .collect();
    entry.budget = budgets
        .filter(|b| !b.is_empty())
        .map(|b| text(b.into_iter().sum()));
    if let [only] = subject.environments.as_slice() {
        let stage = &only.resolved.stage;
        entry.stage = Some(stage.name.value.clone());
        entry.stage_band = Some(Band {
            from: text(stage.monthly_cost_usd.from.0),
            to: text(stage.monthly_cost_usd.to.0),
        });
    }
}

/// Totals, services and days.
fn amounts(entry: &mut CostEntry, cells: &Cells, complete: i32, days: &Days) {
    let compared = days.compared(complete);
    let mut services: Vec<(&String, Exact)> = Vec::new();
    for (service, amounts) in cells {
        let mut exact = Exact::default();
        for (day, amount) in amounts {
            let within = i32::from(day.day()) <= compared;
            if days.is_this_month(*day) {
                exact.to_date += amount;
                if within {
                    exact.same += amount;
                }
            } else {
                exact.previous_full += amount;
                if within {
                    exact.previous_same += amount;
                }
            }
        }
        services.push((service, exact));
    }
    let column = |pick: fn(&Exact) -> Decimal| -> Vec<Decimal> {
        split(&services.iter().map(|(_, e)| pick(e)).collect::<Vec<_>>())
    };
    let to_date = column(|e| e.to_date);
    let same = column(|e| e.same);
    let previous_same = column(|e| e.previous_same);
    let previous_full = column(|e| e.previous_full);
    let sum = |column: &[Decimal]| column.iter().copied().sum::<Decimal>();
    entry.month_to_date = Some(text(sum(&to_date)));
    entry.previous_full_month = Some(text(sum(&previous_full)));
    entry.compared_days = u32::try_from(compared).unwrap_or(0);
    if compared > 0 {
        compare(entry, sum(&same), sum(&previous_same));
    } else {
        entry.notes.push(
            "no day of this month is complete yet: there is nothing to compare with last month"
                .to_owned(),
        );
    }
    let columns = to_date
        .into_iter()
        .zip(same)
        .zip(previous_same.into_iter().zip(previous_full));
    let mut rows: Vec<(Decimal, ServiceCost)> = Vec::new();
    for ((name, _), ((to_date, same), (previous_same, previous_full))) in
        services.iter().zip(columns)
    {
        let nothing = [to_date, same, previous_same, previous_full]
            .iter()
            .all(Decimal::is_zero);
        if nothing {
            continue;
        }
        let change = same - previous_same;
        let known = compared > 0;
        rows.push((
            to_date,
            ServiceCost {
                name: (*name).clone(),
                month_to_date: Some(text(to_date)),
                previous_same_days: known.then(|| text(previous_same)),
                month_to_date_same_days: known.then(|| text(same)),
                previous_full_month: Some(text(previous_full)),
                change: known.then(|| text(change)),
                change_percent: percent(change, previous_same)
                    .filter(|_| known)
                    .map(|p| p.to_string()),
            },
        ));
    }
    rows.sort_by(|(a, x), (b, y)| (b, &x.name).cmp(&(a, &y.name)));
    entry.by_service = rows.into_iter().map(|(_, row)| row).collect();
    entry.top_movers = movers(&entry.by_service);
    let mut totals: BTreeMap<Date, Decimal> = BTreeMap::new();
    for (day, amount) in cells.values().flatten() {
        *totals.entry(*day).or_default() += amount;
    }
    entry.daily = day_by_day(&totals, complete, entry.estimated, days);
}

/// Sets the comparison of the same days, and its change.
fn compare(entry: &mut CostEntry, same: Decimal, previous: Decimal) {
    entry.month_to_date_same_days = Some(text(same));
    entry.previous_same_days = Some(text(previous));
    entry.change = Some(text(same - previous));
    entry.change_percent = percent(same - previous, previous).map(|p| p.to_string());
}

fn movers(services: &[ServiceCost]) -> Vec<Mover> {
    let mut movers: Vec<(Decimal, Mover)> = services
        .iter()
        .filter_map(|s| {
            let change = number(&s.change)?;
            (!change.is_zero()).then(|| {
                (
                    change.abs(),
                    Mover {
                        name: s.name.clone(),
                        change: text(change),
                        change_percent: s.change_percent.clone(),
                    },
                )
            })
        })
        .collect();
    movers.sort_by(|(a, x), (b, y)| (b, &x.name).cmp(&(a, &y.name)));
    movers.truncate(MOVERS);
    movers.into_iter().map(|(_, mover)| mover).collect()
}

/// Every day of both months up to what is known, those without a row as zero.
fn day_by_day(
    totals: &BTreeMap<Date, Decimal>,
    complete: i32,
    estimated: bool,
    days: &Days,
) -> Vec<DayCost> {
    let mut out = Vec::new();
    for (first, end) in [(days.previous, days.month), (days.month, days.tomorrow)] {
        let mut dates = Vec::new();
        let mut day = first;
        while day < end {
            let known = days.is_previous_month(day)
                || i32::from(day.day()) <= complete
                || totals.contains_key(&day);
            if known {
                dates.push(day);
            }
            let next = day.saturating_add(1.day());
            if next <= day {
                break;
            }
            day = next;
        }
        let exact: Vec<Decimal> = dates
            .iter()
            .map(|d| totals.get(d).copied().unwrap_or_default())
            .collect();
        out.extend(dates.iter().zip(split(&exact)).map(|(date, amount)| DayCost {
            date: *date,
            amount: text(amount),
            estimated: days.is_this_month(*date) && (estimated || *date == days.today),
        }));
    }
    out
}

fn forecast(
    entry: &mut CostEntry,
    payer: &PayerAnswers,
    subject: &Subject<'_>,
    cells: &Cells,
    complete: i32,
    days: &Days,
) {
    let mut totals: BTreeMap<Date, Decimal> = BTreeMap::new();
    for (day, amount) in cells.values().flatten() {
        *totals.entry(*day).or_default() += amount;
    }
    let done: Decimal = totals
        .range(days.month..)
        .filter(|(day, _)| i32::from(day.day()) <= complete)
        .map(|(_, amount)| *amount)
        .sum();
    let to_date: Decimal = totals.range(days.month..).map(|(_, amount)| *amount).sum();
    // From the first day that cost anything to the newest complete one.
    let first = totals.iter().find(|(_, a)| !a.is_zero()).map(|(d, _)| *d);
    let mut series = Vec::new();
    if let Some(first) = first {
        let last = days.month.saturating_add((complete - 1).days());
        let mut day = first;
        while day <= last {
            series.push(totals.get(&day).copied().unwrap_or_default());
            let next = day.saturating_add(1.day());
            if next <= day {
                break;
            }
            day = next;
        }
    }
    let missing = days.complete() - complete;
    let mut reason = None;
    let answer = payer.answer(&Purpose::Forecast(subject.account.clone()));
    match answer.filter(|_| subject.whole_account) {
        Some(Answer::Forecast {
            currency,
            mean,
            low,
            high,
        }) if *currency == entry.currency => {
            // Days of which there is no data yet are in neither part.
            let lost = match missing {
                0 => Decimal::ZERO,
                n => estimate(&series, n).map_or(Decimal::ZERO, |rest| rest.mean),
            };
            let base = done + lost;
            set_forecast(entry, base + mean, base + low, base + high, to_date);
            entry.forecast_basis = Some("cost-explorer".to_owned());
            if missing > 0 {
                entry.forecast_note = Some(format!(
                    "{missing} day(s) before today have no data yet and are estimated"
                ));
            }
            return;
        }
        Some(Answer::Forecast { currency, .. }) => {
            reason = Some(format!("its forecast is in {currency}"));
        }
        Some(Answer::NoData { reason: why }) => {
            reason = Some(format!("Cost Explorer has no forecast: {why}"));
        }
        _ => {}
    }
    if reason.is_none() {
        reason = match payer.outcome(&Purpose::Forecast(subject.account.clone())) {
            Some(Outcome::Failed(e)) => Some(format!("the forecast could not be asked: {}", e.code)),
            Some(Outcome::NotAsked { reason, .. }) => Some(format!("not asked: {reason}")),
            _ => Some("no forecast was asked for".to_owned()),
        };
    }
    let reason = reason.unwrap_or_default();
    match estimate(&series, days.remaining() + missing) {
        Some(rest) => {
            set_forecast(
                entry,
                done + rest.mean,
                done + rest.low,
                done + rest.high,
                to_date,
            );
            entry.forecast_basis = Some("own-estimate".to_owned());
            entry.forecast_note = Some(format!(
                "an estimate from the last {} complete days ({reason})",
                rest.days
            ));
        }
        None if totals.values().all(Decimal::is_zero) => {
            set_forecast(entry, done, done, done, to_date);
            entry.forecast_basis = Some("own-estimate".to_owned());
            entry.forecast_note = Some("nothing was spent so far".to_owned());
        }
        None => {
            entry.forecast_note = Some(format!(
                "unknown: {reason}, and fewer than 3 complete days are too few for an estimate"
            ));
        }
    }
}

/// A month does not end below what has been spent, unless credits may still come.
fn set_forecast(
    entry: &mut CostEntry,
    mean: Decimal,
    low: Decimal,
    high: Decimal,
    to_date: Decimal,
) {
    let floor = |amount: Decimal| {
        if entry.left_out.iter().any(|kind| kind == "Credit") {
            amount.max(to_date)
        } else {
            amount
        }
    };
    let (low, high) = (low.min(mean), high.max(mean));
    let values = [mean, low, high].map(|amount| Some(text(floor(amount))));
    [
        entry.forecast_month_end,
        entry.forecast_low,
        entry.forecast_high,
    ] = values;
}

/// Budget and band, which are in USD.
fn against_limits(entry: &mut CostEntry) {
    if entry.currency != "USD" {
        if entry.budget.is_some() || entry.stage_band.is_some() {
            entry.notes.push(format!(
                "costs are in {}, budget and cost band in USD: they are not compared",
                entry.currency
            ));
        }
        return;
    }
    let (to_date, budget) = (number(&entry.month_to_date), number(&entry.budget));
    let forecast = number(&entry.forecast_month_end);
    if let (Some(to_date), Some(budget)) = (to_date, budget) {
        entry.budget_left = Some(text(budget - to_date));
        entry.budget_used_percent = percent(to_date, budget).map(|p| p.to_string());
        entry.budget_forecast_percent = forecast
            .and_then(|f| percent(f, budget))
            .map(|p| p.to_string());
    }
    if let Some(band) = &entry.stage_band
        && let Ok(to) = Decimal::from_str_exact(&band.to)
    {
        entry.band_percent = forecast
            .or(to_date)
            .and_then(|amount| percent(amount, to))
            .map(|p| p.to_string());
    }
}

/// Splits that are known by account.
fn by_account(entry: &mut CostEntry, payer: &PayerAnswers, subject: &Subject<'_>, days: &Days) {
    let of = |purpose: &Purpose| {
        of_account(
            payer.answer(purpose),
            &subject.account,
            &entry.currency,
            days,
        )
    };
    let records = of(&Purpose::RecordTypes);
    let regions = of(&Purpose::Regions);
    let usage_types = of(&Purpose::UsageTypes);
    let resources = of(&Purpose::Resources);
    let tags: Vec<(String, Option<BTreeMap<String, TwoMonths>>)> = payer
        .scope
        .tags
        .iter()
        .map(|key| (key.clone(), of(&Purpose::Tag(key.clone()))))
        .collect();
    let mut tax = Decimal::ZERO;
    if let Some(records) = records {
        let sum = |is: fn(&str) -> bool| {
            let mut both = TwoMonths::default();
            for (_, amounts) in records.iter().filter(|(kind, _)| is(kind)) {
                both.this += amounts.this;
                both.previous += amounts.previous;
            }
            both
        };
        let credits = sum(|kind| kind.eq_ignore_ascii_case("credit"));
        let refunds = sum(|kind| kind.eq_ignore_ascii_case("refund"));
        let taxes = sum(|kind| kind.eq_ignore_ascii_case("tax"));
        if !entry.left_out.iter().any(|kind| kind == "Tax") {
            tax = taxes.this;
        }
        entry.adjustments = Some(Adjustments {
            credits: text(credits.this),
            refunds: text(refunds.this),
            tax: text(taxes.this),
            previous_credits: text(credits.previous),
            previous_refunds: text(refunds.previous),
            previous_tax: text(taxes.previous),
            billed_month_to_date: text(sum(|_| true).this),
        });
    }
    if let Some(regions) = regions {
        let this = split(&regions.values().map(|a| a.this).collect::<Vec<_>>());
        let previous = split(&regions.values().map(|a| a.previous).collect::<Vec<_>>());
        let mut rows: Vec<(Decimal, RegionCost)> = regions
            .keys()
            .zip(this.into_iter().zip(previous))
            .filter(|(_, (this, previous))| !this.is_zero() || !previous.is_zero())
            .map(|(name, (this, previous))| {
                (
                    this,
                    RegionCost {
                        name: region_name(name).to_owned(),
                        month_to_date: Some(text(this)),
                        previous_full_month: Some(text(previous)),
                    },
                )
            })
            .collect();
        rows.sort_by(|(a, x), (b, y)| (b, &x.name).cmp(&(a, &y.name)));
        entry.by_region = rows.into_iter().map(|(_, row)| row).collect();
    }
    if let Some(types) = usage_types {
        let total: Decimal = types.values().map(|a| a.this).sum();
        let share = |wanted: Kind| {
            let part: Decimal = types
                .iter()
                .filter(|(name, _)| kind(name) == Some(wanted))
                .map(|(_, amounts)| amounts.this)
                .sum();
            Share {
                month_to_date: text(part),
                percent: percent(part, total).map(|p| p.to_string()),
            }
        };
        entry.shares = Some(Shares {
            nat: share(Kind::Nat),
            egress: share(Kind::Egress),
            storage: share(Kind::Storage),
        });
    }
    if let Some(resources) = resources {
        let mut rows: Vec<(&String, Decimal)> =
            resources.iter().map(|(name, a)| (name, a.this)).collect();
        rows.sort_by(|a, b| (b.1, a.0).cmp(&(a.1, b.0)));
        entry.by_resource = rows
            .into_iter()
            .filter(|(name, amount)| !name.is_empty() && !cents(*amount).is_zero())
            .take(20)
            .map(|(name, amount)| ResourceCost {
                name: name.clone(),
                month_to_date: text(amount),
            })
            .collect();
    }
    for (key, values) in tags {
        tag(entry, payer, subject, &key, values, tax);
    }
}

/// Costs that belong to no region come as `NoRegion` or `global`.
fn region_name(name: &str) -> &str {
    match name {
        "" | "NoRegion" | "no region" => "global",
        other => other,
    }
}

fn tag(
    entry: &mut CostEntry,
    payer: &PayerAnswers,
    subject: &Subject<'_>,
    key: &str,
    values: Option<BTreeMap<String, TwoMonths>>,
    tax: Decimal,
) {
    let required = subject.environments.is_empty()
        || subject
            .environments
            .iter()
            .any(|e| tag_keys(e.resolved).iter().any(|k| k == key));
    if !required {
        return;
    }
    let purpose = Purpose::Tag(key.to_owned());
    let Some(values) = values else {
        entry.untagged.insert(key.to_owned(), None);
        let status = match payer.outcome(&purpose) {
            Some(Outcome::NotAsked { .. }) | None => TagStatus::NotAsked,
            _ => TagStatus::Unknown,
        };
        entry.tag_status.insert(key.to_owned(), status);
        return;
    };
    let status = match payer.answer(&purpose) {
        Some(answer) if only_untagged(answer) => match payer.answer(&Purpose::TagStatus) {
            Some(Answer::CostAllocationTags { keys }) => match keys.get(key) {
                Some(true) => TagStatus::Active,
                _ => TagStatus::NotActivated,
            },
            _ => TagStatus::Unknown,
        },
        _ => TagStatus::Active,
    };
    entry.tag_status.insert(key.to_owned(), status);
    if status != TagStatus::Active {
        entry.untagged.insert(key.to_owned(), None);
        return;
    }
    let amounts = split(&values.values().map(|a| a.this).collect::<Vec<_>>());
    let total: Decimal = amounts.iter().copied().sum();
    let mut rows: Vec<(Decimal, TagCost)> = values
        .keys()
        .zip(amounts)
        .filter(|(value, amount)| value.is_empty() || !amount.is_zero())
        .map(|(value, amount)| {
            (
                amount,
                TagCost {
                    value: value.clone(),
                    month_to_date: Some(text(amount)),
                },
            )
        })
        .collect();
    rows.sort_by(|(a, x), (b, y)| (b, &x.value).cmp(&(a, &y.value)));
    let without = rows
        .iter()
        .find(|(_, row)| row.value.is_empty())
        .map_or(Decimal::ZERO, |(amount, _)| *amount);
    entry
        .untagged
        .insert(key.to_owned(), Some(text(without)));
    // Tax can never be tagged.
    let tax = cents(tax).clamp(Decimal::ZERO, without.max(Decimal::ZERO));
    if let Some(share) = percent(without - tax, total - tax) {
        entry
            .untagged_percent
            .insert(key.to_owned(), share.to_string());
    }
    entry
        .by_tag
        .insert(key.to_owned(), rows.into_iter().map(|(_, row)| row).collect());
}

/// The keys by which costs of an environment are split: `[cost] tags`, else the required ones.
pub fn tag_keys(resolved: &Resolved) -> Vec<String> {
    let policies = &resolved.policies;
    let own = policies.cost.as_ref().and_then(|c| c.tags.as_ref());
    let required = policies.tags.as_ref().map(|t| &t.required);
    own.or(required)
        .into_iter()
        .flatten()
        .map(|key| key.value.clone())
        .collect()
}

fn anomalies(entry: &mut CostEntry, payer: &PayerAnswers, subject: &Subject<'_>) {
    let Some(answer) = payer.answer(&Purpose::Anomalies) else {
        return;
    };
    let Answer::Anomalies { anomalies } = answer else {
        entry.anomalies = Some(Vec::new());
        return;
    };
    // Without an account it is of the only one there is, or of nobody in particular.
    let alone = payer.scope.forecasts.len() <= 1;
    let mut mine: Vec<_> = anomalies
        .iter()
        .filter(|a| match &a.account {
            Some(account) => *account == subject.account,
            None => alone,
        })
        .collect();
    mine.sort_by(|a, b| (b.impact, &a.id).cmp(&(a.impact, &b.id)));
    entry.anomalies = Some(
        mine.into_iter()
            .map(|a| AnomalyEntry {
                id: a.id.clone(),
                from: a.start.to_string(),
                to: a.end.map(|d| d.to_string()),
                service: a.service.clone(),
                region: a.region.clone(),
                usage_type: a.usage_type.clone(),
                impact: text(a.impact),
                monitor: a.monitor.clone(),
            })
            .collect(),
    );
}

fn per_user(entry: &mut CostEntry, subject: &Subject<'_>) {
    let mut users = Decimal::ZERO;
    let mut basis = Vec::new();
    for environment in &subject.environments {
        match &environment.users {
            Users::NotTold => {}
            Users::Configured(n) => users += Decimal::from(*n),
            Users::Measured(n, metric) => {
                users += n.round();
                basis.push(metric.clone());
            }
            Users::Unknown(why) => {
                entry.notes.push(format!("the number of users is not known: {why}"));
                return;
            }
        }
    }
    if users <= Decimal::ZERO {
        return;
    }
    entry.users = Some(users.normalize().to_string());
    divide_by_users(entry, users);
    if let (Some(text), false) = (&mut entry.per_user_basis, basis.is_empty()) {
        text.push_str(&format!(" ({})", basis.join(", ")));
    }
}

/// The month's forecast (else what was spent) for each user, to a hundredth of a cent.
fn divide_by_users(entry: &mut CostEntry, users: Decimal) {
    let (amount, what) = match number(&entry.forecast_month_end) {
        Some(amount) => (Some(amount), "forecast to the end of the month"),
        None => (number(&entry.month_to_date), "month to date"),
    };
    if let Some(each) = amount.and_then(|a| a.checked_div(users)) {
        entry.per_user = Some(each.round_dp(4).normalize().to_string());
        entry.per_user_basis = Some(format!("{what} / {} users", users.normalize()));
    }
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
    for purpose in &all {
        match payer.outcome(purpose) {
            Some(Outcome::NotAsked {
                wanted: false,
                reason,
            }) => {
                notes.insert(format!("n/a: {reason}"));
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
        let alone = input.environments.iter().filter(|e| e.payer == member.payer);
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
    // Anomalies of the payer that are of no account in particular.
    let unplaced = match payer.answer(&Purpose::Anomalies) {
        Some(Answer::Anomalies { anomalies }) if payer.scope.forecasts.len() > 1 => anomalies
            .iter()
            .filter(|a| a.account.is_none())
            .map(|a| AnomalyEntry {
                id: a.id.clone(),
                from: a.start.to_string(),
                to: a.end.map(|d| d.to_string()),
                service: a.service.clone(),
                region: a.region.clone(),
                usage_type: a.usage_type.clone(),
                impact: text(a.impact),
                monitor: a.monitor.clone(),
            })
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

/// The sum of the entries and of the other accounts, to the cent; unknown where a part is.
fn whole(entries: &[CostEntry], others: &[(Option<String>, CostEntry)], days: &Days) -> CostEntry {
    let parts: Vec<&CostEntry> = entries.iter().chain(others.iter().map(|(_, e)| e)).collect();
    let mut whole = CostEntry {
        month: Some(days.month.to_string()),
        estimated: parts.iter().any(|p| p.estimated),
        idle_hours_note: Some("not measured by this audit".to_owned()),
        left_out: parts.first().map(|p| p.left_out.clone()).unwrap_or_default(),
        asked_at: parts.iter().filter_map(|p| p.asked_at.clone()).min(),
        ..CostEntry::default()
    };
    let mut not_asked: Vec<String> = Vec::new();
    for text in parts.iter().flat_map(|p| &p.not_asked) {
        if !not_asked.contains(text) {
            not_asked.push(text.clone());
        }
    }
    whole.not_asked = not_asked;
    let sum = |pick: fn(&CostEntry) -> &Option<String>| -> Option<Decimal> {
        parts.iter().map(|p| number(pick(p))).sum()
    };
    let own = |pick: fn(&CostEntry) -> &Option<String>| -> Option<Decimal> {
        let known: Option<Vec<Decimal>> = entries.iter().map(|p| number(pick(p))).collect();
        known.filter(|k| !k.is_empty()).map(|k| k.into_iter().sum())
    };
    whole.budget = own(|e| &e.budget).map(text);
    let currencies: BTreeSet<&str> = parts
        .iter()
        .map(|p| p.currency.as_str())
        .filter(|c| !c.is_empty())
        .collect();
    if currencies.len() > 1 {
        let list: Vec<&str> = currencies.into_iter().collect();
        whole.notes.push(format!(
            "costs in {} are not added up: see each environment",
            list.join(" and ")
        ));
        return whole;
    }
    whole.currency = currencies.first().copied().unwrap_or_default().to_owned();
    if parts.iter().any(|p| p.month_to_date.is_none()) {
        whole
            .notes
            .push("the whole is not known, since a part of it is not".to_owned());
    }
    whole.month_to_date = sum(|e| &e.month_to_date).map(text);
    whole.previous_full_month = sum(|e| &e.previous_full_month).map(text);
    let same: BTreeSet<u32> = parts.iter().map(|p| p.compared_days).collect();
    if let ([n], Some(this), Some(previous)) = (
        same.iter().copied().collect::<Vec<_>>().as_slice(),
        sum(|e| &e.month_to_date_same_days),
        sum(|e| &e.previous_same_days),
    ) {
        whole.compared_days = *n;
        compare(&mut whole, this, previous);
    }
    whole.forecast_month_end = sum(|e| &e.forecast_month_end).map(text);
    whole.forecast_low = sum(|e| &e.forecast_low).map(text);
    whole.forecast_high = sum(|e| &e.forecast_high).map(text);
    if whole.forecast_month_end.is_some() {
        whole.forecast_basis = Some("sum".to_owned());
        whole.forecast_note = (parts.len() > 1).then(|| {
            "the sum of the parts; their intervals added up are wider than one of 80 %".to_owned()
        });
    }
    if others.is_empty() {
        against_limits(&mut whole);
    }
    whole.by_service = merged_services(&parts, whole.compared_days > 0);
    whole.top_movers = movers(&whole.by_service);
    whole.by_region = merged_regions(&parts);
    merged_tags(&mut whole, &parts);
    whole.daily = merged_days(&parts);
    whole.shares = merged_shares(&parts);
    whole.adjustments = merged_adjustments(&parts);
    whole.anomalies = entries
        .iter()
        .map(|e| e.anomalies.clone())
        .collect::<Option<Vec<_>>>()
        .map(|lists| lists.into_iter().flatten().collect());
    whole.other_accounts = others
        .iter()
        .filter_map(|(label, e)| {
            Some(OtherAccount {
                account: e.account.clone()?,
                label: label.clone(),
                month_to_date: e.month_to_date.clone()?,
                previous_same_days: e.previous_same_days.clone(),
                previous_full_month: e.previous_full_month.clone(),
            })
        })
        .collect();
    let users: Decimal = entries.iter().filter_map(|e| number(&e.users)).sum();
    if users > Decimal::ZERO && others.is_empty() {
        whole.users = Some(users.to_string());
        divide_by_users(&mut whole, users);
    }
    whole
}

fn merged_services(parts: &[&CostEntry], compared: bool) -> Vec<ServiceCost> {
    let mut all: BTreeMap<&str, Exact> = BTreeMap::new();
    for service in parts.iter().flat_map(|p| &p.by_service) {
        let exact = all.entry(&service.name).or_default();
        exact.to_date += number(&service.month_to_date).unwrap_or_default();
        exact.same += number(&service.month_to_date_same_days).unwrap_or_default();
        exact.previous_same += number(&service.previous_same_days).unwrap_or_default();
        exact.previous_full += number(&service.previous_full_month).unwrap_or_default();
    }
    let mut rows: Vec<(Decimal, ServiceCost)> = all
        .into_iter()
        .map(|(name, e)| {
            let change = e.same - e.previous_same;
            (
                e.to_date,
                ServiceCost {
                    name: name.to_owned(),
                    month_to_date: Some(text(e.to_date)),
                    previous_same_days: compared.then(|| text(e.previous_same)),
                    month_to_date_same_days: compared.then(|| text(e.same)),
                    previous_full_month: Some(text(e.previous_full)),
                    change: compared.then(|| text(change)),
                    change_percent: percent(change, e.previous_same)
                        .filter(|_| compared)
                        .map(|p| p.to_string()),
                },
            )
        })
        .collect();
    rows.sort_by(|(a, x), (b, y)| (b, &x.name).cmp(&(a, &y.name)));
    rows.into_iter().map(|(_, row)| row).collect()
}

fn merged_regions(parts: &[&CostEntry]) -> Vec<RegionCost> {
    let mut all: BTreeMap<&str, TwoMonths> = BTreeMap::new();
    for region in parts.iter().flat_map(|p| &p.by_region) {
        let both = all.entry(&region.name).or_default();
        both.this += number(&region.month_to_date).unwrap_or_default();
        both.previous += number(&region.previous_full_month).unwrap_or_default();
    }
    let mut rows: Vec<(&str, TwoMonths)> = all.into_iter().collect();
    rows.sort_by(|a, b| (b.1.this, a.0).cmp(&(a.1.this, b.0)));
    rows.into_iter()
        .map(|(name, both)| RegionCost {
            name: name.to_owned(),
            month_to_date: Some(text(both.this)),
            previous_full_month: Some(text(both.previous)),
        })
        .collect()
}

fn merged_tags(whole: &mut CostEntry, parts: &[&CostEntry]) {
    let keys: BTreeSet<&String> = parts.iter().flat_map(|p| p.untagged.keys()).collect();
    for key in keys {
        // Only the parts that are split by it at all.
        let with: Vec<&&CostEntry> = parts.iter().filter(|p| p.untagged.contains_key(key)).collect();
        let untagged: Option<Decimal> = with
            .iter()
            .map(|p| p.untagged.get(key).and_then(number))
            .sum();
        whole
            .untagged
            .insert(key.clone(), untagged.map(text));
        let Some(untagged) = untagged else { continue };
        let mut values: BTreeMap<&str, Decimal> = BTreeMap::new();
        for row in with.iter().filter_map(|p| p.by_tag.get(key)).flatten() {
            *values.entry(&row.value).or_default() += number(&row.month_to_date).unwrap_or_default();
        }
        let total: Decimal = values.values().sum();
        if let Some(share) = percent(untagged, total) {
            whole.untagged_percent.insert(key.clone(), share.to_string());
        }
        whole.tag_status.insert(key.clone(), TagStatus::Active);
        let mut rows: Vec<(&str, Decimal)> = values.into_iter().collect();
        rows.sort_by(|a, b| (b.1, a.0).cmp(&(a.1, b.0)));
        let rows = rows.into_iter().map(|(value, amount)| TagCost {
            value: value.to_owned(),
            month_to_date: Some(text(amount)),
        });
        whole.by_tag.insert(key.clone(), rows.collect());
    }
}

fn merged_days(parts: &[&CostEntry]) -> Vec<DayCost> {
    let mut all: BTreeMap<Date, (Decimal, bool)> = BTreeMap::new();
    for day in parts.iter().flat_map(|p| &p.daily) {
        let (amount, estimated) = all.entry(day.date).or_default();
        *amount += Decimal::from_str_exact(&day.amount).unwrap_or_default();
        *estimated |= day.estimated;
    }
    all.into_iter()
        .map(|(date, (amount, estimated))| DayCost {
            date,
            amount: text(amount),
            estimated,
        })
        .collect()
}

fn merged_shares(parts: &[&CostEntry]) -> Option<Shares> {
    let all: Option<Vec<&Shares>> = parts.iter().map(|p| p.shares.as_ref()).collect();
    let all = all.filter(|a| !a.is_empty())?;
    let total: Option<Decimal> = parts.iter().map(|p| number(&p.month_to_date)).sum();
    let share = |pick: fn(&Shares) -> &Share| {
        let part: Decimal = all
            .iter()
            .filter_map(|s| Decimal::from_str_exact(&pick(s).month_to_date).ok())
            .sum();
        Share {
            month_to_date: text(part),
            percent: total.and_then(|t| percent(part, t)).map(|p| p.to_string()),
        }
    };
    Some(Shares {
        nat: share(|s| &s.nat),
        egress: share(|s| &s.egress),
        storage: share(|s| &s.storage),
    })
}

fn merged_adjustments(parts: &[&CostEntry]) -> Option<Adjustments> {
    let all: Option<Vec<&Adjustments>> = parts.iter().map(|p| p.adjustments.as_ref()).collect();
    let all = all.filter(|a| !a.is_empty())?;
    let sum = |pick: fn(&Adjustments) -> &String| {
        text(
            all.iter()
                .filter_map(|a| Decimal::from_str_exact(pick(a)).ok())
                .sum(),
        )
    };
    Some(Adjustments {
        credits: sum(|a| &a.credits),
        refunds: sum(|a| &a.refunds),
        tax: sum(|a| &a.tax),
        previous_credits: sum(|a| &a.previous_credits),
        previous_refunds: sum(|a| &a.previous_refunds),
        previous_tax: sum(|a| &a.previous_tax),
        billed_month_to_date: sum(|a| &a.billed_month_to_date),
    })
}

/// The amount of an entry's field, where it is known.
pub(super) fn number(text: &Option<String>) -> Option<Decimal> {
    Decimal::from_str_exact(text.as_deref()?).ok()
}
