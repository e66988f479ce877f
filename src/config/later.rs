//! Policies whose controls come with a later version: they parse and validate, and the plan says
//! that they are not reconciled yet.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use super::source::{Diagnostic, suggest};
use super::values::{Datapoints, Match, Period, Sourced};
use crate::model::{Amount, Severity};

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

fn yes() -> bool {
    true
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

/// `[backups]`
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backups {
    /// 0 to 35.
    pub retention_days: Option<Sourced<u32>>,
    pub deletion_protection: Option<bool>,
    pub copy_tags_to_snapshot: Option<bool>,
    pub point_in_time_recovery: Option<bool>,
    pub copy_to_region: Option<String>,
    pub snapshot_max_age: Option<Period>,
    /// A source with no passed drill this recent is a finding.
    pub drill_every: Option<Period>,
    #[serde(default)]
    pub drill: BTreeMap<String, Drill>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Drill {
    /// `rds:`, `aurora:` or `dynamodb:` and a name, or `s3-dump:bucket/prefix`.
    pub source: Sourced<String>,
    #[serde(default)]
    pub method: DrillMethod,
    pub objective: Option<Objective>,
    pub restore: Option<Restore>,
    pub connect: Option<Connect>,
    pub limits: Option<Limits>,
    #[serde(default)]
    pub check: Vec<Check>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DrillMethod {
    #[default]
    Snapshot,
    PointInTime,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    pub rto: Option<Period>,
    pub rpo: Option<Period>,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    pub instance_class: Option<String>,
    pub subnet_group: Option<String>,
    #[serde(default)]
    pub security_groups: Vec<String>,
    pub parameter_group: Option<String>,
    /// A PostgreSQL to restore dumps into, instead of a scratch one.
    pub scratch: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connect {
    pub database: Option<String>,
    pub user: Option<String>,
    #[serde(default)]
    pub via: Via,
}

/// How the restored copy is reached: `"direct"`, `"host:port"`, or `{ command = "…" }`.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Via {
    #[default]
    Direct,
    Address(String),
    Command(String),
}

impl<'de> Deserialize<'de> for Via {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> de::Visitor<'de> for V {
            type Value = Via;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("\"direct\", \"host:port\" or { command = \"…\" }")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Via, E> {
                match text {
                    "direct" => Ok(Via::Direct),
                    _ if text.rsplit_once(':').is_some_and(|(host, port)| {
                        !host.is_empty() && port.parse::<u16>().is_ok()
                    }) =>
                    {
                        Ok(Via::Address(text.to_owned()))
                    }
                    _ => Err(E::custom(format!(
                        "`{text}` is neither \"direct\" nor \"host:port\""
                    ))),
                }
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Via, A::Error> {
                let mut command = None;
                while let Some(key) = map.next_key::<String>()? {
                    if key != "command" {
                        return Err(de::Error::unknown_field(&key, &["command"]));
                    }
                    command = Some(map.next_value()?);
                }
                command
                    .map(Via::Command)
                    .ok_or_else(|| de::Error::missing_field("command"))
            }
        }
        deserializer.deserialize_any(V)
    }
}

impl JsonSchema for Via {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Via".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "\"direct\", \"host:port\", or a command that opens a tunnel.",
            "anyOf": [
                {"type": "string"},
                {"type": "object", "properties": {"command": {"type": "string"}},
                 "required": ["command"], "additionalProperties": false}
            ]
        })
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub timeout: Option<Period>,
    pub cost_usd: Option<Amount>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    pub sql: Option<String>,
    pub expect: Option<Sourced<String>>,
}

