//! What concerns the account as a whole: the alarm on its charges, its cost allocation tags, and
//! the order in which all of it is planned.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use super::names::BILLING_REGION;
use super::topics::{Footing, Uses, mail_topic};
use super::wanted::{ACTIONS, billing_alarm};
use super::work::{Step, Told, Whose, Work, pays};
use crate::config::Resolved;
use crate::inventory::{AlarmDefinition, AlarmFact, Gap, Observed};
use crate::model::object::policy::Publisher;
use crate::model::object::{CostAllocationTag, MetricAlarm, Object, ObjectKind};
use crate::model::{Control, Risk, Severity};
use crate::plan::Reason;

const ALARM: ObjectKind = ObjectKind::MetricAlarm;

/// One alarm on one standard metric. Source: CloudWatch pricing, us-east-1, 2026-10.
fn alarm_usd() -> Decimal {
    Decimal::new(10, 2)
}

/// The key of the tag whose default is the name of the environment.
pub(super) fn environment_key(resolved: &Resolved) -> Option<String> {
    let policy = resolved.policies.tags.as_ref()?;
    let named = policy
        .defaults
        .iter()
        .filter(|(_, value)| value.value == resolved.environment);
    // Among several the one that says so.
    let mut keys: Vec<&String> = named.map(|(key, _)| key).collect();
    keys.sort_by_key(|key| (key.to_lowercase() != "environment", *key));
    keys.first().map(|key| (*key).clone())
}

/// Keys that have to be dimensions of cost.
pub(super) fn cost_keys(resolved: &Resolved) -> BTreeSet<String> {
    let policies = &resolved.policies;
    let required = policies.tags.iter().flat_map(|t| &t.required);
    let split = policies.budgets.iter().flat_map(|b| &b.split.by_tag);
    let mut keys: BTreeSet<String> = required.chain(split).map(|k| k.value.clone()).collect();
    if !resolved.neighbours.is_empty() {
        keys.extend(environment_key(resolved));
    }
    keys
}

