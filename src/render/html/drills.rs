//! The page of `report drills`: the period, then one sheet for each drill that can be filed alone.

mod sheet;

use minijinja::context;
use rust_decimal::Decimal;

use sheet::sheet;

use super::chart::{self, Limit, Line, LineKind, Plot};
use super::table::{Cell, Column, Explorer, Kind, Table};
use super::{Fact, Figure, Head, Jump};
use crate::drill::machine::span;
use crate::drill::record::{Record, seconds_between};
use crate::drill::review::{SourceReview, State};
use crate::render::drills::{DrillsReport, against, ago, day, keeps, passes, seconds, state, word};
use crate::render::text::{number, plural};

/// Sources with a chart of their own.
const MOST_CHARTS: usize = 12;

/// # Errors
/// See [`super::page`].
pub fn page(report: &DrillsReport<'_>) -> Result<String, String> {
    let faults = report.faults();
    let mut jumps = Vec::new();
    if !report.single {
        jumps.push(Jump {
            id: "sources",
            title: "Sources",
        });
        if !charts(report).is_empty() {
            jumps.push(Jump {
                id: "trend",
                title: "Trend",
            });
        }
        if report.review.counts.runs() > 0 {
            jumps.push(Jump {
                id: "runs",
                title: "All drills",
            });
        }
        if report.sandbox.is_none() {
            jumps.push(Jump {
                id: "frameworks",
                title: "SOC 2, ISO 27001, DORA",
            });
        }
    }
    let title = match (report.single, report.pages.first()) {
        (true, Some(page)) => format!("Restore drill {}", page.record.drill),
        _ => "Restore drills".to_owned(),
    };
    let mut about = vec![Fact {
        label: "Period".to_owned(),
        text: format!("{} to {}", day(report.review.from), day(report.review.to)),
    }];
    if report.single {
        about.clear();
    }
    about.push(Fact {
        label: "Records".to_owned(),
        text: report
            .chains
            .iter()
            .map(|c| {
                format!(
                    "{}: {}, {}",
                    c.chain,
                    number(c.records),
                    if c.broken.is_empty() {
                        "intact"
                    } else {
                        "BROKEN"
                    }
                )
            })
            .collect::<Vec<_>>()
            .join("; "),
    });
    if report.rehearsals > 0 {
        about.push(Fact {
            label: "Not counted".to_owned(),
            text: plural(
                report.rehearsals,
                "rehearsal in a sandbox",
                "rehearsals in sandboxes",
            ),
        });
    }
    let head = Head {
        title,
        project: report.project.clone(),
        stand: report.stand(),
        generated_at: report.generated_at.clone(),
        facts: about,
        jumps,
        command: report.command.clone(),
    };
    let body = context! {
        single => report.single,
        faults => faults,
        notes => report.notes,
        rehearsal => report.rehearsal(),
        empty => report.review.counts.runs() == 0,
        figures => figures(report),
        sources => sources(report),
        charts => charts(report),
        runs => runs(report),
        mappings => mappings(report),
        sheets => report.pages.iter().map(sheet).collect::<Vec<_>>(),
        without_page => match report.without_page {
            0 => String::new(),
            n => format!("{} without a sheet here; opsctl report drills RUN makes one.", plural(n, "older drill is", "older drills are")),
        },
    };
    super::page("drills.html", &head, body)
}

