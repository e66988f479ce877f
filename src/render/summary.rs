//! What the summary says, whatever its format.

use super::text::plural;
use crate::model::Severity;
use crate::report::summary::{Area, AreaId, Moved, Standing, Step, SummaryReport};

pub(super) fn name(id: AreaId) -> &'static str {
    match id {
        AreaId::Money => "Money",
        AreaId::Tags => "Tags",
        AreaId::Storage => "Storage",
        AreaId::Alarms => "Alarms",
        AreaId::Backups => "Backups and drills",
        AreaId::Readiness => "Readiness",
    }
}

/// A word and its tone: `good`, `careful`, `bad`, `muted`.
pub(super) fn standing(standing: Standing) -> (&'static str, &'static str) {
    match standing {
        Standing::NotLookedAt => ("not looked at", "muted"),
        Standing::NotApplicable => ("not applicable", "muted"),
        Standing::Unknown => ("not known", "careful"),
        Standing::Good => ("fine", "good"),
        Standing::Careful => ("look at it", "careful"),
        Standing::Bad => ("act", "bad"),
    }
}

/// `62.0 %`, or `–`.
pub(super) fn value(area: &Area) -> String {
    match (&area.value, area.unit.as_str()) {
        (None, _) => "–".to_owned(),
        (Some(value), "") => value.clone(),
        (Some(value), unit) => format!("{value} {unit}"),
    }
}

/// The sentence on top.
pub(super) fn stand(report: &SummaryReport) -> String {
    let count = |standing: Standing| {
        report
            .areas
            .iter()
            .filter(|a| a.standing == standing)
            .count() as u64
    };
    let (bad, careful) = (count(Standing::Bad), count(Standing::Careful));
    let looked = report
        .areas
        .iter()
        .filter(|a| !matches!(a.standing, Standing::NotLookedAt | Standing::NotApplicable))
        .count() as u64;
    let mut parts = Vec::new();
    match (bad, careful) {
        (0, 0) => parts.push(format!(
            "Nothing to act on in {}",
            plural(looked, "area", "areas")
        )),
        (0, n) => parts.push(format!(
            "{} of {} to look at, none to act on",
            n,
            plural(looked, "area", "areas")
        )),
        (bad, n) => parts.push(format!(
            "{bad} of {} to act on{}",
            plural(looked, "area", "areas"),
            if n > 0 {
                format!(", {n} to look at")
            } else {
                String::new()
            }
        )),
    }
    let unknown = count(Standing::Unknown);
    if unknown > 0 {
        parts.push(format!("{unknown} not known"));
    }
    let none = count(Standing::NotApplicable);
    if none > 0 {
        parts.push(format!("{none} not applicable"));
    }
    let not = count(Standing::NotLookedAt);
    if not > 0 {
        parts.push(format!("{not} not looked at"));
    }
    format!("{}.", parts.join("; "))
}

/// What has changed, in a sentence.
pub(super) fn changed(report: &SummaryReport) -> String {
    let changed = &report.changed;
    let Some(since) = &changed.since else {
        return "This is the first summary of these environments: the next one says what has changed.".to_owned();
    };
    let mut out = format!("Since {}: ", day(since));
    let part = if changed.sampled {
        "in the part that is remembered, "
    } else {
        ""
    };
    out.push_str(part);
    out.push_str(&match (changed.new, changed.fixed) {
        (None, _) => "which findings are new is not known".to_owned(),
        (Some(new), None) => format!(
            "{}; what is fixed is not known, since not everything could be seen",
            plural(new, "new finding", "new findings")
        ),
        (Some(0), Some(0)) if changed.first_seen == 0 => "the same findings".to_owned(),
        (Some(new), Some(fixed)) => format!(
            "{}, {fixed} gone",
            plural(new, "new finding", "new findings")
        ),
    });
    if changed.first_seen > 0 {
        out.push_str(&format!(
            "; {} where the run before could not look: new or not is not known",
            plural(changed.first_seen, "finding", "findings")
        ));
    }
    if changed.moved.is_empty() {
        out.push_str("; no area has moved");
    }
    out.push('.');
    out
}

fn day(at: &str) -> String {
    at.parse::<jiff::Timestamp>().map_or_else(
        |_| at.to_owned(),
        |at| at.strftime("%-d %B %Y, %H:%M UTC").to_string(),
    )
}

/// `better`, `worse` or nothing, with its tone.
pub(super) fn direction(moved: &Moved) -> (&'static str, &'static str) {
    match moved.better {
        Some(true) => ("better", "good"),
        Some(false) => ("worse", "bad"),
        None => ("", ""),
    }
}

/// What a step is about: `high, 3 things`, `saves 16.00 USD a month`.
pub(super) fn about(step: &Step) -> String {
    let mut parts = Vec::new();
    if step.severity != Severity::Low {
        parts.push(format!("{} severity", step.severity.as_str()));
    }
    if step.count > 1 {
        parts.push(plural(step.count, "thing", "things"));
    }
    if let Some(saves) = &step.saves_usd_per_month {
        parts.push(format!("{saves} USD a month"));
    }
    parts.join(" · ")
}

/// `opsctl explain ID` for a step that has a page.
pub(super) fn explain(step: &Step) -> Option<String> {
    step.finding
        .as_ref()
        .map(|id| format!("opsctl explain {id}"))
}

/// The blind spots that `opsctl.toml` accepts, one line each.
pub(super) fn accepted(report: &SummaryReport) -> Vec<String> {
    report
        .accepted_unobserved
        .iter()
        .map(|spot| {
            format!(
                "{}: {} until {}, {}: {}",
                spot.name,
                spot.operation,
                spot.until,
                match spot.gaps {
                    0 => "seen this time".to_owned(),
                    n => format!("{n} in this run"),
                },
                spot.reason
            )
        })
        .collect()
}

/// What could not be seen, one line for each call.
pub(super) fn gaps(report: &SummaryReport) -> Vec<String> {
    super::attention::gaps(&report.unobserved, 12)
        .iter()
        .map(|row| {
            format!(
                "{} in {}/{}: {}",
                row.operation, row.environment, row.region, row.error
            )
        })
        .collect()
}
