//! Topics that controls notify: what they need of one is put together from all policies, so that two
//! controls that want the same topic want the same thing of it.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use super::budgets::names::Names;
use super::object::ObjectChange;
use super::{Input, Report, selected};
use crate::config::{Origin, Resolved};
use crate::inventory::{Observed, Resource, TopicFact};
use crate::model::object::policy::{Access, Publisher, access, policy_of};
use crate::model::object::{MANAGED_TAG, Object, Topic};
use crate::model::partition;
use crate::model::{Arn, Control, ResourceType, Risk, Severity, Tags, ignore_reason};
use crate::plan::{Change, Reason, Verdict};

/// What is needed of one topic.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Need {
    pub publishers: BTreeSet<Publisher>,
    /// `email:ops@example.com`
    pub subscriptions: BTreeSet<String>,
    /// The notification target that asks for it.
    pub origin: Origin,
}

/// Needs by the ARN of the topic.
pub type Needs = BTreeMap<String, Need>;

/// Adds what another control needs.
pub fn merge(into: &mut Needs, other: Needs) {
    for (arn, need) in other {
        match into.get_mut(&arn) {
            Some(held) => {
                held.publishers.extend(need.publishers);
                held.subscriptions.extend(need.subscriptions);
            }
            None => {
                into.insert(arn, need);
            }
        }
    }
}

/// What all controls together may need, by their policies alone.
pub fn needs(resolved: &Resolved) -> Needs {
    let mut all = Needs::new();
    merge(&mut all, super::budgets::topic_needs(resolved));
    merge(&mut all, super::alarms::topic_needs(resolved));
    // Environments that share an account have to want the same of a topic.
    if !resolved.neighbours.is_empty() {
        for need in all.values_mut() {
            need.publishers.extend(Publisher::ALL);
        }
    }
    all
}

/// The topic of a target `sns:…` as it is notified from a region; `None`: it is in another one.
pub fn target_arn(target: &str, region: &str, account: &str) -> Option<String> {
    match Arn::parse(target) {
        Some(arn) if arn.region == region => Some(target.to_owned()),
        Some(_) => None,
        None => Some(format!(
            "arn:{}:sns:{region}:{account}:{target}",
            partition(region)
        )),
    }
}

/// The value of the tag that says whose a thing is.
pub fn managed(resolved: &Resolved) -> String {
    Names::new(resolved).managed
}

/// What the names of budgets, topics and anomaly subscriptions of an environment begin with.
pub fn base_name(resolved: &Resolved) -> String {
    Names::new(resolved).base
}

/// Plans the topics that one control notifies, with what all controls need of them; `resting` are
/// those that something planned rests on, whether or not they are selected themselves.
pub fn plan(
    input: &Input,
    control: Control,
    notified: &BTreeSet<String>,
    resting: &BTreeSet<String>,
    verdict: &mut Verdict,
) {
    let needs = needs(input.resolved);
    for arn in notified {
        if let (Some(parsed), Some(need)) = (Arn::parse(arn), needs.get(arn)) {
            let needed = resting.contains(arn);
            one(input, control, (arn, parsed), need, needed, verdict);
        }
    }
}

