//! # Alarms
//!
//! Alarms on what customers feel, and on the resources behind it.
//!
//! ## Business alarms
//!
//! A failure rate is metric math: `IF(total >= minimum_total, 100 * FILL(failed, 0) / total, 0)`, in
//! percent, `notBreaching`, M of N. No traffic and little traffic read as healthy; a counter that is
//! only published when something fails needs no zeros. `no_data_after` makes the dead-man twin
//! `…-no-data`: the sum of `total` below 1 in every period, missing data breaching, never filled.
//! `above` and `below` compare a single metric, percentiles included (`statistic = "p99"`);
//! `anomaly = true` alarms outside of CloudWatch's band of two standard deviations.
//!
//! ## SLOs
//!
//! Burn rates over two windows each, after Google's "The Site Reliability Workbook", chapter 5
//! ("Multiwindow, Multi-Burn-Rate Alerts"). The factor is the share of the error budget that may go,
//! times the SLO's window, over the long window; the alarm fires above factor × (100 - objective) %:
//!
//! | alarm | budget used | long | short | factor for 30 days | severity |
//! |---|---|---|---|---|---|
//! | `fast` | 2 % | 1 h | 5 min | 14.4 | page |
//! | `slow` | 5 % | 6 h | 30 min | 6 | page |
//! | `trickle` | 10 % | 3 d | 6 h | 1 | ticket |
//!
//! Two child alarms without actions for each row, and a composite `ALARM(long) AND ALARM(short)`;
//! only composites notify.
//!
//! ## Packs
//!
//! One alarm for each matching resource, found when planning; `[alarms.tune.ID]` changes `threshold`,
//! `period`, `datapoints`, `severity`, narrows with `match`, or switches off with `enabled = false`.
//! What a threshold is derived from (allocated storage, memory of the class, timeout, account limits)
//! stands in the alarm's description with the arithmetic.
//!
//! ## Restore drills
//!
//! For each drill of the backups policy the alarm `drill-overdue-NAME`: the metric
//! `opsctl/Drill DaysSincePassed` above `drill_every` on two days, missing data breaching. An alarm looks
//! back a week at most, so that number has to be published every night (`opsctl drill status --publish`);
//! two silent days are an alarm too, since nobody knows then. Severity `ticket`.
//!
//! ## Whose an alarm is
//!
//! Ours begin with `prefix` and bear the tag `opsctl:managed` = `project/environment`. One with a name
//! of ours and without that tag is the finding `alarms.conflict` and never written. Ours that nothing
//! asks for any more are planned for deletion, unless what would ask for them was not seen.
//!
//! ## Who is told
//!
//! `page`, `ticket` and `info` go to the targets of that name in `notify`. `sns:NAME` is the topic in
//! the alarm's region, made if missing; e-mail addresses become subscriptions of the environment's own
//! topic `opsctl-PROJECT-ENVIRONMENT`. Who is paged is also told when it is over; tickets and
//! information are not repeated when an alarm ends.

pub mod burn;
mod business;
mod collect;
pub mod dimensions;
mod draft;
mod drills;
mod notify;
pub mod packs;
mod price;
mod slo;
mod subjects;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use super::budgets::names::Names;
use super::object::{ObjectChange, action};
use super::topics::{Needs, managed, merge};
use super::{Input, selected, signed_usd};
use crate::cloud::Want;
use crate::config::Resolved;
use crate::config::later::alarms::{Alarms, Pack, Routing};
use crate::config::values::Period;
use crate::inventory::{AlarmDefinition, AlarmFact, Observed, Resource};
use crate::model::object::{CompositeAlarm, MANAGED_TAG, MetricAlarm, Object, ObjectKind};
use crate::model::{Control, ResourceType, Risk, Severity, Tags, ignore_reason, usd};
use crate::plan::{ActionKind, Reason, Verdict};
use collect::{Collected, Held, Key, collect, in_doubt, report};
use draft::{Draft, Shape, metrics_of};

/// Actions of one state. Source: API model, `cloudwatch:PutMetricAlarm`.
const ACTIONS_MAX: usize = 5;

/// Whole seconds, rounded up.
fn seconds(period: Period) -> u64 {
    period.0.as_secs() + u64::from(period.0.subsec_nanos() > 0)
}

/// Whether a statistic is one that few samples make jump.
fn is_percentile(statistic: &str) -> bool {
    statistic
        .strip_prefix('p')
        .is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()))
}