impl Work<'_> {
    pub fn reconcile(&mut self) {
        self.cost_tags();
        let budgets = self.wanted_budgets();
        let mut uses = Uses::new();
        self.budget_uses(&budgets, &mut uses);
        self.anomaly_uses(&mut uses);
        let limit = self.alarm_limit();
        if limit.is_some() {
            self.alarm_uses(&mut uses);
        }
        let footing = self.topics(&uses);
        self.budgets(budgets, &footing);
        self.anomaly(&footing);
        if let Some(limit) = limit {
            self.alarm(limit, &footing);
        }
        let resolved = self.input.resolved;
        let tags = pays(resolved) && !cost_keys(resolved).is_empty();
        if self.policy.anomaly.is_some() || tags {
            let note = "budgets: looking at anomaly detection and cost allocation tags asks Cost Explorer, which bills 0.01 USD a request";
            self.verdict.notes.push(note.to_owned());
        }
    }

    pub fn destroy(&mut self) {
        let reason = self.rule("budgets");
        self.destroy_budgets(&reason);
        self.destroy_anomaly(&reason);
        if self.policy.billing_alarm.is_some() {
            self.remove_alarm(&reason);
        }
        self.destroy_topics(&reason);
        self.note("cost allocation tags stay active".to_owned());
    }

    // ------------------------------------------------------------------ the billing alarm

    /// What the alarm is measured by, where one is wanted and can ever fire.
    fn alarm_limit(&mut self) -> Option<Decimal> {
        let billing = self.policy.billing_alarm.as_ref()?;
        if !billing.enabled {
            let reason = self.rule("budgets.billing_alarm.enabled");
            self.remove_alarm(&reason);
            return None;
        }
        self.config.monthly_budget_usd.as_ref()?;
        let name = self.names.alarm();
        let Some(limit) = self.input.resolved.account_budget_usd else {
            self.note(format!(
                "no billing alarm: the account is shared with {}, and not all of them have a monthly_budget_usd",
                self.input.resolved.neighbours.join(", ")
            ));
            return None;
        };
        match &self.input.inventory.money.billing_metric {
            Observed::Known(()) => Some(limit.0),
            Observed::Absent => {
                self.unseen(ALARM, BILLING_REGION, &name);
                if self.is_selected(ALARM, BILLING_REGION, &name) {
                    self.verdict.gaps.push(self.switched_off());
                }
                None
            }
            Observed::Unknown(_) => {
                self.unseen(ALARM, BILLING_REGION, &name);
                None
            }
        }
    }

    /// Without the metric an alarm could be made and would never fire.
    fn switched_off(&self) -> Gap {
        let who = match &self.input.resolved.payer {
            Some(payer) if *payer != self.input.resolved.environment => {
                format!("in the account of `{payer}`, which pays")
            }
            _ => "in this account, or in the one that pays for it".to_owned(),
        };
        Gap {
            environment: self.input.resolved.environment.clone(),
            account: self.account_id().to_owned(),
            region: BILLING_REGION.to_owned(),
            control: Control::Budgets,
            operation: "cloudwatch:ListMetrics".to_owned(),
            resource: Some("AWS/Billing EstimatedCharges".to_owned()),
            error: format!(
                "there is no such metric, so a billing alarm could never fire: switch on \"Receive CloudWatch billing alerts\" under Billing preferences, Alert preferences, {who}; it takes about 15 minutes"
            ),
        }
    }

    fn alarm_uses(&self, uses: &mut Uses) {
        for topic in &self.targets.topics {
            if let Some(arn) = &topic.billing {
                let reason = self.environment("notify", topic.origin);
                self.uses(uses, arn, Publisher::CloudWatch, reason);
            }
        }
        if !self.targets.addresses.is_empty() {
            let arn = mail_topic(&self.names, self.config);
            self.uses(uses, &arn, Publisher::CloudWatch, self.notify_reason());
            if let Some(one) = uses.get_mut(&arn) {
                one.subscriptions = self.targets.subscriptions();
            }
        }
    }

    fn alarm(&mut self, limit: Decimal, footing: &BTreeMap<String, Footing>) {
        let name = self.names.alarm();
        let inventory = self.input.inventory;
        let Some(Observed::Known(all)) = inventory.alarms.get(BILLING_REGION) else {
            return self.unseen(ALARM, BILLING_REGION, &name);
        };
        let fact = all.iter().find(|a| a.definition.name() == name);
        let before = match fact {
            None => None,
            Some(fact) => match self.own_alarm(fact) {
                Some(alarm) => Some(alarm),
                None => return,
            },
        };
        let mail = mail_topic(&self.names, self.config);
        let topics = self.targets.topics.iter().filter_map(|t| t.billing.clone());
        let own = (!self.targets.addresses.is_empty()).then_some(mail);
        let mut actions: Vec<String> = own.into_iter().chain(topics).collect();
        actions.retain(|arn| footing.get(arn) != Some(&Footing::Conflict));
        if before.is_none()
            && actions
                .iter()
                .any(|arn| footing.get(arn) == Some(&Footing::Unseen))
        {
            return self.unseen(ALARM, BILLING_REGION, &name);
        }
        self.alarm_findings(&name, &actions);
        actions.truncate(ACTIONS);
        let resolved = self.input.resolved;
        let account = (resolved.payer.is_some() && pays(resolved)).then(|| self.account_id());
        let wanted = billing_alarm(&self.names, limit, account, actions.into_iter().collect());
        let (delta, basis) = match before {
            Some(_) => (Decimal::ZERO, None),
            None => (
                alarm_usd(),
                Some(
                    "one metric alarm, 0.10 USD a month; the first 10 of an account are free"
                        .to_owned(),
                ),
            ),
        };
        let notify = self.notify_reason();
        let limited = self.limit_reason();
        self.settle(Step {
            before: before.map(Object::MetricAlarm),
            after: Some(Object::MetricAlarm(wanted)),
            risk: Risk::Low,
            reason: self.rule("budgets.billing_alarm.enabled"),
            of_field: &|field| match field {
                "told" => Some(notify.clone()),
                "fires" | "description" => Some(limited.clone()),
                _ => None,
            },
            delta,
            basis,
        });
    }

    /// The alarm that bears our name, if it may be written.
    fn own_alarm(&mut self, fact: &AlarmFact) -> Option<MetricAlarm> {
        let name = fact.definition.name().to_owned();
        let whose = match &fact.tags {
            Observed::Absent => Whose::Foreign,
            tags => self.whose(tags),
        };
        match (whose, &fact.definition) {
            (Whose::Ours, AlarmDefinition::Metric(alarm)) => return Some(alarm.clone()),
            (Whose::Unseen, _) => self.unseen(ALARM, BILLING_REGION, &name),
            (Whose::Ignored, _) => self.ignored(ALARM, BILLING_REGION, &name),
            _ => self.conflict(ALARM, BILLING_REGION, &name, &fact.tags),
        }
        None
    }

    fn alarm_findings(&mut self, name: &str, actions: &[String]) {
        let mut found = Vec::new();
        let elsewhere: Vec<&str> = self
            .targets
            .topics
            .iter()
            .filter(|t| t.billing.is_none())
            .map(|t| t.text.as_str())
            .collect();
        if !elsewhere.is_empty() {
            found.push(Told {
                id: "budgets.topic-region",
                severity: Severity::Low,
                message: "the billing alarm cannot notify a topic of another region".to_owned(),
                evidence: format!("not in {BILLING_REGION}: {}", elsewhere.join(", ")),
                remediation: "write the topic by its name: \"sns:NAME\" is made in us-east-1, too"
                    .to_owned(),
                policy: self.notify_reason(),
            });
        }
        if actions.is_empty() {
            found.push(Told {
                id: "budgets.no-subscriber",
                severity: Severity::High,
                message: "the billing alarm tells nobody".to_owned(),
                evidence: "it has no action".to_owned(),
                remediation: format!(
                    "notify = [\"mailto:…\"] in [environments.{}]",
                    self.input.resolved.environment
                ),
                policy: self.notify_reason(),
            });
        }
        if actions.len() > ACTIONS {
            found.push(Told {
                id: "budgets.many-topics",
                severity: Severity::Low,
                message: format!("the billing alarm notifies only the first {ACTIONS} topics"),
                evidence: format!("not notified: {}", actions[ACTIONS..].join(", ")),
                remediation: "an alarm takes five actions for a state: use fewer topics".to_owned(),
                policy: self.notify_reason(),
            });
        }
        for told in found {
            self.find_on(ALARM, BILLING_REGION, name, told);
        }
    }

    fn remove_alarm(&mut self, reason: &Reason) {
        let name = self.names.alarm();
        let inventory = self.input.inventory;
        let Some(Observed::Known(all)) = inventory.alarms.get(BILLING_REGION) else {
            return self.unseen(ALARM, BILLING_REGION, &name);
        };
        let Some(fact) = all.iter().find(|a| a.definition.name() == name) else {
            return;
        };
        if let Some(alarm) = self.own_alarm(fact) {
            self.remove(Object::MetricAlarm(alarm), reason.clone(), -alarm_usd());
        }
    }

    // ------------------------------------------------------------------ cost allocation tags

    fn cost_tags(&mut self) {
        let resolved = self.input.resolved;
        let keys = cost_keys(resolved);
        if keys.is_empty() {
            return;
        }
        if !pays(resolved) {
            let payer = resolved.payer.clone().unwrap_or_default();
            return self.note(format!(
                "cost allocation tags are activated in the account that pays, that of {payer}"
            ));
        }
        let known = match &self.input.inventory.money.cost_tags {
            Observed::Known(known) => known,
            Observed::Absent => {
                return self.note(format!(
                    "{} is not the account that pays: its cost allocation tags are activated there",
                    self.account_id()
                ));
            }
            Observed::Unknown(_) => {
                for key in keys {
                    self.unseen(ObjectKind::CostAllocationTag, "global", &key);
                }
                return;
            }
        };
        for key in keys {
            let reason = self.cost_key_reason(&key);
            let Some(fact) = known.get(&key) else {
                let told = Told {
                    id: "budgets.cost-tag-unseen",
                    severity: Severity::Low,
                    message: format!("billing does not know the tag {key} yet, so it cannot be activated"),
                    evidence: "not among the cost allocation tags of the account".to_owned(),
                    remediation: "a key shows there within a day of its first use on a resource; the next run after that activates it".to_owned(),
                    policy: reason,
                };
                self.find_on(ObjectKind::CostAllocationTag, "global", &key, told);
                continue;
            };
            let tag = |active| {
                Some(Object::CostAllocationTag(CostAllocationTag {
                    key: key.clone(),
                    active,
                }))
            };
            self.settle(Step {
                before: tag(fact.active),
                after: tag(true),
                risk: Risk::Low,
                reason,
                of_field: &|_| None,
                delta: Decimal::ZERO,
                basis: None,
            });
        }
    }

    fn cost_key_reason(&self, key: &str) -> Reason {
        let policies = &self.input.resolved.policies;
        let mut required = policies.tags.iter().flat_map(|t| &t.required);
        if let Some(required) = required.find(|k| k.value == key) {
            let resolved = self.input.resolved;
            return resolved.reason(Control::Tags, "tags.required", required.origin);
        }
        self.rule("budgets.split.by_tag")
    }
}
