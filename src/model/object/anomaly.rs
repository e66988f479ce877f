use std::collections::BTreeSet;

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Extra, Subscriber};

/// What an anomaly monitor watches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MonitorScope {
    /// Every value of a dimension by itself: `SERVICE`, `LINKED_ACCOUNT`, …
    Dimension(String),
    /// The costs of these accounts, seen from the payer.
    Accounts(BTreeSet<String>),
    /// Anything else, as JSON.
    Other(String),
}

/// A monitor of AWS Cost Anomaly Detection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AnomalyMonitor {
    pub name: String,
    pub scope: MonitorScope,
}

/// Who is told of an anomaly, and from which impact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AnomalySubscription {
    pub name: String,
    /// Names of the monitors; a name that stands for several is the first by ARN.
    pub monitors: BTreeSet<String>,
    /// `IMMEDIATE` (to SNS), `DAILY` or `WEEKLY` (to e-mail).
    pub frequency: String,
    /// Least total impact in USD (`ANOMALY_TOTAL_IMPACT_ABSOLUTE`).
    #[schemars(with = "Option<String>")]
    pub minimum_impact_usd: Option<Decimal>,
    pub subscribers: BTreeSet<Subscriber>,
    #[serde(default, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

/// A tag key as a dimension of cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CostAllocationTag {
    pub key: String,
    pub active: bool,
}
