//! The tag report for a terminal: the numbers, what is new, the worst. The page has the rest.

use super::Context;
use super::unobserved::unobserved;
use crate::render::paint::{Lines, Paint};
use crate::render::tags::{
    age, basis, changed, currency, dimensions, left, money, month, of, owner, percent, place, wrong,
};
use crate::render::text::{cut, escape, number, pad, plural, width};
use crate::render::{Style, words};
use crate::report::tags::{Offender, TagReport};

/// Resources shown of the worst, and of what is new.
const SHOWN: usize = 8;

/// Shares shown of one dimension.
const SHARES: usize = 8;

/// The report as `--format table` shows it.
pub fn tags(report: &TagReport, style: &Style) -> String {
    let context = Context::new(style);
    let mut lines = Lines::default();
    let overall = &report.compliance.overall;
    let text = format!(
        "{} by count ({} resources), {} weighted by spend.",
        percent(&overall.percent, "nothing judged"),
        of(overall),
        percent(&overall.spend_percent, "unknown"),
    );
    context.wrapped(&mut lines, 0, &text, Paint::bold);
    context.wrapped(&mut lines, 0, &changed(report), |_, t| t.to_owned());
    for text in &report.trend.not_compared {
        context.wrapped(&mut lines, 0, &format!("{}.", escape(text)), Paint::dim);
    }
    if let Some(note) = words::sandbox(report.sandbox.as_deref()) {
        context.wrapped(&mut lines, 0, &note, Paint::yellow);
    }
    context.wrapped(&mut lines, 0, &basis(report), Paint::dim);
    let shown = if context.verbose { usize::MAX } else { SHARES };
    for (name, shares) in dimensions(report) {
        if shares.is_empty() {
            continue;
        }
        lines.blank();
        lines.push(context.paint.bold(&format!("By {name}")));
        let column = shares.iter().map(|(n, _)| width(n)).max().unwrap_or(0);
        let column = column.min(context.width / 2);
        for (name, share) in shares.iter().take(shown) {
            let spend = percent(&share.spend_percent, "–");
            let row = format!(
                "  {}  {}  {}  {}",
                pad(&cut(name, column), column),
                right(&percent(&share.percent, "–"), 7),
                right(&of(share), 14),
                right(&format!("{spend} by spend"), 16),
            );
            lines.push(cut(&row, context.width));
        }
        more(&context, &mut lines, shares.len().saturating_sub(shown));
    }
    let new: Vec<&Offender> = report
        .resources
        .iter()
        .filter(|o| o.new == Some(true))
        .collect();
    offenders(&context, &mut lines, report, "What is new", &new);
    let all: Vec<&Offender> = report.resources.iter().collect();
    offenders(&context, &mut lines, report, "The worst", &all);
    twins_and_exemptions(&context, &mut lines, report);
    let mut unchecked: Vec<String> = report
        .not_looked_at
        .environments_without_policy
        .iter()
        .map(|name| format!("{}: its stage has no policy for tags", escape(name)))
        .collect();
    unchecked.extend(words::not_checked(&report.not_looked_at.types));
    if !unchecked.is_empty() {
        lines.blank();
        lines.push(context.paint.bold("Not looked at"));
        for text in unchecked {
            context.wrapped(&mut lines, 2, &text, Paint::dim);
        }
    }
    unobserved(
        &context,
        &mut lines,
        &report.unobserved,
        &report.accepted_unobserved,
    );
    lines.blank();
    context.wrapped(
        &mut lines,
        0,
        "The page, with all of it: opsctl report tags --format html -o tags.html",
        Paint::dim,
    );
    lines.finish()
}

fn right(text: &str, columns: usize) -> String {
    format!("{}{text}", " ".repeat(columns.saturating_sub(width(text))))
}

fn more(context: &Context, lines: &mut Lines, more: usize) {
    if more > 0 {
        let text = format!(
            "  … and {}; -v shows all",
            plural(more as u64, "more", "more")
        );
        lines.push(context.paint.dim(&text));
    }
}

fn offenders(
    context: &Context,
    lines: &mut Lines,
    report: &TagReport,
    title: &str,
    rows: &[&Offender],
) {
    if rows.is_empty() {
        return;
    }
    lines.blank();
    lines.push(context.paint.bold(title));
    let shown = if context.verbose { usize::MAX } else { SHOWN };
    for offender in rows.iter().take(shown) {
        let cost = match money(&offender.month_to_date) {
            Some(cost) => format!("{cost} {} {}", currency(report), month(report)),
            None => "cost unknown".to_owned(),
        };
        let head = format!("{}  {}", escape(&offender.name), place(offender));
        context.wrapped(lines, 2, &head, |_, t| t.to_owned());
        context.wrapped(lines, 4, &wrong(offender), Paint::yellow);
        let facts = format!("{}, age {}, {cost}", owner(offender), age(offender));
        context.wrapped(lines, 4, &facts, Paint::dim);
        match &offender.fix.command {
            // On one line, to be copied.
            Some(command) => lines.push(format!("    {}", escape(command))),
            None => context.wrapped(lines, 4, &escape(&offender.fix.text), |_, t| t.to_owned()),
        }
    }
    more(context, lines, rows.len().saturating_sub(shown));
}

fn twins_and_exemptions(context: &Context, lines: &mut Lines, report: &TagReport) {
    let shown = if context.verbose { usize::MAX } else { SHOWN };
    if !report.twins.is_empty() {
        lines.blank();
        lines.push(context.paint.bold("Keys in other spellings"));
        for twin in report.twins.iter().take(shown) {
            let text = format!(
                "{} for {}: {}, {} of them with another value than the right key",
                escape(&twin.spelling),
                escape(&twin.key),
                plural(twin.resources, "resource", "resources"),
                number(twin.conflicting)
            );
            context.wrapped(lines, 2, &text, |_, t| t.to_owned());
        }
        more(context, lines, report.twins.len().saturating_sub(shown));
    }
    if !report.exemptions.is_empty() {
        lines.blank();
        lines.push(context.paint.bold("Exemptions"));
        for e in report.exemptions.iter().take(shown) {
            let text = format!(
                "{}: {}, {}; {} ({})",
                escape(&e.name),
                left(e),
                plural(e.resources, "resource", "resources"),
                escape(&e.reason),
                escape(e.owner.as_deref().unwrap_or("no owner named"))
            );
            context.wrapped(lines, 2, &text, |_, t| t.to_owned());
        }
        more(
            context,
            lines,
            report.exemptions.len().saturating_sub(shown),
        );
    }
}
