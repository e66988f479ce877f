//! One block for each change, or for each group of changes that do the same.

use super::Context;
use super::columns::{self, Line};
use crate::model::Risk;
use crate::plan::{Operation, Reason};
use crate::render::alarms::Digest;
use crate::render::group::{Field, Group, Value, foreign_rules, title};
use crate::render::paint::{Lines, Paint};
use crate::render::text::{cut, escape, list, number, pad, plural, quote, width, wrap};

/// Where field lines begin.
const INDENT: usize = 6;
/// Keys are aligned up to this width; a longer one pushes its own value to the right.
const KEY_COLUMN: usize = 24;
/// A longer value is cut.
const LONGEST_VALUE: usize = 60;
/// Names of a group's resources.
const NAMES: usize = 5;

/// Shows the groups with their fields and reasons in common columns.
pub(super) fn blocks(context: &Context, lines: &mut Lines, groups: &[Group<'_>]) {
    let tags = groups.iter().filter(|g| !is_lifecycle(g) && !is_object(g));
    let keys = tags.flat_map(|g| g.fields.iter().map(|f| width(&escape(f.name))));
    let most = KEY_COLUMN.min(longest_key(context));
    let key_column = keys.filter(|w| *w <= most).max().unwrap_or(0);
    let bodies: Vec<Vec<Line<'_>>> = groups
        .iter()
        .map(|group| {
            if is_lifecycle(group) {
                rules(context, group)
            } else if is_object(group) {
                rows(context, group)
            } else {
                fields(context, group, key_column)
            }
        })
        .collect();
    let column = columns::common(context, bodies.iter().flatten());
    for (group, body) in groups.iter().zip(bodies) {
        header(context, lines, group);
        columns::push(context, lines, body, column);
        footer(context, lines, group);
        lines.blank();
    }
}

/// New alarms, one sentence each: nothing of what they mean is cut.
pub(super) fn asked(context: &Context, lines: &mut Lines, digest: &Digest<'_>) {
    let paint = context.paint;
    for asked in &digest.asked {
        let mut remarks = vec![asked.facts()];
        remarks.extend(
            asked
                .group
                .delta()
                .map(|d| d.replace("USD/month", "USD/mo")),
        );
        let title = asked.title();
        let sign = paint.sign(asked.sign());
        let head = format!("{title}   {}", remarks.join("   "));
        if width(&head) + 4 <= context.width {
            let beside = remarks.join("   ");
            lines.push(format!("  {sign} {}   {beside}", paint.bold(&title)));
        } else {
            let room = context.width.saturating_sub(4);
            for (i, row) in wrap(&head, room).iter().enumerate() {
                let lead = if i == 0 {
                    format!("  {sign} ")
                } else {
                    "    ".to_owned()
                };
                lines.push(format!("{lead}{}", paint.bold(row)));
            }
        }
        for sentence in asked.sentences() {
            let rows = wrap(&sentence, context.width.saturating_sub(INDENT + 2));
            for (i, row) in rows.iter().enumerate() {
                let indent = if i == 0 { INDENT } else { INDENT + 2 };
                lines.push(format!("{}{row}", " ".repeat(indent)));
            }
        }
        context.wrapped(lines, INDENT, &asked.place(), Paint::dim);
        lines.blank();
    }
    if !digest.asked.is_empty() {
        context.wrapped(
            lines,
            2,
            "-v shows each alarm with all its settings",
            Paint::dim,
        );
        lines.blank();
    }
}

/// A longer key gets a line of its own, so that half of the width is left for the value.
fn longest_key(context: &Context) -> usize {
    (context.width / 2).saturating_sub(INDENT)
}

fn is_lifecycle(group: &Group<'_>) -> bool {
    group
        .changes
        .first()
        .is_some_and(|c| matches!(c.operation, Operation::Lifecycle { .. }))
}

/// Something that is made, changed and removed as a whole.
pub(super) fn is_object(group: &Group<'_>) -> bool {
    group
        .changes
        .first()
        .is_some_and(|c| matches!(c.operation, Operation::Object { .. }))
}

/// Sign, address or number of resources, and what is worth a second look.
fn header(context: &Context, lines: &mut Lines, group: &Group<'_>) {
    let paint = context.paint;
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
    if let Some(text) = group.delta() {
        let text = text.replace("USD/month", "USD/mo");
        let painted = if text.starts_with('-') {
            paint.green(&text)
        } else {
            paint.yellow(&text)
        };
        remarks.push((text, painted));
    }
    let room = context.width.saturating_sub(4);
    let beside: usize = remarks.iter().map(|(text, _)| 3 + width(text)).sum();
    let title = match group.changes.as_slice() {
        [change] => title(change),
        _ => group.types(room.saturating_sub(beside)),
    };
    let sign = paint.sign(group.action().map_or('~', |a| a.sign()));
    // The first row has more room than those under it.
    let room = if width(&title) <= room {
        room
    } else {
        context.width - INDENT
    };
    let mut rows = wrap(&title, room).into_iter();
    let mut used = 4;
    let mut line = format!("  {sign} ");
    if let Some(row) = rows.next() {
        used += width(&row);
        line.push_str(&paint.bold(&row));
    }
    for row in rows {
        lines.push(&line);
        used = INDENT + width(&row);
        line = format!("{}{}", " ".repeat(INDENT), paint.bold(&row));
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

fn value(context: &Context, value: &Value<'_>, room: usize, whole: bool) -> String {
    match value {
        Value::Absent => "(none)".to_owned(),
        Value::One(text) if context.verbose || whole => quote(text, usize::MAX),
        // Two quotes, and the mark of the cut.
        Value::One(text) => quote(text, LONGEST_VALUE.min(room.saturating_sub(3)).max(8)),
        Value::Many(n) => format!("({} different values)", number(*n as u64)),
    }
}

/// `~ environment = "production" → "prod"`, in two lines where one is too short.
fn fields<'a>(context: &Context, group: &Group<'a>, key_column: usize) -> Vec<Line<'a>> {
    let mut found = Vec::new();
    // What is made as a whole is described in sentences, which mean nothing when cut.
    let whole = group
        .changes
        .iter()
        .all(|c| matches!(c.operation, Operation::Object { .. }));
    for field in &group.fields {
        let first = found.len();
        let key = escape(field.name);
        let sign = context.paint.sign(field.sign);
        let indent = " ".repeat(INDENT);
        let (mut lead, start) = if width(&key) <= longest_key(context) {
            let key = pad(&key, key_column);
            let start = INDENT + 2 + width(&key) + 3;
            (format!("{indent}{sign} {key} = "), start)
        } else {
            // Two long keys may differ in their last character: none is ever cut.
            let rows = hard_wrap(&format!("{key} ="), context.width - INDENT - 2);
            for (i, row) in rows.iter().enumerate() {
                let sign = if i == 0 { sign.as_str() } else { " " };
                found.push(Line {
                    width: 0,
                    painted: format!("{indent}{sign} {row}"),
                    reason: None,
                });
            }
            let start = INDENT + 4;
            (" ".repeat(start), start)
        };
        let room = context.width.saturating_sub(start);
        let before = value(context, &field.before, room, whole);
        let after = value(context, &field.after, room.saturating_sub(2), whole);
        let rows = match field.sign {
            '+' => hard_wrap(&after, room),
            '-' => hard_wrap(&before, room),
            _ if width(&before) + 3 + width(&after) <= room => {
                vec![format!("{before} → {after}")]
            }
            _ => {
                let mut rows = hard_wrap(&before, room);
                let after = hard_wrap(&after, room.saturating_sub(2));
                rows.extend(after.into_iter().enumerate().map(|(i, row)| {
                    let arrow = if i == 0 { '→' } else { ' ' };
                    format!("{arrow} {row}")
                }));
                rows
            }
        };
        for row in rows {
            found.push(Line {
                width: start + width(&row),
                painted: format!("{lead}{row}"),
                reason: None,
            });
            lead = " ".repeat(start);
        }
        if let Some(last) = found.get_mut(first..).and_then(|lines| lines.last_mut()) {
            last.reason = Some(field.reason);
        }
    }
    found
}

/// What an object says, each row with its label: `~ limit   1,200.00 USD → 1,500.00 USD`. Nothing is
/// cut: these are few, and all of it is what is agreed to.
fn rows<'a>(context: &Context, group: &Group<'a>) -> Vec<Line<'a>> {
    let labels = group.fields.iter().map(|f| width(&escape(f.name)));
    let most = KEY_COLUMN.min(context.width / 3);
    let column = labels.filter(|w| *w <= most).max().unwrap_or(0);
    let mut found = Vec::new();
    for field in &group.fields {
        let label = escape(field.name);
        let sign = context.paint.sign(field.sign);
        let indent = " ".repeat(INDENT);
        let start = INDENT + 2 + column + 2;
        let mut lead = if width(&label) <= column {
            format!("{indent}{sign} {}  ", pad(&label, column))
        } else {
            for (i, row) in wrap(&label, context.width - INDENT - 2).iter().enumerate() {
                let sign = if i == 0 { sign.as_str() } else { " " };
                found.push(Line {
                    width: 0,
                    painted: format!("{indent}{sign} {row}"),
                    reason: None,
                });
            }
            " ".repeat(start)
        };
        let room = context.width.saturating_sub(start).max(8);
        let text = |value: &Value<'_>| match value {
            Value::Absent => "(none)".to_owned(),
            Value::One(text) => escape(text),
            Value::Many(n) => format!("({} different values)", number(*n as u64)),
        };
        let (before, after) = (text(&field.before), text(&field.after));
        let texts = match field.sign {
            '+' => wrap(&after, room),
            '-' => wrap(&before, room),
            _ if width(&before) + 3 + width(&after) <= room => vec![format!("{before} → {after}")],
            _ => {
                let mut rows = wrap(&before, room);
                let after = wrap(&after, room.saturating_sub(2));
                rows.extend(after.into_iter().enumerate().map(|(i, row)| {
                    let arrow = if i == 0 { '→' } else { ' ' };
                    format!("{arrow} {row}")
                }));
                rows
            }
        };
        for row in texts {
            found.push(Line {
                width: start + width(&row),
                painted: format!("{lead}{row}"),
                reason: None,
            });
            lead = " ".repeat(start);
        }
    }
    found
}