fn figures(report: &DrillsReport<'_>) -> Vec<Figure> {
    let review = &report.review;
    let counts = &review.counts;
    let asked = review.asked().count();
    let in_time = review.asked().filter(|s| s.state == State::InTime).count();
    let late = review
        .asked()
        .filter(|s| matches!(s.state, State::Overdue | State::Never))
        .count();
    let slowest = review
        .sources
        .iter()
        .filter_map(|s| Some((s.slowest_seconds?, s)))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let verify = report.of_those();
    let mut all = vec![
        Figure {
            label: "Sources in time".to_owned(),
            value: match asked {
                0 => "–".to_owned(),
                n => format!("{in_time} of {n}"),
            },
            text: match (asked, late) {
                (0, _) => "no drill is configured, or opsctl.toml was not there".to_owned(),
                (_, 0) => "restored and checked as often as asked".to_owned(),
                (_, n) => format!(
                    "{} overdue or never passed",
                    plural(n as u64, "source is", "sources are")
                ),
            },
            tone: match (asked, late) {
                (0, _) => "",
                (_, 0) => "good",
                _ => "bad",
            },
            ..Figure::default()
        },
        Figure {
            label: "Drills in the period".to_owned(),
            value: number(counts.runs()),
            text: match counts.aborted {
                _ if report.sandbox.is_some() => {
                    "rehearsals: none of them is about a real backup".to_owned()
                }
                0 => format!("all of them say something about a backup{verify}"),
                n => format!("{n} could not run: they say nothing about a backup{verify}"),
            },
            ..Figure::default()
        },
        Figure {
            label: "Passed".to_owned(),
            value: match counts.conclusive() {
                0 => "–".to_owned(),
                n => (counts.passed * 100 / n).to_string(),
            },
            unit: if counts.conclusive() == 0 { "" } else { "%" },
            text: format!(
                "{} passed, {} failed, {} missed an objective{verify}",
                counts.passed, counts.failed, counts.missed_objective
            ),
            tone: match counts.conclusive() {
                0 => "",
                n if n == counts.passed => "good",
                _ => "careful",
            },
            ..Figure::default()
        },
        Figure {
            label: "Slowest recovery".to_owned(),
            value: slowest.map_or_else(|| "–".to_owned(), |(s, _)| span(s)),
            text: slowest.map_or_else(String::new, |(_, s)| {
                format!(
                    "{} in {}{}",
                    s.drill,
                    s.environment,
                    s.rto_seconds
                        .map_or_else(String::new, |o| format!(", objective {}", span(o)))
                )
            }),
            tone: match slowest.and_then(|(s, source)| keeps(Some(s), source.rto_seconds)) {
                Some(true) => "good",
                Some(false) => "bad",
                None => "",
            },
            lesser: slowest.is_some_and(|(s, _)| span(s).len() > 6),
            ..Figure::default()
        },
    ];
    // What is missing or changed may be what did not pass: nothing is fine until that is explained.
    // And what a rehearsal shows says nothing about a real backup.
    if !report.is_whole() || report.sandbox.is_some() {
        all.iter_mut()
            .filter(|figure| figure.tone == "good")
            .for_each(|figure| figure.tone = "");
    }
    all
}

fn objective(value: Option<f64>, objective: Option<f64>) -> Cell {
    Cell::text(against(value, objective)).tone(match keeps(value, objective) {
        Some(false) => "bad",
        Some(true) => "good",
        None => "",
    })
}

fn sources(report: &DrillsReport<'_>) -> Table {
    let rows = report
        .review
        .sources
        .iter()
        .map(|source| {
            let (word, tone) = state(source.state);
            vec![
                Cell::text(format!("{} · {}", source.drill, source.environment))
                    .sub(source.source.clone()),
                Cell::text(word).tone(tone),
                Cell::text(match source.every_seconds {
                    Some(every) => format!("every {}", span(every)),
                    None => "–".to_owned(),
                })
                .sub(match source.longest_without_seconds {
                    Some(gap) => format!("longest without a pass: {}", ago(gap)),
                    None => String::new(),
                }),
                Cell::text(source.last_passed.map_or_else(|| "never".to_owned(), day)).sub(
                    source.last_passed.map_or_else(String::new, |at| {
                        format!("{} ago", ago(seconds_between(at, report.review.to)))
                    }),
                ),
                Cell::text(passes(source)),
                objective(source.slowest_seconds, source.rto_seconds),
                objective(source.oldest_point_seconds, source.rpo_seconds),
            ]
        })
        .collect();
    Table {
        columns: vec![
            Column::text("Drill").class("wide"),
            Column::text("State"),
            Column::text("Asked for"),
            Column::text("Last passed"),
            Column::text("Passed"),
            Column::text("Slowest recovery"),
            Column::text("Oldest recovery point"),
        ],
        rows,
        ..Table::default()
    }
}

/// Recovery times of each source with at least two, in minutes.
fn charts(report: &DrillsReport<'_>) -> Vec<chart::Figure> {
    let trend = |s: &&SourceReview<'_>| {
        let measured = |r: &&&Record| r.recovery_seconds().is_some();
        s.records.iter().filter(measured).count() >= 2
    };
    report
        .review
        .sources
        .iter()
        .filter(trend)
        .take(MOST_CHARTS)
        .flat_map(|source| [chart(source, true), chart(source, false)])
        .flatten()
        .collect()
}

