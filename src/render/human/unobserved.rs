//! What could not be seen: last, so that it is what stays on the screen.

use tabled::builder::Builder;
use tabled::settings::Style as TableStyle;

use super::Context;
use crate::plan::{Accepted, Plan};
use crate::render::group::{GapRow, gaps};
use crate::render::paint::{Lines, Paint};
use crate::render::text::{escape, number, plural, width, wrap};

/// Rows of the table, unless all are asked for.
const MOST_ROWS: usize = 12;

/// The table of gaps, and the blind spots that were accepted.
pub(super) fn unobserved(context: &Context, lines: &mut Lines, plan: &Plan) {
    if !plan.unobserved.is_empty() {
        let most = if context.verbose {
            usize::MAX
        } else {
            MOST_ROWS
        };
        let rows = gaps(plan, most);
        let shown = rows.get(..most).unwrap_or(&rows);
        lines.blank();
        let title = "NOT OBSERVED: what is behind these calls may be anything";
        context.wrapped(lines, 0, title, Paint::alarm);
        for line in table(context, shown) {
            lines.push(context.paint.red(&line));
        }
        if rows.len() > shown.len() {
            let text = format!(
                "… and {}; -v shows each one",
                plural((rows.len() - shown.len()) as u64, "more call", "more calls")
            );
            context.wrapped(lines, 0, &text, Paint::red);
        }
    }
    accepted(context, lines, &plan.accepted_unobserved);
}

fn place(row: &GapRow<'_>) -> String {
    format!("{}/{}", escape(row.environment), escape(row.region))
}

/// Columns are sized by hand: the error gets what the others leave, and if that is little, its own
/// line under them.
fn table(context: &Context, rows: &[GapRow<'_>]) -> Vec<String> {
    let head = ["operation", "where", "resources", "controls", "error"].map(str::to_owned);
    let mut cells = vec![head];
    cells.extend(rows.iter().map(|row| {
        [
            escape(row.operation),
            place(row),
            row.resources(),
            row.controls(),
            row.error(),
        ]
    }));
    // A border on each side of each of the five columns, and a space inside each.
    let frame = 5 * 3 + 1;
    let room = context.width.min(160).saturating_sub(frame);
    let natural = |i: usize| cells.iter().map(|c| width(&c[i])).max().unwrap_or(0);
    let resources = natural(2);
    let controls = natural(3).min(14);
    let error_wants = natural(4);
    let left = room.saturating_sub(resources + controls);
    // Enough for most errors to be read without a column of single words.
    let error = error_wants.min((left / 2).max(left.saturating_sub(natural(0) + natural(1))));
    let names = left.saturating_sub(error);
    let operation = natural(0).min((names * 3 / 5).max(names.saturating_sub(natural(1))));
    let place = natural(1).min(names.saturating_sub(operation));
    if error < 20.min(error_wants) || operation < 12.min(natural(0)) || place < 12.min(natural(1)) {
        return stacked(context, rows);
    }
    let widths = [operation, place, resources, controls, error];
    let mut builder = Builder::default();
    for row in &cells {
        builder.push_record(
            row.iter()
                .zip(widths)
                .map(|(cell, room)| wrap(cell, room).join("\n")),
        );
    }
    let mut table = builder.build();
    table.with(TableStyle::rounded());
    table.to_string().lines().map(str::to_owned).collect()
}

/// The same without a table, for terminals too narrow for one.
fn stacked(context: &Context, rows: &[GapRow<'_>]) -> Vec<String> {
    let mut lines = Vec::new();
    for row in rows {
        let resources = match row.resources {
            None => "all resources".to_owned(),
            Some(n) => plural(n, "resource", "resources"),
        };
        let head = format!("{}  {}", escape(row.operation), place(row));
        let room = context.width.saturating_sub(4);
        for (i, text) in wrap(&head, room).into_iter().enumerate() {
            lines.push(format!("{}{text}", if i == 0 { "  " } else { "    " }));
        }
        for text in [format!("{resources}; {}", row.controls()), row.error()] {
            lines.extend(wrap(&text, room).into_iter().map(|t| format!("    {t}")));
        }
    }
    lines
}

fn accepted(context: &Context, lines: &mut Lines, accepted: &[Accepted]) {
    if accepted.is_empty() {
        return;
    }
    lines.blank();
    let title = "Not observed, and accepted in opsctl.toml";
    context.wrapped(lines, 0, title, |paint, text| {
        paint.bold(&paint.yellow(text))
    });
    for spot in accepted {
        let text = format!(
            "{}: {} until {}, {} here: {}",
            escape(&spot.name),
            escape(&spot.operation),
            escape(&spot.until),
            number(spot.gaps),
            escape(&spot.reason)
        );
        let rows = wrap(&text, context.width.saturating_sub(4));
        for (i, row) in rows.iter().enumerate() {
            let indent = if i == 0 { "  " } else { "    " };
            lines.push(format!("{indent}{}", context.paint.yellow(row)));
        }
    }
}
