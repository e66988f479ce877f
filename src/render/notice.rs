//! The three lines that a notification has.

use super::text::{escape, loose};
use super::verdict;
use crate::audit::Audit;
use crate::drill::machine::span;
use crate::drill::record::{Outcome, Record};

/// Characters of a line; chat and e-mail show no more at a glance.
const LINE: usize = 240;

fn line(text: String) -> String {
    let text = escape(&loose(&text));
    match text.chars().count() > LINE {
        true => format!("{}…", text.chars().take(LINE - 1).collect::<String>()),
        false => text,
    }
}

fn names<'a>(all: impl IntoIterator<Item = &'a str>) -> String {
    let mut seen: Vec<&str> = Vec::new();
    for name in all {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen.join(", ")
}

/// The verdict with its place, the count, and what to look at first.
pub fn audit(audit: &Audit) -> [String; 3] {
    let sandbox = audit
        .sandbox
        .as_ref()
        .map(|s| format!(" (sandbox {s})"))
        .unwrap_or_default();
    let scope = names(audit.scope.iter().map(|s| s.environment.as_str()));
    let controls: Vec<&str> = audit.controls.iter().map(|c| c.as_str()).collect();
    let first = audit
        .findings
        .iter()
        .filter(|f| !f.in_baseline)
        .min_by_key(|f| std::cmp::Reverse(f.severity));
    let next = match (first, audit.unobserved.first()) {
        (_, Some(gap)) if audit.summary.outcome == crate::audit::Outcome::Incomplete => format!(
            "not seen: {} in {}: {}",
            gap.operation, gap.environment, gap.error
        ),
        (Some(f), _) => format!(
            "first: {} {} at {}: {}",
            f.severity.as_str(),
            f.id,
            f.address,
            f.message
        ),
        (None, _) => "nothing to do".to_owned(),
    };
    [
        line(format!(
            "opsctl audit {}: {scope}{sandbox} ({})",
            verdict::word(audit),
            controls.join(", ")
        )),
        line(format!(
            "{} {}",
            verdict::totals(audit),
            verdict::sentence(audit)
        )),
        line(next),
    ]
}

/// That there is no result, and why: silence would look like an account that is in order.
pub fn could_not_run(what: &str, of: &str, sandbox: Option<&str>, why: &str) -> [String; 3] {
    let sandbox = sandbox
        .map(|s| format!(" (sandbox {s})"))
        .unwrap_or_default();
    [
        line(format!("opsctl {what} COULD NOT RUN: {of}{sandbox}")),
        "there is no result: nothing is known to be in order".to_owned(),
        line(format!("first: {why}")),
    ]
}

/// How many passed, each with its times, and what to look at first.
pub fn drills(records: &[&Record]) -> [String; 3] {
    let passed = records.iter().filter(|r| r.passed()).count();
    let scope = names(records.iter().map(|r| r.environment.as_str()));
    let sandbox = records
        .iter()
        .find_map(|r| r.sandbox.as_ref())
        .map(|s| format!(" (sandbox {s})"))
        .unwrap_or_default();
    let word = match passed == records.len() {
        true => "PASS",
        false => "FAIL",
    };
    let each: Vec<String> = records
        .iter()
        .map(|r| {
            let result = match r.result {
                Outcome::Passed => "passed",
                Outcome::Failed => "failed",
                Outcome::MissedObjective => "missed its objective",
                Outcome::Aborted => "aborted",
            };
            let took = r
                .measured
                .time_to_verified_seconds
                .map(|s| format!("verified after {}", span(s)));
            let age = r
                .measured
                .recovery_point_age_seconds
                .map(|s| format!("data {} old", span(s)));
            let facts: Vec<String> = took.into_iter().chain(age).collect();
            match facts.is_empty() {
                true => format!("{} {result}", r.drill),
                false => format!("{} {result} ({})", r.drill, facts.join(", ")),
            }
        })
        .collect();
    let first = records
        .iter()
        .find(|r| !r.passed())
        .map(|r| {
            let why = r
                .reasons
                .first()
                .map_or("no reason recorded", String::as_str);
            format!("first: {}: {why} (opsctl drill show {})", r.drill, r.run_id)
        })
        .unwrap_or_else(|| "every copy was removed".to_owned());
    [
        line(format!(
            "opsctl drill {word}: {passed} of {} passed, {scope}{sandbox}",
            records.len()
        )),
        line(each.join("; ")),
        line(first),
    ]
}
