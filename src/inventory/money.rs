//! Facts about money.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rust_decimal::Decimal;

use super::Observed;
use crate::model::Tags;
use crate::model::object::{AnomalyMonitor, AnomalySubscription, Budget, Topic};

/// What AWS Budgets, Cost Anomaly Detection and billing tell of an account.
#[derive(Debug, Clone, Default)]
pub struct MoneyFacts {
    /// All budgets of the account, ours and foreign.
    pub budgets: Observed<Vec<BudgetFact>>,
    pub monitors: Observed<Vec<MonitorFact>>,
    pub subscriptions: Observed<Vec<AnomalySubscriptionFact>>,
    /// Cost allocation tags by key. `Absent`: this account cannot manage them (a member account).
    pub cost_tags: Observed<BTreeMap<String, CostTagFact>>,
    /// Whether `AWS/Billing` `EstimatedCharges` exists in us-east-1: `Absent` when billing alerts
    /// are switched off.
    pub billing_metric: Observed<()>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetFact {
    pub budget: Budget,
    /// Why the notifications or subscribers in `budget` are not all there, where they are not.
    pub unread: Option<String>,
    pub actual: Option<Decimal>,
    pub forecast: Option<Decimal>,
    /// The reason that AWS gives for an unhealthy budget, e.g. `FILTER_INVALID`.
    pub unhealthy: Option<String>,
    /// Only of budgets that bear a name of ours.
    pub tags: Observed<Tags>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonitorFact {
    pub arn: String,
    pub monitor: AnomalyMonitor,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnomalySubscriptionFact {
    pub arn: String,
    pub subscription: AnomalySubscription,
    /// E-mail addresses that declined or have not confirmed.
    pub unconfirmed: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostTagFact {
    pub active: bool,
    /// `None`: never seen on a cost line, as AWS tells it.
    pub last_used: Option<Timestamp>,
}

/// An SNS topic as notifications need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicFact {
    pub arn: String,
    pub topic: Topic,
    pub tags: Observed<Tags>,
    /// The key that encrypts it: an alias, id or ARN.
    pub kms_key: Option<String>,
    /// Why its subscriptions are not known, where they are not.
    pub unread: Option<String>,
    /// Subscriptions (`email:ops@example.com`) that are confirmed.
    pub confirmed: BTreeSet<String>,
    /// Those that wait for a click.
    pub pending: BTreeSet<String>,
}
