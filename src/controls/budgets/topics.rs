//! Topics: ours are made and kept in shape, those of others are only looked at.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use super::names::{BILLING_REGION, Names};
use super::work::{Step, Told, Whose, Work};
use crate::config::workspace::Environment;
use crate::inventory::{Observed, TopicFact};
use crate::model::object::policy::{Access, Publisher, access, policy_of, statements};
use crate::model::object::{Object, ObjectKind, Subscriber, Topic};
use crate::model::{Arn, Risk, Severity};
use crate::plan::Reason;

/// The topic of ours that stands for the addresses of the environment.
pub(super) fn mail_topic(names: &Names, config: &Environment) -> String {
    ObjectKind::Topic.arn("aws", BILLING_REGION, &config.account.value, &names.base)
}

/// What is expected of one topic.
#[derive(Debug, Clone)]
pub(super) struct Use {
    pub publishers: BTreeSet<Publisher>,
    /// Subscriptions that it shall have, beside those that it has.
    pub subscriptions: BTreeSet<String>,
    pub reason: Reason,
}

/// By ARN.
pub(super) type Uses = BTreeMap<String, Use>;

/// What can rest on a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Footing {
    /// It is there, or planned.
    Firm,
    /// Whether it is there is not known.
    Unseen,
    /// It bears our name and is not ours.
    Conflict,
}

