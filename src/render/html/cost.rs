//! The page of `report cost`.

use minijinja::context;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::Serialize;

use super::chart::{self, Band, Columns, Limit, Line, LineKind, Plot};
use super::table::{Cell, Column, Table};
use super::{Fact, Figure, Head, Jump};
use crate::cost::{CostEntry, TagStatus, cents};
use crate::model::usd;
use crate::render::cost::{
    Tone, amount, change_percent, closing, facts, lead, month, months, notes, plain, same_days,
    signed, whole,
};
use crate::render::text::{cut, plural};
use crate::report::cost::{CostReport, course};

/// Services and tag values in tables; the rest are one line.
const MOST_ROWS: usize = 14;

/// One environment, or all together.
#[derive(Serialize)]
struct Section {
    id: String,
    title: String,
    month: String,
    figures: Vec<Figure>,
    course: Option<chart::Figure>,
    days: Option<chart::Figure>,
    /// Why there is no chart.
    no_days: String,
    services: Option<Table>,
    parts: Option<Table>,
    splits: Vec<Table>,
    unknown_splits: Vec<String>,
    facts: Vec<Fact>,
    notes: Vec<String>,
}

/// # Errors
/// See [`super::page`].
pub fn page(report: &CostReport) -> Result<String, String> {
    let all = whole(&report.cost);
    let mut sections = Vec::new();
    if let Some(entry) = all {
        sections.push(section(entry, "All together", "all", Some(report)));
    }
    for (i, entry) in report
        .cost
        .iter()
        .filter(|e| e.environment.is_some())
        .enumerate()
    {
        let name = entry.environment.as_deref().unwrap_or_default();
        sections.push(section(
            entry,
            name,
            &format!("environment-{}", i + 1),
            None,
        ));
    }
    let mut about = Head::scope(&report.scope, report.sandbox.as_deref());
    if let Some(day) = &report.as_of {
        about.push(Fact {
            label: "Data of".to_owned(),
            text: day.clone(),
        });
    }
    let gaps: Vec<String> = report
        .unobserved
        .iter()
        .map(|g| {
            format!(
                "{}: {} in {}: {}",
                g.environment, g.operation, g.region, g.error
            )
        })
        .collect();
    let mut command = "opsctl report cost --format html".to_owned();
    if let Some(name) = &report.sandbox {
        command.push_str(&format!(" --sandbox {name}"));
    }
    let jumps = match all {
        Some(_) => vec![
            Jump {
                id: "all",
                title: "All together",
            },
            Jump {
                id: "environment-1",
                title: "Each environment",
            },
        ],
        None => Vec::new(),
    };
    let head = Head {
        title: "Costs".to_owned(),
        project: report.project.clone(),
        stand: stand(report, all),
        generated_at: report.generated_at.clone(),
        facts: about,
        jumps,
        command,
    };
    let body = context! {
        gaps => gaps,
        accepted => super::accepted(&report.accepted_unobserved),
        sections => sections,
        notes => report.notes.iter().map(|n| sentence(n)).collect::<Vec<_>>(),
        closing => closing(&report.cost, &report.generated_at, &report.api),
    };
    super::page("cost.html", &head, body)
}

/// The whole, or the only one, in a sentence.
fn stand(report: &CostReport, all: Option<&CostEntry>) -> String {
    let first = || report.cost.iter().find(|e| e.environment.is_some());
    let Some(entry) = all.or_else(first) else {
        return "Nothing is known.".to_owned();
    };
    let Some(spent) = amount(&entry.month_to_date) else {
        return "What was spent is not known.".to_owned();
    };
    let mut out = format!(
        "{} {} in {} so far",
        usd(spent),
        entry.currency,
        month(entry)
    );
    match (amount(&entry.forecast_month_end), amount(&entry.budget)) {
        (Some(end), Some(budget)) if entry.currency == "USD" => {
            out.push_str(&format!(
                "; the month is likely to end at {}, {} the budget of {}.",
                usd(end),
                if end > budget { "over" } else { "within" },
                usd(budget)
            ));
        }
        (Some(end), _) => out.push_str(&format!("; the month is likely to end at {}.", usd(end))),
        (None, _) => out.push_str("; how the month ends is not known."),
    }
    out
}

