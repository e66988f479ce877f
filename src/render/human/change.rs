//! One block for each change, or for each group of changes that do the same.

use super::Context;
use crate::model::Risk;
use crate::plan::{Operation, Reason};
use crate::render::group::{Field, Group, Value, foreign_rules};
use crate::render::paint::{Lines, Paint};
use crate::render::text::{
    cut, cut_left, escape, list, number, pad, plural, quote, signed_usd, width, wrap,
};

/// Where field lines begin.
const INDENT: usize = 6;
/// Keys are aligned up to this width; a longer one pushes its own value to the right.
const KEY_COLUMN: usize = 24;
/// A reason is not worth showing in fewer columns.
const SHORTEST_REASON: usize = 24;
/// A longer value is cut.
const LONGEST_VALUE: usize = 60;
/// Names of a group's resources.
const NAMES: usize = 5;

/// One line of a block before its reason is put beside it.
struct Line {
    /// Without colour, to measure.
    width: usize,
    painted: String,
    reason: Option<String>,
}

/// Shows the groups with their fields and reasons in common columns.
pub(super) fn blocks(context: &Context, lines: &mut Lines, groups: &[Group<'_>]) {
    let tags = || groups.iter().filter(|g| !is_lifecycle(g));
    let keys = tags().flat_map(|g| g.fields.iter().map(|f| width(&escape(f.name))));
    let key_column = keys.filter(|w| *w <= KEY_COLUMN).max().unwrap_or(0);
    let bodies: Vec<Vec<Line>> = groups
        .iter()
        .map(|group| {
            if is_lifecycle(group) {
                rules(context, group)
            } else {
                fields(context, group, key_column)
            }
        })
        .collect();
    let column = reason_column(context, bodies.iter().flatten());
    for (group, body) in groups.iter().zip(bodies) {
        header(context, lines, group);
        for line in body {
            beside(context, lines, line, column);
        }
        footer(context, lines, group);
        lines.blank();
    }
}

fn is_lifecycle(group: &Group<'_>) -> bool {
    group
        .changes
        .first()
        .is_some_and(|c| matches!(c.operation, Operation::Lifecycle { .. }))
}

/// Sign, address or number of resources, and what is worth a second look.
fn header(context: &Context, lines: &mut Lines, group: &Group<'_>) {
    let paint = context.paint;
    let Some(first) = group.changes.first() else {
        return;
    };
    let single = group.changes.len() == 1;
    let title = if single {
        let address = escape(first.address.within_environment());
        let aspect = format!("#{}", first.control);
        // The heading above says the control already.
        address
            .strip_suffix(&aspect)
            .map(str::to_owned)
            .unwrap_or(address)
    } else {
        let types: Vec<String> = group
            .types()
            .into_iter()
            .map(|(kind, n)| format!("{} {}", escape(kind), number(n)))
            .collect();
        let count = plural(group.changes.len() as u64, "resource", "resources");
        format!("{count}: {}", list(&types, 4))
    };
    let mut remarks: Vec<(String, String)> = Vec::new();
    let risk = group.risk();
    if risk != Risk::Low {
        let text = format!("{} risk", risk.as_str());
        let painted = match risk {
            Risk::High => paint.alarm(&text),
            _ => paint.yellow(&text),
        };
        remarks.push((text, painted));
    }
    if let Some(delta) = group.delta().and_then(signed_usd) {
        let text = format!("{delta} USD/mo");
        let painted = if delta.starts_with('-') {
            paint.green(&text)
        } else {
            paint.yellow(&text)
        };
        remarks.push((text, painted));
    }
    let sign = paint.sign(group.action().map_or('~', |a| a.sign()));
    let mut rows = wrap(&title, context.width.saturating_sub(4)).into_iter();
    let mut used = 4;
    let mut line = format!("  {sign} ");
    if let Some(row) = rows.next() {
        used += width(&row);
        line.push_str(&paint.bold(&row));
    }
    for row in rows {
        lines.push(&line);
        used = 6 + width(&row);
        line = format!("      {}", paint.bold(&row));
    }
    for (text, painted) in remarks {
        if used + 3 + width(&text) > context.width {
            lines.push(&line);
            used = INDENT;
            line = format!("{}{painted}", " ".repeat(INDENT));
        } else {
            used += 3;
            line.push_str(&format!("   {painted}"));
        }
        used += width(&text);
    }
    lines.push(&line);
}

/// `tags.defaults.team  policies/tags.toml:14`.
fn reason(reason: &Reason) -> String {
    format!(
        "{}  {}:{}",
        escape(&reason.rule),
        escape(&reason.file),
        reason.line
    )
}

fn value(context: &Context, value: &Value<'_>, room: usize) -> String {
    match value {
        Value::Absent => "(none)".to_owned(),
        Value::One(text) if context.verbose => quote(text, usize::MAX),
        Value::One(text) => quote(text, LONGEST_VALUE.min(room.saturating_sub(2)).max(8)),
        Value::Many(n) => format!("({} values)", number(*n as u64)),
    }
}

/// `~ environment = "production" → "prod"`, in two lines where one is too short.
fn fields(context: &Context, group: &Group<'_>, key_column: usize) -> Vec<Line> {
    let paint = context.paint;
    let mut found = Vec::new();
    for field in &group.fields {
        let longest_key = (context.width / 2).saturating_sub(INDENT);
        let key = pad(&cut(&escape(field.name), longest_key), key_column);
        let start = INDENT + 2 + width(&key) + 3;
        let room = context.width.saturating_sub(start);
        let show = |v: &Value<'_>, room| value(context, v, room);
        let head = |text: &str| {
            let indent = " ".repeat(INDENT);
            format!("{indent}{} {key} = {text}", paint.sign(field.sign))
        };
        let reason = Some(reason(field.reason));
        let mut push = |width, painted, reason| {
            found.push(Line {
                width,
                painted,
                reason,
            });
        };
        let (before, after) = (show(&field.before, room), show(&field.after, room - 2));
        match field.sign {
            '~' if width(&before) + 3 + width(&after) <= room => {
                let text = format!("{before} → {after}");
                push(start + width(&text), head(&text), reason);
            }
            '~' => {
                for (i, row) in hard_wrap(&before, room).iter().enumerate() {
                    let lead = " ".repeat(start);
                    let painted = if i == 0 { head(row) } else { lead + row };
                    push(start + width(row), painted, None);
                }
                let rows = hard_wrap(&after, room.saturating_sub(2));
                for (i, row) in rows.iter().enumerate() {
                    let arrow = if i == 0 { "→ " } else { "  " };
                    let last = (i + 1 == rows.len()).then(|| reason.clone()).flatten();
                    let painted = format!("{}{arrow}{row}", " ".repeat(start));
                    push(start + 2 + width(row), painted, last);
                }
            }
            sign => {
                let text = if sign == '+' { after } else { before };
                let rows = hard_wrap(&text, room);
                for (i, row) in rows.iter().enumerate() {
                    let last = (i + 1 == rows.len()).then(|| reason.clone()).flatten();
                    let lead = " ".repeat(start);
                    let painted = if i == 0 { head(row) } else { lead + row };
                    push(start + width(row), painted, last);
                }
            }
        }
    }
    found
}

/// Breaks a value anywhere: its spaces are part of it.
fn hard_wrap(text: &str, room: usize) -> Vec<String> {
    let room = room.max(8);
    let mut rows = vec![String::new()];
    let mut used = 0;
    for c in text.chars() {
        let columns = width(c.encode_utf8(&mut [0; 4]));
        if used + columns > room {
            rows.push(String::new());
            used = 0;
        }
        used += columns;
        if let Some(row) = rows.last_mut() {
            row.push(c);
        }
    }
    rows
}

/// Which lifecycle rule is added, changed or removed, and what it does in words.
fn rules(context: &Context, group: &Group<'_>) -> Vec<Line> {
    let paint = context.paint;
    let room = context.width.saturating_sub(INDENT + 4);
    let mut found = Vec::new();
    for field in &group.fields {
        let verb = match field.sign {
            '+' => "add rule",
            '-' => "remove rule",
            _ => "change rule",
        };
        let title = format!("{verb} {}", cut(&escape(field.name), room - 12));
        let indent = " ".repeat(INDENT);
        found.push(Line {
            width: INDENT + 2 + width(&title),
            painted: format!("{indent}{} {title}", paint.sign(field.sign)),
            reason: Some(reason(field.reason)),
        });
        for text in describe(field) {
            for row in wrap(&text, room) {
                found.push(Line {
                    width: 0,
                    painted: format!("{indent}    {row}"),
                    reason: None,
                });
            }
        }
    }
    found
}

fn describe(field: &Field<'_>) -> Vec<String> {
    let say = |value: &Value<'_>| match value {
        Value::Absent => None,
        Value::One(text) => Some(escape(text)),
        Value::Many(n) => Some(format!("({} different forms)", number(*n as u64))),
    };
    let (before, after) = (say(&field.before), say(&field.after));
    match (field.sign, before, after) {
        ('~', Some(before), Some(after)) => vec![format!("was: {before}"), format!("now: {after}")],
        (_, before, after) => before.or(after).into_iter().collect(),
    }
}

