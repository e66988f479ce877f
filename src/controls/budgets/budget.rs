//! The budgets of one environment: its own, those of its splits, and what others have beside them.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use super::topics::{Footing, Uses};
use super::wanted::{ADDRESSES, budget, shares};
use super::work::{Step, Told, Whose, Work, pays};
use crate::inventory::{BudgetFact, Observed};
use crate::model::object::policy::Publisher;
use crate::model::object::{Budget, Object, ObjectKind, Subscriber, ThresholdUnit, When};
use crate::model::{Risk, Severity, usd};
use crate::plan::Reason;

const KIND: ObjectKind = ObjectKind::Budget;
const GLOBAL: &str = "global";

/// A budget that is wanted, and the line that asks for its limit.
pub(super) struct Wanted {
    pub budget: Budget,
    pub reason: Reason,
}

/// Whether a budget of somebody else is enough.
enum Cover {
    No,
    By(Told),
    /// One might, and its alerts could not be read.
    Unseen,
}

type Filters = BTreeMap<String, BTreeSet<String>>;

fn percent(of: Decimal, percent: u32) -> Decimal {
    of * Decimal::from(percent) / Decimal::from(100)
}

fn sns(subscribers: &BTreeSet<Subscriber>) -> Option<&str> {
    subscribers.iter().find_map(|s| match s {
        Subscriber::Sns(arn) => Some(arn.as_str()),
        Subscriber::Email(_) => None,
    })
}

