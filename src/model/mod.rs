//! Newtypes and values that every stage of the pipeline shares; no logic of others.

mod address;
mod amount;
mod arn;
pub mod lifecycle;
pub mod object;
mod resource_type;
pub mod settings;
mod tags;

pub use address::Address;
pub use amount::{Amount, MOST_AMOUNT, grouped, usd};
pub use arn::{Arn, partition};
pub use resource_type::ResourceType;
pub use tags::{
    IGNORE_TAG, Owner, TagError, Tags, check_tag_key, check_tag_value, ignore_reason, owner_of,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What findings belong to: the five things that opsctl reconciles, and what it only looks at.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Control {
    Tags,
    Budgets,
    Lifecycle,
    Alarms,
    Backups,
    /// Only audited.
    Cost,
    /// Only audited.
    Readiness,
}

impl Control {
    /// The five that are planned and applied.
    pub const ALL: [Control; 5] = [
        Control::Tags,
        Control::Budgets,
        Control::Lifecycle,
        Control::Alarms,
        Control::Backups,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Control::Tags => "tags",
            Control::Budgets => "budgets",
            Control::Lifecycle => "lifecycle",
            Control::Alarms => "alarms",
            Control::Backups => "backups",
            Control::Cost => "cost",
            Control::Readiness => "readiness",
        }
    }

    /// Whether this version can say anything about it; costs are judged by an audit of their own.
    pub fn audited(self) -> bool {
        self.reconciled() || self == Control::Cost
    }

    /// Whether this version compares and writes it, or only parses and validates its policy.
    pub fn reconciled(self) -> bool {
        Control::ALL.contains(&self)
    }
}

impl std::fmt::Display for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Control {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Control::ALL
            .into_iter()
            .find(|c| c.as_str() == text || (text == "s3-lifecycle" && *c == Control::Lifecycle))
            .ok_or_else(|| {
                format!(
                    "unknown control `{text}`: one of tags, budgets, lifecycle, alarms, backups"
                )
            })
    }
}

/// How bad a finding is; ordered, so that `--fail-on high` can compare.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    /// Mildest first.
    pub const ALL: [Severity; 4] = [
        Severity::Low,
        Severity::Medium,
        Severity::High,
        Severity::Critical,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }
}

/// What can go wrong when a change is applied.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    Low,
    Medium,
    High,
}

impl Risk {
    pub fn as_str(self) -> &'static str {
        match self {
            Risk::Low => "low",
            Risk::Medium => "medium",
            Risk::High => "high",
        }
    }
}
