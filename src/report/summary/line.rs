//! What is remembered of one run, and what has changed since.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{Area, AreaId, Changed, Inputs, Moved, Standing};
use crate::audit::Audit;
use crate::history::Line;
use crate::history::keys::{Key, Keys, MOST, Memory};
use crate::model::Control;

/// The form of the lines that this version writes and reads.
const FORM: u32 = 1;

/// One line of the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SummaryLine {
    /// Changes with the form.
    pub v: u32,
    pub at: Timestamp,
    pub run: String,
    /// Environment, account and region: only the same places are compared.
    pub places: BTreeSet<String>,
    pub areas: BTreeMap<AreaId, AreaLine>,
    pub findings: u64,
    /// Something could not be seen: what is gone may only be hidden.
    #[serde(default)]
    pub blind: bool,
    /// Where: environment and control. What is seen there the next time is not new.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unseen: BTreeSet<String>,
    /// The findings that were there; only in the newest line of the same places.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<Keys>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AreaLine {
    pub standing: Standing,
    /// As shown, with its unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    pub findings: u64,
}

impl Line for SummaryLine {
    fn at(&self) -> Timestamp {
        self.at
    }

    fn run(&self) -> &str {
        &self.run
    }

    fn shorten(&mut self, newer: &[Self]) {
        if newer
            .iter()
            .any(|l| l.places == self.places && l.open.is_some())
        {
            self.open = None;
        }
    }
}

fn key(id: &str, address: &str) -> Key {
    Key::of(&[id, address])
}

fn place(environment: &str, control: Control) -> String {
    format!("{environment}/{control}")
}

fn shown(area: &Area) -> Option<String> {
    let value = area.value.as_ref()?;
    Some(match area.unit.as_str() {
        "" => value.clone(),
        unit => format!("{value} {unit}"),
    })
}

impl SummaryLine {
    pub(super) fn of(inputs: &Inputs<'_>, areas: &[Area]) -> SummaryLine {
        let audit = &inputs.audit;
        let mut unseen: BTreeSet<String> = audit.blind().map(|(e, c)| place(e, c)).collect();
        // Findings on costs hang on answers that are kept, and go with them.
        if inputs.wants_cost && inputs.current_costs().is_none() {
            unseen.extend(
                audit
                    .scope
                    .iter()
                    .map(|s| place(&s.environment, Control::Cost)),
            );
        }
        let today = inputs.now.strftime("%Y-%m-%d").to_string();
        let keys = audit
            .findings
            .iter()
            .map(|f| (key(&f.id, f.address.as_str()), today.as_str()));
        SummaryLine {
            v: FORM,
            at: inputs.now,
            run: inputs.run.clone(),
            places: audit
                .scope
                .iter()
                .map(|s| format!("{}/{}/{}", s.environment, s.account, s.region))
                .collect(),
            areas: areas
                .iter()
                .map(|area| {
                    let line = AreaLine {
                        standing: area.standing,
                        value: shown(area),
                        findings: area.findings.total(),
                    };
                    (area.id, line)
                })
                .collect(),
            findings: audit.findings.len() as u64,
            blind: !unseen.is_empty(),
            unseen,
            open: Some(Keys::new(keys, MOST)),
        }
    }

    /// Whether something could not be seen there.
    fn hid(&self, place: &str) -> bool {
        // Lines of earlier versions do not say where.
        self.unseen.contains(place) || (self.blind && self.unseen.is_empty())
    }

    /// This run against the newest earlier one of the same places.
    pub(super) fn against(
        &self,
        history: &[SummaryLine],
        audit: &Audit,
        areas: &[Area],
    ) -> Changed {
        let before = history
            .iter()
            .rev()
            .find(|l| l.v == FORM && l.places == self.places && l.run != self.run);
        let Some(before) = before else {
            return Changed::default();
        };
        let mut changed = Changed {
            since: Some(format!("{:.0}", before.at)),
            ..Changed::default()
        };
        if let Some(keys) = &before.open {
            let then = keys.open();
            changed.sampled = then.is_sample();
            let now: BTreeMap<Key, String> = audit
                .findings
                .iter()
                .map(|f| {
                    let place = place(f.address.environment(), f.control);
                    (key(&f.id, f.address.as_str()), place)
                })
                .collect();
            let (hidden, new): (Vec<_>, Vec<_>) = now
                .iter()
                .filter(|(k, _)| then.recall(**k) == Memory::NotSeen)
                .partition(|(_, place)| before.hid(place));
            changed.new = Some(new.len() as u64);
            changed.first_seen = hidden.len() as u64;
            // Where not everything is seen, what is gone may only be hidden.
            changed.fixed = (!self.blind)
                .then(|| then.iter().filter(|(k, _)| !now.contains_key(k)).count() as u64);
        }
        for area in areas {
            let (Some(was), Some(is)) = (before.areas.get(&area.id), self.areas.get(&area.id))
            else {
                continue;
            };
            if was.value == is.value && was.standing == is.standing && was.findings == is.findings {
                continue;
            }
            changed.moved.push(Moved {
                area: area.id,
                label: area.label.clone(),
                before: told(was),
                now: told(is),
                better: better(area.id, was, is),
            });
        }
        changed
    }
}

fn told(line: &AreaLine) -> String {
    let findings = match line.findings {
        1 => "1 finding".to_owned(),
        n => format!("{n} findings"),
    };
    match (&line.value, line.standing) {
        (_, Standing::NotLookedAt) => "not looked at".to_owned(),
        (_, Standing::NotApplicable) => "not applicable".to_owned(),
        (Some(value), _) => format!("{value}, {findings}"),
        (None, Standing::Unknown) => format!("not known, {findings}"),
        (None, _) => findings,
    }
}

/// Whether it got better: by its standing, then by its number where that tells, then by its findings.
fn better(id: AreaId, was: &AreaLine, is: &AreaLine) -> Option<bool> {
    let judged = |line: &AreaLine| {
        matches!(
            line.standing,
            Standing::Good | Standing::Careful | Standing::Bad
        )
    };
    if !judged(was) || !judged(is) {
        return None;
    }
    if was.standing != is.standing {
        return Some(is.standing < was.standing);
    }
    let number = |line: &AreaLine| -> Option<Decimal> {
        let text = line.value.as_deref()?;
        text.split(' ').next()?.replace(',', "").parse().ok()
    };
    match (id, number(was), number(is)) {
        // More is better of tags only; money spent grows by itself.
        (AreaId::Tags, Some(a), Some(b)) if a != b => Some(b > a),
        _ if was.findings != is.findings => Some(is.findings < was.findings),
        _ => None,
    }
}