impl Backups {
    pub fn check(&self) -> Vec<Diagnostic> {
        let mut out = Vec::new();
        if let Some(days) = &self.retention_days
            && days.value > 35
        {
            out.push(Diagnostic::error(
                days.origin,
                "RDS keeps automated backups for 0 to 35 days",
            ));
        }
        for (name, drill) in &self.drill {
            let kinds = ["rds:", "aurora:", "dynamodb:", "s3-dump:"];
            if !kinds.iter().any(|k| {
                drill
                    .source
                    .strip_prefix(k)
                    .is_some_and(|rest| !rest.is_empty())
            }) {
                out.push(
                    Diagnostic::error(
                        drill.source.origin,
                        format!("drill `{name}`: `{}` is not a source", drill.source.value),
                    )
                    .with_help("rds:NAME, aurora:NAME, dynamodb:NAME or s3-dump:BUCKET/PREFIX"),
                );
            }
            for check in &drill.check {
                if let Some(expect) = &check.expect
                    && !["<", ">", "=", "!"]
                        .iter()
                        .any(|op| expect.trim_start().starts_with(op))
                {
                    out.push(
                        Diagnostic::error(
                            expect.origin,
                            format!("drill `{name}`: `{}` is not an expectation", expect.value),
                        )
                        .with_help(
                            "begin with a comparison: \"> 0\", \"= 42\", \"<= 24\", \"!= 0\"",
                        ),
                    );
                }
            }
        }
        out
    }
}

/// `[cost]`: thresholds of the cost audit.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    #[serde(default)]
    pub growth: Growth,
    /// Percent of the month's spend without a required tag.
    pub untagged_above_percent: Option<Amount>,
    /// A service that costs this much and was not there last month.
    pub new_service_above_usd: Option<Amount>,
    /// A region that costs this much and was not there last month.
    pub new_region_above_usd: Option<Amount>,
}

/// A service is a finding when it grew by both.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Growth {
    pub above_percent: Option<Amount>,
    pub above_usd: Option<Amount>,
}

/// `[readiness]`: one table per practice.
pub type Readiness = BTreeMap<String, Sourced<Practice>>;

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Practice {
    /// The first stage that it applies to.
    pub from: Sourced<String>,
    pub severity: Severity,
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Percent of CPU below which an hour counts as idle.
    pub idle_below_percent: Option<Amount>,
    /// Share of idle hours from which a resource is idle.
    pub idle_hours_percent: Option<Amount>,
    /// How far back to look.
    pub look_back: Option<Period>,
    /// Days that log groups keep their events, at least.
    pub retention_days_min: Option<u32>,
    /// Days that log groups keep their events, at most.
    pub retention_days_max: Option<u32>,
    /// Percent that is good enough.
    pub at_least_percent: Option<Amount>,
    /// Percent that is too much.
    pub at_most_percent: Option<Amount>,
    pub max_age: Option<Period>,
    pub required_maximum: Option<u32>,
}

/// The practices that can be checked, by their keys in `policies/readiness.toml`.
pub const PRACTICES: [&str; 28] = [
    "separate-accounts",
    "reproducible-from-code",
    "central-logs",
    "structured-logs",
    "business-alerts",
    "tested-backups",
    "uptime-check",
    "static-assets",
    "cache",
    "connection-pooling",
    "statement-timeout",
    "load-balancing",
    "read-replicas",
    "dead-letter-queues",
    "partial-batch-responses",
    "tracing",
    "rate-limits",
    "pre-warming",
    "concurrency-headroom",
    "provisioned-concurrency",
    "idle-capacity",
    "right-size-first",
    "spot",
    "multi-az",
    "deletion-protection",
    "multi-region",
    "sharding",
    "event-driven",
];

pub fn check_readiness(readiness: &Readiness) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    for (name, practice) in readiness {
        if !PRACTICES.contains(&name.as_str()) {
            let help = suggest(name, PRACTICES).map_or_else(
                || format!("one of: {}", PRACTICES.join(", ")),
                |s| format!("did you mean `{s}`?"),
            );
            out.push(
                Diagnostic::error(practice.origin, format!("unknown practice `{name}`"))
                    .with_help(help),
            );
        }
        if !practice.from.starts_with("stage-") {
            out.push(Diagnostic::error(
                practice.from.origin,
                format!("`{}` is not a stage like \"stage-2\"", practice.from.value),
            ));
        }
    }
    out
}