impl Work<'_> {
    /// Whether a budget was made by this environment.
    pub fn is_own_budget(&self, fact: &BudgetFact) -> bool {
        let name = &fact.budget.name;
        let base = &self.names.base;
        let bears = |base: &str| {
            name == base
                || name
                    .strip_prefix(base)
                    .is_some_and(|rest| rest.starts_with('-'))
        };
        if !bears(base) {
            return false;
        }
        match &fact.tags {
            Observed::Known(_) => self.whose(&fact.tags) == Whose::Ours,
            Observed::Unknown(_) => false,
            // Only by name: it may as well be that of an environment with a longer one.
            Observed::Absent => !self.input.resolved.neighbours.iter().any(|n| {
                let other = self.names.of_neighbour(n);
                other.len() > base.len() && bears(&other)
            }),
        }
    }

    fn fact(&self, name: &str) -> Option<&BudgetFact> {
        let all = self.input.inventory.money.budgets.known()?;
        all.iter().find(|fact| fact.budget.name == name)
    }

    /// The costs that belong to the environment; `None`: that cannot be said now.
    fn filters(&mut self) -> Option<Filters> {
        let resolved = self.input.resolved;
        let account = self.account_id().to_owned();
        let mut filters = Filters::new();
        if resolved.payer.is_some() && pays(resolved) {
            self.note(format!(
                "the account pays for others, so its budget covers only {account} itself"
            ));
            filters.insert(
                "LinkedAccount".to_owned(),
                BTreeSet::from([account.clone()]),
            );
        }
        if resolved.neighbours.is_empty() {
            return Some(filters);
        }
        let with = resolved.neighbours.join(", ");
        let Some(key) = super::account::environment_key(resolved) else {
            self.note(format!(
                "the account {account} is shared with {with}, and no tag tells their costs apart: the budget covers the whole account"
            ));
            return Some(filters);
        };
        let tag = BTreeSet::from([format!("user:{key}${}", resolved.environment)]);
        match &self.input.inventory.money.cost_tags {
            Observed::Known(tags) if tags.get(&key).is_some_and(|t| t.active) => {
                self.note(format!(
                    "the account {account} is shared with {with}: the budget covers what has the tag {key} = {}",
                    resolved.environment
                ));
                filters.insert("TagKeyValue".to_owned(), tag);
            }
            // What stands is not changed for want of knowledge.
            Observed::Unknown(_) if pays(resolved) => {
                let held = self.fact(&self.names.base)?.budget.filters.clone();
                return Some(held);
            }
            _ => self.note(format!(
                "the account {account} is shared with {with}, and the tag {key} is not yet an active cost allocation tag: until then the budget covers the whole account"
            )),
        }
        Some(filters)
    }

    /// The budgets that are wanted, without those that one of somebody else stands for.
    pub fn wanted_budgets(&mut self) -> Vec<Wanted> {
        let Some(limit) = &self.config.monthly_budget_usd else {
            let told = Told {
                id: "budgets.no-limit",
                severity: Severity::Medium,
                message: "there is no monthly_budget_usd, so there is no budget to keep".to_owned(),
                evidence: "opsctl.toml names no budget for this environment".to_owned(),
                remediation: format!(
                    "set monthly_budget_usd in [environments.{}]",
                    self.input.resolved.environment
                ),
                policy: self.limit_reason(),
            };
            let name = self.names.base.clone();
            self.find_on(KIND, GLOBAL, &name, told);
            return Vec::new();
        };
        let amount = limit.value.0;
        let Some(filters) = self.filters() else {
            let name = self.names.base.clone();
            self.unseen(KIND, GLOBAL, &name);
            return Vec::new();
        };
        let mut wanted = Vec::new();
        let name = self.names.base.clone();
        let main = budget(self.policy, &self.targets, name.clone(), amount, filters);
        let there = self.fact(&name).is_some();
        match self.covered(&main) {
            Cover::By(told) if !there => self.find_on(KIND, GLOBAL, &name, told),
            Cover::Unseen if !there => self.unseen(KIND, GLOBAL, &name),
            _ => wanted.push(Wanted {
                budget: main.clone(),
                reason: self.limit_reason(),
            }),
        }
        self.main_findings(&main, amount);
        wanted.extend(self.splits(amount, &main.filters));
        wanted
    }

    fn splits(&mut self, amount: Decimal, filters: &Filters) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        for key in &self.policy.split.by_tag {
            let Some(percents) = self.policy.split.shares.get(&key.value) else {
                continue;
            };
            let reason = self.reason(
                format!("budgets.split.shares.{}", key.value),
                percents.origin,
            );
            if !self.input.resolved.neighbours.is_empty() {
                self.note(format!(
                    "nothing is split by {}: the account is shared, and a budget filters by one tag",
                    key.value
                ));
                continue;
            }
            let percents: BTreeMap<String, Decimal> =
                percents.iter().map(|(v, a)| (v.clone(), a.0)).collect();
            for (value, share) in shares(amount, &percents) {
                let name = self.names.split(&key.value, &value);
                if share.is_zero() {
                    let told = Told {
                        id: "budgets.split-too-small",
                        severity: Severity::Low,
                        message: format!(
                            "the share of {value} is less than a cent, which is no budget to AWS"
                        ),
                        evidence: format!("{} % of {} USD", percents[&value], usd(amount)),
                        remediation: "raise the share, or leave it out".to_owned(),
                        policy: reason.clone(),
                    };
                    self.find_on(KIND, GLOBAL, &name, told);
                    continue;
                }
                let mut filters = filters.clone();
                let tag = format!("user:{}${value}", key.value);
                filters.insert("TagKeyValue".to_owned(), BTreeSet::from([tag]));
                self.blind_split(&name, &key.value, &reason);
                wanted.push(Wanted {
                    budget: budget(self.policy, &self.targets, name, share, filters),
                    reason: reason.clone(),
                });
            }
        }
        wanted
    }

    fn blind_split(&mut self, name: &str, key: &str, reason: &Reason) {
        let evidence = match &self.input.inventory.money.cost_tags {
            Observed::Known(tags) => match tags.get(key) {
                Some(tag) if tag.active => return,
                Some(_) => "it is known to billing and inactive",
                None => "billing does not know it",
            },
            _ => return,
        };
        let told = Told {
            id: "budgets.split-blind",
            severity: Severity::Medium,
            message: format!(
                "the budget counts nothing until the tag {key} is an active cost allocation tag"
            ),
            evidence: evidence.to_owned(),
            remediation: "apply activates it as soon as billing knows it; it then counts from the next day on".to_owned(),
            policy: reason.clone(),
        };
        self.find_on(KIND, GLOBAL, name, told);
    }

    /// What the policy and the environment let expect of the main budget, whatever stands there.
    fn main_findings(&mut self, main: &Budget, amount: Decimal) {
        let name = main.name.clone();
        let mut found: Vec<Told> = Vec::new();
        if self.targets.is_empty() {
            found.push(Told {
                id: "budgets.no-subscriber",
                severity: Severity::High,
                message:
                    "nobody is told: the budget has no alerts, because no target is configured"
                        .to_owned(),
                evidence: "notify is empty".to_owned(),
                remediation: format!(
                    "notify = [\"mailto:…\"] in [environments.{}]",
                    self.input.resolved.environment
                ),
                policy: self.notify_reason(),
            });
        } else if self.policy.alert.is_empty() {
            found.push(Told {
                id: "budgets.no-alert",
                severity: Severity::High,
                message: "the budget tells nobody anything: the policy has no alert".to_owned(),
                evidence: "[budgets.alert] is empty".to_owned(),
                remediation: "add one: [budgets.alert.early] at_percent = 80, when = \"actual\""
                    .to_owned(),
                policy: self.rule("budgets"),
            });
        }
        if self.targets.topics.len() > 1 {
            let rest: Vec<&str> = self.targets.topics[1..]
                .iter()
                .map(|t| t.text.as_str())
                .collect();
            found.push(Told {
                id: "budgets.one-topic",
                severity: Severity::Low,
                message: format!(
                    "budgets and anomalies notify only the first topic, {}",
                    self.targets.topics[0].text
                ),
                evidence: format!("not notified: {}", rest.join(", ")),
                remediation: "a notification of AWS Budgets takes one topic: subscribe the others' readers to it".to_owned(),
                policy: self.environment("notify", self.targets.topics[1].origin),
            });
        }
        if let Some((_, origin)) = self.targets.addresses.get(ADDRESSES) {
            let rest = self.targets.addresses[ADDRESSES..].iter();
            let rest: Vec<&str> = rest.map(|(a, _)| a.as_str()).collect();
            found.push(Told {
                id: "budgets.many-addresses",
                severity: Severity::Low,
                message: format!("budgets notify only the first {ADDRESSES} addresses"),
                evidence: format!("not notified: {}", rest.join(", ")),
                remediation: "use a list address, or a topic".to_owned(),
                policy: self.environment("notify", *origin),
            });
        }
        if self.policy.include_credits {
            found.push(Told {
                id: "budgets.credits-hide-spend",
                severity: Severity::Low,
                message: "the policy counts credits and refunds: what they pay for does not trip the budget".to_owned(),
                evidence: "include_credits = true".to_owned(),
                remediation: "include_credits = false, if the account lives on credits".to_owned(),
                policy: self.rule("budgets.include_credits"),
            });
        }
        let stage = &self.input.resolved.stage;
        let band = stage.monthly_cost_usd;
        if amount < band.from.0 || amount > band.to.0 {
            found.push(Told {
                id: "budgets.outside-band",
                severity: Severity::Low,
                message: format!(
                    "a budget of {} USD is outside the cost band of {}",
                    usd(amount),
                    stage.name.value
                ),
                evidence: format!("{} to {} USD a month", usd(band.from.0), usd(band.to.0)),
                remediation: "either the stage or the budget is not what you mean".to_owned(),
                policy: self.limit_reason(),
            });
        }
        for told in found {
            self.find_on(KIND, GLOBAL, &name, told);
        }
    }

    /// A budget of somebody else that does what ours would.
    fn covered(&self, ours: &Budget) -> Cover {
        let known = self.input.inventory.money.budgets.known();
        let (Some(limit), Some(all)) = (&ours.limit, known) else {
            return Cover::No;
        };
        if self.policy.beside_foreign {
            return Cover::No;
        }
        let band = percent(limit.amount, 40)..=percent(limit.amount, 80);
        // Those of a neighbour are for its own costs.
        let neighbours = &self.input.resolved.neighbours;
        let neighbours: Vec<String> = neighbours
            .iter()
            .map(|n| self.names.of_neighbour(n))
            .collect();
        let same_costs = |fact: &&BudgetFact| {
            let theirs = &fact.budget;
            let hides = |b: &Budget| b.cost_types.include_credit || b.cost_types.include_refund;
            !self.is_own_budget(fact)
                && !neighbours.contains(&theirs.name)
                && theirs.kind == "COST"
                && theirs.time_unit == "MONTHLY"
                && theirs.filters == ours.filters
                && theirs.extra.is_empty()
                && fact.unhealthy.is_none()
                && (hides(ours) || !hides(theirs))
        };
        let alike: Vec<&BudgetFact> = all.iter().filter(same_costs).collect();
        let alerts_early = |fact: &&&BudgetFact| {
            let theirs = &fact.budget;
            let Some(amount) = theirs.limit.as_ref().filter(|l| l.unit == "USD") else {
                return false;
            };
            theirs.notifications.iter().any(|(key, subscribers)| {
                let at = match key.unit {
                    ThresholdUnit::Percent => {
                        amount.amount.saturating_mul(key.threshold) / Decimal::from(100)
                    }
                    ThresholdUnit::Absolute => key.threshold,
                };
                key.when == When::Actual
                    && key.operator == "GREATER_THAN"
                    && !subscribers.is_empty()
                    && band.contains(&at)
            })
        };
        let mut seen = alike.iter().filter(|f| f.unread.is_none());
        let Some(one) = seen.find(alerts_early) else {
            // Whether the alerts of this one are enough is not known: no reason to make another.
            return if alike.iter().any(|f| f.unread.is_some()) {
                Cover::Unseen
            } else {
                Cover::No
            };
        };
        let theirs = &one.budget;
        let limit_text = theirs.limit.as_ref().map(ToString::to_string);
        Cover::By(Told {
            id: "budgets.covered",
            severity: Severity::Low,
            message: format!(
                "the budget `{}` of somebody else already covers this, so ours is not made",
                theirs.name
            ),
            evidence: format!(
                "{}, alerts: {}",
                limit_text.unwrap_or_default(),
                theirs
                    .notifications
                    .keys()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
            remediation: "nothing; or beside_foreign = true in [budgets] for one of ours beside it"
                .to_owned(),
            policy: self.limit_reason(),
        })
    }

    /// What the budgets that are wanted expect of topics.
    pub fn budget_uses(&self, wanted: &[Wanted], uses: &mut Uses) {
        for one in wanted {
            for topic in one.budget.notifications.values().filter_map(sns) {
                let origin = self.targets.topics.first().map(|t| t.origin);
                let reason = self.environment("notify", origin.unwrap_or_default());
                self.uses(uses, topic, Publisher::Budgets, reason);
            }
        }
    }

    /// Plans the budgets, and the removal of those that nothing asks for any more.
    pub fn budgets(&mut self, wanted: Vec<Wanted>, footing: &BTreeMap<String, Footing>) {
        let all = match &self.input.inventory.money.budgets {
            Observed::Known(all) => all.as_slice(),
            Observed::Absent => &[],
            Observed::Unknown(_) => {
                for one in wanted {
                    self.unseen(KIND, GLOBAL, &one.budget.name);
                }
                return;
            }
        };
        let names: BTreeSet<String> = wanted.iter().map(|w| w.budget.name.clone()).collect();
        for one in wanted {
            self.one_budget(one, footing);
        }
        // Without a limit nothing is wanted, and nothing is known to be unwanted.
        if self.config.monthly_budget_usd.is_some() {
            for fact in all {
                let name = &fact.budget.name;
                if names.contains(name) || !self.is_own_budget(fact) {
                    continue;
                }
                // What could not be judged above is not unwanted.
                if *name == self.names.base {
                    continue;
                }
                if fact.unread.is_some() {
                    self.unseen(KIND, GLOBAL, name);
                    continue;
                }
                let reason = self.rule("budgets.split");
                self.remove(Object::Budget(fact.budget.clone()), reason, Decimal::ZERO);
            }
        }
        self.others(all);
    }

    fn one_budget(&mut self, wanted: Wanted, footing: &BTreeMap<String, Footing>) {
        let name = wanted.budget.name.clone();
        let fact = self.fact(&name).cloned();
        let mut risk = Risk::Low;
        let mut basis = None;
        if let Some(fact) = &fact {
            match self.whose(&fact.tags) {
                Whose::Ours if fact.unread.is_none() => {}
                Whose::Ours | Whose::Unseen => return self.unseen(KIND, GLOBAL, &name),
                Whose::Ignored => return self.ignored(KIND, GLOBAL, &name),
                Whose::Foreign => return self.conflict(KIND, GLOBAL, &name, &fact.tags),
            }
            let resets = |b: &Budget| Budget {
                notifications: BTreeMap::new(),
                ..b.clone()
            };
            if resets(&fact.budget) != resets(&wanted.budget) {
                risk = Risk::Medium;
                basis = Some("AWS counts costs against it from zero until its next billing data arrives, within a day".to_owned());
            }
            self.state(fact);
        } else {
            let mut rests = wanted.budget.notifications.values().filter_map(sns);
            if rests.any(|topic| footing.get(topic) == Some(&Footing::Unseen)) {
                return self.unseen(KIND, GLOBAL, &name);
            }
        }
        let alerts = self.rule("budgets.alert");
        let counts = self.rule("budgets.include_credits");
        let notify = self.notify_reason();
        self.settle(Step {
            before: fact.map(|f| Object::Budget(f.budget)),
            after: Some(Object::Budget(wanted.budget)),
            risk,
            reason: wanted.reason,
            of_field: &|field| match field {
                "counts" => Some(counts.clone()),
                "told" => Some(notify.clone()),
                f if f.starts_with("alert") => Some(alerts.clone()),
                _ => None,
            },
            delta: Decimal::ZERO,
            basis,
        });
    }

    /// What AWS says of a budget of ours.
    fn state(&mut self, fact: &BudgetFact) {
        let name = fact.budget.name.clone();
        if let Some(why) = &fact.unhealthy {
            let told = self.unhealthy(why, Severity::High);
            self.find_on(KIND, GLOBAL, &name, told);
        }
        if let (Some(actual), Some(limit)) = (fact.actual, &fact.budget.limit)
            && actual > limit.amount
        {
            let told = Told {
                id: "budgets.over",
                severity: Severity::High,
                message: format!("{} USD of {limit} are spent already", usd(actual)),
                evidence: format!("actual spend {} USD, as AWS Budgets counts it", usd(actual)),
                remediation: "find out what grew: `opsctl audit cost`".to_owned(),
                policy: self.limit_reason(),
            };
            self.find_on(KIND, GLOBAL, &name, told);
        }
    }

    fn unhealthy(&self, why: &str, severity: Severity) -> Told {
        Told {
            id: "budgets.unhealthy",
            severity,
            message: "AWS says that the budget is unhealthy: it is there and never alerts"
                .to_owned(),
            evidence: format!("HealthStatus UNHEALTHY: {why}"),
            remediation:
                "correct what the reason names (a filter, a billing view), or remove the budget"
                    .to_owned(),
            policy: self.rule("budgets"),
        }
    }

    /// Budgets of others: counted, and looked at for what makes them less than they seem.
    fn others(&mut self, all: &[BudgetFact]) {
        let foreign: Vec<&BudgetFact> = all.iter().filter(|f| !self.is_own_budget(f)).collect();
        // What bears our name was told as a conflict, or belongs to a neighbour.
        let foreign = foreign
            .into_iter()
            .filter(|f| !f.budget.name.starts_with("opsctl-"));
        let foreign: Vec<BudgetFact> = foreign.cloned().collect();
        if !foreign.is_empty() {
            let (n, of) = match foreign.len() {
                1 => ("1 budget".to_owned(), "stays as it is"),
                n => (format!("{n} budgets"), "stay as they are"),
            };
            self.note(format!(
                "{n} of others in the account {} {of}",
                self.account_id()
            ));
        }
        for fact in &foreign {
            for told in self.foreign_findings(fact) {
                self.find_on(KIND, GLOBAL, &fact.budget.name, told);
            }
        }
    }

    fn foreign_findings(&self, fact: &BudgetFact) -> Vec<Told> {
        let theirs = &fact.budget;
        let mut found = Vec::new();
        let types = theirs.cost_types;
        if theirs.kind == "COST"
            && !self.policy.include_credits
            && (types.include_credit || types.include_refund)
        {
            let what: Vec<&str> = [
                (types.include_credit, "credits"),
                (types.include_refund, "refunds"),
            ]
            .into_iter()
            .filter_map(|(yes, what)| yes.then_some(what))
            .collect();
            found.push(Told {
                id: "budgets.credits-hide-spend",
                severity: Severity::Medium,
                message: format!(
                    "the budget `{}` of somebody else counts {}: what they pay for does not trip it",
                    theirs.name,
                    what.join(" and ")
                ),
                evidence: format!(
                    "IncludeCredit = {}, IncludeRefund = {}",
                    types.include_credit, types.include_refund
                ),
                remediation: "clear them among the budget's charge types, or rely on ours"
                    .to_owned(),
                policy: self.rule("budgets.include_credits"),
            });
        }
        let forecast = theirs
            .notifications
            .keys()
            .any(|k| k.when == When::Forecast);
        if theirs.time_unit == "DAILY" && forecast {
            found.push(Told {
                id: "budgets.forecast-on-daily",
                severity: Severity::Medium,
                message: format!("the daily budget `{}` of somebody else has an alert on a forecast, which AWS makes for no daily budget", theirs.name),
                evidence: "TimeUnit DAILY, NotificationType FORECASTED".to_owned(),
                remediation: "alert on actual costs, or use a monthly budget".to_owned(),
                policy: self.rule("budgets.alert"),
            });
        }
        let silent = theirs.notifications.iter().find(|(_, s)| s.is_empty());
        if let Some((key, _)) = silent.filter(|_| fact.unread.is_none()) {
            found.push(Told {
                id: "budgets.no-subscriber",
                severity: Severity::Medium,
                message: format!(
                    "an alert of the budget `{}` of somebody else tells nobody",
                    theirs.name
                ),
                evidence: format!("{key}: no subscribers"),
                remediation: "give it a subscriber".to_owned(),
                policy: self.rule("budgets.alert"),
            });
        }
        if let Some(why) = &fact.unhealthy {
            found.push(self.unhealthy(why, Severity::Medium));
        }
        found
    }

    pub fn destroy_budgets(&mut self, reason: &Reason) {
        match &self.input.inventory.money.budgets {
            Observed::Known(all) => {
                for fact in all {
                    if !self.is_own_budget(fact) {
                        continue;
                    }
                    if fact.unread.is_some() {
                        self.unseen(KIND, GLOBAL, &fact.budget.name);
                        continue;
                    }
                    let budget = Object::Budget(fact.budget.clone());
                    self.remove(budget, reason.clone(), Decimal::ZERO);
                }
            }
            Observed::Absent => {}
            Observed::Unknown(_) => {
                let name = self.names.base.clone();
                self.unseen(KIND, GLOBAL, &name);
            }
        }
    }
}
