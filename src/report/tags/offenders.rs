//! The resources of which something is to be said.

use std::collections::HashMap;

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::line::{Earlier, key};
use super::weigh::{Weights, cents};
use super::{Inputs, Offender, OwnerOf, Problem, fix};
use crate::audit::Reported;
use crate::audit::compliance::Judged;
use crate::model::{Control, Tags, owner_of};

/// Tags that say whose a resource is, where it has no team.
const OWNERS: [&str; 2] = ["owner", "Owner"];

/// Worst first: by severity, cost, number of findings, age, address.
pub(super) fn offenders(
    inputs: &Inputs<'_>,
    resources: &[Judged<'_>],
    weights: &Weights,
    earlier: &Earlier<'_>,
    today: Date,
) -> Vec<Offender> {
    let mut found: HashMap<&str, Vec<&Reported>> = HashMap::new();
    for finding in &inputs.audit.findings {
        if finding.control == Control::Tags {
            found
                .entry(finding.address.as_str())
                .or_default()
                .push(finding);
        }
    }
    let mut out: Vec<(Option<Decimal>, Offender)> = resources
        .iter()
        .filter_map(|one| {
            let findings = found.get(one.address.as_str())?;
            let weight = weights.of_resource(one.environment, one.resource);
            Some((
                weight,
                offender(inputs, one, findings, weight, earlier, today),
            ))
        })
        .collect();
    out.sort_by(|(a_cost, a), (b_cost, b)| {
        (b.severity, b_cost, b.findings.len(), b.age_days)
            .cmp(&(a.severity, a_cost, a.findings.len(), a.age_days))
            .then_with(|| a.address.cmp(&b.address))
    });
    out.into_iter().map(|(_, offender)| offender).collect()
}

fn offender(
    inputs: &Inputs<'_>,
    one: &Judged<'_>,
    findings: &[&Reported],
    weight: Option<Decimal>,
    earlier: &Earlier<'_>,
    today: Date,
) -> Offender {
    let environment = &inputs.environments[one.environment];
    let address = one.address.as_str();
    let mut since_first_run = false;
    let problems: Vec<Problem> = findings
        .iter()
        .map(|finding| {
            let age = earlier.age(one.environment, key(&finding.id, address), one.service);
            since_first_run |= age.since_first_run;
            Problem {
                id: finding.id.clone(),
                severity: finding.severity,
                message: finding.message.clone(),
                evidence: finding.evidence.clone(),
                remediation: finding.remediation.clone(),
                policy: finding.policy.clone(),
                first_seen: age.first_seen,
                new: age.new,
            }
        })
        .collect();
    // The days sort as text; of findings whose age is not known nothing older can be said.
    let first_seen = problems.iter().filter_map(|p| p.first_seen.clone()).min();
    let age_days = first_seen.as_deref().and_then(|day| {
        let day: Date = day.parse().ok()?;
        let days = today.since(day).ok().map(|span| i64::from(span.get_days()));
        // A clock may have gone back since then.
        days.map(|days| days.max(0))
    });
    let new = if problems.iter().any(|p| p.new == Some(true)) {
        Some(true)
    } else {
        problems
            .iter()
            .all(|p| p.new == Some(false))
            .then_some(false)
    };
    Offender {
        address: address.to_owned(),
        arn: one.resource.arn.clone(),
        environment: environment.target.environment.clone(),
        region: one.resource.region.clone(),
        kind: one.resource.kind.as_str().to_owned(),
        service: one.service.to_owned(),
        name: one.resource.name.clone(),
        compliant: one.compliant,
        severity: problems
            .iter()
            .map(|p| p.severity)
            .max()
            .unwrap_or(crate::model::Severity::Low),
        owner: owner(one.team, one.tags),
        first_seen,
        age_days,
        since_first_run,
        new,
        month_to_date: weight.map(cents),
        fix: fix::of(inputs, environment, one, findings),
        findings: problems,
    }
}

/// Who is to be asked: the team, else whoever a tag names, else the tool that made it.
fn owner(team: &str, tags: &Tags) -> Option<OwnerOf> {
    let of = |name: &str, source: String| {
        (!name.trim().is_empty()).then(|| OwnerOf {
            name: name.to_owned(),
            source,
        })
    };
    of(team, "tag team".to_owned())
        .or_else(|| {
            OWNERS
                .iter()
                .find_map(|key| of(tags.get(*key)?, format!("tag {key}")))
        })
        .or_else(|| owner_of(tags).and_then(|o| of(o.tool, o.detail.clone())))
}
