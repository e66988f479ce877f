//! What an audit comes to, in the sentences that a terminal and a pull request have in common.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use super::attention::FindingGroup;
use super::text::{decimal, escape, number, plural, solid};
use crate::audit::compliance::{Compliance, Share};
use crate::audit::pending::applied;
use crate::audit::{Audit, Outcome};
use crate::model::{Control, Severity, usd};

/// `PASS`, `FAIL` or `INCOMPLETE`.
pub(super) fn word(audit: &Audit) -> &'static str {
    match audit.summary.outcome {
        Outcome::Pass => "PASS",
        Outcome::Fail => "FAIL",
        Outcome::Incomplete => "INCOMPLETE",
    }
}

/// The one sentence that everybody reads, without the word.
pub(super) fn sentence(audit: &Audit) -> String {
    let summary = &audit.summary;
    let level = summary.fail_on.as_str();
    // `critical or above` would be one too many.
    let level = match summary.fail_on {
        Severity::Critical => level.to_owned(),
        _ => format!("{level} or above"),
    };
    let new = if summary.in_baseline > 0 { "new " } else { "" };
    let found = match summary.failing {
        0 => format!("no {new}finding of severity {level}"),
        1 => format!("1 {new}finding of severity {level}"),
        n => format!("{} {new}findings of severity {level}", number(n)),
    };
    let unspoken: Vec<&str> = audit.not_audited().map(Control::as_str).collect();
    let found = match unspoken.as_slice() {
        [] => found,
        names => format!(
            "{found}; {} not audited: this version cannot",
            match names {
                [one] => format!("{one} was"),
                many => format!("{} were", many.join(", ")),
            }
        ),
    };
    match summary.outcome {
        Outcome::Incomplete => format!("not everything could be seen; in what could, {found}"),
        Outcome::Pass if !audit.unobserved.is_empty() => {
            format!("{found} in what could be seen, which is not everything")
        }
        Outcome::Pass if audit.accepted().next().is_some() => {
            format!("{found} in what could be seen; the rest is accepted as not seen")
        }
        _ => found,
    }
}

/// `44 findings: 3 high, 30 medium, 11 low`, then what passes.
pub(super) fn totals(audit: &Audit) -> String {
    let summary = &audit.summary;
    let total = audit.findings.len() as u64;
    let mut text = match total {
        0 => "No findings".to_owned(),
        _ => {
            let parts: Vec<String> = Severity::ALL
                .into_iter()
                .rev()
                .filter_map(|s| Some((s, *summary.by_severity.get(&s)?)))
                .filter(|(_, n)| *n > 0)
                .map(|(s, n)| solid(&format!("{} {}", number(n), s.as_str())))
                .collect();
            let total = plural(total, "finding", "findings");
            format!("{total}: {}", parts.join(", "))
        }
    };
    if summary.in_baseline > 0 {
        text.push_str(&format!("; {} known", number(summary.in_baseline)));
    }
    text.push('.');
    if summary.checked > 0 {
        text.push_str(&format!(
            " {} of {} pass.",
            number(summary.compliant),
            plural(summary.checked, "check", "checks")
        ));
    }
    text
}

/// What became of the baseline.
pub(super) fn baseline(audit: &Audit) -> Option<String> {
    let known = audit.summary.baseline.as_ref()?;
    let mut parts = vec![format!(
        "{} of its {} still there",
        number(audit.summary.in_baseline),
        plural(known.entries, "entry is", "entries are"),
    )];
    if known.fixed > 0 {
        parts.push(format!("{} of the baseline are fixed", number(known.fixed)));
    }
    if known.not_looked_at > 0 {
        parts.push(format!(
            "{} not looked at in this run",
            number(known.not_looked_at)
        ));
    }
    Some(parts.join("; "))
}

/// How to fix all findings of a group, where one text says it for all.
pub(super) fn fix(group: &FindingGroup<'_>) -> Option<String> {
    let members = || {
        group
            .messages
            .iter()
            .flat_map(|(_, members)| members.iter())
    };
    let mut rest = members().map(|f| applied(&f.remediation, &f.address));
    let first = rest.next().flatten();
    if let Some(sandbox) = first.filter(|_| group.total() > 1 && rest.all(|r| r == first)) {
        let environments: BTreeSet<&str> = members().map(|f| f.address.environment()).collect();
        let controls: BTreeSet<Control> = members().map(|f| f.control).collect();
        let mut command = "opsctl apply".to_owned();
        for environment in environments {
            command.push_str(&format!(" -e {environment}"));
        }
        for control in controls {
            command.push_str(&format!(" --control {control}"));
        }
        command.push_str(sandbox);
        return Some(format!("{command} (--target ADDRESS for one of them)"));
    }
    let mut texts: Vec<&str> = members().map(|f| f.remediation.as_str()).collect();
    texts.sort_unstable();
    texts.dedup();
    match texts.as_slice() {
        [only] if !only.is_empty() => Some((*only).to_owned()),
        _ => None,
    }
}

/// What the findings of a group cost a month, where any of them says so.
pub(super) fn cost(group: &FindingGroup<'_>) -> Option<String> {
    let amounts: Vec<Decimal> = group
        .messages
        .iter()
        .flat_map(|(_, members)| members.iter())
        .filter_map(|f| decimal(f.monthly_cost_usd.as_deref()?))
        .collect();
    let sum: Decimal = amounts.iter().sum();
    (!amounts.is_empty() && !sum.is_zero()).then(|| format!("{} USD/month", usd(sum)))
}

/// What is counted together, with its name: worst share first, then the larger.
pub(super) fn shares<'a>(of: &'a BTreeMap<String, Share>, none: &str) -> Vec<(String, &'a Share)> {
    let mut rows: Vec<(String, &Share)> = of
        .iter()
        .map(|(name, share)| match name.as_str() {
            "" => (none.to_owned(), share),
            name => (escape(name), share),
        })
        .collect();
    let worst = |s: &Share| {
        (s.compliant * 10_000)
            .checked_div(s.checked)
            .unwrap_or(10_000)
    };
    rows.sort_by(|a, b| {
        (worst(a.1), std::cmp::Reverse(a.1.checked), &a.0).cmp(&(
            worst(b.1),
            std::cmp::Reverse(b.1.checked),
            &b.0,
        ))
    });
    rows
}

/// `87.9 % (320 of 364)`.
pub(super) fn share(share: &Share) -> String {
    match &share.percent {
        Some(percent) => format!(
            "{percent} % ({} of {})",
            number(share.compliant),
            number(share.checked)
        ),
        None => "nothing checked".to_owned(),
    }
}

/// The dimensions of the tags' compliance, in the order in which they are shown.
pub(super) fn dimensions(compliance: &Compliance) -> [(&'static str, Vec<(String, &Share)>); 5] {
    [
        ("environment", shares(&compliance.by_environment, "")),
        ("key", shares(&compliance.by_key, "")),
        ("team", shares(&compliance.by_team, "(no team)")),
        ("service", shares(&compliance.by_service, "")),
        ("region", shares(&compliance.by_region, "")),
    ]
}

/// Requests, and what AWS bills for them where that was asked for.
pub(super) fn api(audit: &Audit) -> String {
    let mut api = audit.api.clone();
    if !audit.controls.contains(&Control::Cost) {
        return super::words::api(&api);
    }
    let cost = std::mem::take(&mut api.cost_usd);
    // The page of the costs says it already.
    if audit.cost.is_some() {
        return super::words::api(&api);
    }
    format!(
        "{}; this audit cost {} USD",
        super::words::api(&api),
        escape(&cost)
    )
}
