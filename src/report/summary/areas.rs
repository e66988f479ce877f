//! Each area: its number, its sentences, how it stands.

use rust_decimal::Decimal;

use super::money::money;
use super::{Area, AreaId, Found, Inputs, Standing};
use crate::audit::judged;
use crate::drill::machine::span;
use crate::drill::record::seconds_between;
use crate::drill::review::State;
use crate::model::{Control, usd};
use crate::plan::{Accepted, ActionKind, Change};

pub(super) fn areas(inputs: &Inputs<'_>) -> Vec<Area> {
    vec![
        money(inputs),
        tags(inputs),
        storage(inputs),
        alarms(inputs),
        backups(inputs),
        readiness(inputs),
    ]
}

pub(super) fn area_of(control: Control) -> AreaId {
    match control {
        Control::Tags => AreaId::Tags,
        Control::Budgets | Control::Cost => AreaId::Money,
        Control::Lifecycle => AreaId::Storage,
        Control::Alarms => AreaId::Alarms,
        Control::Backups => AreaId::Backups,
        Control::Readiness => AreaId::Readiness,
    }
}

pub(super) fn amount(text: &Option<String>) -> Option<Decimal> {
    text.as_deref().and_then(|t| t.parse().ok())
}

fn found(inputs: &Inputs<'_>, id: AreaId) -> Found {
    let mut out = Found::default();
    for finding in inputs
        .audit
        .findings
        .iter()
        .filter(|f| area_of(f.control) == id)
    {
        out.add(finding.severity);
    }
    out
}

fn gaps(inputs: &Inputs<'_>, id: AreaId) -> u64 {
    inputs
        .audit
        .unobserved
        .iter()
        .filter(|g| area_of(g.control) == id)
        .count() as u64
}

/// Accepted blind spots that hide something of an area.
fn accepted(inputs: &Inputs<'_>, id: AreaId) -> u64 {
    let hides = |spot: &&Accepted| spot.covers.iter().any(|c| area_of(c.control) == id);
    inputs.audit.accepted().filter(hides).count() as u64
}

/// Whether a control judged anything at all: it is in the counts of some environment. A control that
/// is asked for and that this version does not have is in none.
fn looked_at(inputs: &Inputs<'_>, control: Control) -> bool {
    let mut counts = inputs.audit.counts.values();
    counts.any(|by_control| by_control.contains_key(&control))
        || inputs.audit.findings.iter().any(|f| f.control == control)
        || inputs.audit.blind().any(|(_, c)| c == control)
}

/// Checked and compliant of one control, over all environments.
fn judged_of(inputs: &Inputs<'_>, control: Control) -> (u64, u64) {
    inputs
        .audit
        .counts
        .values()
        .filter_map(|by_control| by_control.get(&control))
        .fold((0, 0), |(checked, compliant), counts| {
            (checked + judged(counts), compliant + counts.compliant)
        })
}

/// An area as its findings alone tell it.
pub(super) fn plain(inputs: &Inputs<'_>, id: AreaId, label: &str, command: &str) -> Area {
    let findings = found(inputs, id);
    let unobserved = gaps(inputs, id);
    let accepted = accepted(inputs, id);
    Area {
        id,
        // What could not be seen is not fine.
        standing: match (findings.standing(), unobserved + accepted) {
            (Standing::Good, 1..) => Standing::Unknown,
            (standing, _) => standing,
        },
        value: None,
        unit: String::new(),
        label: label.to_owned(),
        text: Vec::new(),
        findings,
        unobserved,
        accepted,
        command: command.to_owned(),
    }
}

fn not_looked_at(mut area: Area, control: &str) -> Area {
    area.standing = Standing::NotLookedAt;
    area.text = vec![format!(
        "Not looked at: no policy of these environments asks for it, or this version does not compare it ({control})."
    )];
    area
}

