//! What belongs together, so that it is said once.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use super::text;
use crate::model::lifecycle::Rule;
use crate::model::{Control, Risk};
use crate::plan::{ActionKind, Change, Operation, Plan, Reason};

/// One environment of the plan, and what changes there.
pub(super) struct Environment<'a> {
    pub name: &'a str,
    pub account: &'a str,
    pub regions: Vec<&'a str>,
    pub stage: &'a str,
    pub controls: Vec<(Control, Vec<&'a Change>)>,
}

impl Environment<'_> {
    pub fn changes(&self) -> usize {
        self.controls.iter().map(|(_, c)| c.len()).sum()
    }
}

/// In the order of the scope; a change outside of it still gets its place.
pub(super) fn environments(plan: &Plan) -> Vec<Environment<'_>> {
    let mut found: Vec<Environment<'_>> = Vec::new();
    for entry in &plan.scope {
        match found.iter_mut().find(|e| e.name == entry.environment) {
            Some(known) => {
                if !known.regions.contains(&entry.region.as_str()) {
                    known.regions.push(&entry.region);
                }
            }
            None => found.push(Environment {
                name: &entry.environment,
                account: &entry.account,
                regions: vec![&entry.region],
                stage: &entry.stage,
                controls: Vec::new(),
            }),
        }
    }
    let mut changes: BTreeMap<&str, BTreeMap<Control, Vec<&Change>>> = BTreeMap::new();
    for change in &plan.changes {
        changes
            .entry(change.address.environment())
            .or_default()
            .entry(change.control)
            .or_default()
            .push(change);
    }
    for (name, controls) in changes {
        let index = found
            .iter()
            .position(|e| e.name == name)
            .unwrap_or_else(|| {
                found.push(Environment {
                    name,
                    account: "",
                    regions: Vec::new(),
                    stage: "",
                    controls: Vec::new(),
                });
                found.len() - 1
            });
        if let Some(environment) = found.get_mut(index) {
            environment.controls = controls.into_iter().collect();
        }
    }
    found
}

/// The address under its environment's heading, without what its control's heading says.
pub(super) fn title(change: &Change) -> String {
    let address = text::escape(change.address.within_environment());
    let aspect = format!("#{}", change.control);
    match address.strip_suffix(&aspect) {
        Some(short) => short.to_owned(),
        None => address,
    }
}

/// How many of the changes create, update and delete.
pub(super) fn by_action(changes: &[&Change]) -> [(ActionKind, u64); 3] {
    let count = |kind| changes.iter().filter(|c| c.action == kind).count() as u64;
    [ActionKind::Create, ActionKind::Update, ActionKind::Delete].map(|kind| (kind, count(kind)))
}

/// A value that the members of a group have in common, or how many they have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Absent,
    One(&'a str),
    Many(usize),
}

/// One line of a group.
#[derive(Debug, Clone)]
pub(super) struct Field<'a> {
    pub sign: char,
    pub name: &'a str,
    pub before: Value<'a>,
    pub after: Value<'a>,
    pub reason: &'a Reason,
}

/// Changes that do the same to different resources.
#[derive(Debug, Clone)]
pub(super) struct Group<'a> {
    pub changes: Vec<&'a Change>,
    pub fields: Vec<Field<'a>>,
}

fn sign(before: Option<&str>, after: Option<&str>) -> char {
    match (before, after) {
        (None, _) => '+',
        (_, None) => '-',
        _ => '~',
    }
}

fn fields<'a>(changes: &[&'a Change]) -> Vec<Field<'a>> {
    let Some(first) = changes.first() else {
        return Vec::new();
    };
    let common = |i: usize, side: fn(&'a crate::plan::FieldChange) -> Option<&'a str>| {
        let values: BTreeSet<Option<&str>> = changes
            .iter()
            .filter_map(|c| c.fields.get(i))
            .map(side)
            .collect();
        match (values.len(), values.first()) {
            (1, Some(Some(value))) => Value::One(value),
            (0 | 1, _) => Value::Absent,
            (n, _) => Value::Many(n),
        }
    };
    first
        .fields
        .iter()
        .enumerate()
        .map(|(i, field)| Field {
            sign: sign(field.before.as_deref(), field.after.as_deref()),
            name: &field.field,
            before: common(i, |f| f.before.as_deref()),
            after: common(i, |f| f.after.as_deref()),
            reason: &field.reason,
        })
        .collect()
}

impl<'a> Group<'a> {
    fn new(changes: Vec<&'a Change>) -> Self {
        let fields = fields(&changes);
        Group { changes, fields }
    }

    /// A group of its own for one change.
    pub fn single(change: &'a Change) -> Self {
        Group::new(vec![change])
    }

