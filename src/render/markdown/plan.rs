//! A plan as a comment under a pull request.

use super::block::{alarms, block};
use super::escape::{code, html, text};
use super::{fitting, remarks, sandbox, unobserved};
use crate::plan::{Change, Plan};
use crate::render::alarms::Digest;
use crate::render::attention::findings as finding_groups;
use crate::render::group::{Environment, Group, by_action, environments, groups};
use crate::render::text::{cut, loose, number, plural, signed_usd};
use crate::render::words;

/// An environment with more changes than this is folded.
const FOLD_ABOVE: usize = 20;

/// How much is told.
#[derive(Debug, Clone, Copy)]
struct Level {
    /// More changes than this of one control are shown in groups.
    group_above: usize,
    /// Groups shown for one control.
    groups: usize,
    /// Findings, gaps and notes shown.
    entries: usize,
}

const LEVELS: [Level; 5] = [
    Level {
        group_above: 40,
        groups: 40,
        entries: 50,
    },
    Level {
        group_above: 20,
        groups: 20,
        entries: 30,
    },
    Level {
        group_above: 10,
        groups: 10,
        entries: 20,
    },
    Level {
        group_above: 3,
        groups: 3,
        entries: 10,
    },
    Level {
        group_above: 0,
        groups: 0,
        entries: 5,
    },
];

/// The plan in GitHub's Markdown, short enough for a comment.
pub fn plan(plan: &Plan) -> String {
    fitting(&LEVELS, "plan", |level| render(plan, level))
}

fn render(plan: &Plan, level: Level) -> String {
    let mut out = String::new();
    let environments = environments(plan);
    out.push_str(&format!("## {}\n\n", headline(plan)));
    sandbox(&mut out, plan.sandbox.as_deref());
    table(&mut out, plan, &environments);
    if plan.changes.is_empty() {
        out.push_str(&format!("{}\n\n", text(&words::nothing_to_do(plan))));
    }
    unobserved(
        &mut out,
        &plan.unobserved,
        &plan.accepted_unobserved,
        level.entries,
    );
    for environment in environments.iter().filter(|e| e.changes() > 0) {
        changes(&mut out, environment, level);
    }
    findings(&mut out, plan, level.entries);
    let (counts, unchecked) = (&plan.counts, &plan.types_not_checked);
    remarks(&mut out, counts, unchecked, &plan.notes, level.entries);
    out.push_str(&format!("<sub>{}", html(&words::api(&plan.api))));
    if let Some(missing) = words::without_estimate(plan) {
        out.push_str(&format!(" · {}", html(&missing)));
    }
    out.push_str("</sub>\n");
    out
}

fn headline(plan: &Plan) -> String {
    let s = &plan.summary;
    let mut line = if plan.changes.is_empty() {
        "opsctl plan: no changes".to_owned()
    } else {
        format!(
            "opsctl plan: {} to create, {} to update, {} to delete",
            number(s.create),
            number(s.update),
            number(s.delete)
        )
    };
    if let Some(delta) = words::delta(plan) {
        line.push_str(&format!(", {}", loose(&delta)));
    }
    if words::is_blind(plan) {
        line.push_str(" ⚠ not everything was seen");
    }
    line
}

