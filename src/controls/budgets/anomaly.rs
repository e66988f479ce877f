//! Cost anomaly detection: a monitor, and who is told of what it finds.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use super::topics::{Footing, Uses};
use super::wanted::ADDRESSES;
use super::work::{Step, Told, Work, pays};
use crate::inventory::{AnomalySubscriptionFact, MonitorFact, Observed};
use crate::model::object::policy::Publisher;
use crate::model::object::{
    AnomalyMonitor, AnomalySubscription, MonitorScope, Object, ObjectKind, Subscriber,
};
use crate::model::{Risk, Severity};
use crate::plan::Reason;

const GLOBAL: &str = "global";
const MONITOR: ObjectKind = ObjectKind::AnomalyMonitor;
const SUBSCRIPTION: ObjectKind = ObjectKind::AnomalySubscription;

impl Work<'_> {
    fn anomaly_is(&self, enabled: bool) -> bool {
        let anomaly = self.policy.anomaly.as_ref();
        anomaly.is_some_and(|a| a.enabled == enabled)
    }

    /// The monitor that this environment has, where nobody else's does.
    fn own_monitor(&self) -> AnomalyMonitor {
        let resolved = self.input.resolved;
        // From the payer, services would be those of the whole organisation.
        if resolved.payer.is_some() && pays(resolved) {
            return AnomalyMonitor {
                name: self.names.account_monitor(),
                scope: MonitorScope::Accounts(BTreeSet::from([self.account_id().to_owned()])),
            };
        }
        AnomalyMonitor {
            name: if resolved.neighbours.is_empty() {
                self.names.base.clone()
            } else {
                self.names.shared_monitor()
            },
            scope: MonitorScope::Dimension("SERVICE".to_owned()),
        }
    }

    pub fn anomaly_uses(&self, uses: &mut Uses) {
        if let Some(topic) = self.targets.topics.first()
            && self.anomaly_is(true)
        {
            let reason = self.environment("notify", topic.origin);
            self.uses(uses, &topic.arn, Publisher::CostAlerts, reason);
        }
    }

    pub fn anomaly(&mut self, footing: &BTreeMap<String, Footing>) {
        if self.policy.anomaly.is_none() {
            return;
        }
        let money = &self.input.inventory.money;
        let own = self.own_monitor();
        let (monitors, subscriptions): (&[MonitorFact], &[AnomalySubscriptionFact]) =
            match (&money.monitors, &money.subscriptions) {
                (Observed::Known(m), Observed::Known(s)) => (m, s),
                _ => {
                    self.unseen(MONITOR, GLOBAL, &own.name);
                    let name = self.names.base.clone();
                    self.unseen(SUBSCRIPTION, GLOBAL, &name);
                    return;
                }
            };
        if self.anomaly_is(false) {
            let reason = self.rule("budgets.anomaly.enabled");
            return self.remove_anomaly(monitors, subscriptions, &reason);
        }
        let Some(name) = self.monitor(own, monitors) else {
            return;
        };
        self.subscription(&name, subscriptions, footing);
        self.leftovers(&name, monitors);
    }

    /// The name of the monitor to subscribe to.
    fn monitor(&mut self, own: AnomalyMonitor, monitors: &[MonitorFact]) -> Option<String> {
        let named = monitors.iter().find(|m| m.monitor.name == own.name);
        let foreign = monitors.iter().find(|m| m.monitor.scope == own.scope);
        match (named, foreign) {
            (Some(named), _) if named.monitor.scope != own.scope => {
                let told = Told {
                    id: "budgets.conflict",
                    severity: Severity::High,
                    message: format!(
                        "the anomaly monitor {} bears our name, but watches something else: it is left alone",
                        own.name
                    ),
                    evidence: format!("{:?}", named.monitor.scope),
                    remediation: "rename or remove it".to_owned(),
                    policy: self.rule("budgets.anomaly"),
                };
                self.find_on(MONITOR, GLOBAL, &own.name, told);
                None
            }
            (None, Some(foreign)) => {
                let name = foreign.monitor.name.clone();
                self.note(format!(
                    "anomalies are those of the monitor {name}, which is there already"
                ));
                Some(name)
            }
            _ => {
                let name = own.name.clone();
                self.settle(Step {
                    before: named.map(|m| Object::AnomalyMonitor(m.monitor.clone())),
                    after: Some(Object::AnomalyMonitor(own)),
                    risk: Risk::Low,
                    reason: self.rule("budgets.anomaly.enabled"),
                    of_field: &|_| None,
                    delta: Decimal::ZERO,
                    basis: None,
                });
                Some(name)
            }
        }
    }

    fn subscription(
        &mut self,
        monitor: &str,
        subscriptions: &[AnomalySubscriptionFact],
        footing: &BTreeMap<String, Footing>,
    ) {
        let name = self.names.base.clone();
        let fact = subscriptions.iter().find(|s| s.subscription.name == name);
        if let Some(fact) = fact.filter(|f| !f.unconfirmed.is_empty()) {
            let waiting: Vec<&str> = fact.unconfirmed.iter().map(String::as_str).collect();
            let told = Told {
                id: "budgets.unconfirmed",
                severity: Severity::Medium,
                message: "not everybody who is to hear of anomalies has confirmed it".to_owned(),
                evidence: format!("declined or not confirmed: {}", waiting.join(", ")),
                remediation: "confirm the mail of AWS Cost Anomaly Detection, or take the address out of notify".to_owned(),
                policy: self.notify_reason(),
            };
            self.find_on(SUBSCRIPTION, GLOBAL, &name, told);
        }
        let topic = self.targets.topics.first();
        let subscribers: BTreeSet<Subscriber> = match topic {
            Some(topic) => BTreeSet::from([Subscriber::Sns(topic.arn.clone())]),
            None => {
                let addresses = self.targets.addresses.iter().take(ADDRESSES);
                addresses
                    .map(|(a, _)| Subscriber::Email(a.clone()))
                    .collect()
            }
        };
        if subscribers.is_empty() {
            // Told of the budget already; a subscription without anybody is none.
            return;
        }
        if fact.is_none() && topic.is_some_and(|t| footing.get(&t.arn) == Some(&Footing::Unseen)) {
            return self.unseen(SUBSCRIPTION, GLOBAL, &name);
        }
        let least = self.policy.anomaly.as_ref();
        let least = least.and_then(|a| a.minimum_impact_usd.as_ref());
        let wanted = AnomalySubscription {
            name,
            monitors: BTreeSet::from([monitor.to_owned()]),
            frequency: if topic.is_some() {
                "IMMEDIATE"
            } else {
                "DAILY"
            }
            .to_owned(),
            minimum_impact_usd: Some(least.map_or(Decimal::ZERO, |l| l.value.0.normalize())),
            subscribers,
            extra: BTreeMap::new(),
        };
        let notify = self.notify_reason();
        let impact = self.rule("budgets.anomaly.minimum_impact_usd");
        self.settle(Step {
            before: fact.map(|f| Object::AnomalySubscription(f.subscription.clone())),
            after: Some(Object::AnomalySubscription(wanted)),
            risk: Risk::Low,
            reason: self.rule("budgets.anomaly.enabled"),
            of_field: &|field| match field {
                "told" | "when" => Some(notify.clone()),
                "from an impact of" => Some(impact.clone()),
                _ => None,
            },
            delta: Decimal::ZERO,
            basis: None,
        });
    }

    fn own_monitor_names(&self) -> [String; 2] {
        [self.names.base.clone(), self.names.account_monitor()]
    }

    /// Monitors of ours that another one took the place of, e.g. since the account pays for others.
    fn leftovers(&mut self, used: &str, monitors: &[MonitorFact]) {
        for name in self.own_monitor_names() {
            let left = monitors.iter().find(|m| m.monitor.name == name);
            if let Some(left) = left.filter(|_| name != used) {
                let reason = self.rule("budgets.anomaly");
                let monitor = Object::AnomalyMonitor(left.monitor.clone());
                self.remove(monitor, reason, Decimal::ZERO);
            }
        }
    }

    fn remove_anomaly(
        &mut self,
        monitors: &[MonitorFact],
        subscriptions: &[AnomalySubscriptionFact],
        reason: &Reason,
    ) {
        let base = self.names.base.clone();
        for fact in subscriptions.iter().filter(|s| s.subscription.name == base) {
            let subscription = Object::AnomalySubscription(fact.subscription.clone());
            self.remove(subscription, reason.clone(), Decimal::ZERO);
        }
        let shared = self.names.shared_monitor();
        let others = |name: &str| {
            subscriptions
                .iter()
                .find(|s| s.subscription.name != base && s.subscription.monitors.contains(name))
                .map(|s| s.subscription.name.clone())
        };
        let mut names = self.own_monitor_names().to_vec();
        if !self.input.resolved.neighbours.is_empty() {
            names.push(shared);
        }
        for name in names {
            let Some(monitor) = monitors.iter().find(|m| m.monitor.name == name) else {
                continue;
            };
            match others(&name) {
                Some(other) => self.note(format!(
                    "the anomaly monitor {name} stays: the subscription {other} is to it"
                )),
                None => {
                    let monitor = Object::AnomalyMonitor(monitor.monitor.clone());
                    self.remove(monitor, reason.clone(), Decimal::ZERO);
                }
            }
        }
    }

    pub fn destroy_anomaly(&mut self, reason: &Reason) {
        if self.policy.anomaly.is_none() {
            return;
        }
        let money = &self.input.inventory.money;
        match (&money.monitors, &money.subscriptions) {
            (Observed::Known(monitors), Observed::Known(subscriptions)) => {
                self.remove_anomaly(monitors, subscriptions, reason);
            }
            _ => {
                let name = self.names.base.clone();
                self.unseen(SUBSCRIPTION, GLOBAL, &name);
            }
        }
    }
}
