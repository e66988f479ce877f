//! What an audit says about the costs of one environment.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Costs of one environment, or of all together. Amounts are decimal strings, null where unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CostEntry {
    /// `null` for the whole.
    pub environment: Option<String>,
    pub account: Option<String>,
    pub currency: String,
    pub month_to_date: Option<String>,
    pub forecast_month_end: Option<String>,
    pub forecast_low: Option<String>,
    pub forecast_high: Option<String>,
    pub budget: Option<String>,
    pub previous_same_days: Option<String>,
    pub previous_full_month: Option<String>,
    /// The month is not finished, or AWS still corrects it.
    pub estimated: bool,
    pub by_service: Vec<ServiceCost>,
    /// By required tag key.
    pub by_tag: BTreeMap<String, Vec<TagCost>>,
    /// Spend without the tag, by key.
    pub untagged: BTreeMap<String, Option<String>>,
    pub per_user: Option<String>,
    pub stage_band: Option<Band>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceCost {
    pub name: String,
    pub month_to_date: Option<String>,
    pub previous_same_days: Option<String>,
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
