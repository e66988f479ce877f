//! Reasons beside the lines that they explain, in a column where one can be had.

use super::Context;
use crate::plan::Reason;
use crate::render::paint::Lines;
use crate::render::text::{cut_left, escape, width};

/// Spaces between a line and its reason.
const GAP: usize = 2;
/// Where a reason stands that gets a line of its own.
const OWN_LINE: usize = 10;

/// One line of a block before its reason is put beside it.
pub(super) struct Line<'a> {
    /// Without colour, to measure.
    pub width: usize,
    pub painted: String,
    pub reason: Option<&'a Reason>,
}

/// `policies/tags.toml:14`: what terminals and editors open on a click.
fn place(reason: &Reason) -> String {
    format!("{}:{}", escape(&reason.file), reason.line)
}

/// `tags.defaults.team  policies/tags.toml:14`, the rule shortened from the left as far as needed:
/// its end names the key, and file and line are what people open.
fn shown(reason: &Reason, room: usize) -> String {
    let place = place(reason);
    let rule = escape(&reason.rule);
    let full = format!("{rule}  {place}");
    if width(&full) <= room {
        return full;
    }
    let starts = rule.match_indices('.').map(|(i, _)| i + 1);
    starts
        .filter_map(|i| rule.get(i..))
        .map(|tail| format!("…{tail}  {place}"))
        .find(|text| width(text) <= room)
        .unwrap_or_else(|| cut_left(&place, room))
}

fn full_width(reason: &Reason) -> usize {
    width(&shown(reason, usize::MAX))
}

/// The column in which every reason of these lines fits whole, if there is one.
pub(super) fn common<'a>(
    context: &Context,
    lines: impl Iterator<Item = &'a Line<'a>>,
) -> Option<usize> {
    let mut column = 0;
    let mut longest = 0;
    for (line, reason) in lines.filter_map(|l| Some((l.width, l.reason?))) {
        column = column.max(line + GAP);
        longest = longest.max(full_width(reason));
    }
    (column + longest <= context.width).then_some(column)
}

/// Adds the lines with their reasons in the given column, or the best one for these lines.
pub(super) fn push(
    context: &Context,
    out: &mut Lines,
    lines: Vec<Line<'_>>,
    common: Option<usize>,
) {
    let column = common.unwrap_or_else(|| {
        let with = lines.iter().filter_map(|l| Some((l.width, l.reason?)));
        with.filter(|(line, reason)| line + GAP + width(&place(reason)) <= context.width)
            .map(|(line, _)| line + GAP)
            .max()
            .unwrap_or(0)
    });
    for line in lines {
        let Some(reason) = line.reason else {
            out.push(line.painted);
            continue;
        };
        let column = column.max(line.width + GAP);
        let room = context.width.saturating_sub(column);
        if width(&place(reason)) <= room {
            let gap = " ".repeat(column - line.width);
            let text = context.paint.dim(&shown(reason, room));
            out.push(format!("{}{gap}{text}", line.painted));
        } else {
            out.push(line.painted);
            let text = shown(reason, context.width.saturating_sub(OWN_LINE));
            let indent = " ".repeat(OWN_LINE);
            out.push(format!("{indent}{}", context.paint.dim(&text)));
        }
    }
}
