//! One entry: totals, services, days, forecast, budget.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;
use rust_decimal::Decimal;

use super::audit::{Subject, number};
use super::by_account::{anomalies, by_account, per_user};
use super::cents::{percent, split, text};
use super::days::Days;
use super::entry::*;
use super::forecast::estimate;
use super::question::Answer;
use super::splits::{Cells, Table};
use super::steps::{Outcome, PayerAnswers, Purpose};

/// Services in `top_movers`.
const MOVERS: usize = 5;

/// One service in exact amounts.
#[derive(Default)]
pub(super) struct Exact {
    pub to_date: Decimal,
    pub same: Decimal,
    pub previous_same: Decimal,
    pub previous_full: Decimal,
}

pub(super) fn entry(
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
        // An export without last month does not say that it cost nothing.
        let before = !payer.scope.export || daily.is_some_and(|t| t.has_previous);
        amounts(&mut entry, cells, complete, before, days);
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

/// Totals, services and days. `before`: last month is known.
fn amounts(entry: &mut CostEntry, cells: &Cells, complete: i32, before: bool, days: &Days) {
    let compared = if before { days.compared(complete) } else { 0 };
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
    entry.previous_full_month = before.then(|| text(sum(&previous_full)));
    entry.compared_days = u32::try_from(compared).unwrap_or(0);
    if compared > 0 {
        compare(entry, sum(&same), sum(&previous_same));
    } else {
        let why = if before {
            "no day of this month is complete yet: there is nothing to compare with last month"
        } else {
            "the export holds nothing of last month: there is nothing to compare with"
        };
        entry.notes.push(why.to_owned());
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
                previous_full_month: before.then(|| text(previous_full)),
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
    if !before {
        entry.daily.retain(|day| days.is_this_month(day.date));
    }
}

/// Sets the comparison of the same days, and its change.
pub(super) fn compare(entry: &mut CostEntry, same: Decimal, previous: Decimal) {
    entry.month_to_date_same_days = Some(text(same));
    entry.previous_same_days = Some(text(previous));
    entry.change = Some(text(same - previous));
    entry.change_percent = percent(same - previous, previous).map(|p| p.to_string());
}

pub(super) fn movers(services: &[ServiceCost]) -> Vec<Mover> {
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
        out.extend(
            dates
                .iter()
                .zip(split(&exact))
                .map(|(date, amount)| DayCost {
                    date: *date,
                    amount: text(amount),
                    estimated: days.is_this_month(*date) && (estimated || *date == days.today),
                }),
        );
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
            if payer.scope.export {
                entry.forecast_basis = Some("own-estimate".to_owned());
                entry.forecast_note = Some(match missing {
                    ..=1 => "an estimate from the newest days of the export".to_owned(),
                    n => format!(
                        "an estimate from the newest days of the export, which ends early: {n} days before today are estimated, too"
                    ),
                });
                return;
            }
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
            Some(Outcome::Failed(e)) => {
                Some(format!("the forecast could not be asked: {}", e.code))
            }
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
pub(super) fn against_limits(entry: &mut CostEntry) {
    if entry.currency != "USD" {
        if !entry.currency.is_empty() && (entry.budget.is_some() || entry.stage_band.is_some()) {
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
