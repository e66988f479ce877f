//! What an audit says about the costs of one environment.

use std::collections::BTreeMap;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::question::Anomaly;

/// Costs of one environment, or of all together. Amounts are decimal strings with two places,
/// null where unknown; percentages are decimal strings with one.
///
/// Parts add up: services and days to the month to date, environments and other accounts to the
/// whole, each to the cent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CostEntry {
    /// `null` for the whole. Environments on one account that cannot be told apart are one entry,
    /// their names joined with `+`.
    pub environment: Option<String>,
    pub account: Option<String>,
    /// Empty where nothing is known.
    pub currency: String,
    /// From the 1st to today, which is not complete.
    pub month_to_date: Option<String>,
    /// Complete days, and the forecast from today.
    pub forecast_month_end: Option<String>,
    /// The interval is one of 80 %.
    pub forecast_low: Option<String>,
    pub forecast_high: Option<String>,
    pub budget: Option<String>,
    /// The days of last month that [`CostEntry::month_to_date_same_days`] is compared with.
    pub previous_same_days: Option<String>,
    pub previous_full_month: Option<String>,
    /// The month is not finished, or AWS still corrects it.
    pub estimated: bool,
    /// Most expensive first.
    pub by_service: Vec<ServiceCost>,
    /// By required tag key.
    pub by_tag: BTreeMap<String, Vec<TagCost>>,
    /// Spend without the tag, by key; null where the key is no dimension of cost.
    pub untagged: BTreeMap<String, Option<String>>,
    pub per_user: Option<String>,
    pub stage_band: Option<Band>,

    /// The first day of the month that this is about.
    #[serde(default)]
    pub month: Option<String>,
    /// `cost-explorer`: AWS's own forecast. `own-estimate`: from the days so far. `sum`: the parts'.
    #[serde(default)]
    pub forecast_basis: Option<String>,
    /// How the estimate was made, or why there is none.
    #[serde(default)]
    pub forecast_note: Option<String>,
    #[serde(default)]
    pub budget_left: Option<String>,
    #[serde(default)]
    pub budget_used_percent: Option<String>,
    /// The forecast in percent of the budget.
    #[serde(default)]
    pub budget_forecast_percent: Option<String>,
    #[serde(default)]
    pub stage: Option<String>,
    /// The forecast (else the month to date) in percent of the upper end of the stage's band.
    #[serde(default)]
    pub band_percent: Option<String>,
    /// Complete days of each month that are compared; 0: none is complete yet.
    #[serde(default)]
    pub compared_days: u32,
    /// This month's part of the comparison.
    #[serde(default)]
    pub month_to_date_same_days: Option<String>,
    #[serde(default)]
    pub change: Option<String>,
    #[serde(default)]
    pub change_percent: Option<String>,
    /// The services that moved most against the same days, at most five, most first.
    #[serde(default)]
    pub top_movers: Vec<Mover>,
    /// In percent of what can be tagged (not tax).
    #[serde(default)]
    pub untagged_percent: BTreeMap<String, String>,
    #[serde(default)]
    pub tag_status: BTreeMap<String, TagStatus>,
    #[serde(default)]
    pub by_region: Vec<RegionCost>,
    /// NAT gateways, egress and storage; null where usage types were not asked for.
    #[serde(default)]
    pub shares: Option<Shares>,
    /// Credits, refunds and tax, whether or not they count.
    #[serde(default)]
    pub adjustments: Option<Adjustments>,
    /// Kinds of charges that the amounts leave out, as the budgets policy says.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// Null where it was not asked for.
    #[serde(default)]
    pub anomalies: Option<Vec<AnomalyEntry>>,
    #[serde(default)]
    pub commitments: Option<Commitments>,
    #[serde(default)]
    pub users: Option<String>,
    /// What is divided by what.
    #[serde(default)]
    pub per_user_basis: Option<String>,
    /// Cost of hours in which nothing was done.
    #[serde(default)]
    pub idle_hours: Option<String>,
    #[serde(default)]
    pub idle_hours_note: Option<String>,
    /// Each day from the 1st of last month to today.
    #[serde(default)]
    pub daily: Vec<DayCost>,
    /// Of the whole: what the payer pays for besides the environments.
    #[serde(default)]
    pub other_accounts: Vec<OtherAccount>,
    /// Questions that were not asked, and why.
    #[serde(default)]
    pub not_asked: Vec<String>,
    /// Only from exports: the most expensive resources, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_resource: Vec<ResourceCost>,
    /// When the oldest answer was given.
    #[serde(default)]
    pub asked_at: Option<String>,
    /// Where amounts are unknown or mean less than they seem to.
    #[serde(default)]
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceCost {
    pub name: String,
    pub month_to_date: Option<String>,
    pub previous_same_days: Option<String>,
    #[serde(default)]
    pub month_to_date_same_days: Option<String>,
    #[serde(default)]
    pub previous_full_month: Option<String>,
    #[serde(default)]
    pub change: Option<String>,
    /// Null where it cost nothing before.
    #[serde(default)]
    pub change_percent: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TagCost {
    /// Empty: without the tag.
    pub value: String,
    pub month_to_date: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Band {
    pub from: String,
    pub to: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mover {
    pub name: String,
    pub change: String,
    pub change_percent: Option<String>,
}

/// Whether a tag key is a dimension of cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TagStatus {
    /// Costs are split by it.
    Active,
    /// It is not activated as a cost allocation tag: nothing is known about it.
    NotActivated,
    /// Only untagged spend, and whether the key is activated could not be seen.
    Unknown,
    NotAsked,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RegionCost {
    pub name: String,
    pub month_to_date: Option<String>,
    pub previous_full_month: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Share {
    pub month_to_date: String,
    pub percent: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceCost {
    pub name: String,
    pub month_to_date: String,
}

/// Parts of the month to date that grow unseen, told by usage types.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shares {
    pub nat: Share,
    pub egress: Share,
    pub storage: Share,
}

/// This month's, and last month's, with their signs: credits and refunds are negative.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Adjustments {
    pub credits: String,
    pub refunds: String,
    pub tax: String,
    pub previous_credits: String,
    pub previous_refunds: String,
    pub previous_tax: String,
    /// The month to date with all of them: what the bill shows.
    pub billed_month_to_date: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AnomalyEntry {
    pub id: String,
    pub from: String,
    /// Null: it goes on.
    pub to: Option<String>,
    pub service: Option<String>,
    pub region: Option<String>,
    pub usage_type: Option<String>,
    pub impact: String,
    pub monitor: Option<String>,
}

impl From<&Anomaly> for AnomalyEntry {
    fn from(anomaly: &Anomaly) -> Self {
        AnomalyEntry {
            id: anomaly.id.clone(),
            from: anomaly.start.to_string(),
            to: anomaly.end.map(|day| day.to_string()),
            service: anomaly.service.clone(),
            region: anomaly.region.clone(),
            usage_type: anomaly.usage_type.clone(),
            impact: super::cents::text(anomaly.impact),
            monitor: anomaly.monitor.clone(),
        }
    }
}

/// Savings Plans and reservations of the payer in the last 30 days, in percent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Commitments {
    pub savings_plans_utilization: Option<String>,
    pub savings_plans_coverage: Option<String>,
    pub reservation_utilization: Option<String>,
    pub reservation_coverage: Option<String>,
    /// `n/a` where there are none, or why something is not known.
    pub note: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DayCost {
    #[schemars(with = "String")]
    pub date: Date,
    pub amount: String,
    #[serde(default)]
    pub estimated: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OtherAccount {
    pub account: String,
    /// What of the account this is, where it is not all of it.
    pub label: Option<String>,
    pub month_to_date: String,
    pub previous_same_days: Option<String>,
    pub previous_full_month: Option<String>,
}
