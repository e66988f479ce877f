//! The page of `report tags`.

use std::collections::BTreeSet;

use minijinja::context;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::chart::{self, Line, LineKind, Plot};
use super::table::{Cell, Column, Explorer, Kind, Table};
use super::{Fact, Figure, Head, Jump};
use crate::catalog;
use crate::model::Severity;
use crate::render::attention;
use crate::render::tags::{
    age, basis, by_spend, capital, changed, currency, dimensions, estimated, left, money, month,
    of, owner, place, when, wrong, wrong_now,
};
use crate::render::text::{decimal, number, plural};
use crate::render::words;
use crate::report::tags::{Basis, ExemptionState, Offender, TagReport, WeighedShare};

/// Rows of the table of the worst.
const WORST: usize = 12;

/// Rows of the table of what is new.
const NEW: usize = 12;

/// Gaps that are listed.
const GAPS: usize = 12;

/// # Errors
/// See [`super::page`].
pub fn page(report: &TagReport) -> Result<String, String> {
    let new: Vec<&Offender> = report
        .resources
        .iter()
        .filter(|o| o.new == Some(true))
        .collect();
    let mut jumps = vec![Jump {
        id: "shares",
        title: "Where it stands",
    }];
    let mut jump = |id, title, there: bool| {
        if there {
            jumps.push(Jump { id, title });
        }
    };
    jump("new", "What is new", !new.is_empty());
    jump("worst", "The worst", !report.resources.is_empty());
    jump("twins", "Other spellings", !report.twins.is_empty());
    jump("exemptions", "Exemptions", !report.exemptions.is_empty());
    jump("unseen", "Not looked at", true);
    jump("all", "All resources", !report.resources.is_empty());
    let mut facts = Head::scope(&report.scope, report.sandbox.as_deref());
    if let Some(target) = &report.target {
        facts.push(Fact {
            label: "Only".to_owned(),
            text: target.clone(),
        });
    }
    let head = Head {
        title: "Tag compliance".to_owned(),
        project: report.project.clone(),
        stand: "Whether what runs in the accounts bears the tags that the policies ask for, who answers for what does not, and what it costs.".to_owned(),
        generated_at: report.generated_at.clone(),
        facts,
        jumps,
        command: command(report),
    };
    let body = context! {
        gaps => gaps(report),
        figures => figures(report),
        changed => changed(report),
        not_compared => report.trend.not_compared,
        trend => trend(report),
        panels => panels(report),
        basis => basis(report),
        estimated => estimated(report),
        new => (!new.is_empty()).then(|| offenders(report, &new, NEW, true)),
        new_more => new.len().saturating_sub(NEW),
        worst => (!report.resources.is_empty()).then(|| {
            let all: Vec<&Offender> = report.resources.iter().collect();
            offenders(report, &all, WORST, false)
        }),
        worst_more => report.resources.len().saturating_sub(WORST),
        twins => twins(report),
        exemptions => exemptions(report),
        not_checked => words::not_checked(&report.not_looked_at.types),
        types_checked => report.not_looked_at.types_checked,
        buckets_outside => report.not_looked_at.buckets_outside,
        without_policy => report.not_looked_at.environments_without_policy,
        left_alone => left_alone(report),
        elsewhere => elsewhere(report),
        accepted => super::accepted(&report.accepted_unobserved),
        notes => report.notes,
        all => (!report.resources.is_empty()).then(|| all(report)),
        terms => terms(report),
    };
    super::page("tags.html", &head, body)
}

fn command(report: &TagReport) -> String {
    let mut command = "opsctl report tags --format html".to_owned();
    if let Some(name) = &report.sandbox {
        command.push_str(&format!(" --sandbox {name}"));
    }
    command
}

fn gaps(report: &TagReport) -> Vec<String> {
    attention::gaps(&report.unobserved, GAPS)
        .iter()
        .map(|row| {
            format!(
                "{} in {}/{}, {}: {}",
                row.operation,
                row.environment,
                row.region,
                row.resources(),
                row.error()
            )
        })
        .collect()
}

