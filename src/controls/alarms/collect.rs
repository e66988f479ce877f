//! From the policy and what was seen to the alarms that should be there.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::{ABOVE, BELOW, Core};
use super::draft::{Draft, Shape, Stat, failure_percent, name, often};
use super::packs::{Frame, Made, PackAlarm};
use super::{business, dimensions, drills, in_scope, packs, prefix, seconds, slo, subjects};
use crate::config::later::alarms::{Alarms, MissingData, Pack, PerResource, Routing};
use crate::config::policy::OwnedElsewhere;
use crate::config::values::{Matched, Sourced};
use crate::controls::{Input, Report, Standing, expired_exemption, standing};
use crate::inventory::Resource;
use crate::model::{Control, Severity};
use crate::plan::{Finding, Reason};

/// Region and whole name of an alarm.
pub type Key = (String, String);

/// Points for alarms of `[alarms.per_resource]`.
const DATAPOINTS: (u32, u32) = (3, 5);

/// What should be there, and what else is known about our names.
#[derive(Default)]
pub struct Collected {
    pub drafts: BTreeMap<Key, Draft>,
    /// Alarms that are neither made nor removed, and why.
    pub held: BTreeMap<Key, Held>,
    pub findings: Vec<Finding>,
    pub notes: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    Ignored,
    Exempt,
    /// What it hangs on was not seen.
    Unseen,
    /// Seen, and still no threshold can be told.
    NoThreshold,
}

impl Collected {
    fn add(&mut self, input: &Input, prefix: &str, draft: Draft) {
        if !in_scope(input, &draft.region) {
            return;
        }
        let whole = name(prefix, &draft.suffix);
        let key = (draft.region.clone(), whole);
        if let Some(other) = self.drafts.get(&key) {
            if *other != draft {
                let finding = report(
                    input,
                    &key,
                    "alarms.name-twice",
                    Severity::Medium,
                    format!(
                        "two entries of the policy give the same name, only {} is planned",
                        other.reason.rule
                    ),
                    format!("{} and {}", other.reason.rule, draft.reason.rule),
                    "rename one of them",
                    draft.reason.clone(),
                );
                self.findings.push(finding);
            }
            return;
        }
        self.drafts.insert(key, draft);
    }
}

/// A finding about one alarm.
#[allow(clippy::too_many_arguments)]
pub fn report(
    input: &Input,
    key: &Key,
    id: &str,
    severity: Severity,
    message: String,
    evidence: String,
    remediation: &str,
    policy: Reason,
) -> Finding {
    Report {
        id,
        control: Control::Alarms,
        severity,
        message,
        evidence,
        remediation: remediation.to_owned(),
        policy,
    }
    .on(input, &super::alarm_resource(input, key))
}

pub fn collect(input: &Input, policy: &Alarms) -> Collected {
    let mut out = Collected::default();
    let resolved = input.resolved;
    let prefix = prefix(resolved);
    // That of the environment, whatever the run was narrowed to.
    let first = match &resolved.config {
        Some(config) => config.regions.first().map(|r| r.value.clone()),
        None => input.inventory.regions.first().cloned(),
    };
    let first = first.unwrap_or_default();
    let region = |own: &Option<Sourced<String>>| match own {
        Some(region) => region.value.clone(),
        None => first.clone(),
    };
    let business_on = policy.packs.iter().any(|p| p.value == Pack::Business);
    for (name, alarm) in policy.business.iter().filter(|_| business_on) {
        let reason = resolved.reason(
            Control::Alarms,
            format!("alarms.business.{name}"),
            alarm.origin,
        );
        for draft in business::drafts(name, alarm, &region(&alarm.region), &reason) {
            out.add(input, &prefix, draft);
        }
    }
    for (name, slo) in policy.slo.iter().filter(|_| business_on) {
        let reason = resolved.reason(Control::Alarms, format!("alarms.slo.{name}"), slo.origin);
        for draft in slo::drafts(name, slo, &region(&slo.region), &reason) {
            out.add(input, &prefix, draft);
        }
    }
    for draft in drills::drafts(resolved, &first) {
        out.add(input, &prefix, draft);
    }
    let unused = policy.business.len() + policy.slo.len();
    if !business_on && unused > 0 {
        out.notes.insert(format!(
            "alarms: the pack \"business\" is off in {}, so its {} are not made",
            resolved.environment,
            entries(unused)
        ));
    }
    idle_tuning(input, policy, &mut out);
    let resources = subjects::by_kind(input);
    packed(input, policy, &prefix, &resources, &mut out);
    for (name, alarm) in &policy.per_resource {
        per_resource(input, name, alarm, &prefix, &resources, &mut out);
    }
    out
}

fn entries(n: usize) -> String {
    if n == 1 {
        "1 entry".to_owned()
    } else {
        format!("{n} entries")
    }
}