fn chart(source: &SourceReview<'_>, recovery: bool) -> Option<chart::Figure> {
    let of = |r: &Record| match recovery {
        true => r.recovery_seconds(),
        false => r.measured.recovery_point_age_seconds,
    };
    let limit = match recovery {
        true => source.rto_seconds,
        false => source.rpo_seconds,
    };
    let values: Vec<Option<f64>> = source.records.iter().map(|r| of(r)).collect();
    let most = values
        .iter()
        .flatten()
        .copied()
        .chain(limit)
        .fold(0.0, f64::max);
    let (unit, shown): (f64, fn(Decimal) -> String) = match most {
        m if m < 300.0 => (1.0, |v| format!("{} s", v.round_dp(1).normalize())),
        m if m < 4.0 * 3600.0 => (60.0, |v| format!("{} min", v.round_dp(1).normalize())),
        m if m < 4.0 * 86_400.0 => (3600.0, |v| format!("{} h", v.round_dp(1).normalize())),
        _ => (86_400.0, |v| format!("{} d", v.round_dp(1).normalize())),
    };
    let scaled = |seconds: f64| {
        Decimal::try_from(seconds / unit)
            .ok()
            .map(|d| d.round_dp(2))
    };
    let (name, what) = match recovery {
        true => ("time to recovery", "Time to recovery"),
        false => ("age of the recovery point", "Age of the recovery point"),
    };
    let caption = format!("{what}: {} in {}", source.drill, source.environment);
    let label = format!(
        "{caption}, {} drills, with the objective where there is one",
        values.len()
    );
    Plot {
        label: &label,
        caption: &caption,
        slot: "Drill of",
        slots: source
            .records
            .iter()
            .map(|r| r.started_at.strftime("%-d %b").to_string())
            .collect(),
        columns: None,
        lines: vec![Line {
            name,
            values: values.iter().map(|v| v.and_then(scaled)).collect(),
            kind: LineKind::Main,
            hollow: Vec::new(),
        }],
        band: None,
        limit: limit.and_then(scaled).map(|value| Limit {
            name: "objective",
            value,
        }),
        floor: Some(Decimal::ZERO),
        ceiling: None,
        shown,
    }
    .figure()
}

fn runs(report: &DrillsReport<'_>) -> Explorer {
    let mut records: Vec<&Record> = report.review.records().collect();
    records.sort_by_key(|r| std::cmp::Reverse(r.started_at));
    let rows = records
        .into_iter()
        .map(|r| {
            vec![
                Cell::text(r.started_at.strftime("%Y-%m-%d %H:%M").to_string()),
                Cell::text(r.drill.as_str()),
                Cell::text(r.environment.as_str()),
                Cell::text(word(r.result)),
                Cell::number(seconds(r.recovery_seconds()), r.recovery_seconds()),
                Cell::number(
                    seconds(r.measured.recovery_point_age_seconds),
                    r.measured.recovery_point_age_seconds,
                ),
                Cell::text(r.reasons.first().map(String::as_str).unwrap_or_default()),
                Cell::text(r.run_id.as_str()),
            ]
        })
        .collect();
    let columns = vec![
        Column::text("When"),
        Column::text("Drill").facet(),
        Column::text("Environment").facet(),
        Column::text("Result").facet(),
        Column::number("Recovered in"),
        Column::number("Point was"),
        Column::text("Why").class("wide"),
        Column::text("Run").kind(Kind::Code).class("wide"),
    ];
    Explorer::new("All drills of the period", columns, rows)
}

fn mappings(report: &DrillsReport<'_>) -> Table {
    Table {
        stack: true,
        columns: vec![
            Column::text("Reference"),
            Column::text("Asks, in short"),
            Column::text("Supported by"),
            Column::text("Not shown here"),
        ],
        rows: report
            .mappings()
            .into_iter()
            .map(|m| {
                vec![
                    Cell::text(m.reference),
                    Cell::text(m.asks),
                    Cell::text(m.supports),
                    Cell::text(m.not_shown),
                ]
            })
            .collect(),
        ..Table::default()
    }
}
