//! What the doctor found, in the words that a terminal and chat have in common.

use super::text::plural;
use crate::doctor::{Check, Report};

/// `3 problems, 1 unknown, 20 ok`
pub(super) fn sentence(report: &Report) -> String {
    let summary = &report.summary;
    let mut parts = Vec::new();
    if summary.problem > 0 {
        parts.push(plural(summary.problem, "problem", "problems"));
    }
    if summary.unknown > 0 {
        parts.push(format!("{} could not be told", summary.unknown));
    }
    parts.push(format!("{} in order", summary.ok));
    parts.join(", ")
}

pub(super) fn groups(report: &Report) -> Vec<(&str, Vec<&Check>)> {
    let mut out: Vec<(&str, Vec<&Check>)> = Vec::new();
    for check in &report.checks {
        match out.iter_mut().find(|(name, _)| *name == check.environment) {
            Some((_, checks)) => checks.push(check),
            None => out.push((&check.environment, vec![check])),
        }
    }
    out
}

pub(super) fn heading(report: &Report, environment: &str) -> String {
    if environment.is_empty() {
        return "Project".to_owned();
    }
    let place = report.scope.iter().find(|p| p.environment == environment);
    match place {
        Some(place) => format!("{environment} ({}, {})", place.account, place.stage),
        None => environment.to_owned(),
    }
}
