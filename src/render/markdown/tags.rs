//! The tag report as a page of a wiki, or a comment.

use super::escape::{code, text};
use super::{fitting, sandbox, unobserved};
use crate::render::tags::{
    age, basis, by_spend, changed, currency, date, dimensions, estimated, left, money, month, of,
    owner, percent, place, wrong,
};
use crate::render::text::{number, plural};
use crate::render::words;
use crate::report::tags::{Offender, TagReport};

/// How many rows the tables have.
#[derive(Debug, Clone, Copy)]
struct Level {
    rows: usize,
    shares: usize,
}

const LEVELS: [Level; 3] = [
    Level {
        rows: 40,
        shares: 60,
    },
    Level {
        rows: 15,
        shares: 20,
    },
    Level { rows: 5, shares: 8 },
];

/// The report in GitHub's Markdown, short enough for a comment.
pub fn tags(report: &TagReport) -> String {
    fitting(&LEVELS, "report tags", |level| render(report, level))
}

fn render(report: &TagReport, level: Level) -> String {
    let overall = &report.compliance.overall;
    let mut out = format!(
        "# Tag compliance of {}, {}\n\n",
        text(&report.project),
        date(&report.generated_at)
    );
    sandbox(&mut out, report.sandbox.as_deref());
    if let Some(target) = &report.target {
        out.push_str(&format!("Only {}.\n\n", code(target)));
    }
    unobserved(
        &mut out,
        &report.unobserved,
        &report.accepted_unobserved,
        level.rows,
    );
    out.push_str(&format!(
        "**{} by count** ({} resources), **{} weighted by spend**.\n{}\n\n",
        percent(&overall.percent, "nothing judged"),
        of(overall),
        text(&by_spend(report, overall)),
        text(&changed(report)),
    ));
    for text_ in &report.trend.not_compared {
        out.push_str(&format!("- {}\n", text(text_)));
    }
    out.push_str(&format!("\n{}\n\n", text(&basis(report))));
    for (name, shares) in dimensions(report) {
        if shares.is_empty() {
            continue;
        }
        let more = shares.len().saturating_sub(level.shares);
        let rows = shares.into_iter().take(level.shares).map(|(name, share)| {
            vec![
                text(&name),
                percent(&share.percent, "–"),
                of(share),
                text(&by_spend(report, share)),
            ]
        });
        table(
            &mut out,
            &format!("By {name}"),
            &[name, "by count", "resources", "by spend"],
            rows,
        );
        rest(&mut out, more);
    }
    let new: Vec<&Offender> = report
        .resources
        .iter()
        .filter(|o| o.new == Some(true))
        .collect();
    offenders(&mut out, report, "What is new", &new, level);
    let all: Vec<&Offender> = report.resources.iter().collect();
    offenders(&mut out, report, "The worst", &all, level);
    table(
        &mut out,
        "Keys in other spellings",
        &[
            "spelling",
            "stands for",
            "resources",
            "saying otherwise",
            "fix",
        ],
        report.twins.iter().take(level.rows).map(|t| {
            vec![
                code(&t.spelling),
                code(&t.key),
                number(t.resources),
                number(t.conflicting),
                t.fix
                    .command
                    .as_deref()
                    .map_or_else(|| text(&t.fix.text), code),
            ]
        }),
    );
    rest(&mut out, report.twins.len().saturating_sub(level.rows));
    table(
        &mut out,
        "Exemptions",
        &["exemption", "reason", "owner", "ends", "resources"],
        report.exemptions.iter().take(level.rows).map(|e| {
            vec![
                text(&e.name),
                text(&e.reason),
                text(e.owner.as_deref().unwrap_or("not named")),
                format!("{} ({})", left(e), text(&e.until)),
                number(e.resources),
            ]
        }),
    );
    rest(&mut out, report.exemptions.len().saturating_sub(level.rows));
    not_looked_at(&mut out, report, level);
    out.push_str(&format!(
        "\n<sub>By spend: {}</sub>\n",
        text(&estimated(report))
    ));
    out
}

fn offenders(out: &mut String, report: &TagReport, title: &str, rows: &[&Offender], level: Level) {
    let head = format!("{} {}", currency(report), month(report));
    table(
        out,
        title,
        &["resource", "what is wrong", "owner", "age", &head, "fix"],
        rows.iter().take(level.rows).map(|o| {
            vec![
                format!("{} {}", code(&o.name), text(&place(o))),
                text(&wrong(o)),
                text(&owner(o)),
                age(o),
                money(&o.month_to_date).unwrap_or_else(|| "unknown".to_owned()),
                o.fix
                    .command
                    .as_deref()
                    .map_or_else(|| text(&o.fix.text), code),
            ]
        }),
    );
    rest(out, rows.len().saturating_sub(level.rows));
}

fn not_looked_at(out: &mut String, report: &TagReport, level: Level) {
    let not = &report.not_looked_at;
    let mut lines: Vec<String> = not
        .environments_without_policy
        .iter()
        .map(|name| format!("{name}: its stage has no policy for tags"))
        .collect();
    let mut say = |n: u64, what: &str| {
        if n > 0 {
            lines.push(format!("{} {what}", plural(n, "resource", "resources")));
        }
    };
    say(report.summary.unobserved, "whose tags could not be read");
    say(report.summary.ignored, "with the tag opsctl:ignore");
    say(report.summary.exempt, "left alone by an exemption");
    lines.extend(words::not_checked(&not.types));
    if !not.buckets_outside.is_empty() {
        lines.push(format!(
            "buckets in regions that are not looked at: {}",
            crate::render::text::list(&not.buckets_outside, 10)
        ));
    }
    for row in &report.spend.regions_not_looked_at {
        lines.push(format!(
            "{} in {}: {} {} {}, in a region that is not looked at",
            row.name,
            row.environment,
            row.month_to_date,
            currency(report),
            month(report)
        ));
    }
    for row in &report.spend.elsewhere {
        lines.push(format!(
            "{} in {}: {} {} {}, of no judged resource",
            row.name,
            row.environment,
            row.month_to_date,
            currency(report),
            month(report)
        ));
    }
    lines.extend(report.notes.iter().cloned());
    out.push_str("## What was not looked at\n\n");
    for line in lines.iter().take(level.rows) {
        out.push_str(&format!("- {}\n", text(line)));
    }
    out.push_str("- Regions that opsctl.toml does not name, and everything in them\n");
    rest(out, lines.len().saturating_sub(level.rows));
}

/// Cells come ready; nothing is written of an empty table.
fn table(out: &mut String, title: &str, head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() {
        return;
    }
    out.push_str(&format!("## {title}\n\n| {} |\n|", head.join(" | ")));
    out.push_str(&" --- |".repeat(head.len()));
    out.push('\n');
    for row in rows {
        out.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    out.push('\n');
}

fn rest(out: &mut String, more: usize) {
    if more > 0 {
        out.push_str(&format!(
            "… and {}: the CSV and the page have them.\n\n",
            plural(more as u64, "more", "more")
        ));
    }
}
