//! What belongs together, so that it is said once.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use super::text;
use crate::model::lifecycle::Rule;
use crate::model::{Control, Risk, Severity};
use crate::plan::{ActionKind, Change, Finding, Operation, Plan, Reason};

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

    /// The sum of the known deltas, `None` where none is known.
    pub fn delta(&self) -> Option<Decimal> {
        let known: Vec<Decimal> = self
            .changes
            .iter()
            .filter_map(|c| text::decimal(c.monthly_cost_delta_usd.as_deref()?))
            .collect();
        (!known.is_empty()).then(|| known.into_iter().sum())
    }

    /// Types with their number of resources, most frequent first.
    pub fn types(&self) -> Vec<(&'a str, u64)> {
        count(self.changes.iter().map(|c| c.resource.kind.as_str()))
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
    let Operation::Lifecycle { before, after } = operation else {
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

/// Findings of one kind, with each message once.
pub(super) struct FindingGroup<'a> {
    pub severity: Severity,
    pub id: &'a str,
    pub messages: Vec<(&'a str, Vec<&'a Finding>)>,
}

impl FindingGroup<'_> {
    pub fn total(&self) -> u64 {
        self.messages.iter().map(|(_, f)| f.len() as u64).sum()
    }
}

/// Worst first.
pub(super) fn findings(findings: &[Finding]) -> Vec<FindingGroup<'_>> {
    let mut found: BTreeMap<(std::cmp::Reverse<Severity>, &str), Vec<&Finding>> = BTreeMap::new();
    for finding in findings {
        found
            .entry((std::cmp::Reverse(finding.severity), &finding.id))
            .or_default()
            .push(finding);
    }
    found
        .into_iter()
        .map(|((severity, id), members)| {
            let mut messages: Vec<(&str, Vec<&Finding>)> = Vec::new();
            let mut index: BTreeMap<&str, usize> = BTreeMap::new();
            for finding in members {
                let i = *index.entry(&finding.message).or_insert_with(|| {
                    messages.push((&finding.message, Vec::new()));
                    messages.len() - 1
                });
                if let Some((_, list)) = messages.get_mut(i) {
                    list.push(finding);
                }
            }
            messages.sort_by_key(|(_, list)| std::cmp::Reverse(list.len()));
            FindingGroup {
                severity: severity.0,
                id,
                messages,
            }
        })
        .collect()
}

/// Gaps that are one to whoever has to close them.
#[derive(Debug)]
pub(super) struct GapRow<'a> {
    pub operation: &'a str,
    pub environment: &'a str,
    pub region: &'a str,
    /// `None`: everything that the call would have told of.
    pub resources: Option<u64>,
    pub controls: Vec<&'static str>,
    pub error: &'a str,
    /// Different errors besides the one shown.
    pub other_errors: usize,
}

impl GapRow<'_> {
    pub fn resources(&self) -> String {
        self.resources.map_or("all".to_owned(), text::number)
    }

    pub fn controls(&self) -> String {
        self.controls.join(", ")
    }

    pub fn error(&self) -> String {
        let error = text::escape(self.error);
        match self.other_errors {
            0 => error,
            n => format!(
                "{error} (and {})",
                text::plural(n as u64, "other error", "other errors")
            ),
        }
    }
}

/// One row for each call and error; where that gives more than `max`, one for each call.
pub(super) fn gaps(plan: &Plan, max: usize) -> Vec<GapRow<'_>> {
    let gather = |by_error: bool| {
        let mut found: BTreeMap<_, Vec<&crate::inventory::Gap>> = BTreeMap::new();
        for gap in &plan.unobserved {
            let error = if by_error { gap.error.as_str() } else { "" };
            found
                .entry((&gap.environment, &gap.region, &gap.operation, error))
                .or_default()
                .push(gap);
        }
        found
            .into_iter()
            .map(|((environment, region, operation, _), members)| {
                let errors = count(members.iter().map(|g| g.error.as_str()));
                let names: BTreeSet<&str> = members
                    .iter()
                    .filter_map(|g| g.resource.as_deref())
                    .collect();
                let controls: BTreeSet<Control> = members.iter().map(|g| g.control).collect();
                GapRow {
                    operation,
                    environment,
                    region,
                    resources: members
                        .iter()
                        .all(|g| g.resource.is_some())
                        .then_some(names.len() as u64),
                    controls: controls.into_iter().map(Control::as_str).collect(),
                    error: errors.first().map_or("", |e| e.0),
                    other_errors: errors.len().saturating_sub(1),
                }
            })
            .collect::<Vec<_>>()
    };
    let exact = gather(true);
    if exact.len() <= max {
        exact
    } else {
        gather(false)
    }
}