fn figures(report: &TagReport) -> Vec<Figure> {
    let overall = &report.compliance.overall;
    let blind = !report.unobserved.is_empty();
    let seen = if blind { " that could be seen" } else { "" };
    let value = |percent: &Option<String>| match percent {
        Some(percent) => (percent.clone(), "%"),
        None => ("–".to_owned(), ""),
    };
    let (count, count_unit) = value(&overall.percent);
    let (spent, spent_unit) = value(&overall.spend_percent);
    let spend_text = match (&overall.spend_percent, money(&overall.spend)) {
        (Some(_), Some(spend)) => format!(
            "of {spend} {} {}, estimated by service",
            currency(report),
            month(report)
        ),
        (None, Some(_)) => "nothing was spent on what was judged".to_owned(),
        _ => format!("unknown: {}", report.spend.note.clone().unwrap_or_default()),
    };
    let trend = &report.trend;
    let at_least = if trend.sampled { "at least " } else { "" };
    let (new, new_text) = match (&trend.since, trend.new) {
        (Some(since), Some(new)) => (
            number(new),
            match trend.fixed {
                Some(fixed) => format!(
                    "{at_least}, since {}; {} fixed",
                    when(report, since),
                    number(fixed)
                )
                .trim_start_matches(", ")
                .to_owned(),
                None => format!("since {}", when(report, since)),
            },
        ),
        _ => (
            "–".to_owned(),
            "the first run that is remembered".to_owned(),
        ),
    };
    vec![
        Figure {
            label: "Compliant, by count".to_owned(),
            value: count,
            unit: count_unit,
            text: format!("{} resources{seen}", of(overall)),
            ..Figure::default()
        },
        Figure {
            label: "Compliant, weighted by spend".to_owned(),
            value: spent,
            unit: spent_unit,
            text: spend_text,
            ..Figure::default()
        },
        Figure {
            label: "New findings".to_owned(),
            value: new,
            text: new_text,
            lesser: true,
            ..Figure::default()
        },
        Figure {
            label: "Without an owner".to_owned(),
            value: number(report.summary.without_owner),
            text: "not compliant, and no tag says whose they are".to_owned(),
            lesser: true,
            ..Figure::default()
        },
    ]
}

/// The runs, where there is more than this one.
fn trend(report: &TagReport) -> Option<chart::Figure> {
    let runs = &report.trend.runs;
    if runs.len() < 2 {
        return None;
    }
    let number = |text: &Option<String>| text.as_deref().and_then(decimal);
    let hollow: Vec<usize> = (0..runs.len())
        .filter(|i| runs.get(*i).is_some_and(|r| !r.complete))
        .collect();
    let mut lines = vec![Line {
        name: "by count",
        values: runs.iter().map(|r| number(&r.percent)).collect(),
        kind: LineKind::Main,
        hollow: hollow.clone(),
    }];
    if runs.iter().any(|r| r.spend_percent.is_some()) {
        lines.push(Line {
            name: "weighted by spend",
            values: runs.iter().map(|r| number(&r.spend_percent)).collect(),
            kind: LineKind::Second,
            hollow,
        });
    }
    let same_day = runs
        .windows(2)
        .any(|two| two[0].at.get(..10) == two[1].at.get(..10));
    let slot = |at: &str| {
        let format = if same_day { "%-d %b %H:%M" } else { "%-d %b" };
        at.parse::<jiff::Timestamp>()
            .map_or_else(|_| at.to_owned(), |t| t.strftime(format).to_string())
    };
    Plot {
        label: "Compliance of the tags in percent, by run",
        caption: "Compliance by run, in percent. A hollow dot: not everything could be seen.",
        slot: "Run",
        slots: runs.iter().map(|r| slot(&r.at)).collect(),
        columns: None,
        lines,
        band: None,
        limit: None,
        floor: Some(Decimal::ZERO),
        ceiling: Some(Decimal::ONE_HUNDRED),
        shown: |value| format!("{} %", value.normalize()),
    }
    .figure()
}

fn panels(report: &TagReport) -> Vec<Table> {
    dimensions(report)
        .into_iter()
        .filter(|(_, shares)| shares.iter().any(|(_, share)| share.checked > 0))
        .map(|(name, shares)| Table {
            caption: format!("By {name}"),
            columns: vec![
                Column::text("").named(&capital(name)),
                Column::text("Share").class("bars"),
                Column::number("By count"),
                Column::number("By spend"),
            ],
            rows: shares
                .into_iter()
                .map(|(name, share)| panel_row(report, name, share))
                .collect(),
            ..Table::default()
        })
        .collect()
}

