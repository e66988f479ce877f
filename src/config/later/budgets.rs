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
    /// Whether ours is made although a budget of somebody else already covers the account.
    #[serde(default)]
    pub beside_foreign: bool,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
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
    /// Least total impact that is told; left out, every anomaly is.
    pub minimum_impact_usd: Option<Sourced<Amount>>,
}

/// Alerts that a budget may have for certain. Sources disagree: five (`CreateBudgetRequest`) or
/// ten (`Notification`). Source: API model, budgets.
const ALERTS: usize = 5;

impl Budgets {
    pub fn check(&self) -> Vec<Diagnostic> {
        let mut out = Vec::new();
        let mut seen: BTreeMap<(rust_decimal::Decimal, BudgetWhen), &str> = BTreeMap::new();
        for (i, (name, alert)) in self.alert.iter().enumerate() {
            if i == ALERTS {
                out.push(
                    Diagnostic::error(
                        alert.origin,
                        format!(
                            "{} alerts: a budget takes at most {ALERTS}",
                            self.alert.len()
                        ),
                    )
                    .with_help("AWS counts notifications per budget; leave one out"),
                );
            }
            let key = (alert.at_percent.0.normalize(), alert.when);
            if let Some(other) = seen.insert(key, name) {
                out.push(Diagnostic::error(
                    alert.origin,
                    format!("the alerts `{other}` and `{name}` are the same to AWS"),
                ));
            }
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
                Some(shares) => {
                    let zero = shares.iter().find(|(_, a)| a.0 <= 0.into());
                    if let Some((value, _)) = zero {
                        out.push(Diagnostic::error(
                            shares.origin,
                            format!(
                                "the share of `{value}` must be above 0: AWS takes no budget of nothing"
                            ),
                        ));
                    }
                    if let Some(empty) = shares.keys().find(|v| v.is_empty()) {
                        out.push(Diagnostic::error(
                            shares.origin,
                            format!("`{empty}` is no value of `{}`", key.value),
                        ));
                    }
                }
            }
        }
        if let Some(least) = self
            .anomaly
            .as_ref()
            .and_then(|a| a.minimum_impact_usd.as_ref())
            && least.0 < 0.into()
        {
            out.push(Diagnostic::error(
                least.origin,
                "minimum_impact_usd is 0 or more",
            ));
        }
        out
    }
}