/// Tuning of alarms that no pack of the stage makes: it is silent otherwise.
fn idle_tuning(input: &Input, policy: &Alarms, out: &mut Collected) {
    let off = |alarm: &&PackAlarm| {
        let on = |pack: &Pack| policy.packs.iter().any(|p| p.value == *pack);
        policy.tune.get(alarm.id).is_some_and(|t| t.enabled) && !alarm.packs.iter().any(on)
    };
    for alarm in packs::all().filter(off) {
        let packs: Vec<&str> = alarm.packs.iter().map(|p| p.as_str()).collect();
        out.notes.insert(format!(
            "alarms: [alarms.tune.{}] changes nothing in {}: its pack is not on ({})",
            alarm.id,
            input.resolved.environment,
            packs.join(" or ")
        ));
    }
}

/// The first pack of the policy that an alarm belongs to.
fn chosen<'a>(policy: &'a Alarms, alarm: &PackAlarm) -> Option<&'a Sourced<Pack>> {
    let tune = policy.tune.get(alarm.id);
    let on = tune.map_or(alarm.by_default, |t| t.enabled);
    let mut packs = policy.packs.iter();
    packs.find(|p| on && alarm.packs.contains(&p.value))
}

fn packed<'a>(
    input: &Input<'a>,
    policy: &Alarms,
    prefix: &str,
    resources: &BTreeMap<&'a str, Vec<&'a Resource>>,
    out: &mut Collected,
) {
    let scene = subjects::scene(input);
    for alarm in packs::all() {
        let Some(pack) = chosen(policy, alarm) else {
            continue;
        };
        let tune = policy.tune.get(alarm.id);
        let reason = match tune {
            Some(tune) => input.resolved.reason(
                Control::Alarms,
                format!("alarms.tune.{}", alarm.id),
                tune.origin,
            ),
            None => input.resolved.reason(
                Control::Alarms,
                format!("alarms.packs: {}", alarm.id),
                pack.origin,
            ),
        };
        let frame = Frame {
            threshold: tune
                .and_then(|t| t.threshold)
                .map_or(alarm.threshold.into(), |t| t.0),
            period: tune
                .and_then(|t| t.period)
                .map_or(alarm.period, |p| seconds(p) as u32),
            datapoints: tune
                .and_then(|t| t.datapoints)
                .map_or(alarm.datapoints, |d| d.0),
        };
        let severity = tune.and_then(|t| t.severity).unwrap_or(alarm.severity);
        // One of many stands for all: they mostly fail alike.
        let mut unseen: Option<(String, u64)> = None;
        for subject in subjects::of(input, resources, alarm.of) {
            let resource = subject.resource.as_ref();
            if tune.is_some_and(|t| t.matches.resource(resource) == Matched::No) {
                continue;
            }
            let suffix = format!("{}-{}", alarm.id, subject.label);
            let key = (resource.region.clone(), name(prefix, &suffix));
            let unclear = tune.is_some_and(|t| t.matches.resource(resource) == Matched::Unknown);
            if !admitted(input, resource, &key, unclear, out) {
                continue;
            }
            match (alarm.make)(&scene, &subject, &frame) {
                Made::Alarm(core, sentence) => out.add(
                    input,
                    prefix,
                    Draft {
                        region: resource.region.clone(),
                        suffix,
                        severity: Some(severity),
                        shape: Shape::Metric(*core),
                        sentence,
                        reason: reason.clone(),
                    },
                ),
                Made::NotFor => {}
                Made::Unseen(why) => {
                    unseen.get_or_insert((why, 0)).1 += 1;
                    out.held.insert(key, Held::Unseen);
                }
                Made::NoThreshold(why) => {
                    let finding = report(
                        input,
                        &key,
                        "alarms.no-threshold",
                        Severity::Low,
                        format!("not planned: {why}"),
                        why.clone(),
                        "make the alarm by hand, or switch it off with [alarms.tune]",
                        reason.clone(),
                    );
                    out.findings.push(finding);
                    out.held.insert(key, Held::NoThreshold);
                }
            }
        }
        if let Some((why, n)) = unseen {
            let more = match n {
                1 => String::new(),
                n => format!(" (and {} more)", n - 1),
            };
            out.notes
                .insert(format!("alarms: {} is not judged: {why}{more}", alarm.id));
        }
    }
}

/// Whether the alarms of a resource are ours to decide about; if not, they are held.
fn admitted(
    input: &Input,
    resource: &Resource,
    key: &Key,
    unclear: bool,
    out: &mut Collected,
) -> bool {
    // An alarm changes nothing about the resource, so it does not matter who owns it.
    let held = match standing(input, resource, OwnedElsewhere::Write) {
        // Gone in an hour or two; an alarm that somebody made for it goes with it.
        Standing::Copy => return false,
        Standing::Ignored => Held::Ignored,
        Standing::Exempt => Held::Exempt,
        Standing::Unseen => Held::Unseen,
        Standing::Ours { .. } | Standing::Owned(_) if unclear => Held::Unseen,
        Standing::Ours {
            expired: Some(name),
        } => {
            let finding = expired_exemption(input, resource, Control::Alarms, &name);
            if let Some(finding) = finding
                && !out.findings.contains(&finding)
            {
                out.findings.push(finding);
            }
            return true;
        }
        Standing::Ours { .. } | Standing::Owned(_) => return true,
    };
    out.held.insert(key.clone(), held);
    false
}

