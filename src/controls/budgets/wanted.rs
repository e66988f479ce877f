//! What the policy and the environment ask for, before anybody looks at the account.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use super::names::{BILLING_REGION, Names};
use crate::config::Origin;
use crate::config::later::{BudgetWhen, Budgets};
use crate::config::workspace::Environment;
use crate::model::object::{
    AlarmMetric, Budget, CostTypes, MetricAlarm, MetricId, Money, NotificationKey, Subscriber,
    ThresholdUnit, When,
};
use crate::model::{Arn, usd};

/// Most e-mail addresses of one notification. Source: "Creating a budget".
pub(super) const ADDRESSES: usize = 10;

/// Most actions of one state of an alarm. Source: API model, `cloudwatch:PutMetricAlarm`.
pub(super) const ACTIONS: usize = 5;

/// Percent of the budget at which the billing alarm fires.
const BILLING_PERCENT: u32 = 80;

/// A topic that the environment notifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TopicTarget {
    /// As it was written, after `sns:`.
    pub text: String,
    pub origin: Origin,
    /// For budgets and anomalies.
    pub arn: String,
    /// For the billing alarm; `None`: it is another region's.
    pub billing: Option<String>,
}

/// Whom the environment notifies, in the order in which it was written.
#[derive(Debug, Clone, Default)]
pub(super) struct Targets {
    pub addresses: Vec<(String, Origin)>,
    pub topics: Vec<TopicTarget>,
}

impl Targets {
    pub fn new(config: &Environment) -> Targets {
        let mut out = Targets::default();
        let account = &config.account.value;
        let region = config.regions.first().map_or("", |r| r.value.as_str());
        for target in config.notify.targets() {
            if let Some(address) = target.strip_prefix("mailto:") {
                if !out.addresses.iter().any(|(a, _)| a == address) {
                    out.addresses.push((address.to_owned(), target.origin));
                }
            } else if let Some(topic) = target.strip_prefix("sns:") {
                if out.topics.iter().any(|t| t.text == topic) {
                    continue;
                }
                let of = |region: &str| format!("arn:aws:sns:{region}:{account}:{topic}");
                let (arn, billing) = match Arn::parse(topic) {
                    Some(arn) => (
                        topic.to_owned(),
                        (arn.region == BILLING_REGION).then(|| topic.to_owned()),
                    ),
                    None => (of(region), Some(of(BILLING_REGION))),
                };
                out.topics.push(TopicTarget {
                    text: topic.to_owned(),
                    origin: target.origin,
                    arn,
                    billing,
                });
            }
        }
        out
    }

    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.topics.is_empty()
    }

    /// What one notification of a budget can have: one topic and ten addresses.
    pub fn subscribers(&self) -> BTreeSet<Subscriber> {
        let topic = self.topics.first().map(|t| Subscriber::Sns(t.arn.clone()));
        let addresses = self.addresses.iter().take(ADDRESSES);
        addresses
            .map(|(a, _)| Subscriber::Email(a.clone()))
            .chain(topic)
            .collect()
    }

    /// `email:…`, as subscriptions of a topic are written.
    pub fn subscriptions(&self) -> BTreeSet<String> {
        let addresses = self.addresses.iter();
        addresses.map(|(a, _)| format!("email:{a}")).collect()
    }
}

/// A budget of this environment with everything but its name, limit and filters.
pub(super) fn budget(
    policy: &Budgets,
    targets: &Targets,
    name: String,
    limit: Decimal,
    filters: BTreeMap<String, BTreeSet<String>>,
) -> Budget {
    let subscribers = targets.subscribers();
    let mut notifications = BTreeMap::new();
    if !subscribers.is_empty() {
        for alert in policy.alert.values() {
            let key = NotificationKey {
                when: match alert.when {
                    BudgetWhen::Actual => When::Actual,
                    BudgetWhen::Forecast => When::Forecast,
                },
                operator: "GREATER_THAN".to_owned(),
                threshold: alert.at_percent.0.normalize(),
                unit: ThresholdUnit::Percent,
            };
            notifications.insert(key, subscribers.clone());
        }
    }
    Budget {
        name,
        kind: "COST".to_owned(),
        time_unit: "MONTHLY".to_owned(),
        limit: Some(Money {
            amount: limit.normalize(),
            unit: "USD".to_owned(),
        }),
        filters,
        cost_types: CostTypes {
            include_credit: policy.include_credits,
            include_refund: policy.include_credits,
            include_tax: policy.include_tax,
            ..CostTypes::default()
        },
        notifications,
        extra: BTreeMap::new(),
    }
}

/// Shares of an amount in whole cents: together they are the amount's share to the cent. Cents
/// that are left over go to those that lost most by rounding down.
pub(super) fn shares(
    amount: Decimal,
    percents: &BTreeMap<String, Decimal>,
) -> BTreeMap<String, Decimal> {
    let hundred = Decimal::from(100);
    let exact = |percent: &Decimal| amount * percent;
    let total = (amount * percents.values().sum::<Decimal>() / hundred).round_dp(2) * hundred;
    // In cents: an amount in USD times percent.
    let mut cents: Vec<(&String, Decimal, Decimal)> = percents
        .iter()
        .map(|(name, percent)| {
            let exact = exact(percent);
            (name, exact.floor(), exact - exact.floor())
        })
        .collect();
    let mut left = total - cents.iter().map(|c| c.1).sum::<Decimal>();
    cents.sort_by(|a, b| b.2.cmp(&a.2).then(a.0.cmp(b.0)));
    for share in &mut cents {
        if left >= Decimal::ONE {
            share.1 += Decimal::ONE;
            left -= Decimal::ONE;
        }
    }
    cents
        .into_iter()
        .map(|(name, cents, _)| (name.clone(), (cents / hundred).normalize()))
        .collect()
}

/// The alarm on the estimated charges of an account; `seen_from_payer`: of this one among all.
///
/// The metric is cumulative and comes a few times a day, so longer gaps in it are normal, and it
/// falls to zero with the month.
pub(super) fn billing_alarm(
    names: &Names,
    limit: Decimal,
    seen_from_payer: Option<&str>,
    actions: BTreeSet<String>,
) -> MetricAlarm {
    let threshold = (limit * Decimal::from(BILLING_PERCENT) / Decimal::from(100)).round_dp(2);
    let mut dimensions = BTreeMap::from([("Currency".to_owned(), "USD".to_owned())]);
    if let Some(account) = seen_from_payer {
        dimensions.insert("LinkedAccount".to_owned(), account.to_owned());
    }
    MetricAlarm {
        region: BILLING_REGION.to_owned(),
        name: names.alarm(),
        description: format!(
            "opsctl: estimated charges of the month above {BILLING_PERCENT} % of {} USD",
            usd(limit)
        ),
        metric: AlarmMetric::Single {
            metric: MetricId {
                namespace: "AWS/Billing".to_owned(),
                metric: "EstimatedCharges".to_owned(),
                dimensions,
            },
            statistic: "Maximum".to_owned(),
            period: 21_600,
        },
        comparison: "GreaterThanThreshold".to_owned(),
        threshold: Some(threshold.normalize()),
        threshold_metric_id: None,
        evaluation_periods: 1,
        datapoints_to_alarm: 1,
        treat_missing_data: "missing".to_owned(),
        low_samples: None,
        actions_enabled: true,
        alarm_actions: actions,
        ok_actions: BTreeSet::new(),
        insufficient_data_actions: BTreeSet::new(),
        extra: BTreeMap::new(),
    }
}