/// `1 finding`, `3 findings: 1 high, 2 medium`.
pub(super) fn findings_text(found: &Found) -> String {
    let parts: Vec<String> = [
        (found.critical, "critical"),
        (found.high, "high"),
        (found.medium, "medium"),
        (found.low, "low"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, word)| format!("{n} {word}"))
    .collect();
    match found.total() {
        0 => "No findings.".to_owned(),
        1 => format!("1 finding: {}.", parts.join(", ")),
        n => format!("{n} findings: {}.", parts.join(", ")),
    }
}

pub(super) fn blind_text(area: &mut Area) {
    if area.unobserved > 0 {
        area.text.push(format!(
            "{} could not be made: what is behind {} is not known.",
            match area.unobserved {
                1 => "1 look".to_owned(),
                n => format!("{n} looks"),
            },
            if area.unobserved == 1 { "it" } else { "them" }
        ));
    }
    if area.accepted > 0 {
        area.text.push(format!(
            "{} in opsctl.toml: what is behind {} is not known.",
            match area.accepted {
                1 => "1 blind spot is accepted".to_owned(),
                n => format!("{n} blind spots are accepted"),
            },
            if area.accepted == 1 { "it" } else { "them" }
        ));
    }
}

/// Whether there was nothing to judge: that is neither fine nor a number.
fn nothing_there(area: &mut Area, checked: u64, what: &str) -> bool {
    if checked > 0 || area.findings.total() > 0 {
        return false;
    }
    area.text.push(match area.standing {
        Standing::Unknown => format!("No {what} could be seen that the policy is about."),
        _ => format!("There is no {what} that the policy is about."),
    });
    if area.standing == Standing::Good {
        area.standing = Standing::NotApplicable;
    }
    blind_text(area);
    true
}

fn tags(inputs: &Inputs<'_>) -> Area {
    let mut area = plain(
        inputs,
        AreaId::Tags,
        "of the resources bear the tags they must",
        "opsctl report tags",
    );
    let overall = inputs.audit.compliance.as_ref().map(|c| &c.overall);
    let Some(overall) = overall.filter(|_| looked_at(inputs, Control::Tags)) else {
        return not_looked_at(area, "tags");
    };
    if nothing_there(&mut area, overall.checked, "resource") {
        return area;
    }
    area.value = overall.percent.clone();
    area.unit = "%".to_owned();
    if overall.percent.is_none() && area.standing == Standing::Good {
        area.standing = Standing::Unknown;
    }
    area.text.push(format!(
        "{} of {} resources; {}",
        overall.compliant,
        overall.checked,
        findings_text(&area.findings).to_lowercase()
    ));
    blind_text(&mut area);
    area
}

/// Changes that a plan would make by a control, and what they save a month (USD).
pub(super) fn saving<'a>(changes: impl Iterator<Item = &'a Change>) -> Decimal {
    -changes
        .filter_map(|c| amount(&c.monthly_cost_delta_usd))
        .filter(|d| *d < Decimal::ZERO)
        .sum::<Decimal>()
}

fn storage(inputs: &Inputs<'_>) -> Area {
    let mut area = plain(
        inputs,
        AreaId::Storage,
        "a month to be saved by lifecycle rules",
        "opsctl plan --control lifecycle",
    );
    if !looked_at(inputs, Control::Lifecycle) {
        return not_looked_at(area, "lifecycle");
    }
    let changes = || {
        inputs
            .changes
            .iter()
            .filter(|c| c.control == Control::Lifecycle)
    };
    let (checked, compliant) = judged_of(inputs, Control::Lifecycle);
    if nothing_there(&mut area, checked, "bucket") {
        return area;
    }
    let saved = saving(changes());
    let unknown = changes()
        .filter(|c| amount(&c.monthly_cost_delta_usd).is_none())
        .count() as u64;
    let blind = area.unobserved + area.accepted > 0;
    // Of what is not known nothing can be saved that anybody could name.
    if saved > Decimal::ZERO || (unknown == 0 && !blind) {
        area.value = Some(usd(saved));
        area.unit = "USD".to_owned();
    }
    if unknown > 0 || blind {
        if saved > Decimal::ZERO {
            area.label = format!("or more {}", area.label);
        }
        area.text.push(match unknown {
            0 => "What all of it would save is not known.".to_owned(),
            1 => "What 1 of the changes would save is not known.".to_owned(),
            n => format!("What {n} of the changes would save is not known."),
        });
    }
    area.text.push(format!(
        "{compliant} of {checked} buckets are as the policy says; {}",
        findings_text(&area.findings).to_lowercase()
    ));
    blind_text(&mut area);
    area
}