/// The beginning of every alarm name of an environment.
pub fn prefix(resolved: &Resolved) -> String {
    let policy = resolved.policies.alarms.as_ref();
    policy.and_then(|p| p.prefix.as_ref()).map_or_else(
        || format!("{}-{}-", resolved.project, resolved.environment),
        |p| p.value.clone(),
    )
}

/// The regions that the policy speaks of: those of the environment, and others that an entry names.
pub fn regions(resolved: &Resolved) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    if let Some(config) = &resolved.config {
        out.extend(config.regions.iter().map(|r| r.value.clone()));
    }
    if let Some(policy) = &resolved.policies.alarms {
        let business = policy.business.values().filter_map(|a| a.region.as_ref());
        let slo = policy.slo.values().filter_map(|s| s.region.as_ref());
        out.extend(business.chain(slo).map(|r| r.value.clone()));
    }
    out
}

/// Whether a run looks at the alarms of a region: one that was narrowed to other regions leaves them
/// as they are. A region that only an entry of the policy names is looked at by a run that was not
/// narrowed.
pub fn in_scope(input: &Input, region: &str) -> bool {
    let seen = &input.inventory.regions;
    let configured: BTreeSet<&str> = match &input.resolved.config {
        Some(config) => config.regions.iter().map(|r| r.value.as_str()).collect(),
        None => BTreeSet::new(),
    };
    let narrowed = || configured.iter().any(|c| !seen.iter().any(|s| s == c));
    seen.iter().any(|s| s == region) || (!configured.contains(region) && !narrowed())
}

/// What the control needs to see.
pub fn want(resolved: &Resolved, want: &mut Want) {
    let (Some(policy), Some(_)) = (&resolved.policies.alarms, &resolved.config) else {
        return;
    };
    let regions = regions(resolved);
    let prefix = prefix(resolved);
    want.own_alarm_prefixes.insert(prefix);
    if policy.packs.iter().any(|p| p.value != Pack::Business) || !policy.per_resource.is_empty() {
        want.attributes = true;
        want.tags = true;
    }
    want.topics.extend(topic_needs(resolved).into_keys());
    want.alarms.extend(regions);
}

/// What the alarms that the policy speaks of may need of topics, wherever they turn out to be.
pub fn topic_needs(resolved: &Resolved) -> Needs {
    let mut out = Needs::new();
    let asks = resolved.policies.alarms.as_ref().is_some_and(|p| {
        let packs = p.packs.iter().any(|p| p.value != Pack::Business);
        packs
            || drills::any(resolved)
            || !(p.business.is_empty() && p.slo.is_empty() && p.per_resource.is_empty())
    });
    if asks {
        for region in regions(resolved) {
            for severity in Routing::ALL {
                merge(&mut out, notify::needs(resolved, &region, severity));
            }
        }
    }
    out
}

/// Alarms that another control makes, should they bear our prefix.
fn alarms_of_others(resolved: &Resolved) -> BTreeSet<String> {
    BTreeSet::from([Names::new(resolved).alarm()])
}

/// Whether this run plans to remove an alarm, so that what it notifies need not stay for it.
pub fn leaves(input: &Input, fact: &AlarmFact) -> bool {
    let name = fact.definition.name();
    let region = match definition(fact) {
        Some(object) => object.region().to_owned(),
        None => return false,
    };
    let resolved = input.resolved;
    let ours = fact.tags.known().is_some_and(|tags| {
        ignore_reason(tags).is_none() && tags.get(MANAGED_TAG) == Some(&managed(resolved))
    });
    input.destroy
        && input.controls.contains(&Control::Alarms)
        && resolved.policies.alarms.is_some()
        && ours
        && name.starts_with(&prefix(resolved))
        && !alarms_of_others(resolved).contains(name)
        && in_scope(input, &region)
        && selected(
            input,
            &alarm_resource(input, &(region, name.to_owned())),
            "alarms",
        )
}

/// An alarm as a resource, for addresses and findings.
fn alarm_resource(input: &Input, (region, name): &Key) -> Resource {
    let partition = crate::model::partition(region);
    let account = &input.inventory.account;
    Resource {
        arn: ObjectKind::MetricAlarm.arn(partition, region, account, name),
        kind: ResourceType::CLOUDWATCH_ALARM,
        name: name.clone(),
        region: region.clone(),
        tags: Observed::Known(Tags::new()),
    }
}

