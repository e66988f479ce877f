//! The sentences that a terminal and a pull request have in common.

use std::collections::{BTreeMap, BTreeSet};

use super::ApplyView;
use super::group::unpriced;
use super::text::{escape, list, number, plural, signed_usd, solid};
use crate::cloud::ApiUse;
use crate::inventory::NotChecked;
use crate::model::Control;
use crate::plan::{Counts, Plan, total_delta};

/// By environment, then control.
pub(super) type CountsByEnvironment = BTreeMap<String, BTreeMap<Control, Counts>>;

/// Whether something that a control needs was not seen, accepted or not.
pub(super) fn is_blind(plan: &Plan) -> bool {
    !plan.unobserved.is_empty()
        || plan.summary.unobserved > 0
        || plan.accepted_unobserved.iter().any(|a| a.gaps > 0)
}

/// `3 to create, 12 to update, 0 to delete, 45 unchanged, 2 not observed`.
pub(super) fn counts(plan: &Plan) -> String {
    let s = &plan.summary;
    [
        (s.create, "to create"),
        (s.update, "to update"),
        (s.delete, "to delete"),
        (s.unchanged, "unchanged"),
        (s.unobserved, "not observed"),
    ]
    .map(|(n, what)| solid(&format!("{} {what}", number(n))))
    .join(", ")
}

/// `-34.20 USD/month`, where a change of the bill is known.
pub(super) fn delta(plan: &Plan) -> Option<String> {
    let amount = signed_usd(total_delta(&plan.changes))?;
    Some(solid(&format!("{amount} USD/month")))
}

/// The changes whose cost is not in the sum.
pub(super) fn without_estimate(plan: &Plan) -> Option<String> {
    match unpriced(&plan.changes) {
        0 => None,
        n => Some(format!(
            "{} without a cost estimate",
            plural(n, "change", "changes")
        )),
    }
}

/// Above the list of gaps.
pub(super) const NOT_OBSERVED: &str =
    "NOT OBSERVED: nothing is said here about what is behind these calls";

/// What to say when there is nothing to do. Never more than what was seen.
pub(super) fn nothing_to_do(plan: &Plan) -> String {
    let sum = |pick: fn(&Counts) -> u64| -> u64 {
        plan.counts
            .values()
            .flat_map(|c| c.values())
            .map(pick)
            .sum()
    };
    let mut same = match (sum(|c| c.compliant), sum(|c| c.checked)) {
        (_, 0) => "nothing was found that the policies speak of".to_owned(),
        (pass, all) => format!("{} of {} checks pass", number(pass), number(all)),
    };
    if !plan.findings.is_empty() {
        let findings = plural(plan.findings.len() as u64, "finding is", "findings are");
        same.push_str(&format!("; {findings} for people to decide"));
    }
    if !is_blind(plan) {
        let mut capital = same.chars();
        let first = capital.next().map(|c| c.to_ascii_uppercase());
        return format!(
            "No changes. {}{}.",
            first.map(String::from).unwrap_or_default(),
            capital.as_str()
        );
    }
    let unseen = match plan.summary.unobserved {
        0 => "not everything could be seen".to_owned(),
        n => format!("{} could not be observed", number(n)),
    };
    format!("No changes in what could be seen: {same}, {unseen}.")
}

/// What was left alone on purpose: `prod tags` and `3 ignored (tag opsctl:ignore), 2 exempt`.
pub(super) fn left_alone(counts: &CountsByEnvironment) -> Vec<(String, String)> {
    let several = counts.len() > 1;
    let label = |environment: &str, control: Control| {
        if several {
            format!("{} {control}", escape(environment))
        } else {
            control.to_string()
        }
    };
    let say = |counts: &Counts| {
        let mut parts = Vec::new();
        if counts.ignored > 0 {
            let tag = crate::model::IGNORE_TAG;
            parts.push(format!("{} ignored (tag {tag})", number(counts.ignored)));
        }
        if counts.exempt > 0 {
            parts.push(format!("{} exempt", number(counts.exempt)));
        }
        if counts.copies > 0 {
            parts.push(plural(
                counts.copies,
                "copy of a restore drill",
                "copies of restore drills",
            ));
        }
        if counts.owned_elsewhere > 0 {
            parts.push(format!(
                "{} owned by CloudFormation, Terraform or the like",
                number(counts.owned_elsewhere)
            ));
        }
        if !counts.outside_regions.is_empty() {
            let names: Vec<String> = {
                let names = counts.outside_regions.iter();
                names.map(|n| solid(&escape(n))).collect()
            };
            parts.push(format!(
                "{} outside the regions looked at: {}",
                plural(names.len() as u64, "bucket", "buckets"),
                list(&names, 5)
            ));
        }
        parts.join(", ")
    };
    counts
        .iter()
        .flat_map(|(environment, controls)| {
            controls
                .iter()
                .map(move |(control, counts)| (environment, *control, counts))
        })
        .map(|(environment, control, counts)| (label(environment, control), say(counts)))
        .filter(|(_, text)| !text.is_empty())
        .collect()
}

