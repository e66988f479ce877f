//! `policies/alarms.toml`

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::source::Diagnostic;
use crate::config::values::{Datapoints, Match, Period, Sourced};
use crate::model::Amount;

/// `[alarms]`
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alarms {
    /// Beginning of every alarm name.
    pub prefix: Option<String>,
    #[serde(default)]
    pub packs: Vec<Pack>,
    #[serde(default)]
    pub business: BTreeMap<String, Sourced<BusinessAlarm>>,
    #[serde(default)]
    pub slo: BTreeMap<String, Slo>,
    #[serde(default)]
    pub per_resource: BTreeMap<String, PerResource>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pack {
    Business,
    Web,
    Database,
    Queue,
    Serverless,
    Cache,
    Storage,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    pub namespace: String,
    pub metric: String,
    #[serde(default)]
    pub dimensions: BTreeMap<String, String>,
    pub statistic: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BusinessAlarm {
    pub failed: Option<Metric>,
    pub total: Option<Metric>,
    pub metric: Option<Metric>,
    pub above_percent: Option<Amount>,
    pub above: Option<Amount>,
    pub below: Option<Amount>,
    #[serde(default)]
    pub anomaly: bool,
    pub period: Option<Period>,
    pub datapoints: Option<Datapoints>,
    pub minimum_total: Option<u64>,
    pub no_data_after: Option<Period>,
    pub severity: Option<Routing>,
}

/// Which notification target an alarm goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Routing {
    Page,
    Ticket,
    Info,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slo {
    pub good: Metric,
    pub total: Metric,
    pub objective_percent: Sourced<Amount>,
    pub window: Period,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PerResource {
    #[serde(rename = "for")]
    pub kind: String,
    #[serde(rename = "match", default)]
    pub matches: Match,
    /// A metric name, or two with ` / ` between them.
    pub metric: String,
    pub above_percent: Option<Amount>,
    pub above: Option<Amount>,
    pub below: Option<Amount>,
    pub period: Option<Period>,
    pub datapoints: Option<Datapoints>,
    pub severity: Option<Routing>,
}

impl Alarms {
    pub fn check(&self) -> Vec<Diagnostic> {
        let mut out = Vec::new();
        for (name, alarm) in &self.business {
            let ratio = alarm.failed.is_some() && alarm.total.is_some();
            if !ratio && alarm.metric.is_none() {
                out.push(Diagnostic::error(
                    alarm.origin,
                    format!("business alarm `{name}` needs `failed` and `total`, or `metric`"),
                ));
            }
            if alarm.above_percent.is_none()
                && alarm.above.is_none()
                && alarm.below.is_none()
                && !alarm.anomaly
            {
                out.push(Diagnostic::error(
                    alarm.origin,
                    format!("business alarm `{name}` has no threshold: above_percent, above, below or anomaly = true"),
                ));
            }
        }
        for (name, slo) in &self.slo {
            let objective = slo.objective_percent.0;
            if objective <= 0.into() || objective >= 100.into() {
                out.push(Diagnostic::error(
                    slo.objective_percent.origin,
                    format!("SLO `{name}`: an objective is above 0 and below 100 percent"),
                ));
            }
        }
        out
    }
}