/// The lines that ask for an object, each with the first of its rows.
fn asked_for(group: &Group<'_>) -> String {
    let mut reasons: Vec<(&Reason, &str)> = Vec::new();
    for field in &group.fields {
        if !reasons.iter().any(|(reason, _)| *reason == field.reason) {
            reasons.push((field.reason, field.name));
        }
    }
    let one = |(reason, label): &(&Reason, &str)| {
        let place = format!("{}:{}", escape(&reason.file), reason.line);
        match reasons.len() {
            1 => format!("{}  {place}", escape(&reason.rule)),
            _ => format!("{} {place}", escape(label)),
        }
    };
    reasons.iter().map(one).collect::<Vec<_>>().join(", ")
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
fn rules<'a>(context: &Context, group: &Group<'a>) -> Vec<Line<'a>> {
    let paint = context.paint;
    let indent = " ".repeat(INDENT);
    let room = context.width.saturating_sub(INDENT + 4);
    let mut found = Vec::new();
    for field in &group.fields {
        let verb = match field.sign {
            '+' => "add rule",
            '-' => "remove rule",
            _ => "change rule",
        };
        let title = format!("{verb} {}", cut(&escape(field.name), room - 12));
        found.push(Line {
            width: INDENT + 2 + width(&title),
            painted: format!("{indent}{} {title}", paint.sign(field.sign)),
            reason: Some(field.reason),
        });
        for (label, text) in describe(field) {
            let hang = width(label);
            for (i, row) in wrap(&text, room - hang).into_iter().enumerate() {
                let label = if i == 0 { label } else { "" };
                found.push(Line {
                    width: 0,
                    painted: format!("{indent}    {label:hang$}{row}"),
                    reason: None,
                });
            }
        }
    }
    found
}

fn describe(field: &Field<'_>) -> Vec<(&'static str, String)> {
    let say = |value: &Value<'_>| match value {
        Value::Absent => None,
        Value::One(text) => Some(escape(text)),
        Value::Many(n) => Some(format!("({} different forms)", number(*n as u64))),
    };
    match (say(&field.before), say(&field.after)) {
        (Some(before), Some(after)) => vec![("was: ", before), ("now: ", after)],
        (before, after) => before
            .or(after)
            .map(|text| ("", text))
            .into_iter()
            .collect(),
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
    if is_object(group) {
        context.wrapped(lines, INDENT, &asked_for(group), Paint::dim);
    }
    if let [change] = group.changes.as_slice() {
        for line in change.cost_basis.iter().flat_map(|b| b.lines()) {
            context.wrapped(lines, INDENT, &escape(line), Paint::dim);
        }
    } else {
        let names = context.paint.dim(&names(context, group));
        lines.push(format!("{}{names}", " ".repeat(INDENT)));
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
