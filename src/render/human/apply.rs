//! What became of a plan, for a terminal.

use std::collections::BTreeMap;

use super::{Context, report, unobserved};
use crate::plan::{Change, Plan};
use crate::render::group::count;
use crate::render::paint::{Lines, Paint};
use crate::render::text::{duration, escape, number, plural, width, wrap};
use crate::render::{ApplyView, OutcomeView, Style, words};

/// Applied changes are listed up to this number, and counted beyond it.
const LIST_UP_TO: usize = 40;
/// Addresses shown for one error.
const ADDRESSES: usize = 20;

/// The outcome of each change, what failed first.
pub fn apply(plan: &Plan, view: &ApplyView, style: &Style) -> String {
    let context = Context::new(style);
    let mut lines = Lines::default();
    if let Some(note) = words::sandbox(plan.sandbox.as_deref()) {
        context.wrapped(&mut lines, 0, &note, Paint::yellow);
        lines.blank();
    }
    let rows = |outcome: &str| -> Vec<&OutcomeView> {
        view.rows.iter().filter(|r| r.outcome == outcome).collect()
    };
    trouble(
        &context,
        &mut lines,
        "Failed",
        &rows("failed"),
        Paint::alarm,
    );
    let title = "Stale: changed since the plan, left as they are";
    trouble(&context, &mut lines, title, &rows("stale"), Paint::yellow);
    trouble(
        &context,
        &mut lines,
        "Skipped",
        &rows("skipped"),
        Paint::dim,
    );
    applied(&context, &mut lines, plan, view, &rows("applied"));
    lines.blank();
    context.wrapped(&mut lines, 0, &words::applied(view), Paint::bold);
    for sentence in words::what_next(view) {
        let paint = if view.interrupted {
            Paint::yellow
        } else {
            |_: Paint, text: &str| text.to_owned()
        };
        context.wrapped(&mut lines, 0, &sentence, paint);
    }
    if !view.run_id.is_empty() {
        let text = format!("run {}", escape(&view.run_id));
        context.wrapped(&mut lines, 0, &text, Paint::dim);
    }
    if !view.journal.is_empty() {
        let text = format!("journal {}", escape(&view.journal));
        context.wrapped(&mut lines, 0, &text, Paint::dim);
    }
    unobserved::unobserved(
        &context,
        &mut lines,
        &plan.unobserved,
        &plan.accepted_unobserved,
    );
    lines.finish()
}

/// Outcomes that somebody has to look at, each error once.
fn trouble(
    context: &Context,
    lines: &mut Lines,
    title: &str,
    rows: &[&OutcomeView],
    paint: fn(Paint, &str) -> String,
) {
    if rows.is_empty() {
        return;
    }
    lines.blank();
    let title = format!("{title} ({})", number(rows.len() as u64));
    context.wrapped(lines, 0, &title, paint);
    let most = if context.verbose {
        usize::MAX
    } else {
        ADDRESSES
    };
    for (error, _) in count(rows.iter().map(|r| r.error.as_deref().unwrap_or_default())) {
        let members: Vec<_> = rows
            .iter()
            .filter(|r| r.error.as_deref().unwrap_or_default() == error)
            .collect();
        if !error.is_empty() {
            context.wrapped(lines, 2, &escape(error), paint);
        }
        for row in members.iter().take(most) {
            outcome(context, lines, 4, row.sign, &row.address);
        }
        if members.len() > most {
            let more = number((members.len() - most) as u64);
            lines.push(format!("    … and {more} more"));
        }
    }
}

fn outcome(context: &Context, lines: &mut Lines, indent: usize, sign: char, address: &str) {
    let room = context.width.saturating_sub(indent + 4);
    for (i, row) in wrap(&escape(address), room).iter().enumerate() {
        let lead = " ".repeat(indent);
        lines.push(match i {
            0 => format!("{lead}{} {row}", context.paint.sign(sign)),
            _ => format!("{lead}    {row}"),
        });
    }
}

/// What was done: by name while that can be read, else by control and type.
fn applied(
    context: &Context,
    lines: &mut Lines,
    plan: &Plan,
    view: &ApplyView,
    rows: &[&OutcomeView],
) {
    if rows.is_empty() {
        return;
    }
    lines.blank();
    let title = format!("Applied ({})", number(rows.len() as u64));
    context.wrapped(lines, 0, &title, Paint::green);
    let changes: BTreeMap<&str, &Change> = plan
        .changes
        .iter()
        .map(|c| (c.address.as_str(), c))
        .collect();
    let mut environments: Vec<&str> = view.environments.iter().map(String::as_str).collect();
    for row in rows {
        let name = environment(&row.address);
        if !environments.contains(&name) {
            environments.push(name);
        }
    }
    for name in environments {
        let members: Vec<_> = rows
            .iter()
            .filter(|r| environment(&r.address) == name)
            .collect();
        if members.is_empty() {
            continue;
        }
        if rows.len() <= LIST_UP_TO || context.verbose {
            for row in members {
                outcome(context, lines, 2, row.sign, &row.address);
            }
            continue;
        }
        let mut controls: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for row in &members {
            let (control, kind) = match changes.get(row.address.as_str()) {
                Some(change) => (change.control.as_str(), change.resource.kind.as_str()),
                None => parse(&row.address),
            };
            controls.entry(escape(control)).or_default().push(kind);
        }
        lines.push(format!(
            "  {}  {}",
            context.paint.bold(&escape(name)),
            plural(members.len() as u64, "change", "changes")
        ));
        let column = controls.keys().map(|c| width(c)).max().unwrap_or(0);
        for (control, kinds) in controls {
            let kinds: Vec<String> = count(kinds.into_iter())
                .into_iter()
                .map(|(kind, n)| format!("{} {}", escape(kind), number(n)))
                .collect();
            let indent = 6 + column;
            let rows = wrap(&kinds.join(", "), context.width.saturating_sub(indent));
            for (i, row) in rows.iter().enumerate() {
                let label = if i == 0 { control.as_str() } else { "" };
                lines.push(format!("    {label:column$}  {row}"));
            }
        }
    }
    let slowest = rows.iter().max_by_key(|r| r.duration_ms);
    if let Some(row) = slowest.filter(|r| r.duration_ms >= 5_000) {
        let text = format!("Slowest: {}", duration(row.duration_ms));
        context.wrapped(lines, 2, &text, Paint::dim);
        report::address(context, lines, &row.address);
    }
}

fn environment(address: &str) -> &str {
    address.split('/').next().unwrap_or_default()
}

/// Control and type as the address has them.
fn parse(address: &str) -> (&str, &str) {
    let control = address.rsplit_once('#').map_or("", |(_, aspect)| aspect);
    (control, address.split('/').nth(2).unwrap_or_default())
}