fn panel_row(report: &TagReport, name: String, share: &WeighedShare) -> Vec<Cell> {
    let number = |text: &Option<String>| text.as_deref().and_then(decimal);
    let shown = |text: &Option<String>, none: &str| match text {
        Some(percent) => format!("{percent} %"),
        None => none.to_owned(),
    };
    let by_spend = match (&share.spend_percent, money(&share.spend)) {
        (Some(_), Some(spend)) => {
            let measured = match share.spend_basis {
                Some(Basis::Measured) => ", measured",
                _ => "",
            };
            let sub = format!("{spend} {}{measured}", currency(report));
            Cell::text(shown(&share.spend_percent, "")).sub(sub)
        }
        _ => Cell::text(by_spend(report, share)).tone("muted"),
    };
    vec![
        Cell::text(name),
        Cell::svg(chart::bars(&[
            number(&share.percent),
            number(&share.spend_percent),
        ])),
        Cell::text(shown(&share.percent, "–")).sub(of(share)),
        by_spend,
    ]
}

/// `new`: only the findings that are.
fn offenders(report: &TagReport, rows: &[&Offender], most: usize, new: bool) -> Table {
    let money_of = format!("{} {}", currency(report), month(report));
    Table {
        columns: vec![
            Column::text("Resource").class("wide"),
            Column::text("What is wrong").class("wide"),
            Column::text("Owner").class("mid"),
            Column::text("Age").class("mid"),
            Column::number("").named(&money_of),
            Column::text("The one command")
                .kind(Kind::Command)
                .class("wide"),
        ],
        rows: rows
            .iter()
            .take(most)
            .map(|o| {
                let fix = &o.fix;
                let nobody = if o.owner.is_none() { "careful" } else { "" };
                let source = o.owner.as_ref().map_or("", |owner| owner.source.as_str());
                let mut command = Cell::fix(fix.command.as_deref(), &fix.text);
                if fix.command.is_some() {
                    command = command.sub(fix.text.as_str());
                }
                vec![
                    Cell::text(o.name.as_str()).sub(place(o)),
                    Cell::text(if new { wrong_now(o) } else { wrong(o) }).sub(severity(o)),
                    Cell::text(owner(o)).tone(nobody).sub(source),
                    Cell::text(age(o)),
                    Cell::text(money(&o.month_to_date).unwrap_or_else(|| "unknown".to_owned())),
                    command,
                ]
            })
            .collect(),
        ..Table::default()
    }
}

/// Said only where it stands out.
fn severity(offender: &Offender) -> &'static str {
    match offender.severity {
        Severity::Critical | Severity::High => offender.severity.as_str(),
        _ => "",
    }
}

fn twins(report: &TagReport) -> Option<Table> {
    (!report.twins.is_empty()).then(|| Table {
        columns: vec![
            Column::text("Spelling").kind(Kind::Code).class("wide"),
            Column::text("Stands for").kind(Kind::Code).class("wide"),
            Column::text("Kind").class("mid"),
            Column::number("Resources"),
            Column::number("Beside the right key"),
            Column::number("Saying otherwise"),
            Column::text("Where").class("mid"),
            Column::text("Fix").kind(Kind::Command).class("wide"),
        ],
        rows: report
            .twins
            .iter()
            .map(|twin| {
                let kind = match twin.case_only {
                    true => "another case",
                    false => "old spelling",
                };
                vec![
                    Cell::text(twin.spelling.as_str()),
                    Cell::text(twin.key.as_str()),
                    Cell::text(kind),
                    Cell::text(number(twin.resources)),
                    Cell::text(number(twin.beside_right_key)),
                    Cell::text(number(twin.conflicting)),
                    Cell::text(twin.environments.join(", ")),
                    Cell::fix(twin.fix.command.as_deref(), &twin.fix.text),
                ]
            })
            .collect(),
        ..Table::default()
    })
}

fn exemptions(report: &TagReport) -> Option<Table> {
    (!report.exemptions.is_empty()).then(|| Table {
        columns: vec![
            Column::text("Exemption").class("wide"),
            Column::text("Reason").class("wide"),
            Column::text("Owner").class("mid"),
            Column::text("Ends").class("mid"),
            Column::number("Resources"),
            Column::text("Where").class("mid"),
        ],
        rows: report
            .exemptions
            .iter()
            .map(|e| {
                let tone = match e.state {
                    ExemptionState::Ended => "bad",
                    ExemptionState::EndsSoon => "careful",
                    ExemptionState::Holds => "",
                };
                let none = if e.resources == 0 { "careful" } else { "" };
                vec![
                    Cell::text(e.name.as_str()).sub(format!("{}:{}", e.policy.file, e.policy.line)),
                    Cell::text(e.reason.as_str()),
                    match &e.owner {
                        Some(owner) => Cell::text(owner.as_str()),
                        None => Cell::text("not named").tone("careful"),
                    },
                    Cell::text(left(e)).tone(tone).sub(e.until.as_str()),
                    Cell::text(number(e.resources)).tone(none),
                    Cell::text(e.environments.join(", ")),
                ]
            })
            .collect(),
        ..Table::default()
    })
}

