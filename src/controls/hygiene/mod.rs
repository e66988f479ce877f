//! # Alarm hygiene
//!
//! Looks at every alarm of the account, whoever made it, for what keeps it from doing its work: nobody
//! is told, nothing is measured, nothing exists any more. Audited (`opsctl audit alarms`), never changed.
//!
//! | finding | what |
//! |---|---|
//! | `alarms.no-action` | nobody is told, and no composite alarm uses it |
//! | `alarms.actions-disabled` | its actions are switched off |
//! | `alarms.action-nowhere` | an action goes to a topic that does not exist |
//! | `alarms.topic-silent` | the topic has no confirmed subscriber |
//! | `alarms.topic-refuses` | the topic's policy or key keeps CloudWatch out |
//! | `alarms.metric-missing` | no metric has exactly its dimensions: it is silent for ever |
//! | `alarms.insufficient-data` | without data for days |
//! | `alarms.resource-gone` | what it watches does not exist any more |
//! | `alarms.missing-data` | missing data is treated against the nature of the metric |
//! | `alarms.duplicate` | another alarm does the same |
//!
//! ListMetrics does not show metrics that had no point for two weeks: `alarms.metric-missing` says so.
//! Sources: CloudWatch API reference, ListMetrics; CloudWatch user guide, "Using Amazon CloudWatch
//! alarms"; SNS developer guide, key policies for services that publish.

mod metrics;
#[cfg(test)]
mod tests;
mod topics;

use std::collections::{BTreeMap, BTreeSet};

use super::{Input, Report, selected};
use crate::cloud::Want;
use crate::config::Resolved;
use crate::inventory::{AlarmDefinition, AlarmFact, Observed, Resource};
use crate::model::object::{AlarmMetric, MetricAlarm};
use crate::model::{Control, ResourceType, Severity, Tags, ignore_reason};
use crate::plan::{Reason, Verdict};

/// Days without data after which it is more than a quiet weekend.
const INSUFFICIENT_DAYS: i64 = 3;

/// What the audit needs to see besides what the control does.
pub fn want(resolved: &Resolved, want: &mut Want) {
    want.alarms.extend(super::alarms::regions(resolved));
    want.alarm_topics = true;
    want.alarm_metrics = true;
    // Whether what an alarm watches is still there.
    want.tags = true;
}

/// One alarm while it is looked at.
struct Look<'a> {
    input: &'a Input<'a>,
    alarm: &'a AlarmFact,
    resource: Resource,
    reason: &'a Reason,
    verdict: &'a mut Verdict,
    found: bool,
}

impl Look<'_> {
    fn report(
        &mut self,
        id: &str,
        severity: Severity,
        message: String,
        evidence: String,
        remediation: impl Into<String>,
    ) {
        let report = Report {
            id,
            control: Control::Alarms,
            severity,
            message,
            evidence,
            remediation: remediation.into(),
            policy: self.reason.clone(),
        };
        self.found = true;
        let finding = report.on(self.input, &self.resource);
        self.verdict.findings.push(finding);
    }
}

/// The findings about all alarms of one environment.
pub fn verdict(input: &Input) -> Verdict {
    let mut verdict = Verdict::default();
    let inventory = input.inventory;
    let reason = reason(input.resolved);
    let tags: BTreeMap<&str, &Tags> = inventory
        .resources
        .iter()
        .filter(|r| r.kind == ResourceType::CLOUDWATCH_ALARM)
        .filter_map(|r| Some((r.arn.as_str(), r.tags.known()?)))
        .collect();
    let regions = inventory.alarms.iter();
    for (_, alarms) in regions.filter(|(region, _)| super::alarms::in_scope(input, region)) {
        // Where they were not seen there is a gap.
        let Observed::Known(alarms) = alarms else {
            continue;
        };
        let children: BTreeSet<&str> = alarms
            .iter()
            .filter_map(|a| match &a.definition {
                AlarmDefinition::Composite(c) => Some(&c.children),
                _ => None,
            })
            .flatten()
            .map(String::as_str)
            .collect();
        let doubles = doubles(alarms);
        for alarm in alarms {
            let resource = Resource {
                arn: alarm.arn.clone(),
                kind: ResourceType::CLOUDWATCH_ALARM,
                name: alarm.definition.name().to_owned(),
                region: region(&alarm.definition).to_owned(),
                tags: alarm.tags.clone(),
            };
            if !selected(input, &resource, Control::Alarms.as_str()) {
                continue;
            }
            verdict.counts.checked += 1;
            let own = alarm.tags.known();
            let tags = own.or(tags.get(alarm.arn.as_str()).copied());
            if tags.is_some_and(|t| ignore_reason(t).is_some()) {
                verdict.counts.ignored += 1;
                continue;
            }
            let mut look = Look {
                input,
                alarm,
                resource,
                reason: &reason,
                verdict: &mut verdict,
                found: false,
            };
            actions(&mut look, &children);
            topics::check(&mut look);
            metrics::check(&mut look);
            silence(&mut look);
            if let Some(first) = doubles.get(alarm.definition.name()) {
                look.report(
                    "alarms.duplicate",
                    Severity::Low,
                    format!("does the same as {first}"),
                    "same metric, threshold, periods and actions".to_owned(),
                    format!("delete one of the two; each costs money and tells the same ({first})"),
                );
            }
            let found = look.found;
            verdict.counts.compliant += u64::from(!found);
        }
    }
    verdict
}

