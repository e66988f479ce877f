//! What became of a plan, as a comment under a pull request.

use super::escape::{html, text};
use super::{fitting, sandbox, unobserved};
use crate::plan::Plan;
use crate::render::group::count;
use crate::render::text::{cut, escape, number, plural};
use crate::render::{ApplyView, OutcomeView, words};

/// Addresses shown for one outcome, and errors told apart.
const LEVELS: [(usize, usize); 4] = [(200, 50), (40, 20), (10, 10), (0, 3)];

/// The outcome of each change in GitHub's Markdown, what failed first.
pub fn apply(plan: &Plan, view: &ApplyView) -> String {
    fitting(&LEVELS, "plan", |level| render(plan, view, level))
}

fn render(plan: &Plan, view: &ApplyView, (addresses, errors): (usize, usize)) -> String {
    let mut out = String::new();
    let title = words::applied(view);
    let title = title
        .trim_end_matches('.')
        .replacen("Apply", "opsctl apply", 1);
    out.push_str(&format!("## {title}\n\n"));
    sandbox(&mut out, plan.sandbox.as_deref());
    for sentence in words::what_next(view) {
        // The sentences are ours and hold commands between backticks.
        out.push_str(&format!("{sentence}\n\n"));
    }
    unobserved(
        &mut out,
        &plan.unobserved,
        &plan.accepted_unobserved,
        errors,
    );
    for (outcome, title) in [
        ("failed", "Failed"),
        ("stale", "Stale: changed since the plan, left as they are"),
        ("skipped", "Skipped"),
    ] {
        let rows: Vec<_> = view.rows.iter().filter(|r| r.outcome == outcome).collect();
        if rows.is_empty() {
            continue;
        }
        out.push_str(&format!("### {title} ({})\n\n", number(rows.len() as u64)));
        let kinds = count(rows.iter().map(|r| r.error.as_deref().unwrap_or_default()));
        for (error, n) in kinds.iter().take(errors) {
            if !error.is_empty() {
                out.push_str(&format!("{}\n\n", text(&cut(error, 500))));
            }
            let members: Vec<_> = rows
                .iter()
                .copied()
                .filter(|r| r.error.as_deref().unwrap_or_default() == *error)
                .collect();
            diff(&mut out, &members, addresses.min(50), *n);
        }
        if kinds.len() > errors {
            let more = kinds.len() - errors;
            out.push_str(&format!("… and {more} more errors, see the journal\n\n"));
        }
    }
    let applied: Vec<_> = view
        .rows
        .iter()
        .filter(|r| r.outcome == "applied")
        .collect();
    if !applied.is_empty() {
        let total = applied.len() as u64;
        let open = if total > 20 { "" } else { " open" };
        out.push_str(&format!(
            "<details{open}><summary>{} applied</summary>\n\n",
            plural(total, "change", "changes")
        ));
        diff(&mut out, &applied, addresses, total);
        out.push_str("</details>\n\n");
    }
    out.push_str(&format!("<sub>{}", html(&words::api(&plan.api))));
    if !view.run_id.is_empty() {
        out.push_str(&format!(" · run {}", html(&view.run_id)));
    }
    if !view.journal.is_empty() {
        out.push_str(&format!(" · journal {}", html(&view.journal)));
    }
    out.push_str("</sub>\n");
    out
}

fn diff(out: &mut String, rows: &[&OutcomeView], most: usize, total: u64) {
    out.push_str("```diff\n");
    for row in rows.iter().take(most) {
        let sign = if row.sign == '~' { '!' } else { row.sign };
        out.push_str(&format!("{sign} {}\n", cut(&escape(&row.address), 200)));
    }
    if total > most as u64 {
        out.push_str(&format!("# … and {} more\n", number(total - most as u64)));
    }
    out.push_str("```\n\n");
}
