//! Findings, and what was left alone or not looked at.

use super::Context;
use crate::inventory::NotChecked;
use crate::model::Severity;
use crate::plan::Finding;
use crate::render::attention::{FindingGroup, findings as group};
use crate::render::paint::{Lines, Paint};
use crate::render::text::{escape, number, pad, plural, width, wrap};
use crate::render::words;

/// Addresses shown for one kind of finding.
const ADDRESSES: usize = 5;

/// What is worth knowing and not itself a change, worst first.
pub(super) fn findings(context: &Context, lines: &mut Lines, findings: &[Finding]) {
    if findings.is_empty() {
        return;
    }
    lines.blank();
    lines.push(context.paint.bold("Findings"));
    for kind in group(findings) {
        lines.blank();
        let severity = pad(kind.severity.as_str(), 8);
        let painted = match kind.severity {
            Severity::Critical | Severity::High => context.paint.alarm(&severity),
            Severity::Medium => context.paint.yellow(&severity),
            Severity::Low => context.paint.dim(&severity),
        };
        let count = match kind.total() {
            1 => String::new(),
            n => format!("  {}", plural(n, "resource", "resources")),
        };
        lines.push(format!(
            "  {painted}  {}{}",
            context.paint.bold(&escape(kind.id)),
            context.paint.dim(&count)
        ));
        messages(context, lines, &kind);
    }
}

fn messages(context: &Context, lines: &mut Lines, kind: &FindingGroup<'_>) {
    let mut room = if context.verbose {
        usize::MAX
    } else {
        ADDRESSES
    };
    let mut shown = 0;
    let mut advice = Vec::new();
    for (message, members) in &kind.messages {
        if room == 0 {
            break;
        }
        context.wrapped(lines, 4, &escape(message), |_, text| text.to_owned());
        for finding in members.iter().take(room) {
            address(context, lines, finding.address.as_str());
            if context.verbose && !finding.evidence.is_empty() {
                context.wrapped(lines, 8, &escape(&finding.evidence), Paint::dim);
            }
            if !finding.remediation.is_empty() && !advice.contains(&&finding.remediation) {
                advice.push(&finding.remediation);
            }
            room -= 1;
            shown += 1;
        }
    }
    match kind.total() - shown {
        0 => {}
        more => lines.push(format!("      … and {} more", number(more))),
    }
    // Advice that differs from resource to resource is what `-v` and the JSON are for.
    if let [only] = advice.as_slice() {
        for line in only.lines() {
            context.wrapped(lines, 4, &format!("Fix: {}", escape(line)), Paint::dim);
        }
    } else if context.verbose {
        for text in advice {
            context.wrapped(lines, 4, &format!("Fix: {}", escape(text)), Paint::dim);
        }
    }
}

/// An address, which goes on in the next line where it is too long for one.
pub(super) fn address(context: &Context, lines: &mut Lines, address: &str) {
    let rows = wrap(&escape(address), context.width.saturating_sub(8));
    for (i, row) in rows.iter().enumerate() {
        lines.push(format!("{}{row}", " ".repeat(if i == 0 { 6 } else { 8 })));
    }
}

/// What was left alone, not looked at, or is not yet compared.
pub(super) fn left_alone(
    context: &Context,
    lines: &mut Lines,
    counts: &words::CountsByEnvironment,
    types: &[NotChecked],
    notes: &[String],
) {
    let counts = words::left_alone(counts);
    if !counts.is_empty() {
        lines.blank();
        lines.push(context.paint.bold("Left alone"));
        let column = counts.iter().map(|(l, _)| width(l)).max().unwrap_or(0);
        for (label, text) in counts {
            let indent = column.min(context.width / 3) + 4;
            let rows = wrap(&text, context.width.saturating_sub(indent));
            for (i, row) in rows.iter().enumerate() {
                let label = if i == 0 { label.as_str() } else { "" };
                lines.push(format!("  {}{row}", pad(&pad(label, column), column + 2)));
            }
        }
    }
    section(context, lines, "Not checked", words::not_checked(types));
    let notes = notes.iter().flat_map(|n| n.lines()).map(escape).collect();
    section(context, lines, "Notes", notes);
}

fn section(context: &Context, lines: &mut Lines, title: &str, entries: Vec<String>) {
    if entries.is_empty() {
        return;
    }
    lines.blank();
    lines.push(context.paint.bold(title));
    for entry in entries {
        let rows = wrap(&entry, context.width.saturating_sub(4));
        for (i, row) in rows.iter().enumerate() {
            lines.push(format!("{}{row}", if i == 0 { "  " } else { "    " }));
        }
    }
}
