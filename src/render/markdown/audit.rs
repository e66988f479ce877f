//! An audit as a comment under a pull request or in a chat: three lines first, then tables, details
//! folded.

use super::escape::{code, html, text};
use super::{fitting, remarks, sandbox, unobserved};
use crate::audit::Audit;
use crate::audit::compliance::Compliance;
use crate::catalog;
use crate::render::attention::{FindingGroup, findings as group};
use crate::render::text::{cut, escape, loose, number, plural};
use crate::render::verdict;

/// How much is told.
#[derive(Debug, Clone, Copy)]
struct Level {
    /// Addresses shown of one kind.
    addresses: usize,
    /// Different messages shown of one kind.
    messages: usize,
    /// Rows of a table, gaps, notes.
    entries: usize,
}

const LEVELS: [Level; 4] = [
    Level {
        addresses: 20,
        messages: 20,
        entries: 60,
    },
    Level {
        addresses: 5,
        messages: 5,
        entries: 30,
    },
    Level {
        addresses: 1,
        messages: 1,
        entries: 15,
    },
    Level {
        addresses: 0,
        messages: 0,
        entries: 5,
    },
];

/// The audit in GitHub's Markdown, short enough for a comment.
pub fn audit(audit: &Audit) -> String {
    fitting(&LEVELS, "audit", |level| render(audit, level))
}

fn render(audit: &Audit, level: Level) -> String {
    let mut out = String::new();
    head(&mut out, audit);
    sandbox(&mut out, audit.sandbox.as_deref());
    if let Some(entries) = audit.cost.as_deref().filter(|e| !e.is_empty()) {
        out.push_str(super::cost(entries, &audit.generated_at, &audit.api).trim());
        out.push_str("\n\n");
    }
    unobserved(
        &mut out,
        &audit.unobserved,
        &audit.accepted_unobserved,
        level.entries,
    );
    let new = audit.findings.iter().filter(|f| !f.in_baseline);
    let kinds = group(new.map(|f| &f.finding));
    table(&mut out, &kinds, level.entries);
    for kind in kinds.iter().take(level.entries) {
        details(&mut out, kind, level);
    }
    if let Some(compliance) = &audit.compliance {
        tags(&mut out, compliance, level.entries);
    }
    known(&mut out, audit, level.entries);
    let (counts, unchecked) = (&audit.counts, &audit.types_not_checked);
    remarks(&mut out, counts, unchecked, &audit.notes, level.entries);
    out.push_str(&format!("<sub>{}</sub>\n", html(&verdict::api(audit))));
    out
}

/// The three lines. Two spaces at the end break a line in every Markdown.
fn head(out: &mut String, audit: &Audit) {
    let mut places: Vec<String> = Vec::new();
    for entry in &audit.scope {
        let place = format!("{} ({})", code(&entry.environment), text(&entry.stage));
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let controls: Vec<&str> = audit.controls.iter().map(|c| c.as_str()).collect();
    let mut third = format!("{} in {}", controls.join(", "), places.join(", "));
    if let Some(baseline) = verdict::baseline(audit) {
        third.push_str(&format!(". Baseline: {baseline}"));
    }
    out.push_str(&format!(
        "**opsctl audit: {}**, {}.  \n{}  \n{third}.\n\n",
        verdict::word(audit),
        verdict::sentence(audit),
        text(&loose(&verdict::totals(audit)))
    ));
}

fn table(out: &mut String, kinds: &[FindingGroup<'_>], most: usize) {
    if kinds.is_empty() {
        return;
    }
    out.push_str("| severity | finding | what | resources | USD/month |\n|---|---|---|--:|--:|\n");
    for kind in kinds.iter().take(most) {
        let title = catalog::find(kind.id).map_or("", |e| e.title);
        let cost = verdict::cost(kind).unwrap_or_default();
        out.push_str(&format!(
            "| {} | {} | {} | {} | {} |\n",
            kind.severity.as_str(),
            code(kind.id),
            text(title),
            number(kind.total()),
            cost.trim_end_matches(" USD/month"),
        ));
    }
    if kinds.len() > most {
        let more = number((kinds.len() - most) as u64);
        out.push_str(&format!("| | … and {more} more kinds | | | |\n"));
    }
    out.push('\n');
}

/// One kind behind a summary that folds it.
fn details(out: &mut String, kind: &FindingGroup<'_>, level: Level) {
    if level.messages == 0 {
        return;
    }
    out.push_str(&format!(
        "<details><summary>{} <code>{}</code>: {}</summary>\n\n",
        kind.severity.as_str(),
        html(kind.id),
        plural(kind.total(), "resource", "resources")
    ));
    let mut room = level.addresses;
    let mut shown = 0;
    for (message, members) in kind.messages.iter().take(level.messages) {
        if room == 0 {
            break;
        }
        out.push_str(&format!("- {}\n", text(&cut(&escape(message), 300))));
        for finding in members.iter().take(room) {
            let place = format!("{}:{}", finding.policy.file, finding.policy.line);
            out.push_str(&format!(
                "  - {} ({})\n",
                code(finding.address.as_str()),
                code(&place)
            ));
            shown += 1;
        }
        room -= members.len().min(room);
    }
    if kind.total() > shown {
        out.push_str(&format!("- … and {} more\n", number(kind.total() - shown)));
    }
    if let Some(fix) = verdict::fix(kind) {
        out.push_str(&format!("\nFix: {}\n", text(&fix)));
    }
    out.push_str("\n</details>\n\n");
}

fn tags(out: &mut String, compliance: &Compliance, most: usize) {
    out.push_str(&format!(
        "<details><summary>Tag compliance {}</summary>\n\n",
        html(&verdict::share(&compliance.overall))
    ));
    out.push_str("| by | | compliant | checked | percent |\n|---|---|--:|--:|--:|\n");
    for (name, shares) in verdict::dimensions(compliance) {
        for (value, share) in shares.iter().take(most) {
            out.push_str(&format!(
                "| {name} | {} | {} | {} | {} |\n",
                code(value),
                number(share.compliant),
                number(share.checked),
                share.percent.as_deref().unwrap_or("–")
            ));
        }
        if shares.len() > most {
            let more = number((shares.len() - most) as u64);
            out.push_str(&format!("| {name} | … and {more} more | | | |\n"));
        }
    }
    out.push_str("\n</details>\n\n");
}

fn known(out: &mut String, audit: &Audit, most: usize) {
    if audit.summary.in_baseline == 0 {
        return;
    }
    out.push_str(&format!(
        "<details><summary>{} in the baseline</summary>\n\n",
        plural(audit.summary.in_baseline, "finding", "findings")
    ));
    let known = audit.findings.iter().filter(|f| f.in_baseline);
    let kinds = group(known.map(|f| &f.finding));
    for kind in kinds.iter().take(most) {
        out.push_str(&format!(
            "- {} {}: {}\n",
            kind.severity.as_str(),
            code(kind.id),
            number(kind.total())
        ));
    }
    if kinds.len() > most {
        out.push_str(&format!("- … and {} more kinds\n", kinds.len() - most));
    }
    out.push_str("\n</details>\n\n");
}