fn table(out: &mut String, plan: &Plan, environments: &[Environment<'_>]) {
    out.push_str(
        "| environment | account | stage | create | update | delete | unchanged | not observed | USD/month |\n\
         |---|---|---|--:|--:|--:|--:|--:|--:|\n",
    );
    const MOST: usize = 50;
    for environment in environments.iter().take(MOST) {
        let all: Vec<&Change> = environment
            .controls
            .iter()
            .flat_map(|(_, c)| c.iter().copied())
            .collect();
        let [create, update, delete] = by_action(&all).map(|(_, n)| number(n));
        let counts = plan.counts.get(environment.name);
        let sum = |of: fn(&crate::plan::Counts) -> u64| {
            number(counts.map_or(0, |c| c.values().map(of).sum()))
        };
        let delta: rust_decimal::Decimal = all
            .iter()
            .filter_map(|c| crate::render::text::decimal(c.monthly_cost_delta_usd.as_deref()?))
            .sum();
        out.push_str(&format!(
            "| {} | {} | {} | {create} | {update} | {delete} | {} | {} | {} |\n",
            code(environment.name),
            code(environment.account),
            text(environment.stage),
            sum(|c| c.compliant),
            sum(|c| c.unobserved),
            signed_usd(delta).unwrap_or_default(),
        ));
    }
    if environments.len() > MOST {
        let more = number((environments.len() - MOST) as u64);
        out.push_str(&format!("| … and {more} more | | | | | | | | |\n"));
    }
    out.push('\n');
}

/// One environment's changes behind a summary that folds them.
fn changes(out: &mut String, environment: &Environment<'_>, level: Level) {
    let total = environment.changes();
    let title = format!(
        "<b>{}</b>: {}",
        html(environment.name),
        plural(total as u64, "change", "changes")
    );
    if level.groups == 0 {
        out.push_str(&format!("{title}\n\n"));
        return;
    }
    let open = if total > FOLD_ABOVE { "" } else { " open" };
    out.push_str(&format!("<details{open}><summary>{title}</summary>\n\n"));
    for (control, changes) in &environment.controls {
        out.push_str(&format!("**{control}**\n\n"));
        let digest = Digest::of(changes);
        let changes = digest.as_ref().map_or(changes.as_slice(), |d| &d.others);
        for (label, what) in digest.iter().flat_map(|d| &d.told) {
            out.push_str(&format!("- **{}**: {}\n", text(label), text(what)));
        }
        if digest.is_some() {
            out.push('\n');
        }
        out.push_str("```diff\n");
        let (shown, more): (Vec<Group<'_>>, usize) = if changes.len() > level.group_above {
            let mut all = groups(changes, level.groups);
            let more = all.iter().skip(level.groups).map(|g| g.changes.len()).sum();
            all.truncate(level.groups);
            (all, more)
        } else {
            (changes.iter().map(|c| Group::single(c)).collect(), 0)
        };
        for (i, group) in shown.iter().enumerate() {
            if i > 0 {
                out.push('\n');
            }
            block(out, group);
        }
        let asked = digest.iter().flat_map(|d| &d.asked);
        for (i, asked) in asked.clone().take(level.groups).enumerate() {
            if i > 0 || !shown.is_empty() {
                out.push('\n');
            }
            alarms(out, asked);
        }
        let left = asked.skip(level.groups).map(|a| a.group.changes.len());
        let more = more + left.sum::<usize>();
        if more > 0 {
            let more = plural(more as u64, "more change", "more changes");
            out.push_str(&format!(
                "@@ … and {more}; opsctl plan -v shows each one @@\n"
            ));
        }
        out.push_str("```\n\n");
    }
    out.push_str("</details>\n\n");
}

fn findings(out: &mut String, plan: &Plan, most: usize) {
    if plan.findings.is_empty() {
        return;
    }
    out.push_str("### Findings\n\n");
    let kinds = finding_groups(&plan.findings);
    for kind in kinds.iter().take(most) {
        out.push_str(&format!(
            "- **{}** {}",
            kind.severity.as_str(),
            code(kind.id)
        ));
        if kind.total() > 1 {
            let total = plural(kind.total(), "resource", "resources");
            out.push_str(&format!(" ({total})"));
        }
        out.push('\n');
        let mut room = 5;
        for (message, members) in &kind.messages {
            if room == 0 {
                break;
            }
            let addresses: Vec<String> = members
                .iter()
                .take(room)
                .map(|f| code(f.address.as_str()))
                .collect();
            room -= addresses.len();
            out.push_str(&format!(
                "  - {}: {}\n",
                text(&cut(message, 300)),
                addresses.join(", ")
            ));
        }
        let shown = 5 - room as u64;
        if kind.total() > shown {
            out.push_str(&format!(
                "  - … and {} more\n",
                number(kind.total() - shown)
            ));
        }
    }
    if kinds.len() > most {
        let more = kinds.len() - most;
        out.push_str(&format!("- … and {more} more kinds of finding\n"));
    }
    out.push('\n');
}
