//! Findings and gaps: what somebody has to look at, each thing said once.

use std::collections::{BTreeMap, BTreeSet};

use super::group::count;
use super::text;
use crate::inventory::Gap;
use crate::model::{Control, Severity};
use crate::plan::Finding;

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
pub(super) fn findings<'a>(
    findings: impl IntoIterator<Item = &'a Finding>,
) -> Vec<FindingGroup<'a>> {
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
        match self.resources {
            None => "all resources".to_owned(),
            Some(n) => text::plural(n, "resource", "resources"),
        }
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
pub(super) fn gaps(unobserved: &[Gap], max: usize) -> Vec<GapRow<'_>> {
    let gather = |by_error: bool| {
        let mut found: BTreeMap<_, Vec<&Gap>> = BTreeMap::new();
        for gap in unobserved {
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