fn per_resource<'a>(
    input: &Input<'a>,
    entry: &str,
    alarm: &Sourced<PerResource>,
    prefix: &str,
    resources: &BTreeMap<&'a str, Vec<&'a Resource>>,
    out: &mut Collected,
) {
    let reason = input.resolved.reason(
        Control::Alarms,
        format!("alarms.per_resource.{entry}"),
        alarm.origin,
    );
    let period = alarm.period.map_or(60, |p| seconds(p) as u32);
    let datapoints = alarm.datapoints.map_or(DATAPOINTS, |d| d.0);
    let when = often(datapoints, period);
    let statistic = alarm.statistic.as_deref().unwrap_or("Sum");
    let missing = alarm.missing_data.unwrap_or(MissingData::NotBreaching);
    for resource in resources.get(alarm.kind.as_str()).into_iter().flatten() {
        let matched = alarm.matches.resource(resource);
        let Some((namespace, found)) = dimensions::of(resource) else {
            continue;
        };
        if matched == Matched::No {
            continue;
        }
        let suffix = format!("{entry}-{}", resource.name);
        let key = (resource.region.clone(), name(prefix, &suffix));
        if !admitted(input, resource, &key, matched == Matched::Unknown, out) {
            continue;
        }
        let stat = |metric: &str| Stat::new(namespace, metric, &found, statistic);
        let (metric, comparison, threshold, text) =
            match (alarm.metric.split_once('/'), alarm.above_percent) {
                (Some((part, whole)), Some(percent)) => {
                    let (part, whole) = (part.trim(), whole.trim());
                    let minimum = alarm.minimum_total.unwrap_or(1);
                    let metric = failure_percent(stat(part), stat(whole), period, minimum);
                    (metric, ABOVE, percent, format!("{part} / {whole}"))
                }
                _ => {
                    let (comparison, threshold) = match (alarm.above, alarm.below) {
                        (Some(above), _) => (ABOVE, above),
                        (None, Some(below)) => (BELOW, below),
                        // `check` has told it.
                        (None, None) => continue,
                    };
                    let metric = stat(&alarm.metric).single(period);
                    (metric, comparison, threshold, alarm.metric.value.clone())
                }
            };
        let word = if comparison == ABOVE {
            "above"
        } else {
            "below"
        };
        let unit = if alarm.above_percent.is_some() {
            " %"
        } else {
            ""
        };
        let low_samples = super::is_percentile(statistic)
            .then_some("ignore")
            .filter(|_| alarm.above_percent.is_none());
        out.add(
            input,
            prefix,
            Draft {
                region: resource.region.clone(),
                suffix,
                severity: Some(alarm.severity.unwrap_or(Routing::Ticket)),
                shape: Shape::Metric(Core {
                    metric,
                    comparison,
                    threshold: Some(threshold.0.normalize()),
                    band: None,
                    datapoints,
                    missing: missing.as_str(),
                    low_samples,
                }),
                sentence: format!(
                    "{text} of {} {word} {}{unit} in {when}",
                    resource.name,
                    threshold.0.normalize()
                ),
                reason: reason.clone(),
            },
        );
    }
}

/// Why an alarm of ours that nothing asks for may still be right: what would ask for it was not seen.
///
/// Its name tells which entry of the policy it came from.
pub fn in_doubt(input: &Input, policy: &Alarms, region: &str, suffix: &str) -> Option<String> {
    let belongs = |id: &str| {
        suffix
            .strip_prefix(id)
            .is_some_and(|rest| rest.starts_with('-'))
    };
    let listed = |kind: &str| input.inventory.types_checked.contains(kind);
    for alarm in packs::all().filter(|a| belongs(a.id)) {
        if chosen(policy, alarm).is_none() {
            continue;
        }
        if let Some(kind) = alarm.of.listed_as()
            && !listed(kind)
        {
            return Some(format!("not every {kind} was seen"));
        }
        if let Some(namespace) = alarm.of.discovered_in() {
            let facts = input.inventory.region_facts.get(region);
            let metrics = facts.and_then(|f| f.metrics.get(namespace));
            return Some(match metrics.and_then(|m| m.known()) {
                // A metric that was silent for two weeks does not show either.
                Some(_) => {
                    format!("metrics of {namespace} show no such thing, which may only be silent")
                }
                None => format!("the metrics of {namespace} were not seen"),
            });
        }
    }
    policy
        .per_resource
        .iter()
        .find(|(entry, alarm)| belongs(entry) && !listed(&alarm.kind))
        .map(|(_, alarm)| format!("not every {} was seen", alarm.kind.value))
}
