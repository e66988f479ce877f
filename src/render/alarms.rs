//! Many new alarms of one environment, as what they mean: who is told of how many, and one sentence
//! each, under the line of the policy that asks for them.

use std::collections::{BTreeMap, BTreeSet};

use super::group::Group;
use super::text::{escape, list, number, plural};
use crate::model::object::Object;
use crate::plan::{ActionKind, Change, Operation, Reason};

/// New alarms up to so many are shown in full.
const FULL: usize = 10;
/// Sentences of one group.
const SENTENCES: usize = 4;

/// New alarms that one line of the policy asks for.
pub(super) struct Asked<'a> {
    /// `page`, `ticket`, `info`; the alarms on which others rest have none.
    severity: Option<&'a str>,
    pub group: Group<'a>,
    pub reason: &'a Reason,
    sentences: Vec<String>,
    parts: u64,
}

/// Who is told of how many new alarms, and the alarms.
pub(super) struct Digest<'a> {
    /// A label and what it says.
    pub told: Vec<(String, String)>,
    pub asked: Vec<Asked<'a>>,
    /// What else changes.
    pub others: Vec<&'a Change>,
}

/// The name of the entry or the alarm of a pack in a rule of the policy.
fn entry(rule: &str) -> &str {
    let rule = rule.strip_suffix(".no_data_after").unwrap_or(rule);
    let rest = rule.strip_prefix("alarms.").unwrap_or(rule);
    rest.strip_prefix("packs: ").unwrap_or(rest)
}

/// A new alarm: its description, whom it tells, and whether others rest on it.
struct Made<'a> {
    description: &'a str,
    actions: &'a BTreeSet<String>,
    enabled: bool,
}

fn made(change: &Change) -> Option<Made<'_>> {
    let Operation::Object {
        before: None,
        after: Some(after),
        ..
    } = &change.operation
    else {
        return None;
    };
    let (description, actions, enabled) = match after.as_ref() {
        Object::MetricAlarm(a) => (&a.description, &a.alarm_actions, a.actions_enabled),
        Object::CompositeAlarm(a) => (&a.description, &a.alarm_actions, a.actions_enabled),
        _ => return None,
    };
    Some(Made {
        description,
        actions,
        enabled,
    })
}

/// Descriptions of ours begin with the severity in brackets, and end with where they come from.
fn severity(description: &str) -> Option<&str> {
    let (severity, _) = description.strip_prefix('[')?.split_once("] ")?;
    Some(severity)
}

fn sentence(description: &str) -> &str {
    let text = match (severity(description), description.split_once("] ")) {
        (Some(_), Some((_, text))) => text,
        _ => description,
    };
    text.rsplit_once(" Made by opsctl: ")
        .map_or(text, |(text, _)| text)
}

/// What is felt by customers, and what wakes people, comes first.
fn rank(asked: &Asked<'_>) -> (usize, usize) {
    let order = ["page", "ticket", "info"];
    let place = |s: &str| order.iter().position(|o| *o == s);
    let kind = ["business.", "slo.", "per_resource."];
    let rule = entry(&asked.reason.rule);
    (
        kind.iter().position(|k| rule.starts_with(k)).unwrap_or(3),
        asked.severity.and_then(place).unwrap_or(order.len()),
    )
}

