//! An audit for a terminal: the verdict first, then the money, then what was found, worst first.

use std::collections::BTreeMap;

use super::Context;
use super::report::{address, left_alone};
use super::unobserved::unobserved;
use crate::audit::compliance::Compliance;
use crate::audit::{Audit, Outcome};
use crate::catalog;
use crate::model::Severity;
use crate::plan::Finding;
use crate::render::attention::{FindingGroup, findings as group};
use crate::render::paint::{Lines, Paint};
use crate::render::text::{cut, escape, list, number, pad, plural, solid, width, wrap};
use crate::render::{Style, verdict, words};

/// Longer pages say the verdict again at their end.
const LONG: usize = 40;

/// Shares named for one dimension of compliance.
const SHARES: usize = 6;

/// The audit as `--format table` shows it.
pub fn audit(audit: &Audit, style: &Style) -> String {
    let context = Context::new(style);
    let mut lines = Lines::default();
    headline(&context, &mut lines, audit);
    if let Some(note) = words::sandbox(audit.sandbox.as_deref()) {
        context.wrapped(&mut lines, 0, &note, Paint::yellow);
    }
    scope(&context, &mut lines, audit);
    cost(&mut lines, audit, style);
    let new = audit.findings.iter().filter(|f| !f.in_baseline);
    found(&context, &mut lines, new.map(|f| &f.finding));
    if let Some(compliance) = &audit.compliance {
        tags(&context, &mut lines, compliance);
    }
    known(&context, &mut lines, audit);
    left_alone(
        &context,
        &mut lines,
        &audit.counts,
        &audit.types_not_checked,
        &audit.notes,
    );
    unobserved(
        &context,
        &mut lines,
        &audit.unobserved,
        &audit.accepted_unobserved,
    );
    lines.blank();
    lines.push(context.paint.dim(&cut(&verdict::api(audit), context.width)));
    let mut text = lines.finish();
    if text.lines().count() > LONG {
        let mut end = Lines::default();
        headline(&context, &mut end, audit);
        text.push_str(&end.finish());
    }
    text
}

fn headline(context: &Context, lines: &mut Lines, audit: &Audit) {
    let text = format!("{}: {}.", verdict::word(audit), verdict::sentence(audit));
    let paint = match audit.summary.outcome {
        Outcome::Pass => Paint::green,
        Outcome::Fail | Outcome::Incomplete => Paint::alarm,
    };
    context.wrapped(lines, 0, &text, paint);
    context.wrapped(lines, 0, &verdict::totals(audit), Paint::bold);
}

/// The environments in question, one line each.
fn scope(context: &Context, lines: &mut Lines, audit: &Audit) {
    lines.blank();
    let mut environments: BTreeMap<&str, (&str, &str, Vec<String>)> = BTreeMap::new();
    for entry in &audit.scope {
        let known = environments
            .entry(&entry.environment)
            .or_insert_with(|| (&entry.account, &entry.stage, Vec::new()));
        known.2.push(escape(&entry.region));
    }
    let names = environments.keys().map(|n| width(&escape(n)));
    let column = names.max().unwrap_or(0).min(context.width / 3);
    for (name, (account, stage, regions)) in environments {
        let facts = format!(
            "account {}, {}, {}",
            escape(account),
            escape(stage),
            list(&regions, 4)
        );
        let rows = wrap(&facts, context.width.saturating_sub(column + 2));
        for (i, row) in rows.iter().enumerate() {
            let name = if i == 0 { escape(name) } else { String::new() };
            let name = pad(&name, column + 2);
            lines.push(format!(
                "{}{}",
                context.paint.bold(&name),
                context.paint.dim(row)
            ));
        }
    }
}

/// What the month costs, as the cost audit shows it.
fn cost(lines: &mut Lines, audit: &Audit, style: &Style) {
    if let Some(entries) = audit.cost.as_deref().filter(|e| !e.is_empty()) {
        lines.blank();
        for line in super::cost(entries, &audit.generated_at, &audit.api, style).lines() {
            lines.push(line);
        }
    }
}

/// Addresses shown for each kind, the fewer the more kinds there are.
fn room(context: &Context, kinds: usize) -> usize {
    match kinds {
        _ if context.verbose => usize::MAX,
        0..=8 => 5,
        9..=16 => 3,
        _ => 1,
    }
}