fn tone(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "",
        Tone::Good => "good",
        Tone::Careful => "careful",
        Tone::Bad => "bad",
    }
}

fn section(entry: &CostEntry, name: &str, id: &str, report: Option<&CostReport>) -> Section {
    let figures = lead(entry)
        .into_iter()
        .enumerate()
        .map(|(i, line)| {
            let (value, unit) = match line.amount.rsplit_once(' ') {
                Some((value, "USD")) => (value.to_owned(), "USD"),
                _ => (line.amount.clone(), ""),
            };
            Figure {
                label: line.label.to_owned(),
                value,
                unit,
                text: line.text,
                tone: tone(line.tone),
                lesser: i == 2 || report.is_none(),
            }
        })
        .collect();
    let (splits, unknown_splits) = splits(entry);
    let course = course_chart(entry, name);
    Section {
        id: id.to_owned(),
        title: name.to_owned(),
        month: month(entry),
        figures,
        no_days: match &course {
            Some(_) => String::new(),
            None => "What each day cost is not known.".to_owned(),
        },
        course,
        days: days_chart(entry, name),
        services: services(entry),
        parts: report.map(parts),
        splits,
        unknown_splits,
        facts: facts(entry)
            .into_iter()
            // They have a table of their own.
            .filter(|(label, _)| *label != "Regions")
            .map(|(label, text)| Fact {
                label: label.to_owned(),
                text,
            })
            .collect(),
        notes: notes(entry).iter().map(|n| sentence(n)).collect(),
    }
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .collect();
    let stop = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

fn money(value: Decimal) -> String {
    match value.fract().is_zero() {
        true => usd(value).trim_end_matches(".00").to_owned(),
        false => usd(value),
    }
}

fn course_chart(entry: &CostEntry, name: &str) -> Option<chart::Figure> {
    let course = course(entry)?;
    let (this, last) = months(entry);
    let budget = amount(&entry.budget).filter(|_| entry.currency == "USD");
    let has = |values: &[Option<Decimal>]| values.iter().any(Option::is_some);
    let mut lines = vec![Line {
        name: &this,
        values: course.spent.clone(),
        kind: LineKind::Main,
        hollow: Vec::new(),
    }];
    if has(&course.forecast) {
        lines.push(Line {
            name: "forecast",
            values: course.forecast.clone(),
            kind: LineKind::Dashed,
            hollow: Vec::new(),
        });
    }
    if has(&course.last_month) {
        lines.push(Line {
            name: &last,
            values: course.last_month.clone(),
            kind: LineKind::Second,
            hollow: Vec::new(),
        });
    }
    let band = course.band.iter().any(Option::is_some).then(|| Band {
        name: "likely",
        values: course.band.clone(),
    });
    let caption = format!("The month added up, {}", entry.currency);
    let label = format!(
        "Spend of {name} in {} added up day by day, with the forecast to the end of the month, last month, and the budget",
        month(entry)
    );
    Plot {
        label: &label,
        caption: &caption,
        slot: "Day",
        slots: course.days.iter().map(ToString::to_string).collect(),
        columns: None,
        lines,
        band,
        limit: budget.map(|value| Limit {
            name: "budget",
            value,
        }),
        floor: Some(Decimal::ZERO),
        ceiling: None,
        shown: money,
    }
    .figure()
}

fn days_chart(entry: &CostEntry, name: &str) -> Option<chart::Figure> {
    let first: jiff::civil::Date = entry.month.as_deref()?.parse().ok()?;
    let budget = amount(&entry.budget).filter(|_| entry.currency == "USD");
    let each = budget.and_then(|b| {
        b.checked_div(Decimal::from(i64::from(first.days_in_month())))
            .map(|d| d.round_dp(2))
    });
    let caption = format!("Each day, {}", entry.currency);
    let label =
        format!("Spend of {name} on each day of this and last month, with the budget of a day");
    Plot {
        label: &label,
        caption: &caption,
        slot: "Day",
        slots: entry
            .daily
            .iter()
            .map(|d| d.date.strftime("%-d %b").to_string())
            .collect(),
        columns: Some(Columns {
            name: "spent",
            values: entry.daily.iter().map(|d| d.amount.parse().ok()).collect(),
            dim: entry.daily.iter().filter(|d| d.date < first).count(),
        }),
        lines: Vec::new(),
        band: None,
        limit: each.map(|value| Limit {
            name: "budget a day",
            value,
        }),
        floor: None,
        ceiling: None,
        shown: money,
    }
    .figure()
}

fn services(entry: &CostEntry) -> Option<Table> {
    let spent = |i: usize| {
        entry
            .by_service
            .get(i)
            .and_then(|s| amount(&s.month_to_date))
    };
    let most = (0..entry.by_service.len()).filter_map(spent).max()?;
    let mut rows: Vec<Vec<Cell>> = entry
        .by_service
        .iter()
        .take(MOST_ROWS)
        .map(|service| {
            let share = amount(&service.month_to_date)
                .and_then(|s| cents::percent(s.max(Decimal::ZERO), most));
            let change = amount(&service.change);
            vec![
                Cell::text(service.name.as_str()),
                Cell::svg(chart::bars(&[share])),
                Cell::text(plain(&service.month_to_date)),
                Cell::text(change.map_or_else(|| "–".to_owned(), signed)),
                Cell::text(change_percent(service)),
                Cell::text(plain(&service.previous_full_month)),
            ]
        })
        .collect();
    let rest = entry.by_service.len().saturating_sub(MOST_ROWS);
    if rest > 0 {
        let sum = |of: fn(&crate::cost::ServiceCost) -> &Option<String>| {
            let values: Option<Vec<Decimal>> = entry.by_service[MOST_ROWS..]
                .iter()
                .map(|s| amount(of(s)))
                .collect();
            values.map_or_else(|| "–".to_owned(), |v| usd(v.into_iter().sum()))
        };
        rows.push(vec![
            Cell::text(plural(rest as u64, "more service", "more services")),
            Cell::text(""),
            Cell::text(sum(|s| &s.month_to_date)),
            Cell::text(""),
            Cell::text(""),
            Cell::text(sum(|s| &s.previous_full_month)),
        ]);
    }
    let against = match entry.compared_days {
        0 => "Change".to_owned(),
        _ => format!("Change, {}", same_days(entry)),
    };
    Some(Table {
        caption: "By service".to_owned(),
        columns: vec![
            Column::text("Service").class("wide"),
            Column::text("Part").class("bars"),
            Column::number("So far"),
            Column::number("").named(&against),
            Column::number("In %"),
            Column::number("Last month"),
        ],
        rows,
        ..Table::default()
    })
}

/// The environments side by side, and what the payer pays for besides them.
fn parts(report: &CostReport) -> Table {
    let mut rows: Vec<Vec<Cell>> = report
        .cost
        .iter()
        .filter(|e| e.environment.is_some())
        .map(|entry| {
            let over = amount(&entry.forecast_month_end)
                .zip(amount(&entry.budget))
                .filter(|_| entry.currency == "USD")
                .map(|(end, budget)| end > budget);
            vec![
                Cell::text(entry.environment.as_deref().unwrap_or_default())
                    .sub(entry.account.clone().unwrap_or_default()),
                Cell::text(match &entry.month_to_date {
                    Some(_) => plain(&entry.month_to_date),
                    None => "unknown".to_owned(),
                }),
                Cell::text(plain(&entry.forecast_month_end)).tone(match over {
                    Some(true) => "bad",
                    Some(false) => "good",
                    None => "",
                }),
                Cell::text(plain(&entry.budget)),
                Cell::text(plain(&entry.previous_full_month)),
            ]
        })
        .collect();
    for other in report
        .cost
        .iter()
        .filter(|e| e.environment.is_none())
        .flat_map(|e| &e.other_accounts)
    {
        rows.push(vec![
            Cell::text(
                other
                    .label
                    .clone()
                    .unwrap_or_else(|| "no environment".to_owned()),
            )
            .sub(other.account.clone()),
            Cell::text(plain(&Some(other.month_to_date.clone()))),
            Cell::text("–"),
            Cell::text("–"),
            Cell::text(plain(&other.previous_full_month)),
        ]);
    }
    Table {
        caption: "By environment".to_owned(),
        columns: vec![
            Column::text("Environment"),
            Column::number("So far"),
            Column::number("Month end"),
            Column::number("Budget"),
            Column::number("Last month"),
        ],
        rows,
        ..Table::default()
    }
}

/// By team first, then by the other keys and by region; and the keys of which nothing is known.
fn splits(entry: &CostEntry) -> (Vec<Table>, Vec<String>) {
    let mut tables = Vec::new();
    let mut unknown = Vec::new();
    let mut keys: Vec<(&String, &TagStatus)> = entry.tag_status.iter().collect();
    keys.sort_by_key(|(key, _)| (key.as_str() != "team", key.as_str()));
    for (key, status) in keys {
        let why = match status {
            TagStatus::Active => None,
            TagStatus::NotActivated => Some("the key is not activated as a cost allocation tag"),
            TagStatus::Unknown => Some("only untagged spend shows, or it could not be seen"),
            TagStatus::NotAsked => Some("it was not asked"),
        };
        if let Some(why) = why {
            unknown.push(format!("By {key}: unknown, {why}."));
            continue;
        }
        let values = entry.by_tag.get(key).map(Vec::as_slice).unwrap_or_default();
        let named: Vec<(String, Decimal, bool)> = values
            .iter()
            .filter_map(|v| {
                let spent = amount(&v.month_to_date)?;
                Some(match v.value.is_empty() {
                    true => ("without the tag".to_owned(), spent, true),
                    false => (v.value.clone(), spent, false),
                })
            })
            .collect();
        if !named.is_empty() {
            let mut table = split(&format!("By {key}"), named);
            if let Some(percent) = entry.untagged_percent.get(key) {
                table.aside = format!("{percent} % of what can be tagged is without");
            }
            tables.push(table);
        }
    }
    let regions: Vec<(String, Decimal, bool)> = entry
        .by_region
        .iter()
        .filter_map(|r| Some((r.name.clone(), amount(&r.month_to_date)?, false)))
        .collect();
    if !regions.is_empty() {
        tables.push(split("By region", regions));
    }
    (tables, unknown)
}

/// Rounded once, from the amounts: rounding what is rounded already gives 72 and 28 of 72.55 and 27.45.
fn whole_percent(part: Decimal, whole: Decimal) -> String {
    match (part * Decimal::ONE_HUNDRED).checked_div(whole) {
        Some(share) if whole > Decimal::ZERO => format!(
            "{} %",
            share.round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero)
        ),
        _ => "–".to_owned(),
    }
}