impl Work<'_> {
    pub fn uses(&self, uses: &mut Uses, arn: &str, publisher: Publisher, reason: Reason) {
        let one = uses.entry(arn.to_owned()).or_insert_with(|| Use {
            publishers: BTreeSet::new(),
            subscriptions: BTreeSet::new(),
            reason,
        });
        // Environments that share an account have to want the same of a topic.
        if self.input.resolved.neighbours.is_empty() {
            one.publishers.insert(publisher);
        } else {
            one.publishers.extend(Publisher::ALL);
        }
    }

    /// Plans the topics; what each is worth as something to rest on.
    pub fn topics(&mut self, uses: &Uses) -> BTreeMap<String, Footing> {
        // Another control may notify the same topic, and both have to want the same of it.
        let all = crate::controls::topics::needs(self.input.resolved);
        uses.iter()
            .map(|(arn, one)| {
                let mut one = one.clone();
                if let Some(need) = all.get(arn) {
                    one.publishers.extend(&need.publishers);
                    one.subscriptions.extend(need.subscriptions.iter().cloned());
                }
                (arn.clone(), self.topic(arn, &one))
            })
            .collect()
    }

    fn topic(&mut self, arn: &str, wanted: &Use) -> Footing {
        let Some(parsed) = Arn::parse(arn) else {
            return Footing::Unseen;
        };
        let (region, name) = (parsed.region, parsed.resource);
        let inventory = self.input.inventory;
        let fact = match inventory.topics.get(arn) {
            Some(Observed::Known(fact)) => fact,
            Some(Observed::Absent) => {
                let topic = Topic {
                    name: name.to_owned(),
                    region: region.to_owned(),
                    policy: Some(policy_of(arn, None, &wanted.publishers)),
                    subscriptions: wanted.subscriptions.clone(),
                };
                self.settle(Step {
                    before: None,
                    after: Some(Object::Topic(topic)),
                    risk: Risk::Low,
                    reason: wanted.reason.clone(),
                    of_field: &|_| None,
                    delta: Decimal::ZERO,
                    basis: None,
                });
                return Footing::Firm;
            }
            Some(Observed::Unknown(_)) | None => {
                self.unseen(ObjectKind::Topic, region, name);
                return Footing::Unseen;
            }
        };
        let whose = match &fact.tags {
            Observed::Absent => Whose::Foreign,
            tags => self.whose(tags),
        };
        let bears_our_name = name == self.names.base;
        match whose {
            Whose::Ours if fact.unread.is_some() => {
                self.unseen(ObjectKind::Topic, region, name);
            }
            Whose::Ours => self.own_topic(arn, fact, wanted),
            Whose::Unseen => self.unseen(ObjectKind::Topic, region, name),
            Whose::Ignored => self.ignored(ObjectKind::Topic, region, name),
            Whose::Foreign if bears_our_name => {
                self.conflict(ObjectKind::Topic, region, name, &fact.tags);
                return Footing::Conflict;
            }
            Whose::Foreign => {}
        }
        self.delivery(arn, fact, wanted, whose == Whose::Ours);
        Footing::Firm
    }

    fn own_topic(&mut self, arn: &str, fact: &TopicFact, wanted: &Use) {
        let held = fact.topic.policy_document();
        let policy = policy_of(arn, Some(&held), &wanted.publishers);
        let subscriptions = &fact.topic.subscriptions | &wanted.subscriptions;
        let after = Topic {
            policy: Some(policy),
            subscriptions,
            ..fact.topic.clone()
        };
        self.settle(Step {
            before: Some(Object::Topic(fact.topic.clone())),
            after: Some(Object::Topic(after)),
            risk: Risk::Low,
            reason: wanted.reason.clone(),
            of_field: &|_| None,
            delta: Decimal::ZERO,
            basis: None,
        });
    }

    /// Whether what is sent to a topic arrives anywhere.
    fn delivery(&mut self, arn: &str, fact: &TopicFact, wanted: &Use, ours: bool) {
        let resource = self.resource(arn.to_owned(), &fact.topic.region);
        let name = fact.topic.name.clone();
        let document = fact.topic.policy_document();
        // A policy of ours is being repaired; what others deny in it stays theirs to change.
        let judged = if ours {
            let repaired = policy_of(arn, Some(&document), &wanted.publishers);
            serde_json::from_str(&repaired).unwrap_or_default()
        } else {
            document.clone()
        };
        let of = |kind: Access| -> Vec<&str> {
            let publishers = wanted.publishers.iter();
            publishers
                .filter(|p| access(&judged, **p, arn) == kind)
                .map(|p| p.principal())
                .collect()
        };
        let (blocked, unclear) = (of(Access::Blocked), of(Access::Unclear));
        let both = |who: &[&str]| who.join(" and ");
        // One finding: a baseline tells findings apart by their id and address.
        let (severity, who, message) = match (blocked.as_slice(), unclear.as_slice()) {
            ([], []) => return self.beyond_policy(arn, fact, wanted),
            ([], who) => (
                Severity::Low,
                who,
                format!(
                    "whether the policy of the topic {name} lets {} publish hangs on conditions that opsctl does not read",
                    both(who)
                ),
            ),
            (who, _) => (
                Severity::High,
                who,
                format!(
                    "the policy of the topic {name} does not let {} publish",
                    both(who)
                ),
            ),
        };
        let principals: Vec<String> = who.iter().map(|w| format!("\"{w}\"")).collect();
        let principals = match principals.as_slice() {
            [one] => one.clone(),
            all => format!("[{}]", all.join(", ")),
        };
        let told = Told {
            id: "budgets.topic-blocked",
            severity,
            message,
            evidence: document.to_string(),
            remediation: format!(
                "allow it in the policy of the topic: Principal {{\"Service\": {principals}}}, Action \"SNS:Publish\", Condition StringEquals aws:SourceAccount \"{}\"",
                self.account_id()
            ),
            policy: wanted.reason.clone(),
        };
        self.find(&resource, told);
        self.beyond_policy(arn, fact, wanted);
    }

    /// What else may keep a message from arriving.
    fn beyond_policy(&mut self, arn: &str, fact: &TopicFact, wanted: &Use) {
        self.encryption(arn, fact, wanted);
        self.listeners(arn, fact, wanted);
    }

    fn encryption(&mut self, arn: &str, fact: &TopicFact, wanted: &Use) {
        let Some(key) = &fact.kms_key else {
            return;
        };
        let resource = self.resource(arn.to_owned(), &fact.topic.region);
        let name = &fact.topic.name;
        let who: Vec<&str> = wanted.publishers.iter().map(|p| p.principal()).collect();
        let who = who.join(", ");
        // The policy of a key that AWS manages cannot be changed, and lets no service in.
        let told = if key.ends_with("alias/aws/sns") {
            Told {
                id: "budgets.topic-blocked",
                severity: Severity::High,
                message: format!(
                    "the topic {name} is encrypted with alias/aws/sns, which no service can use: nothing that {who} sends arrives"
                ),
                evidence: format!("KmsMasterKeyId = {key}"),
                remediation: "encrypt it with a key of your own whose policy lets the services use kms:GenerateDataKey* and kms:Decrypt, or do not encrypt it".to_owned(),
                policy: wanted.reason.clone(),
            }
        } else {
            Told {
                id: "budgets.topic-key-unread",
                severity: Severity::Low,
                message: format!(
                    "the topic {name} is encrypted: what {who} sends arrives only if the policy of the key allows it, and opsctl does not read that"
                ),
                evidence: format!("KmsMasterKeyId = {key}"),
                remediation: "see that the policy of the key lets the services use kms:GenerateDataKey* and kms:Decrypt".to_owned(),
                policy: wanted.reason.clone(),
            }
        };
        self.find(&resource, told);
    }

    fn listeners(&mut self, arn: &str, fact: &TopicFact, wanted: &Use) {
        if fact.unread.is_some() {
            return;
        }
        let resource = self.resource(arn.to_owned(), &fact.topic.region);
        let name = &fact.topic.name;
        if !fact.pending.is_empty() {
            let waiting: Vec<&str> = fact.pending.iter().map(String::as_str).collect();
            let told = Told {
                id: "budgets.unconfirmed",
                severity: Severity::Medium,
                message: format!(
                    "the topic {name} waits for {} to be confirmed",
                    if waiting.len() == 1 { "a subscription" } else { "subscriptions" }
                ),
                evidence: format!("pending: {}", waiting.join(", ")),
                remediation: "open the mail \"AWS Notification - Subscription Confirmation\" and follow its link; AWS forgets a request after three days, and the next apply sends another".to_owned(),
                policy: wanted.reason.clone(),
            };
            self.find(&resource, told);
        }
        if fact.topic.subscriptions.is_empty() {
            let told = Told {
                id: "budgets.silent-topic",
                severity: Severity::Medium,
                message: format!("nobody listens to the topic {name}: it has no subscription"),
                evidence: "no subscriptions".to_owned(),
                remediation:
                    "subscribe somebody to it, or notify an address directly: \"mailto:…\""
                        .to_owned(),
                policy: wanted.reason.clone(),
            };
            self.find(&resource, told);
        }
    }

    /// Removes the topics of ours that nothing of others rests on.
    pub fn destroy_topics(&mut self, reason: &Reason) {
        let inventory = self.input.inventory;
        for (arn, fact) in &inventory.topics {
            let Some(parsed) = Arn::parse(arn) else {
                continue;
            };
            let fact = match fact {
                Observed::Absent => continue,
                Observed::Unknown(_) => {
                    self.unseen(ObjectKind::Topic, parsed.region, parsed.resource);
                    continue;
                }
                Observed::Known(fact) => fact,
            };
            match &fact.tags {
                Observed::Known(_) if self.whose(&fact.tags) == Whose::Ours => {}
                Observed::Unknown(_) => {
                    self.unseen(ObjectKind::Topic, parsed.region, parsed.resource);
                    continue;
                }
                _ => continue,
            }
            match self.held_by(arn, fact) {
                Some(why) => self.note(format!("the topic {} stays: {why}", parsed.resource)),
                None => {
                    let topic = Object::Topic(fact.topic.clone());
                    self.remove(topic, reason.clone(), Decimal::ZERO);
                }
            }
        }
    }

    /// Why a topic of ours cannot go.
    fn held_by(&self, arn: &str, fact: &TopicFact) -> Option<String> {
        if let Some(error) = &fact.unread {
            return Some(format!("its subscriptions could not be seen: {error}"));
        }
        let ours = self.targets.subscriptions();
        let foreign: Vec<&str> = fact
            .topic
            .subscriptions
            .iter()
            .filter(|s| !ours.contains(*s))
            .map(String::as_str)
            .collect();
        if !foreign.is_empty() {
            return Some(format!("others subscribe to it ({})", foreign.join(", ")));
        }
        let inventory = self.input.inventory;
        let named = |s: &Subscriber| matches!(s, Subscriber::Sns(topic) if topic == arn);
        match &inventory.money.budgets {
            Observed::Unknown(error) => {
                return Some(format!("who uses it could not be seen: {error}"));
            }
            Observed::Absent => {}
            Observed::Known(all) => {
                let other = all.iter().find(|fact| {
                    !self.is_own_budget(fact)
                        && fact.budget.notifications.values().flatten().any(named)
                });
                if let Some(other) = other {
                    return Some(format!("the budget {} notifies it", other.budget.name));
                }
            }
        }
        for fact in inventory.money.subscriptions.known().into_iter().flatten() {
            let subscription = &fact.subscription;
            if subscription.name != self.names.base && subscription.subscribers.iter().any(named) {
                return Some(format!(
                    "the anomaly subscription {} notifies it",
                    subscription.name
                ));
            }
        }
        match inventory.alarms.get(&fact.topic.region) {
            Some(Observed::Known(all)) => {
                let alarm = self.names.alarm();
                let uses = |alarm: &Object| alarm.references().contains(&arn);
                let other = all.iter().find(|fact| {
                    use crate::inventory::AlarmDefinition::{Composite, Metric, Other};
                    fact.definition.name() != alarm
                        && !crate::controls::alarms::leaves(self.input, fact)
                        && match &fact.definition {
                            Metric(a) => uses(&Object::MetricAlarm(a.clone())),
                            Composite(a) => uses(&Object::CompositeAlarm(a.clone())),
                            Other { .. } => false,
                        }
                });
                other.map(|fact| format!("the alarm {} notifies it", fact.definition.name()))
            }
            // Alarms were not looked at: a topic that lets them in may serve some.
            _ => {
                let alarms = Publisher::CloudWatch.sid();
                let all = statements(&fact.topic.policy_document());
                all.iter()
                    .any(|s| s["Sid"] == alarms)
                    .then(|| "alarms may notify it".to_owned())
            }
        }
    }
}
