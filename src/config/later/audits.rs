//! `policies/cost.toml` and `policies/readiness.toml`

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::yes;
use crate::config::source::{Diagnostic, suggest};
use crate::config::values::{Period, Sourced};
use crate::model::{Amount, Severity, check_tag_key};

/// `[cost]`: thresholds of the cost audit. One that is left out turns its finding off.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Questions to Cost Explorer for one payer account and one audit; 12 where it is left out.
    pub max_questions: Option<Sourced<u32>>,
    /// Split costs by these tag keys, instead of those that the tag policy requires.
    pub tags: Option<Vec<Sourced<String>>>,
    /// Where the number of users is measured, instead of `users` in `opsctl.toml`.
    pub users_metric: Option<Sourced<UsersMetric>>,
    #[serde(default)]
    pub growth: Growth,
    #[serde(default)]
    pub anomaly: AnomalyImpact,
    /// Percent of the month's spend that can be tagged, without a required tag.
    pub untagged_above_percent: Option<Sourced<Amount>>,
    /// A service that costs this much and was not there last month.
    pub new_service_above_usd: Option<Sourced<Amount>>,
    /// A region that costs this much and was not there last month.
    pub new_region_above_usd: Option<Sourced<Amount>>,
    /// Percent of the budget from which being over it is critical; 120 where it is left out.
    pub over_budget_critical_percent: Option<Sourced<Amount>>,
    /// Credits and refunds of this month that make the bill smaller than the spend.
    pub credits_above_usd: Option<Sourced<Amount>>,
    /// Percent of Savings Plans or reservations that is used.
    pub commitment_used_below_percent: Option<Sourced<Amount>>,
}

/// A service is a finding when it grew by both.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Growth {
    pub above_percent: Option<Sourced<Amount>>,
    pub above_usd: Option<Sourced<Amount>>,
}

/// Anomalies by their impact.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnomalyImpact {
    pub above_usd: Option<Sourced<Amount>>,
    /// From here on it is high, not medium.
    pub high_above_usd: Option<Sourced<Amount>>,
}

/// A metric whose newest value is the number of users.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UsersMetric {
    pub namespace: String,
    pub metric: String,
    #[serde(default)]
    pub dimensions: BTreeMap<String, String>,
    /// `Maximum` where it is left out.
    pub statistic: Option<String>,
    /// The first of the environment where it is left out.
    pub region: Option<String>,
}

/// Questions of one audit to one payer account, where the policy does not say.
pub const MAX_QUESTIONS: u32 = 12;

impl Cost {
    /// Questions of one audit to one payer account.
    pub fn max_questions(&self) -> usize {
        let max = self
            .max_questions
            .as_ref()
            .map_or(MAX_QUESTIONS, |m| m.value);
        usize::try_from(max).unwrap_or(usize::MAX)
    }

    pub fn check(&self) -> Vec<Diagnostic> {
        let mut out = Vec::new();
        if let Some(max) = &self.max_questions
            && !(1..=40).contains(&max.value)
        {
            out.push(
                Diagnostic::error(max.origin, format!("max_questions is {}", max.value))
                    .with_help("a number from 1 to 40; each question costs at least 0.01 USD"),
            );
        }
        let hundred = rust_decimal::Decimal::ONE_HUNDRED;
        let percents = [
            (
                "untagged_above_percent",
                &self.untagged_above_percent,
                Some(hundred),
            ),
            (
                "commitment_used_below_percent",
                &self.commitment_used_below_percent,
                Some(hundred),
            ),
            ("growth.above_percent", &self.growth.above_percent, None),
            ("growth.above_usd", &self.growth.above_usd, None),
            ("new_service_above_usd", &self.new_service_above_usd, None),
            ("new_region_above_usd", &self.new_region_above_usd, None),
            ("credits_above_usd", &self.credits_above_usd, None),
            ("anomaly.above_usd", &self.anomaly.above_usd, None),
            ("anomaly.high_above_usd", &self.anomaly.high_above_usd, None),
        ];
        for (name, value, most) in percents {
            let Some(value) = value else { continue };
            if value.0.is_sign_negative() && !value.0.is_zero() {
                out.push(Diagnostic::error(
                    value.origin,
                    format!("{name} is below 0"),
                ));
            } else if most.is_some_and(|most| value.0 > most) {
                out.push(Diagnostic::error(
                    value.origin,
                    format!("{name} is {}: it is a share, at most 100", value.0),
                ));
            }
        }
        if let Some(percent) = &self.over_budget_critical_percent
            && percent.0 < hundred
        {
            out.push(
                Diagnostic::error(
                    percent.origin,
                    format!("over_budget_critical_percent is {}", percent.0),
                )
                .with_help("100 or more: below that the budget is not exceeded"),
            );
        }
        if let (Some(low), Some(high)) = (&self.anomaly.above_usd, &self.anomaly.high_above_usd)
            && low.0 > high.0
        {
            out.push(Diagnostic::error(
                high.origin,
                "anomaly.high_above_usd is below anomaly.above_usd",
            ));
        }
        if let (Some(alone), None) | (None, Some(alone)) =
            (&self.growth.above_percent, &self.growth.above_usd)
        {
            out.push(
                Diagnostic::warning(alone.origin, "growth needs above_percent and above_usd")
                    .with_help(
                        "a service is a finding when it grew by both; with one of them none is",
                    ),
            );
        }
        for (i, key) in self.tags.iter().flatten().enumerate() {
            if let Err(e) = check_tag_key(&key.value) {
                out.push(Diagnostic::error(key.origin, e.to_string()));
            }
            if self
                .tags
                .iter()
                .flatten()
                .take(i)
                .any(|k| k.value == key.value)
            {
                out.push(Diagnostic::error(
                    key.origin,
                    format!("`{}` is listed twice", key.value),
                ));
            }
        }
        if let Some(metric) = &self.users_metric
            && (metric.namespace.is_empty() || metric.metric.is_empty())
        {
            out.push(Diagnostic::error(
                metric.origin,
                "users_metric needs a namespace and a metric",
            ));
        }
        out
    }
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