/// Types that were not looked at, those with the same reason and regions together.
pub(super) fn not_checked(types: &[NotChecked]) -> Vec<String> {
    let mut regions: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for entry in types {
        regions
            .entry((&entry.reason, &entry.kind))
            .or_default()
            .insert(&entry.region);
    }
    let mut kinds: BTreeMap<(&str, BTreeSet<&str>), Vec<String>> = BTreeMap::new();
    for ((reason, kind), places) in regions {
        kinds
            .entry((reason, places))
            .or_default()
            .push(escape(kind));
    }
    kinds
        .into_iter()
        .map(|((reason, places), kinds)| {
            let places: Vec<String> = places.into_iter().map(escape).collect();
            format!(
                "{} ({}): {}",
                list(&kinds, 8),
                list(&places, 4),
                escape(reason)
            )
        })
        .collect()
}

/// `812 requests, 0 retries`.
pub(super) fn api(api: &ApiUse) -> String {
    let mut text = format!(
        "{}, {}",
        plural(api.requests, "request", "requests"),
        plural(api.retries, "retry", "retries")
    );
    if api.throttled > 0 {
        text.push_str(&format!(", {} throttled", number(api.throttled)));
    }
    if super::text::decimal(&api.cost_usd).is_some_and(|cost| !cost.is_zero()) {
        text.push_str(&format!(", {} USD", escape(&api.cost_usd)));
    }
    text
}

/// Where the changes would go, when it is not AWS.
pub(super) fn sandbox(scenario: Option<&str>) -> Option<String> {
    scenario.map(|name| {
        format!(
            "Sandbox {}: an embedded account, AWS is not touched.",
            escape(name)
        )
    })
}

fn with_outcome(view: &ApplyView, outcome: &str) -> u64 {
    view.rows.iter().filter(|r| r.outcome == outcome).count() as u64
}

/// `Apply: 12 applied, 1 stale, 0 failed, 3 skipped.`
pub(super) fn applied(view: &ApplyView) -> String {
    let parts: Vec<String> = ["applied", "stale", "failed", "skipped"]
        .map(|outcome| format!("{} {outcome}", number(with_outcome(view, outcome))))
        .into();
    format!("Apply: {}.", parts.join(", "))
}

/// What stands, what does not, and what to run.
pub(super) fn what_next(view: &ApplyView) -> Vec<String> {
    let count = |outcome| with_outcome(view, outcome);
    let (applied, stale, failed) = (count("applied"), count("stale"), count("failed"));
    let skipped = count("skipped");
    let mut sentences = Vec::new();
    if view.interrupted {
        sentences.push(format!(
            "Interrupted. {} of {} done and in force; {} not begun.",
            number(applied),
            plural(view.rows.len() as u64, "change", "changes"),
            match skipped {
                1 => "1 was".to_owned(),
                n => format!("{} were", number(n)),
            }
        ));
    }
    if failed > 0 {
        sentences.push(
            "A failed change may or may not have taken effect; the next plan reads what is there."
                .to_owned(),
        );
    }
    if stale + failed + skipped > 0 || view.interrupted {
        sentences.push(
            "Next: `opsctl plan` shows what is left, `opsctl apply` does it; what is done is not done twice."
                .to_owned(),
        );
    }
    sentences
}

/// The result of a drill in a word.
pub fn drill_result(result: crate::drill::record::Outcome) -> &'static str {
    use crate::drill::record::Outcome;
    match result {
        Outcome::Passed => "passed",
        Outcome::Failed => "FAILED",
        Outcome::MissedObjective => "MISSED",
        Outcome::Aborted => "aborted",
    }
}