fn found<'a>(context: &Context, lines: &mut Lines, findings: impl Iterator<Item = &'a Finding>) {
    let kinds = group(findings);
    let room = room(context, kinds.len());
    let mut severity = None;
    for kind in &kinds {
        lines.blank();
        if severity != Some(kind.severity) {
            severity = Some(kind.severity);
            let of_it = kinds.iter().filter(|k| k.severity == kind.severity);
            let total: u64 = of_it.map(FindingGroup::total).sum();
            let name = kind.severity.as_str().to_uppercase();
            let painted = match kind.severity {
                Severity::Critical | Severity::High => context.paint.alarm(&name),
                Severity::Medium => context.paint.yellow(&name),
                Severity::Low => context.paint.bold(&name),
            };
            lines.push(format!("{painted}  {}", context.paint.dim(&number(total))));
        }
        one_kind(context, lines, kind, room);
    }
}

fn one_kind(context: &Context, lines: &mut Lines, kind: &FindingGroup<'_>, room: usize) {
    let id = escape(kind.id);
    let mut facts = Vec::new();
    if let Some(entry) = catalog::find(kind.id) {
        facts.push(entry.title.to_owned());
    }
    if kind.total() > 1 {
        facts.push(plural(kind.total(), "resource", "resources"));
    }
    facts.extend(verdict::cost(kind));
    let facts = facts.join(", ");
    let indent = width(&id) + 4;
    if indent + width(&facts) <= context.width {
        lines.push(format!(
            "  {}  {}",
            context.paint.bold(&id),
            context.paint.dim(&facts)
        ));
    } else {
        lines.push(format!("  {}", context.paint.bold(&id)));
        context.wrapped(lines, 4, &facts, Paint::dim);
    }
    let mut left = room;
    let mut shown = 0;
    for (message, members) in &kind.messages {
        if left == 0 {
            break;
        }
        context.wrapped(lines, 4, &escape(message), |_, text| text.to_owned());
        for finding in members.iter().take(left) {
            address(context, lines, finding.address.as_str());
            if (context.verbose || kind.total() == 1) && !finding.evidence.is_empty() {
                context.wrapped(lines, 8, &escape(&finding.evidence), Paint::dim);
            }
            if context.verbose && kind.total() > 1 && !finding.remediation.is_empty() {
                let text = format!("Fix: {}", escape(&finding.remediation));
                context.wrapped(lines, 8, &text, Paint::dim);
            }
            left -= 1;
            shown += 1;
        }
    }
    match kind.total() - shown {
        0 => {}
        more => {
            let text = format!("      … and {} more; -v shows each one", number(more));
            lines.push(context.paint.dim(&text));
        }
    }
    let fix = verdict::fix(kind).filter(|_| !context.verbose || kind.total() == 1);
    for line in fix.iter().flat_map(|f| f.lines()) {
        context.wrapped(lines, 4, &format!("Fix: {}", escape(line)), Paint::dim);
    }
}

/// How much carries the right tags.
fn tags(context: &Context, lines: &mut Lines, compliance: &Compliance) {
    lines.blank();
    lines.push(format!(
        "{}  {}",
        context.paint.bold("Tag compliance"),
        verdict::share(&compliance.overall)
    ));
    if compliance.overall.checked == 0 {
        return;
    }
    for (name, shares) in verdict::dimensions(compliance) {
        // One environment or region is the whole again.
        if shares.len() < 2 && name != "key" {
            continue;
        }
        let named: Vec<String> = shares
            .iter()
            .map(|(name, share)| {
                let percent = share.percent.as_deref().unwrap_or("–");
                solid(&format!("{name} {percent} % of {}", number(share.checked)))
            })
            .collect();
        let most = if context.verbose { usize::MAX } else { SHARES };
        let rows = wrap(&list(&named, most), context.width.saturating_sub(15));
        for (i, row) in rows.iter().enumerate() {
            let label = if i == 0 { name } else { "" };
            lines.push(format!("  {}{row}", context.paint.dim(&pad(label, 13))));
        }
    }
}

/// What the baseline holds, in few words.
fn known(context: &Context, lines: &mut Lines, audit: &Audit) {
    let (Some(comparison), Some(baseline)) = (verdict::baseline(audit), &audit.summary.baseline)
    else {
        return;
    };
    lines.blank();
    let title = format!("Known, from {}", escape(&baseline.file));
    context.wrapped(lines, 0, &title, Paint::bold);
    context.wrapped(lines, 2, &format!("{comparison}."), |_, t| t.to_owned());
    let kinds = group(
        audit
            .findings
            .iter()
            .filter(|f| f.in_baseline)
            .map(|f| &f.finding),
    );
    if context.verbose {
        for kind in &kinds {
            one_kind(context, lines, kind, usize::MAX);
        }
        return;
    }
    let named: Vec<String> = kinds
        .iter()
        .map(|k| solid(&format!("{} {}", escape(k.id), number(k.total()))))
        .collect();
    if !named.is_empty() {
        context.wrapped(lines, 2, &named.join(", "), Paint::dim);
    }
}