    pub fn action(&self) -> Option<ActionKind> {
        self.changes.first().map(|c| c.action)
    }

    pub fn risk(&self) -> Risk {
        self.changes
            .iter()
            .map(|c| c.risk)
            .max()
            .unwrap_or(Risk::Low)
    }

    /// The sum of the known deltas, and for how many changes it is known where that is not all.
    pub fn delta(&self) -> Option<String> {
        let known: Vec<Decimal> = self
            .changes
            .iter()
            .filter_map(|c| text::decimal(c.monthly_cost_delta_usd.as_deref()?))
            .collect();
        let priced = known.len();
        let amount = text::signed_usd(known.into_iter().sum())?;
        Some(if priced == self.changes.len() {
            format!("{amount} USD/month")
        } else {
            let all = text::number(self.changes.len() as u64);
            format!(
                "{amount} USD/month for {} of {all}",
                text::number(priced as u64)
            )
        })
    }

    /// `312 resources: s3-bucket 200, sqs-queue 60, …`, as many types as fit.
    pub fn types(&self, max: usize) -> String {
        let total = text::number(self.changes.len() as u64);
        let types = count(self.changes.iter().map(|c| c.resource.kind.as_str()));
        if let [(only, _)] = types.as_slice() {
            return format!("{total} resources: {}", text::escape(only));
        }
        let named: Vec<String> = types
            .iter()
            .map(|(kind, n)| format!("{} {}", text::escape(kind), text::number(*n)))
            .collect();
        (1..=named.len())
            .rev()
            .map(|n| {
                let end = if n < named.len() { ", …" } else { "" };
                let shown = named.get(..n).unwrap_or(&named).join(", ");
                format!("{total} resources: {shown}{end}")
            })
            .find(|text| text::width(text) <= max)
            .unwrap_or_else(|| format!("{total} resources"))
    }
}

/// How often each text occurs, most frequent first.
pub(super) fn count<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<(&'a str, u64)> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for text in texts {
        *counts.entry(text).or_default() += 1;
    }
    let mut sorted: Vec<_> = counts.into_iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    sorted
}

type Shape<'a> = Vec<(char, &'a str, Option<&'a str>, Option<&'a str>, &'a Reason)>;

/// Puts together what is done alike: first with identical values; where that leaves more than `max`
/// groups, with whatever values under the same keys.
pub(super) fn groups<'a>(changes: &[&'a Change], max: usize) -> Vec<Group<'a>> {
    let gather = |values: bool| {
        let mut found: BTreeMap<(ActionKind, Risk, Shape<'a>), Vec<&'a Change>> = BTreeMap::new();
        for change in changes {
            let shape = change
                .fields
                .iter()
                .map(|f| {
                    let (before, after) = (f.before.as_deref(), f.after.as_deref());
                    let shown = |value| if values { value } else { None };
                    (
                        sign(before, after),
                        f.field.as_str(),
                        shown(before),
                        shown(after),
                        &f.reason,
                    )
                })
                .collect();
            found
                .entry((change.action, change.risk, shape))
                .or_default()
                .push(change);
        }
        let mut groups: Vec<Group<'a>> = found.into_values().map(Group::new).collect();
        groups.sort_by(|a, b| {
            let first = |g: &Group<'a>| g.changes.first().map(|c| &c.address);
            (b.risk(), b.changes.len())
                .cmp(&(a.risk(), a.changes.len()))
                .then_with(|| first(a).cmp(&first(b)))
        });
        groups
    };
    let exact = gather(true);
    if exact.len() <= max {
        exact
    } else {
        gather(false)
    }
}

/// How many rules of others stay as they are, and how many would not.
pub(super) fn foreign_rules(operation: &Operation) -> Option<(u64, u64)> {
    let Operation::Lifecycle { before, after, .. } = operation else {
        return None;
    };
    let foreign = |side: &Option<_>| -> Vec<Rule> {
        let rules = side
            .as_ref()
            .map(|c: &crate::model::lifecycle::LifecycleConfiguration| c.rules.as_slice());
        rules
            .unwrap_or_default()
            .iter()
            .filter(|r| !r.is_ours())
            .cloned()
            .collect()
    };
    let (was, mut will) = (foreign(before), foreign(after));
    let total = was.len() as u64;
    let mut same = 0;
    for rule in was {
        if let Some(i) = will.iter().position(|r| *r == rule) {
            will.swap_remove(i);
            same += 1;
        }
    }
    Some((same, total - same))
}

/// Changes for which no cost could be told although their control tells it.
pub(super) fn unpriced(changes: &[Change]) -> u64 {
    changes
        .iter()
        .filter(|c| c.monthly_cost_delta_usd.is_none() && c.cost_basis.is_some())
        .count() as u64
}
