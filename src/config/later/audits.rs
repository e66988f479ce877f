//! `policies/cost.toml` and `policies/readiness.toml`

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::yes;
use crate::config::source::{Diagnostic, suggest};
use crate::config::values::{Period, Sourced};
use crate::model::{Amount, Severity};

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
