//! One change, or one group of changes, as lines of a diff.

use crate::model::Risk;
use crate::plan::{ActionKind, Operation};
use crate::render::alarms::Asked;
use crate::render::group::{Field, Group, Value, foreign_rules, title};
use crate::render::text::{cut, escape, list, number, pad, plural, quote, width};

/// A longer value is cut.
const LONGEST_VALUE: usize = 80;

/// Adds the lines: each begins with its sign, so that nothing from AWS can end the fence.
pub(super) fn block(out: &mut String, group: &Group<'_>) {
    let Some(first) = group.changes.first() else {
        return;
    };
    let sign = group.action().map_or('~', ActionKind::sign);
    let mut head = match group.changes.as_slice() {
        [change] => title(change),
        _ => group.types(120),
    };
    let risk = group.risk();
    if risk != Risk::Low {
        head.push_str(&format!(" · {} risk", risk.as_str()));
    }
    if let Some(delta) = group.delta() {
        head.push_str(&format!(" · {delta}"));
    }
    out.push_str(&format!("@@ {sign} {head} @@\n"));
    let rules = matches!(first.operation, Operation::Lifecycle { .. });
    let objects = matches!(first.operation, Operation::Object { .. });
    let heads: Vec<String> = if objects {
        rows(group)
    } else {
        group.fields.iter().map(|f| head_of(f, rules)).collect()
    };
    let short = heads.iter().map(|line| width(line)).filter(|w| *w <= 60);
    let column = short.max().unwrap_or(0);
    for (field, head) in group.fields.iter().zip(heads) {
        let reason = field.reason;
        out.push_str(&format!(
            "{}  # {}  {}:{}\n",
            pad(&head, column),
            escape(&reason.rule),
            escape(&reason.file),
            reason.line
        ));
        if rules {
            for (sign, side) in [('-', &field.before), ('+', &field.after)] {
                if let Some(text) = described(side) {
                    out.push_str(&format!("{sign}   {text}\n"));
                }
            }
        }
    }
    for line in notes(group) {
        out.push_str(&format!("# {line}\n"));
    }
}

/// New alarms that one line of the policy asks for, a sentence each.
pub(super) fn alarms(out: &mut String, asked: &Asked<'_>) {
    let mut head = format!("{} · {}", asked.title(), asked.facts());
    if let Some(delta) = asked.group.delta() {
        head.push_str(&format!(" · {delta}"));
    }
    out.push_str(&format!("@@ {} {head} @@\n", asked.sign()));
    for sentence in asked.sentences() {
        out.push_str(&format!("+ {}\n", cut(&sentence, LONGEST_ROW)));
    }
    out.push_str(&format!("# {}\n", asked.place()));
}

/// Longest text of an object's row.
const LONGEST_ROW: usize = 500;

/// What an object says, each row with its label, in a common column.
fn rows(group: &Group<'_>) -> Vec<String> {
    let labels = group.fields.iter().map(|f| width(&escape(f.name)));
    let column = labels.filter(|w| *w <= 24).max().unwrap_or(0);
    let text = |value: &Value<'_>| match value {
        Value::Absent => "(none)".to_owned(),
        Value::One(text) => cut(&escape(text), LONGEST_ROW),
        Value::Many(n) => format!("({} different values)", number(*n as u64)),
    };
    let row = |field: &Field<'_>| {
        let label = pad(&escape(field.name), column);
        match field.sign {
            '+' => format!("+ {label}  {}", text(&field.after)),
            '-' => format!("- {label}  {}", text(&field.before)),
            _ => format!(
                "! {label}  {} → {}",
                text(&field.before),
                text(&field.after)
            ),
        }
    };
    group.fields.iter().map(row).collect()
}

/// The first line of a field: with its values, unless they are descriptions of a rule.
fn head_of(field: &Field<'_>, rule: bool) -> String {
    let value = |value: &Value<'_>| match value {
        Value::Absent => "(none)".to_owned(),
        Value::One(text) => quote(text, LONGEST_VALUE),
        Value::Many(n) => format!("({} different values)", number(*n as u64)),
    };
    let (before, after) = (value(&field.before), value(&field.after));
    let name = escape(field.name);
    match (rule, field.sign) {
        (true, '+') => format!("+ add rule {name}"),
        (true, '-') => format!("- remove rule {name}"),
        (true, _) => format!("! change rule {name}"),
        (false, '+') => format!("+ {name} = {after}"),
        (false, '-') => format!("- {name} = {before}"),
        (false, _) => format!("! {name} = {before} → {after}"),
    }
}

fn described(side: &Value<'_>) -> Option<String> {
    match side {
        Value::Absent => None,
        Value::One(text) => Some(cut(&escape(text), 500)),
        Value::Many(n) => Some(format!("({} different forms)", number(*n as u64))),
    }
}

/// Rules of others, the arithmetic of the cost, the first names of a group.
fn notes(group: &Group<'_>) -> Vec<String> {
    let mut notes = Vec::new();
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
        let verb = if same == 1 { "stays" } else { "stay" };
        notes.push(format!(
            "{} of others {verb} untouched",
            plural(same, "rule", "rules")
        ));
    }
    if touched > 0 {
        notes.push(format!(
            "⚠ {} of others would be changed or lost",
            plural(touched, "rule", "rules")
        ));
    }
    if let [change] = group.changes.as_slice() {
        let basis = change.cost_basis.iter().flat_map(|b| b.lines());
        notes.extend(basis.map(|line| cut(&escape(line), 300)));
    } else {
        let names: Vec<String> = group
            .changes
            .iter()
            .map(|c| cut(&escape(&c.resource.name), 80))
            .collect();
        notes.push(list(&names, 5));
    }
    notes
}
