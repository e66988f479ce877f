//! `report drills` as Markdown.

use super::drill::one;
use super::escape::text;
use crate::drill::machine::span;
use crate::drill::record::seconds_between;
use crate::render::DrillView;
use crate::render::drills::{DrillsReport, against, ago, day, passes, seals, state};

/// The period, then each drill.
pub fn drill_report(report: &DrillsReport<'_>) -> String {
    let mut out = String::new();
    let title = if report.single {
        "Restore drill"
    } else {
        "Restore drills"
    };
    out.push_str(&format!(
        "# {title}: {}\n\n{}\n\n",
        text(&report.project),
        text(&report.stand())
    ));
    if let Some(rehearsal) = report.rehearsal() {
        out.push_str(&format!(
            "> **A rehearsal, not evidence.** {}\n\n",
            text(&rehearsal)
        ));
    }
    let faults = report.faults();
    if !faults.is_empty() {
        out.push_str(
            "> **The records are not whole.** Do not file this before it is explained.\n>\n",
        );
        for fault in &faults {
            out.push_str(&format!("> - {}\n", text(fault)));
        }
        out.push('\n');
    }
    for note in &report.notes {
        out.push_str(&format!("> {}\n\n", text(note)));
    }
    if !report.single {
        period(&mut out, report);
    }
    for page in &report.pages {
        let view = DrillView {
            record: page.record.clone(),
            path: String::new(),
            journal: String::new(),
            uploaded: String::new(),
            upload_error: None,
            help: None,
        };
        one(&mut out, &view);
        out.push_str("### Seals\n\n| | |\n|---|---|\n");
        for (label, value) in seals(page) {
            out.push_str(&format!("| {label} | {} |\n", text(&value)));
        }
        out.push('\n');
    }
    if report.without_page > 0 {
        out.push_str(&format!(
            "{} older drills are not shown one by one.\n",
            report.without_page
        ));
    }
    out
}

fn period(out: &mut String, report: &DrillsReport<'_>) {
    let review = &report.review;
    let counts = &review.counts;
    out.push_str(&format!(
        "{} to {}: {} drills, {} passed, {} failed, {} missed an objective, {} could not run{}.\n\n",
        day(review.from),
        day(review.to),
        counts.runs(),
        counts.passed,
        counts.failed,
        counts.missed_objective,
        counts.aborted,
        report.of_those()
    ));
    if !review.sources.is_empty() {
        out.push_str("| drill | state | asked for | last passed | passed | slowest recovery | oldest point |\n|---|---|---|---|---|---|---|\n");
    }
    for source in &review.sources {
        out.push_str(&format!(
            "| {} in {} | {} | {} | {} | {} | {} | {} |\n",
            text(&source.drill),
            text(&source.environment),
            state(source.state).0,
            source
                .every_seconds
                .map_or_else(|| "–".to_owned(), |s| format!("every {}", span(s))),
            source.last_passed.map_or_else(
                || "never".to_owned(),
                |at| format!("{}, {} ago", day(at), ago(seconds_between(at, review.to)))
            ),
            passes(source),
            against(source.slowest_seconds, source.rto_seconds),
            against(source.oldest_point_seconds, source.rpo_seconds),
        ));
    }
    if report.sandbox.is_some() {
        out.push_str(
            "\nWhat frameworks ask for is not listed: rehearsals in a sandbox support none of it.\n",
        );
    } else {
        frameworks(out, report);
    }
    out.push_str("\n| chain | records | |\n|---|---:|---|\n");
    for chain in &report.chains {
        let state = if chain.broken.is_empty() {
            "intact"
        } else {
            "**broken**"
        };
        out.push_str(&format!(
            "| {} | {} | {state} |\n",
            text(&chain.chain),
            chain.records
        ));
    }
    out.push('\n');
}

fn frameworks(out: &mut String, report: &DrillsReport<'_>) {
    out.push_str("\n## What this can support\n\nWhether a requirement is met is for you and your auditor to judge.\n\n| reference | asks, in short | supported by | not shown here |\n|---|---|---|---|\n");
    for mapping in report.mappings() {
        out.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            mapping.reference,
            mapping.asks,
            text(&mapping.supports),
            mapping.not_shown
        ));
    }
}
