//! What a finding means, for a terminal.

use super::Context;
use crate::catalog::{ALL, Entry};
use crate::render::Style;
use crate::render::paint::{Lines, Paint};
use crate::render::text::{loose, pad, solid, width, wrap};

/// Wider lines are hard to read.
const WIDEST: usize = 90;

/// One entry of the catalog.
pub fn explain(entry: &Entry, style: &Style) -> String {
    let context = Context::new(&Style {
        width: style.width.min(WIDEST),
        ..*style
    });
    let mut lines = Lines::default();
    let title = format!("{}: {}", entry.id, entry.title);
    context.wrapped(&mut lines, 0, &title, Paint::bold);
    for (head, text) in [
        ("What it means", entry.means),
        ("Why it matters", entry.matters),
        ("How to fix it", entry.fix),
    ] {
        lines.blank();
        lines.push(context.paint.bold(head));
        context.wrapped(&mut lines, 2, text, |_, t| t.to_owned());
    }
    lines.finish()
}

/// All entries, by control.
pub fn catalog(style: &Style) -> String {
    let context = Context::new(style);
    let mut lines = Lines::default();
    let column = ALL
        .iter()
        .flat_map(|(_, entries)| entries.iter())
        .map(|e| width(e.id))
        .max()
        .unwrap_or(0);
    for (control, entries) in ALL.iter().filter(|(_, e)| !e.is_empty()) {
        lines.blank();
        lines.push(context.paint.bold(control.as_str()));
        for entry in *entries {
            let room = context.width.saturating_sub(column + 4);
            if room < 24 {
                lines.push(format!("  {}", entry.id));
                context.wrapped(&mut lines, 4, entry.title, Paint::dim);
                continue;
            }
            for (i, row) in wrap(entry.title, room).iter().enumerate() {
                let id = if i == 0 { entry.id } else { "" };
                lines.push(format!(
                    "  {}{}",
                    pad(id, column + 2),
                    context.paint.dim(row)
                ));
            }
        }
    }
    lines.blank();
    let hint = format!(
        "{} says more about one of them.",
        solid("`opsctl explain ID`")
    );
    context.wrapped(&mut lines, 0, &loose(&hint), Paint::dim);
    lines.finish()
}
