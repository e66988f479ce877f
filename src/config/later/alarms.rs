//! `policies/alarms.toml`

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::yes;
use crate::config::values::{Datapoints, Match, Period, Sourced};
use crate::model::Amount;

/// `[alarms]`
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alarms {
    /// Beginning of every alarm name.
    pub prefix: Option<Sourced<String>>,
    #[serde(default)]
    pub packs: Vec<Sourced<Pack>>,
    #[serde(default)]
    pub business: BTreeMap<String, Sourced<BusinessAlarm>>,
    #[serde(default)]
    pub slo: BTreeMap<String, Sourced<Slo>>,
    #[serde(default)]
    pub per_resource: BTreeMap<String, Sourced<PerResource>>,
    /// Other values for single alarms of the packs, by their ids (`rds-cpu`, `sqs-age`, …).
    #[serde(default)]
    pub tune: BTreeMap<String, Sourced<Tune>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
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

impl Pack {
    pub fn as_str(self) -> &'static str {
        match self {
            Pack::Business => "business",
            Pack::Web => "web",
            Pack::Database => "database",
            Pack::Queue => "queue",
            Pack::Serverless => "serverless",
            Pack::Cache => "cache",
            Pack::Storage => "storage",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    pub namespace: String,
    pub metric: String,
    #[serde(default)]
    pub dimensions: BTreeMap<String, String>,
    /// `Sum`, `Average`, `p99`, …; `Sum` for counters, `Average` for `metric`.
    pub statistic: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BusinessAlarm {
    /// Of a failure rate: what failed.
    pub failed: Option<Metric>,
    /// Of a failure rate: all there was.
    pub total: Option<Metric>,
    /// A single metric, for `above`, `below` and `anomaly`.
    pub metric: Option<Metric>,
    /// Of a failure rate, in percent.
    pub above_percent: Option<Amount>,
    pub above: Option<Amount>,
    pub below: Option<Amount>,
    /// Outside of the band that CloudWatch expects (two standard deviations).
    #[serde(default)]
    pub anomaly: bool,
    /// 10, 20 or 30 seconds, or whole minutes; 1 minute if not given.
    pub period: Option<Period>,
    /// "3 of 5" if not given.
    pub datapoints: Option<Datapoints>,
    /// Of a failure rate: a period with less than this is healthy.
    pub minimum_total: Option<u64>,
    /// No data at all for so long is an alarm of its own.
    pub no_data_after: Option<Period>,
    /// `page` if not given.
    pub severity: Option<Routing>,
    /// What a missing point counts as; a sensible choice for the form if not given.
    pub missing_data: Option<MissingData>,
    /// The region with the metrics; the first of the environment if not given.
    pub region: Option<Sourced<String>>,
}

/// What a missing point counts as. Source: CloudWatch user guide, "Configuring how CloudWatch alarms
/// treat missing data".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum MissingData {
    #[serde(rename = "missing")]
    Missing,
    #[serde(rename = "ignore")]
    Ignore,
    #[serde(rename = "breaching")]
    Breaching,
    #[serde(rename = "notBreaching", alias = "not-breaching")]
    NotBreaching,
}

impl MissingData {
    /// As AWS writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            MissingData::Missing => "missing",
            MissingData::Ignore => "ignore",
            MissingData::Breaching => "breaching",
            MissingData::NotBreaching => "notBreaching",
        }
    }
}

/// Which notification target an alarm goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Routing {
    Page,
    Ticket,
    Info,
}

impl Routing {
    pub const ALL: [Routing; 3] = [Routing::Page, Routing::Ticket, Routing::Info];

    pub fn as_str(self) -> &'static str {
        match self {
            Routing::Page => "page",
            Routing::Ticket => "ticket",
            Routing::Info => "info",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slo {
    pub good: Metric,
    pub total: Metric,
    /// Above 0, below 100.
    pub objective_percent: Sourced<Amount>,
    /// What the error budget is for: 7 to 90 days.
    pub window: Period,
    /// A long window with less than this is healthy, a short one with less than a twelfth of it; 10 if
    /// not given.
    pub minimum_total: Option<u64>,
    /// The region with the metrics; the first of the environment if not given.
    pub region: Option<Sourced<String>>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PerResource {
    /// A resource type, e.g. `lambda-function`.
    #[serde(rename = "for")]
    pub kind: Sourced<String>,
    #[serde(rename = "match", default)]
    pub matches: Match,
    /// A metric name, or two with ` / ` between them.
    pub metric: Sourced<String>,
    /// `Sum` if not given.
    pub statistic: Option<String>,
    pub above_percent: Option<Amount>,
    pub above: Option<Amount>,
    pub below: Option<Amount>,
    pub period: Option<Period>,
    pub datapoints: Option<Datapoints>,
    /// Of a share: a period with less than this in the second metric is healthy.
    pub minimum_total: Option<u64>,
    /// `ticket` if not given.
    pub severity: Option<Routing>,
    pub missing_data: Option<MissingData>,
}

/// `[alarms.tune.ID]`: other values for an alarm of a pack.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tune {
    /// `false`: not this one.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// In the unit of the alarm: percent, seconds, a count.
    pub threshold: Option<Amount>,
    pub period: Option<Period>,
    pub datapoints: Option<Datapoints>,
    pub severity: Option<Routing>,
    /// Only for these resources.
    #[serde(rename = "match", default)]
    pub matches: Match,
}