/// Plans one environment.
pub fn plan(input: &Input) -> Verdict {
    let mut verdict = Verdict::default();
    let Some(policy) = &input.resolved.policies.alarms else {
        return verdict;
    };
    let collected = if input.destroy {
        Collected::default()
    } else {
        collect(input, policy)
    };
    let mut planner = Planner {
        input,
        policy,
        mine: managed(input.resolved),
        prefix: prefix(input.resolved),
        there: there(input),
        told: BTreeMap::new(),
        needed: BTreeSet::new(),
        resting: BTreeSet::new(),
        monthly: Decimal::ZERO,
        wanted: 0,
        silent: BTreeMap::new(),
        not_ours: BTreeSet::new(),
        unseen: BTreeSet::new(),
        verdict: &mut verdict,
    };
    planner.needed = planner.needed(&collected);
    // What a composite rests on is judged before it.
    let rests = |draft: &Draft| matches!(draft.shape, Shape::AllOf(_));
    for composite in [false, true] {
        let drafts = collected.drafts.iter();
        for (key, draft) in drafts.filter(|(_, d)| rests(d) == composite) {
            planner.wanted(key, draft);
        }
    }
    for (key, held) in &collected.held {
        planner.held(key, *held);
    }
    planner.obsolete(&collected);
    planner.notes(&collected);
    // With `--target`, the topics of the alarms that it names: one that tells a topic that is not
    // there tells nobody.
    let resting = std::mem::take(&mut planner.resting);
    let drafts = collected.drafts.iter();
    let places: BTreeSet<(&str, Routing)> = drafts
        .filter_map(|((region, _), draft)| Some((region.as_str(), draft.severity?)))
        .collect();
    let notified: BTreeSet<String> = places
        .into_iter()
        .flat_map(|(region, severity)| {
            notify::needs(input.resolved, region, severity)
                .into_keys()
                .take(ACTIONS_MAX)
        })
        .collect();
    let selected_findings = collected.findings.into_iter().filter(|f| {
        input
            .only
            .is_none_or(|glob| glob.is_match(f.address.as_str()))
    });
    verdict.findings.extend(selected_findings);
    verdict.notes.extend(collected.notes);
    if input.destroy {
        verdict.notes.extend(topics_that_stay(input));
    }
    super::topics::plan(input, Control::Alarms, &notified, &resting, &mut verdict);
    verdict
}

/// Topics of ours go with the budgets; without those they stay, and somebody should know.
fn topics_that_stay(input: &Input) -> Option<String> {
    let policies = &input.resolved.policies;
    if input.controls.contains(&Control::Budgets) && policies.budgets.is_some() {
        return None;
    }
    let mine = managed(input.resolved);
    let facts = input.inventory.topics.values().filter_map(Observed::known);
    let ours = facts.filter(|f| {
        in_scope(input, &f.topic.region)
            && f.tags.known().and_then(|t| t.get(MANAGED_TAG)) == Some(&mine)
    });
    let names: Vec<String> = ours
        .map(|f| format!("{} in {}", f.topic.name, f.topic.region))
        .collect();
    let how = match policies.budgets {
        Some(_) => "removed together with the budgets, without --control",
        None => "no budgets policy of the stage removes them, so delete them by hand",
    };
    (!names.is_empty())
        .then(|| format!("alarms: topics of ours stay: {} ({how})", names.join(", ")))
}

/// The alarms of each region by name, where they were seen.
fn there<'a>(input: &Input<'a>) -> BTreeMap<&'a str, Option<BTreeMap<&'a str, &'a AlarmFact>>> {
    let by_name = |facts: &'a Vec<AlarmFact>| {
        let pairs = facts.iter().map(|f| (f.definition.name(), f));
        Some(pairs.collect())
    };
    let regions = input.inventory.alarms.iter();
    regions
        .filter(|(region, _)| in_scope(input, region))
        .map(|(region, seen)| {
            let facts = match seen {
                Observed::Known(facts) => by_name(facts),
                Observed::Absent => Some(BTreeMap::new()),
                Observed::Unknown(_) => None,
            };
            (region.as_str(), facts)
        })
        .collect()
}

struct Planner<'a, 'v> {
    input: &'a Input<'a>,
    policy: &'a Alarms,
    /// Value of the tag on what is ours.
    mine: String,
    prefix: String,
    there: BTreeMap<&'a str, Option<BTreeMap<&'a str, &'a AlarmFact>>>,
    /// Topic ARNs by region and severity.
    told: BTreeMap<(String, Routing), BTreeSet<String>>,
    /// With `--target`: alarms on which those rest that it names.
    needed: BTreeSet<Key>,
    /// Topics that the planned alarms tell.
    resting: BTreeSet<String>,
    /// USD of all alarms that the policy asks for.
    monthly: Decimal,
    wanted: u64,
    /// Alarms that tell nobody, by severity.
    silent: BTreeMap<Routing, u64>,
    /// Alarms with names of ours that are somebody else's, and those of which that is not known.
    not_ours: BTreeSet<Key>,
    unseen: BTreeSet<Key>,
    verdict: &'v mut Verdict,
}