/// The column in which most reasons fit whole.
fn reason_column<'a>(context: &Context, lines: impl Iterator<Item = &'a Line> + Clone) -> usize {
    let with = lines.filter_map(|l| Some((l.width, width(l.reason.as_ref()?))));
    let whole = with
        .clone()
        .filter(|(line, reason)| line + 3 + reason <= context.width)
        .map(|(line, _)| line)
        .max();
    let some = with
        .map(|(line, _)| line)
        .filter(|line| line + 3 + SHORTEST_REASON <= context.width)
        .max();
    whole.or(some).unwrap_or(0) + 3
}

/// The line, and its reason in the column, next to it or under it, whichever it has room for.
fn beside(context: &Context, lines: &mut Lines, line: Line, column: usize) {
    let Some(reason) = line.reason else {
        lines.push(line.painted);
        return;
    };
    let column = column.max(line.width + 3);
    let room = context.width.saturating_sub(column);
    if width(&reason) <= room || room >= SHORTEST_REASON {
        let gap = " ".repeat(column - line.width);
        let shown = context.paint.dim(&cut_left(&reason, room));
        lines.push(format!("{}{gap}{shown}", line.painted));
    } else {
        lines.push(line.painted);
        let indent = INDENT + 4;
        let shown = cut_left(&reason, context.width.saturating_sub(indent));
        lines.push(format!(
            "{}{}",
            " ".repeat(indent),
            context.paint.dim(&shown)
        ));
    }
}