fn alarms(inputs: &Inputs<'_>) -> Area {
    let mut area = plain(
        inputs,
        AreaId::Alarms,
        "alarms are as the policy says",
        "opsctl audit alarms",
    );
    if !looked_at(inputs, Control::Alarms) {
        return not_looked_at(area, "alarms");
    }
    let (checked, compliant) = judged_of(inputs, Control::Alarms);
    if nothing_there(&mut area, checked, "alarm") {
        return area;
    }
    area.value = Some(format!("{compliant} of {checked}"));
    let missing = inputs
        .changes
        .iter()
        .filter(|c| c.control == Control::Alarms && c.action == ActionKind::Create)
        .count();
    if missing > 0 {
        area.text.push(format!(
            "{missing} are missing: what they would tell, nobody hears."
        ));
    }
    area.text.push(findings_text(&area.findings));
    blind_text(&mut area);
    area
}

fn backups(inputs: &Inputs<'_>) -> Area {
    let mut area = plain(
        inputs,
        AreaId::Backups,
        "sources restored and checked in time",
        "opsctl report drills",
    );
    let looked = looked_at(inputs, Control::Backups);
    let review = &inputs.drills.review;
    let asked: Vec<_> = review
        .sources
        .iter()
        .filter(|s| s.state != State::NotConfigured)
        .collect();
    if !looked && asked.is_empty() && review.counts.runs() == 0 {
        let mut area = not_looked_at(area, "backups");
        area.text.push(
            "No restore drill is configured: nothing shows that a backup can be restored."
                .to_owned(),
        );
        return area;
    }
    let in_time = asked.iter().filter(|s| s.state == State::InTime).count();
    let late: Vec<_> = asked
        .iter()
        .filter(|s| matches!(s.state, State::Overdue | State::Never))
        .collect();
    if !asked.is_empty() {
        area.value = Some(format!("{in_time} of {}", asked.len()));
    }
    for source in late.iter().take(3) {
        area.text.push(match source.last_passed {
            None => format!(
                "No drill of {} in {} has ever passed.",
                source.drill, source.environment
            ),
            Some(at) => format!(
                "{} in {} is overdue: the last drill that passed is {} ago.",
                source.drill,
                source.environment,
                span(seconds_between(at, review.to))
            ),
        });
    }
    if late.len() > 3 {
        area.text
            .push(format!("{} more are overdue.", late.len() - 3));
    }
    if !late.is_empty() || !inputs.drills.faults.is_empty() {
        area.standing = Standing::Bad;
    }
    if !inputs.drills.faults.is_empty() {
        area.text.insert(
            0,
            "The records of drills are not whole: `opsctl drill verify` says where.".to_owned(),
        );
    }
    if asked.is_empty() {
        area.text.push("No restore drill is configured.".to_owned());
        area.standing = area.standing.max(Standing::Careful);
    }
    area.text.push(match looked {
        true => format!("Backups: {}", findings_text(&area.findings).to_lowercase()),
        false => "Retention, protection and copies were not looked at.".to_owned(),
    });
    // Drills alone say nothing about retention and copies.
    if !looked && area.standing == Standing::Good {
        area.standing = Standing::Careful;
    }
    blind_text(&mut area);
    area
}

fn readiness(inputs: &Inputs<'_>) -> Area {
    let mut area = plain(
        inputs,
        AreaId::Readiness,
        "practices of the stage are there",
        "opsctl audit readiness",
    );
    if !looked_at(inputs, Control::Readiness) {
        return not_looked_at(area, "readiness");
    }
    let (checked, compliant) = judged_of(inputs, Control::Readiness);
    if checked > 0 {
        area.value = Some(format!("{compliant} of {checked}"));
    }
    area.text.push(findings_text(&area.findings));
    blind_text(&mut area);
    area
}