fn left_alone(report: &TagReport) -> Vec<String> {
    let summary = &report.summary;
    let mut out = Vec::new();
    let mut say = |n: u64, what: &str| {
        if n > 0 {
            out.push(format!("{} {what}", plural(n, "resource", "resources")));
        }
    };
    say(summary.unobserved, "whose tags could not be read");
    say(summary.ignored, "with the tag opsctl:ignore");
    say(summary.exempt, "left alone by an exemption");
    out
}

fn elsewhere(report: &TagReport) -> Option<Table> {
    let spend = &report.spend;
    let rows: Vec<Vec<Cell>> = spend
        .regions_not_looked_at
        .iter()
        .map(|row| (row, "a region that is not looked at"))
        .chain(
            spend
                .elsewhere
                .iter()
                .map(|row| (row, "a service without a judged resource")),
        )
        .map(|(row, why)| {
            vec![
                Cell::text(row.name.as_str()),
                Cell::text(row.environment.as_str()),
                Cell::text(why),
                Cell::text(money(&Some(row.month_to_date.clone())).unwrap_or_default()),
            ]
        })
        .collect();
    (!rows.is_empty()).then(|| Table {
        caption: "Spend that no judged resource stands for".to_owned(),
        stack: true,
        columns: vec![
            Column::text("What"),
            Column::text("Environment"),
            Column::text("Why"),
            Column::number("").named(&format!("{} {}", currency(report), month(report))),
        ],
        rows,
        ..Table::default()
    })
}

fn all(report: &TagReport) -> Explorer {
    let columns = vec![
        Column::text("Resource").class("wide"),
        Column::text("Type").facet(),
        Column::text("Environment").facet(),
        Column::text("Region").class("whole").facet(),
        Column::text("Owner").class("mid").facet(),
        Column::text("Severity").kind(Kind::Severity).facet(),
        Column::text("What is wrong").class("wide"),
        Column::number("Days"),
        Column::number("").named(&currency(report)),
        Column::text("Fix").kind(Kind::Command).class("wide"),
    ];
    let rows = report
        .resources
        .iter()
        .map(|o| {
            let cost = o.month_to_date.as_deref().and_then(decimal);
            // What is not known has no place among the numbers.
            let days_known = match (o.new, o.age_days, o.since_first_run) {
                (Some(true), ..) => Some(0.0),
                (_, Some(0), true) | (_, None, _) => None,
                (_, Some(days), _) => days.to_f64(),
            };
            let days = match (o.new, o.age_days, o.since_first_run) {
                (Some(true), ..) => "new".to_owned(),
                (_, Some(0), true) | (_, None, _) => "–".to_owned(),
                (_, Some(days), true) => format!("{days}+"),
                (_, Some(days), false) => days.to_string(),
            };
            vec![
                Cell::text(o.name.as_str()),
                Cell::text(o.kind.as_str()),
                Cell::text(o.environment.as_str()),
                Cell::text(o.region.as_str()),
                Cell::text(owner(o)),
                Cell::text(o.severity.as_str()),
                Cell::text(wrong(o)),
                Cell::number(days, days_known),
                Cell::number(
                    money(&o.month_to_date).unwrap_or_else(|| "–".to_owned()),
                    cost.and_then(|c| c.to_f64()),
                ),
                Cell::fix(o.fix.command.as_deref(), &o.fix.text),
            ]
        })
        .collect();
    Explorer::new("Resources with findings", columns, rows)
}

/// What each kind of finding in the report means.
fn terms(report: &TagReport) -> Vec<minijinja::Value> {
    let ids: BTreeSet<&str> = report
        .resources
        .iter()
        .flat_map(|o| o.findings.iter().map(|f| f.id.as_str()))
        .collect();
    ids.into_iter()
        .filter_map(catalog::find)
        .map(|entry| {
            context! {
                id => entry.id, title => entry.title, means => entry.means,
                matters => entry.matters, fix => entry.fix,
            }
        })
        .collect()
}
