//! `report drills` for a terminal.

use super::Context;
use super::drill::drills;
use crate::drill::machine::span;
use crate::drill::record::seconds_between;
use crate::render::drills::{DrillsReport, against, ago, day, passes, state};
use crate::render::paint::{Lines, Paint};
use crate::render::text::{escape, plural};
use crate::render::{DrillView, Style};

/// The period by source, or the drills that were asked for.
pub fn drill_report(report: &DrillsReport<'_>, style: &Style) -> String {
    let context = Context::new(style);
    let mut lines = Lines::default();
    if !report.single {
        context.wrapped(&mut lines, 0, &escape(&report.stand()), Paint::bold);
    }
    if let Some(rehearsal) = report.rehearsal() {
        context.wrapped(&mut lines, 0, &escape(&rehearsal), Paint::yellow);
    }
    for fault in report.faults() {
        context.wrapped(&mut lines, 2, &escape(&fault), Paint::alarm);
    }
    for note in &report.notes {
        context.wrapped(&mut lines, 2, &escape(note), Paint::yellow);
    }
    let mut out = lines.finish();
    if report.single {
        let views: Vec<DrillView> = report
            .pages
            .iter()
            .map(|page| DrillView {
                record: page.record.clone(),
                path: page.places.join(", "),
                journal: String::new(),
                uploaded: String::new(),
                upload_error: None,
                help: None,
            })
            .collect();
        out.push_str(&drills(&views, style));
        return out;
    }
    let review = &report.review;
    let rows: Vec<Vec<String>> = review
        .sources
        .iter()
        .map(|source| {
            vec![
                format!("{} ({})", source.drill, source.environment),
                state(source.state).0.to_owned(),
                source.every_seconds.map_or_else(|| "–".to_owned(), span),
                source.last_passed.map_or_else(
                    || "never".to_owned(),
                    |at| format!("{} ago", ago(seconds_between(at, review.to))),
                ),
                passes(source),
                against(source.slowest_seconds, source.rto_seconds),
                against(source.oldest_point_seconds, source.rpo_seconds),
            ]
        })
        .collect();
    if !rows.is_empty() {
        out.push('\n');
        out.push_str(&crate::render::table(
            &[
                "drill",
                "state",
                "every",
                "last passed",
                "passed",
                "slowest",
                "oldest point",
            ],
            &rows,
            false,
        ));
    }
    let counts = &review.counts;
    out.push_str(&format!(
        "\n{} to {}: {}, {} passed, {} failed, {} missed an objective, {} could not run{}.\n",
        day(review.from),
        day(review.to),
        plural(counts.runs(), "drill", "drills"),
        counts.passed,
        counts.failed,
        counts.missed_objective,
        counts.aborted,
        report.of_those()
    ));
    for chain in &report.chains {
        let word = if chain.broken.is_empty() {
            "intact"
        } else {
            "BROKEN"
        };
        out.push_str(&format!(
            "chain {}: {}, {word}\n",
            escape(&chain.chain),
            plural(chain.records, "record", "records")
        ));
    }
    out
}
