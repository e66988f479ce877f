//! What could not be seen: last, so that it is what stays on the screen.

use tabled::builder::Builder;
use tabled::settings::Style as TableStyle;

use super::Context;
use crate::inventory::Gap;
use crate::plan::Accepted;
use crate::render::attention::{GapRow, gaps};
use crate::render::paint::{Lines, Paint};
use crate::render::text::{escape, number, plural, solid, width, wrap};
use crate::render::words;

/// Rows of the table, unless all are asked for.
const MOST_ROWS: usize = 12;
/// An error that is broken into shorter lines than this is no pleasure to read.
const ERROR_COLUMN: usize = 40;
/// Columns below which a table is mostly frame.
const NARROWEST_TABLE: usize = 56;
/// Wider tables make the eye lose its row.
const WIDEST_TABLE: usize = 160;

/// The table of gaps, and the blind spots that were accepted.
pub(super) fn unobserved(
    context: &Context,
    lines: &mut Lines,
    unobserved: &[Gap],
    spots: &[Accepted],
) {
    if !unobserved.is_empty() {
        let most = if context.verbose {
            usize::MAX
        } else {
            MOST_ROWS
        };
        let rows = gaps(unobserved, most);
        let shown = rows.get(..most).unwrap_or(&rows);
        lines.blank();
        context.wrapped(lines, 0, words::NOT_OBSERVED, Paint::alarm);
        let width = context.width.min(WIDEST_TABLE);
        let drawn = if width < NARROWEST_TABLE {
            stacked(width, shown)
        } else {
            wide(width, shown).unwrap_or_else(|| narrow(width, shown))
        };
        for line in drawn {
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
    accepted(context, lines, spots);
}

fn place(row: &GapRow<'_>) -> String {
    format!("{}/{}", escape(row.environment), escape(row.region))
}

/// Columns that a table of so many columns spends on its frame.
const fn frame(columns: usize) -> usize {
    columns * 3 + 1
}

fn draw(records: Vec<Vec<String>>) -> Vec<String> {
    let mut builder = Builder::default();
    let tall = records.iter().skip(1).flatten().any(|c| c.contains('\n'));
    for record in records {
        builder.push_record(record);
    }
    let mut table = builder.build();
    if tall {
        table.with(TableStyle::modern_rounded());
    } else {
        table.with(TableStyle::rounded());
    }
    table.to_string().lines().map(str::to_owned).collect()
}

/// A column for everything, if that leaves enough for the error.
fn wide(room: usize, rows: &[GapRow<'_>]) -> Option<Vec<String>> {
    let mut cells =
        vec![["operation", "where", "resources", "controls", "error"].map(str::to_owned)];
    cells.extend(rows.iter().map(|row| {
        let count = row.resources.map_or("all".to_owned(), number);
        let controls = solid(&row.controls.join(", "));
        [
            escape(row.operation),
            place(row),
            count,
            controls,
            row.error(),
        ]
    }));
    let natural = |i: usize| cells.iter().map(|c| width(&c[i])).max().unwrap_or(0);
    let fixed: usize = (0..4).map(natural).sum();
    let error = room.checked_sub(frame(5) + fixed)?;
    if error < natural(4).min(ERROR_COLUMN) {
        return None;
    }
    let records = cells
        .into_iter()
        .map(|[operation, place, count, controls, text]| {
            let text = wrap(&text, error).join("\n");
            let controls = controls.replace('\u{a0}', " ");
            vec![operation, place, count, controls, text]
        });
    Some(draw(records.collect()))
}

/// What and why, in two columns.
fn narrow(room: usize, rows: &[GapRow<'_>]) -> Vec<String> {
    let room = room.saturating_sub(frame(2));
    let subjects: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            vec![
                escape(row.operation),
                place(row),
                format!("{}: {}", solid(&row.resources()), row.controls()),
            ]
        })
        .collect();
    let longest = subjects
        .iter()
        .flatten()
        .map(|s| width(s))
        .max()
        .unwrap_or(0);
    let left = longest.min(room / 2);
    let mut records = vec![vec!["call".to_owned(), "error".to_owned()]];
    records.extend(rows.iter().zip(subjects).map(|(row, subject)| {
        let subject: Vec<String> = subject.iter().flat_map(|s| wrap(s, left)).collect();
        vec![
            subject.join("\n"),
            wrap(&row.error(), room - left).join("\n"),
        ]
    }));
    draw(records)
}

/// The same without a table.
fn stacked(room: usize, rows: &[GapRow<'_>]) -> Vec<String> {
    let mut lines = Vec::new();
    for row in rows {
        let texts = [
            escape(row.operation),
            format!("{}, {}: {}", place(row), row.resources(), row.controls()),
            row.error(),
        ];
        for (i, text) in texts.iter().enumerate() {
            let indent = if i == 0 { 2 } else { 4 };
            let rows = wrap(text, room.saturating_sub(4));
            lines.extend(
                rows.iter()
                    .map(|row| format!("{}{row}", " ".repeat(indent))),
            );
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
    context.wrapped(lines, 0, title, Paint::yellow);
    for spot in accepted {
        let text = format!(
            "{}: {} until {}, {}: {}",
            escape(&spot.name),
            escape(&spot.operation),
            escape(&spot.until),
            match spot.gaps {
                0 => solid("seen this time"),
                n => solid(&format!("{} in this run", number(n))),
            },
            escape(&spot.reason)
        );
        let rows = wrap(&text, context.width.saturating_sub(4));
        for (i, row) in rows.iter().enumerate() {
            let indent = if i == 0 { "  " } else { "    " };
            lines.push(format!("{indent}{row}"));
        }
    }
}