fn untagged() -> String {
    format!("an alarm with this name does not bear the tag {MANAGED_TAG}")
}

/// Whose an alarm is.
enum Whose {
    Ours,
    Ignored,
    Foreign(String),
    Unseen,
}

impl<'a> Planner<'a, '_> {
    fn selected(&self, key: &Key) -> bool {
        self.input.only.is_none() || self.needed.contains(key) || self.named(key)
    }

    /// Whether `--target` names it.
    fn named(&self, key: &Key) -> bool {
        selected(self.input, &alarm_resource(self.input, key), "alarms")
    }

    /// CloudWatch refuses a composite whose children are not there, so naming one names them.
    fn needed(&self, collected: &Collected) -> BTreeSet<Key> {
        if self.input.only.is_none() {
            return BTreeSet::new();
        }
        let composites = collected.drafts.iter().filter(|(key, _)| self.named(key));
        composites
            .filter_map(|(key, draft)| match &draft.shape {
                Shape::AllOf(suffixes) => Some((&key.0, suffixes)),
                Shape::Metric(_) => None,
            })
            .flat_map(|(region, suffixes)| {
                let names = suffixes.iter().map(|s| draft::name(&self.prefix, s));
                names.map(|name| (region.clone(), name))
            })
            .collect()
    }

    fn whose(&self, fact: &AlarmFact) -> Whose {
        match &fact.tags {
            Observed::Unknown(_) => Whose::Unseen,
            Observed::Absent => Whose::Foreign(untagged()),
            Observed::Known(tags) if ignore_reason(tags).is_some() => Whose::Ignored,
            Observed::Known(tags) => match tags.get(MANAGED_TAG) {
                Some(value) if *value == self.mine => Whose::Ours,
                Some(value) => Whose::Foreign(format!(
                    "an alarm with this name says {MANAGED_TAG} = {value}"
                )),
                None => Whose::Foreign(untagged()),
            },
        }
    }

    fn topics(&mut self, region: &str, severity: Routing) -> BTreeSet<String> {
        let key = (region.to_owned(), severity);
        if let Some(found) = self.told.get(&key) {
            return found.clone();
        }
        let resolved = self.input.resolved;
        let found: BTreeSet<String> = notify::needs(resolved, region, severity)
            .into_keys()
            .collect();
        for topic in notify::out_of_reach(resolved, region, severity) {
            self.verdict.notes.push(format!(
                "alarms: {topic} is not told of alarms in {region}: CloudWatch notifies only topics of the alarm's region"
            ));
        }
        self.told.insert(key, found.clone());
        found
    }

    /// The alarm that a draft means.
    fn object(&mut self, (region, name): &Key, draft: &Draft) -> Object {
        let actions: BTreeSet<String> = match draft.severity {
            None => BTreeSet::new(),
            Some(severity) => {
                let all = self.topics(region, severity);
                if all.is_empty() {
                    *self.silent.entry(severity).or_default() += 1;
                }
                let told: BTreeSet<String> = all.into_iter().take(ACTIONS_MAX).collect();
                self.resting.extend(told.iter().cloned());
                told
            }
        };
        // Who was woken up wants to know that it is over.
        let ok_actions = match draft.severity {
            Some(Routing::Page) => actions.clone(),
            _ => BTreeSet::new(),
        };
        let description = draft.description();
        match &draft.shape {
            Shape::Metric(core) => Object::MetricAlarm(MetricAlarm {
                region: region.clone(),
                name: name.clone(),
                description,
                metric: core.metric.clone(),
                comparison: core.comparison.to_owned(),
                threshold: core.threshold,
                threshold_metric_id: core.band.clone(),
                evaluation_periods: core.datapoints.1,
                datapoints_to_alarm: core.datapoints.0,
                treat_missing_data: core.missing.to_owned(),
                low_samples: core.low_samples.map(str::to_owned),
                actions_enabled: true,
                alarm_actions: actions,
                ok_actions,
                insufficient_data_actions: BTreeSet::new(),
                extra: Default::default(),
            }),
            Shape::AllOf(suffixes) => {
                let children: Vec<String> = suffixes
                    .iter()
                    .map(|suffix| draft::name(&self.prefix, suffix))
                    .collect();
                let parts: Vec<String> =
                    children.iter().map(|c| format!("ALARM(\"{c}\")")).collect();
                Object::CompositeAlarm(CompositeAlarm {
                    region: region.clone(),
                    name: name.clone(),
                    description,
                    rule: parts.join(" AND "),
                    children: children.into_iter().collect(),
                    actions_enabled: true,
                    alarm_actions: actions,
                    ok_actions,
                    insufficient_data_actions: BTreeSet::new(),
                    extra: Default::default(),
                })
            }
        }
    }

    fn wanted(&mut self, key: &Key, draft: &Draft) {
        if !self.selected(key) {
            return;
        }
        let after = self.object(key, draft);
        let monthly = price::of(&after).0;
        self.judged(key, draft, after);
        // What is not made because of somebody else's costs nothing.
        if !self.not_ours.contains(key) {
            self.wanted += 1;
            self.monthly += monthly;
        }
    }

    fn judged(&mut self, key: &Key, draft: &Draft, after: Object) {
        self.verdict.counts.checked += 1;
        let Some(Some(region)) = self.there.get(key.0.as_str()) else {
            self.verdict.counts.unobserved += 1;
            return;
        };
        if let Object::CompositeAlarm(composite) = &after {
            let part = |set: &BTreeSet<Key>| {
                let mut children = composite.children.iter();
                let found = children.find(|c| set.contains(&(key.0.clone(), (*c).clone())));
                found.cloned()
            };
            if let Some(child) = part(&self.not_ours) {
                let why = format!("{child}, which it rests on, is somebody else's");
                return self.conflict(key, draft, why);
            }
            if part(&self.unseen).is_some() {
                self.verdict.counts.unobserved += 1;
                return;
            }
        }
        let Some(fact) = region.get(key.1.as_str()).copied() else {
            self.change(None, Some(after), draft.reason.clone());
            return;
        };
        match self.whose(fact) {
            Whose::Unseen => {
                self.unseen.insert(key.clone());
                self.verdict.counts.unobserved += 1;
            }
            Whose::Ignored => self.verdict.counts.ignored += 1,
            Whose::Foreign(why) => self.conflict(key, draft, why),
            Whose::Ours => match definition(fact) {
                Some(before) if before == after => self.verdict.counts.compliant += 1,
                Some(before) if before.kind() == after.kind() => {
                    self.change(Some(before), Some(after), draft.reason.clone());
                }
                _ => self.conflict(
                    key,
                    draft,
                    "an alarm of another kind has this name".to_owned(),
                ),
            },
        }
    }

    fn conflict(&mut self, key: &Key, draft: &Draft, why: String) {
        self.not_ours.insert(key.clone());
        let finding = report(
            self.input,
            key,
            "alarms.conflict",
            Severity::High,
            format!("ours is not planned: {why}"),
            why,
            "rename or delete that alarm, or choose another prefix",
            draft.reason.clone(),
        );
        self.verdict.findings.push(finding);
    }

    fn held(&mut self, key: &Key, held: Held) {
        if !self.selected(key) {
            return;
        }
        let counts = &mut self.verdict.counts;
        counts.checked += 1;
        match held {
            Held::Ignored => counts.ignored += 1,
            Held::Exempt => counts.exempt += 1,
            Held::Unseen => counts.unobserved += 1,
            Held::NoThreshold => {}
        }
    }

    /// Ours that nothing asks for any more.
    fn obsolete(&mut self, collected: &Collected) {
        let origin = match &self.policy.prefix {
            Some(prefix) => prefix.origin,
            None => Default::default(),
        };
        let reason = self
            .input
            .resolved
            .reason(Control::Alarms, "alarms.prefix", origin);
        let others = alarms_of_others(self.input.resolved);
        let mut doubts: BTreeMap<String, u64> = BTreeMap::new();
        let there = self.there.clone();
        let prefix = self.prefix.clone();
        for (region, facts) in there.iter().filter_map(|(r, f)| Some((*r, f.as_ref()?))) {
            let named = facts
                .range(prefix.as_str()..)
                .take_while(|(name, _)| name.starts_with(prefix.as_str()))
                .map(|(name, fact)| (*name, *fact))
                .collect::<Vec<_>>();
            for (name, fact) in named {
                let key = (region.to_owned(), name.to_owned());
                if collected.drafts.contains_key(&key)
                    || collected.held.contains_key(&key)
                    || others.contains(name)
                    || !self.selected(&key)
                    || !matches!(self.whose(fact), Whose::Ours)
                {
                    continue;
                }
                let Some(before) = definition(fact) else {
                    continue;
                };
                self.verdict.counts.checked += 1;
                let suffix = name.strip_prefix(prefix.as_str()).unwrap_or(name);
                let doubt = if self.input.destroy {
                    None
                } else {
                    in_doubt(self.input, self.policy, region, suffix)
                };
                match doubt {
                    Some(why) => {
                        self.verdict.counts.unobserved += 1;
                        *doubts.entry(why).or_default() += 1;
                    }
                    None => self.change(Some(before), None, reason.clone()),
                }
            }
        }
        for (why, n) in doubts {
            let are = if n == 1 { "alarm stays" } else { "alarms stay" };
            self.verdict.notes.push(format!(
                "alarms: {n} {are} in {} although nothing asks for it: {why}",
                self.input.resolved.environment
            ));
        }
    }

    fn change(&mut self, before: Option<Object>, after: Option<Object>, reason: Reason) {
        let Some(object) = after.as_ref().or(before.as_ref()) else {
            return;
        };
        let key = (object.region().to_owned(), object.name().to_owned());
        let resource = alarm_resource(self.input, &key);
        let action = action(&before, &after);
        let risk = match action {
            ActionKind::Create | ActionKind::Update => Risk::Low,
            // What it watched over is watched no longer.
            ActionKind::Delete => Risk::Medium,
        };
        let cost = |o: &Option<Object>| o.as_ref().map(price::of);
        let (was, will) = (cost(&before), cost(&after));
        let delta = will.as_ref().map_or(Decimal::ZERO, |c| c.0)
            - was.as_ref().map_or(Decimal::ZERO, |c| c.0);
        let told = will.or(was).map(|c| c.1).unwrap_or_default();
        let basis = (!delta.is_zero())
            .then(|| format!("{} USD a month: {told}; {}", signed_usd(delta), price::FREE));
        let change = ObjectChange {
            control: Control::Alarms,
            before,
            after,
            reason,
            of_field: &|_| None,
            risk,
            delta,
            basis,
            managed: &self.mine,
        };
        self.verdict.changes.push(change.on(self.input, &resource));
    }

    /// What all of them cost, what they need, and what tells nobody.
    fn notes(&mut self, collected: &Collected) {
        let environment = &self.input.resolved.environment;
        if self.wanted > 0 {
            self.verdict.notes.push(format!(
                "alarms: {} in {environment} cost {} USD a month together ({})",
                self.wanted,
                usd(self.monthly),
                price::FREE
            ));
        }
        let mut custom = BTreeSet::new();
        for draft in collected.drafts.values() {
            if let Shape::Metric(core) = &draft.shape {
                let all = metrics_of(&core.metric).into_iter();
                custom.extend(all.filter(|m| !m.namespace.starts_with("AWS/")));
            }
        }
        if !custom.is_empty() && self.input.only.is_none() {
            let names: Vec<String> = custom
                .iter()
                .map(|m| format!("{} {}", m.namespace, m.metric))
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect();
            self.verdict.notes.push(format!(
                "alarms: {environment} needs the custom metrics {}: {} at {} USD a month, the first 10 of an account free",
                names.join(", "),
                custom.len(),
                price::CUSTOM_METRIC
            ));
        }
        for (severity, n) in &self.silent {
            let alarms = if *n == 1 {
                "alarm tells"
            } else {
                "alarms tell"
            };
            self.verdict.notes.push(format!(
                "alarms: notify.{} of {environment} is empty, so {n} {alarms} nobody",
                severity.as_str()
            ));
        }
        let many = self.told.iter().filter(|(_, t)| t.len() > ACTIONS_MAX);
        for ((region, severity), topics) in many {
            self.verdict.notes.push(format!(
                "alarms: CloudWatch takes {ACTIONS_MAX} actions, notify.{} of {environment} has {} in {region}: the first {ACTIONS_MAX} by name are told",
                severity.as_str(),
                topics.len()
            ));
        }
    }
}

/// An alarm of a kind that opsctl writes.
fn definition(fact: &AlarmFact) -> Option<Object> {
    match &fact.definition {
        AlarmDefinition::Metric(alarm) => Some(Object::MetricAlarm(alarm.clone())),
        AlarmDefinition::Composite(alarm) => Some(Object::CompositeAlarm(alarm.clone())),
        AlarmDefinition::Other { .. } => None,
    }
}