fn one(
    input: &Input,
    control: Control,
    (arn, parsed): (&str, Arn),
    need: &Need,
    needed: bool,
    verdict: &mut Verdict,
) {
    let resource = Resource {
        arn: arn.to_owned(),
        kind: ResourceType::SNS_TOPIC,
        name: parsed.resource.to_owned(),
        region: parsed.region.to_owned(),
        tags: Observed::Known(Tags::new()),
    };
    if !needed && !selected(input, &resource, control.as_str()) {
        return;
    }
    verdict.counts.checked += 1;
    let reason = input.resolved.reason(control, "notify", need.origin);
    let fact = match input.inventory.topics.get(arn) {
        Some(Observed::Known(fact)) => fact,
        Some(Observed::Absent) => {
            let topic = Topic {
                name: resource.name.clone(),
                region: resource.region.clone(),
                policy: Some(policy_of(arn, None, &need.publishers)),
                subscriptions: need.subscriptions.clone(),
            };
            let change = change(input, control, &resource, None, topic, reason);
            verdict.changes.push(change);
            return;
        }
        Some(Observed::Unknown(_)) | None => {
            verdict.counts.unobserved += 1;
            return;
        }
    };
    let Observed::Known(held) = &fact.tags else {
        verdict.counts.unobserved += 1;
        return;
    };
    if ignore_reason(held).is_some() {
        verdict.counts.ignored += 1;
        return;
    }
    if fact.unread.is_some() {
        verdict.counts.unobserved += 1;
        return;
    }
    let before = verdict.findings.len();
    if held.get(MANAGED_TAG) == Some(&managed(input.resolved)) {
        let document = fact.topic.policy_document();
        let mut topic = fact.topic.clone();
        topic.policy = Some(policy_of(arn, Some(&document), &need.publishers));
        topic
            .subscriptions
            .extend(need.subscriptions.iter().cloned());
        if topic != fact.topic {
            let was = Some(fact.topic.clone());
            let change = change(input, control, &resource, was, topic, reason);
            verdict.changes.push(change);
            return;
        }
    } else {
        foreign(input, control, &resource, fact, need, &reason, verdict);
    }
    let waiting: Vec<&str> = need
        .subscriptions
        .intersection(&fact.pending)
        .filter_map(|s| s.strip_prefix("email:"))
        .collect();
    if !waiting.is_empty() {
        let finding = Report {
            id: &format!("{control}.unconfirmed"),
            control,
            severity: Severity::High,
            message: format!("{} did not confirm yet, so nothing arrives", waiting.join(", ")),
            evidence: "the subscription is pending".to_owned(),
            remediation: "click the link in the mail from AWS; to have it sent again, delete the subscription's entry after its three days and apply".to_owned(),
            policy: reason,
        }
        .on(input, &resource);
        verdict.findings.push(finding);
    }
    if verdict.findings.len() == before {
        verdict.counts.compliant += 1;
    }
}

/// A topic of somebody else is never written: what stands in the way is told.
fn foreign(
    input: &Input,
    control: Control,
    resource: &Resource,
    fact: &TopicFact,
    need: &Need,
    reason: &Reason,
    verdict: &mut Verdict,
) {
    let document = fact.topic.policy_document();
    // What others send is theirs to tell about.
    let own = |p: &&Publisher| (**p == Publisher::CloudWatch) == (control == Control::Alarms);
    let refused: Vec<&str> = need
        .publishers
        .iter()
        .filter(own)
        .filter(|p| access(&document, **p, &fact.arn) == Access::Blocked)
        .map(|p| p.principal())
        .collect();
    if !refused.is_empty() {
        let finding = Report {
            id: &format!("{control}.topic-refuses"),
            control,
            severity: Severity::High,
            message: format!("its policy does not let {} publish", refused.join(" and ")),
            evidence: format!("opsctl did not make it: no tag {MANAGED_TAG} of this environment"),
            remediation: "add a statement for the service to the topic's access policy".to_owned(),
            policy: reason.clone(),
        }
        .on(input, resource);
        verdict.findings.push(finding);
    }
    let missing: Vec<&str> = match fact.unread {
        Some(_) => Vec::new(),
        None => need
            .subscriptions
            .difference(&fact.topic.subscriptions)
            .filter_map(|s| s.strip_prefix("email:"))
            .collect(),
    };
    if !missing.is_empty() {
        let finding = Report {
            id: &format!("{control}.topic-conflict"),
            control,
            severity: Severity::High,
            message: format!(
                "a topic of ours would have this name; {} is not subscribed to this one",
                missing.join(", ")
            ),
            evidence: format!("opsctl did not make it: no tag {MANAGED_TAG} of this environment"),
            remediation: "rename the other topic, or subscribe the addresses to it".to_owned(),
            policy: reason.clone(),
        }
        .on(input, resource);
        verdict.findings.push(finding);
    }
}

fn change(
    input: &Input,
    control: Control,
    resource: &Resource,
    before: Option<Topic>,
    after: Topic,
    reason: Reason,
) -> Change {
    let (before, after) = (before.map(Object::Topic), Some(Object::Topic(after)));
    let change = ObjectChange {
        control,
        before,
        after,
        reason,
        of_field: &|_| None,
        risk: Risk::Low,
        delta: Decimal::ZERO,
        basis: None,
        managed: &managed(input.resolved),
    };
    change.on(input, resource)
}
