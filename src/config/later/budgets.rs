//! `policies/budgets.toml`

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::yes;
use crate::config::source::Diagnostic;
use crate::config::values::Sourced;
use crate::model::Amount;

/// `[budgets]`
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budgets {
    /// Whether credits count against the budget; a startup on credits would otherwise never see it trip.
    #[serde(default)]
    pub include_credits: bool,
    #[serde(default = "yes")]
    pub include_tax: bool,
    #[serde(default)]
    pub alert: BTreeMap<String, Sourced<BudgetAlert>>,
    #[serde(default)]
    pub split: BudgetSplit,
    pub billing_alarm: Option<Enabled>,
    pub anomaly: Option<Anomaly>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetAlert {
    /// Percent of the budget.
    pub at_percent: Amount,
    pub when: BudgetWhen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BudgetWhen {
    Actual,
    Forecast,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetSplit {
    #[serde(default)]
    pub by_tag: Vec<Sourced<String>>,
    /// Percent of the environment's budget, by tag key and value.
    #[serde(default)]
    pub shares: BTreeMap<String, Sourced<BTreeMap<String, Amount>>>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Enabled {
    pub enabled: bool,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Anomaly {
    pub enabled: bool,
    pub minimum_impact_usd: Option<Amount>,
}

impl Budgets {
    pub fn check(&self) -> Vec<Diagnostic> {
        let mut out = Vec::new();
        for (name, alert) in &self.alert {
            if alert.at_percent.0 <= 0.into() {
                out.push(Diagnostic::error(
                    alert.origin,
                    format!("alert `{name}`: at_percent must be above 0"),
                ));
            }
        }
        for key in &self.split.by_tag {
            match self.split.shares.get(&key.value) {
                None => out.push(
                    Diagnostic::error(
                        key.origin,
                        format!("`{}` is split by but has no shares", key.value),
                    )
                    .with_help(format!(
                        "[budgets.split] shares = {{ {} = {{ … }} }}",
                        key.value
                    )),
                ),
                Some(shares)
                    if shares.values().map(|a| a.0).sum::<rust_decimal::Decimal>() > 100.into() =>
                {
                    out.push(Diagnostic::error(
                        shares.origin,
                        format!("the shares of `{}` add up to more than 100 %", key.value),
                    ));
                }
                Some(_) => {}
            }
        }
        out
    }
}