/// The line that stands for the policy on alarms as a whole.
fn reason(resolved: &Resolved) -> Reason {
    let policy = resolved.policies.alarms.as_ref();
    let origin = policy.and_then(|p| {
        let prefix = p.prefix.as_ref().map(|s| s.origin);
        prefix.or(p.packs.first().map(|s| s.origin))
    });
    let origin = origin.unwrap_or(resolved.stage.name.origin);
    resolved.reason(Control::Alarms, "alarms", origin)
}

fn region(definition: &AlarmDefinition) -> &str {
    match definition {
        AlarmDefinition::Metric(a) => &a.region,
        AlarmDefinition::Composite(a) => &a.region,
        AlarmDefinition::Other { region, .. } => region,
    }
}

/// Whether anybody is told, and whether that is switched on.
fn actions(look: &mut Look<'_>, children: &BTreeSet<&str>) {
    let (alarm_actions, enabled) = match &look.alarm.definition {
        AlarmDefinition::Metric(a) => (a.alarm_actions.len(), a.actions_enabled),
        AlarmDefinition::Composite(a) => (a.alarm_actions.len(), a.actions_enabled),
        // Its actions are not read by this version.
        AlarmDefinition::Other { .. } => return,
    };
    let all = look.alarm.definition.actions().len();
    if alarm_actions == 0 && !children.contains(look.alarm.definition.name()) {
        let evidence = match all {
            0 => "no actions at all".to_owned(),
            n => format!("{n} actions for other states, none for ALARM"),
        };
        look.report(
            "alarms.no-action",
            Severity::Medium,
            "nobody is told when it goes into alarm".to_owned(),
            evidence,
            "give it an alarm action (an SNS topic), use it in a composite alarm, or delete it",
        );
    } else if !enabled && all > 0 {
        look.report(
            "alarms.actions-disabled",
            Severity::High,
            "its actions are switched off".to_owned(),
            format!(
                "ActionsEnabled is false; {all} action{}",
                if all == 1 { "" } else { "s" }
            ),
            "aws cloudwatch enable-alarm-actions --alarm-names NAME, unless this is meant: then delete it",
        );
    }
}

/// Stuck without data.
fn silence(look: &mut Look<'_>) {
    let Some(since) = look.alarm.state_since else {
        return;
    };
    if look.alarm.state != "INSUFFICIENT_DATA" {
        return;
    }
    let since = since.to_zoned(jiff::tz::TimeZone::UTC).date();
    let days = since.until(look.input.today).map_or(0, |s| s.get_days());
    if i64::from(days) >= INSUFFICIENT_DAYS {
        let why = match look.alarm.state_reason.as_str() {
            "" => String::new(),
            why => format!(": {why}"),
        };
        look.report(
            "alarms.insufficient-data",
            Severity::Medium,
            format!("without data for {days} days: it can tell nothing"),
            format!("INSUFFICIENT_DATA since {since}{why}"),
            "correct its metric (name, dimensions, unit, period), treat missing data as notBreaching where silence is good, or delete it",
        );
    }
}

/// Alarms that do what another one does already: name, and the first one.
fn doubles(alarms: &[AlarmFact]) -> BTreeMap<String, String> {
    let mut first: BTreeMap<String, &str> = BTreeMap::new();
    let mut out = BTreeMap::new();
    for alarm in alarms {
        let AlarmDefinition::Metric(metric) = &alarm.definition else {
            continue;
        };
        // Children of composites tell nobody, and may well look alike.
        if metric.alarm_actions.is_empty() {
            continue;
        }
        let name = first.entry(work(metric)).or_insert(&metric.name);
        if *name != metric.name {
            out.insert(metric.name.clone(), (*name).to_owned());
        }
    }
    out
}

/// All of an alarm but what it is called.
fn work(alarm: &MetricAlarm) -> String {
    let mut bare = MetricAlarm {
        name: String::new(),
        description: String::new(),
        ..alarm.clone()
    };
    if let AlarmMetric::Math(queries) = &mut bare.metric {
        queries.iter_mut().for_each(|q| q.label = None);
    }
    serde_json::to_string(&bare).unwrap_or_default()
}