/// Rules of others, the arithmetic of the cost, and the first names of a group.
fn footer(context: &Context, lines: &mut Lines, group: &Group<'_>) {
    let (mut same, mut touched) = (0, 0);
    for (kept, lost) in group
        .changes
        .iter()
        .filter_map(|c| foreign_rules(&c.operation))
    {
        same += kept;
        touched += lost;
    }
    if same > 0 {
        let text = format!(
            "{} of others {} untouched",
            plural(same, "rule", "rules"),
            if same == 1 { "stays" } else { "stay" }
        );
        context.wrapped(lines, INDENT, &text, Paint::dim);
    }
    if touched > 0 {
        let text = format!(
            "{} of others would be changed or lost",
            plural(touched, "rule", "rules")
        );
        context.wrapped(lines, INDENT, &text, Paint::alarm);
    }
    if let [change] = group.changes.as_slice() {
        for line in change.cost_basis.iter().flat_map(|b| b.lines()) {
            context.wrapped(lines, INDENT, &escape(line), Paint::dim);
        }
    } else {
        lines.push(format!(
            "{}{}",
            " ".repeat(INDENT),
            context.paint.dim(&names(context, group))
        ));
    }
}

/// As many of the first names as fit one line, and how many there are beyond.
fn names(context: &Context, group: &Group<'_>) -> String {
    let names: Vec<String> = group
        .changes
        .iter()
        .map(|c| escape(&c.resource.name))
        .collect();
    let room = context.width.saturating_sub(INDENT);
    (1..=NAMES)
        .rev()
        .map(|n| list(&names, n))
        .find(|text| width(text) <= room)
        .unwrap_or_else(|| {
            let more = format!(" … and {} more", number(names.len() as u64 - 1));
            let first = names.first().map_or("", String::as_str);
            format!("{}{more}", cut(first, room.saturating_sub(width(&more))))
        })
}