fn split(caption: &str, mut values: Vec<(String, Decimal, bool)>) -> Table {
    // Without the tag last, whatever it costs.
    values.sort_by(|a, b| (a.2, b.1, &a.0).cmp(&(b.2, a.1, &b.0)));
    let total: Decimal = values.iter().map(|v| v.1).sum();
    let more = values.len().saturating_sub(MOST_ROWS);
    let rest: Decimal = values.iter().skip(MOST_ROWS).map(|v| v.1).sum();
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    let mut push = |name: String, spent: Decimal, without: bool| {
        let share = cents::percent(spent, total);
        let name = Cell::text(cut(&name, 80));
        rows.push(vec![
            if without { name.tone("careful") } else { name },
            Cell::svg(chart::bars(&[share.map(|s| s.max(Decimal::ZERO))])),
            Cell::text(usd(spent)),
            Cell::text(whole_percent(spent, total)),
        ]);
    };
    for (name, spent, without) in values.into_iter().take(MOST_ROWS) {
        push(name, spent, without);
    }
    if more > 0 {
        push(plural(more as u64, "more", "more"), rest, false);
    }
    Table {
        caption: caption.to_owned(),
        columns: vec![
            Column::text("")
                .named(caption.trim_start_matches("By "))
                .class("wide"),
            Column::text("Part").class("bars"),
            Column::number("So far"),
            Column::number("Share"),
        ],
        rows,
        ..Table::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_once() {
        let of = |part: &str| whole_percent(part.parse().unwrap(), Decimal::from(100));
        assert_eq!((of("72.55"), of("27.45")), ("73 %".into(), "27 %".into()));
        assert_eq!(whole_percent(Decimal::ONE, Decimal::ZERO), "–");
    }
}