impl<'a> Digest<'a> {
    /// `None`: they are few, and shown in full.
    pub fn of(changes: &[&'a Change]) -> Option<Digest<'a>> {
        let (alarms, others): (Vec<&'a Change>, Vec<&'a Change>) =
            changes.iter().copied().partition(|c| made(c).is_some());
        if alarms.len() <= FULL {
            return None;
        }
        let mut asked: BTreeMap<&'a str, Vec<&'a Change>> = BTreeMap::new();
        for change in &alarms {
            asked
                .entry(entry(&change.reason.rule))
                .or_default()
                .push(change);
        }
        let mut asked: Vec<Asked<'a>> = asked.into_values().filter_map(Asked::new).collect();
        asked.sort_by_cached_key(|a| (rank(a), a.reason.rule.clone()));
        Some(Digest {
            told: told(&alarms),
            asked,
            others,
        })
    }
}

/// `page` and `15 alarms to ops-alerts, opsctl-findash-prod`.
fn told(alarms: &[&Change]) -> Vec<(String, String)> {
    let mut found: BTreeMap<(usize, &str), (u64, BTreeSet<&str>)> = BTreeMap::new();
    let mut parts = 0;
    for made in alarms.iter().filter_map(|c| made(c)) {
        let Some(severity) = severity(made.description) else {
            parts += 1;
            continue;
        };
        let place = ["page", "ticket", "info"].iter();
        let place = place.clone().position(|s| *s == severity).unwrap_or(9);
        let entry = found.entry((place, severity)).or_default();
        entry.0 += 1;
        if made.enabled {
            let names = made
                .actions
                .iter()
                .map(|a| a.rsplit(':').next().unwrap_or(a));
            entry.1.extend(names);
        }
    }
    let mut rows: Vec<(String, String)> = found
        .into_iter()
        .map(|((_, severity), (n, topics))| {
            let topics: Vec<String> = topics.into_iter().map(escape).collect();
            let whom = match topics.as_slice() {
                [] => "nobody".to_owned(),
                some => list(some, 5),
            };
            let n = plural(n, "alarm", "alarms");
            (escape(severity), format!("{n} to {whom}"))
        })
        .collect();
    if parts > 0 {
        let text = format!(
            "{} without a message of {} own: others rest on {}",
            plural(parts, "alarm", "alarms"),
            if parts == 1 { "its" } else { "their" },
            if parts == 1 { "it" } else { "them" }
        );
        rows.push(("parts".to_owned(), text));
    }
    rows
}

impl<'a> Asked<'a> {
    fn new(mut changes: Vec<&'a Change>) -> Option<Self> {
        // What tells somebody first, then by place.
        changes.sort_by_key(|c| {
            let text = made(c).map_or("", |m| m.description);
            (severity(text).is_none(), &c.address)
        });
        let first = *changes.first()?;
        let told: Vec<&'a Change> = changes
            .iter()
            .copied()
            .filter(|c| made(c).is_some_and(|m| severity(m.description).is_some()))
            .collect();
        let regions: BTreeSet<&str> = told.iter().map(|c| c.resource.region.as_str()).collect();
        let sentences = told
            .iter()
            .filter_map(|c| {
                let text = escape(sentence(made(c)?.description));
                let text = text.trim_end_matches('.').to_owned();
                Some(match regions.len() {
                    0 | 1 => text,
                    _ => format!("{}: {text}", escape(&c.resource.region)),
                })
            })
            .collect();
        Some(Asked {
            severity: made(first).and_then(|m| severity(m.description)),
            reason: &first.reason,
            sentences,
            parts: (changes.len() - told.len()) as u64,
            group: Group {
                changes,
                fields: Vec::new(),
            },
        })
    }

    pub fn title(&self) -> String {
        escape(entry(&self.reason.rule))
    }

    /// `4 alarms, page`.
    pub fn facts(&self) -> String {
        let n = plural(self.group.changes.len() as u64, "alarm", "alarms");
        match self.severity {
            Some(severity) => format!("{n}, {}", escape(severity)),
            None => n,
        }
    }

    /// What they mean, as much of it as is worth reading.
    pub fn sentences(&self) -> Vec<String> {
        let mut out: Vec<String> = self.sentences.iter().take(SENTENCES).cloned().collect();
        // One more line says nothing more shortly than the one sentence that is left.
        if let [last] = self.sentences.get(SENTENCES..).unwrap_or_default() {
            out.push(last.clone());
        } else if self.sentences.len() > SENTENCES {
            let more = self.sentences.len() - SENTENCES;
            out.push(format!("… and {} more like it", number(more as u64)));
        }
        if self.parts > 0 {
            out.push(format!(
                "with {} that they rest on",
                plural(self.parts, "alarm", "alarms")
            ));
        }
        out
    }

    /// `alarms.packs: rds-cpu  stacks/stage-3.toml:13`
    pub fn place(&self) -> String {
        let reason = self.reason;
        format!(
            "{}  {}:{}",
            escape(&reason.rule),
            escape(&reason.file),
            reason.line
        )
    }

    pub fn sign(&self) -> char {
        ActionKind::Create.sign()
    }
}
