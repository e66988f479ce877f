//! A plan: what would change, why, at which risk and cost, with all that executing it needs.

pub mod build;
pub mod check;
pub mod file;

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backtest::Backtest;
use crate::cloud::{ApiUse, LockPlace, Target};
use crate::inventory::{Gap, NotChecked};
use crate::model::lifecycle::LifecycleConfiguration;
use crate::model::object::Object;
use crate::model::settings::{BackupCopy, Settings};
use crate::model::{Address, Control, Risk, Severity, Tags};

/// Version of every JSON document that opsctl writes.
pub const FORMAT_VERSION: &str = "1.0";

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ActionKind {
    Create,
    Update,
    Delete,
}

impl ActionKind {
    /// The sign in front of a change: `+ ~ -`.
    pub fn sign(self) -> char {
        match self {
            ActionKind::Create => '+',
            ActionKind::Update => '~',
            ActionKind::Delete => '-',
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceRef {
    pub arn: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub name: String,
    pub region: String,
}

/// The line of the user's file that asks for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// `tags`, `s3-lifecycle`.
    pub policy: String,
    /// The key inside the policy, e.g. `tags.defaults.team`.
    pub rule: String,
    pub file: String,
    pub line: u32,
}

/// One field of a change: `None` is "not there".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldChange {
    pub field: String,
    pub before: Option<String>,
    pub after: Option<String>,
    pub reason: Reason,
}

/// What executing the change means: closed, with all its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Operation {
    /// The keys that are read to decide, as they were seen (`None`: not there), and as they shall be.
    Tags {
        before: BTreeMap<String, Option<String>>,
        after: BTreeMap<String, Option<String>>,
        /// Not if CloudFormation, Terraform or the like owns the resource by then.
        unless_owned: bool,
    },
    /// The whole configuration, as it was seen (`None`: not there), and as it shall be.
    Lifecycle {
        before: Option<LifecycleConfiguration>,
        after: Option<LifecycleConfiguration>,
        unless_owned: bool,
    },
    /// Something that is ours as a whole, as it was seen (`None`: not there), and as it shall be.
    Object {
        before: Option<Box<Object>>,
        after: Option<Box<Object>>,
        /// The tags that it is made with.
        tags: Tags,
    },
    /// The settings that are read to decide, as they were seen, and as they shall be.
    Settings {
        before: Settings,
        after: Settings,
        /// The copy of backups that is begun, where `after` names one more region than `before`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        copy: Option<BackupCopy>,
        unless_owned: bool,
    },
}

/// One change of one resource by one control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    pub address: Address,
    pub control: Control,
    pub action: ActionKind,
    pub resource: ResourceRef,
    pub before: serde_json::Value,
    pub after: serde_json::Value,
    pub reason: Reason,
    pub risk: Risk,
    /// A decimal string; null where it is not known.
    pub monthly_cost_delta_usd: Option<String>,
    /// The arithmetic behind the delta, or why there is none.
    pub cost_basis: Option<String>,
    pub fields: Vec<FieldChange>,
    pub operation: Operation,
}

impl Change {
    /// The outage that it causes, in words; `apply` needs `--allow-disruptive` for it.
    ///
    /// Switching automated backups of an RDS instance on suspends its I/O for seconds to minutes.
    /// Source: API model, `rds:ModifyDBInstance`, BackupRetentionPeriod.
    pub fn disruption(&self) -> Option<&'static str> {
        match &self.operation {
            Operation::Settings { before, after, .. }
                if before.retention_days == Some(0) && after.retention_days > Some(0) =>
            {
                Some("switching automated backups on suspends its I/O for seconds to minutes")
            }
            _ => None,
        }
    }
}

/// Something worth knowing that is not itself a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Stable: `tags.missing`, `lifecycle.conflict`, …
    pub id: String,
    pub control: Control,
    pub severity: Severity,
    pub address: Address,
    pub arn: String,
    pub message: String,
    pub evidence: String,
    pub remediation: String,
    pub policy: Reason,
    pub monthly_cost_usd: Option<String>,
}

/// What a control says about the resources it looked at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verdict {
    pub changes: Vec<Change>,
    pub findings: Vec<Finding>,
    pub counts: Counts,
    /// Sentences for the end of the plan, e.g. a policy that is not reconciled yet.
    pub notes: Vec<String>,
    /// What the account itself does not show, beyond the gaps of the inventory.
    pub gaps: Vec<Gap>,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

/// How many resources of one environment a control looked at, and why some were left alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    pub checked: u64,
    /// Nothing to change and nothing to report.
    pub compliant: u64,
    /// With the tag `opsctl:ignore`.
    pub ignored: u64,
    /// By an exemption that has not ended.
    pub exempt: u64,
    /// Left alone because CloudFormation, Terraform or the like owns them.
    pub owned_elsewhere: u64,
    /// Copies that restore drills made, which are not judged.
    #[serde(default, skip_serializing_if = "is_none")]
    pub copies: u64,
    /// Could not be seen well enough to judge.
    pub unobserved: u64,
    /// Buckets outside the configured regions: `name (region)`.
    pub outside_regions: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScopeEntry {
    pub environment: String,
    pub account: String,
    pub region: String,
    pub stage: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    pub create: u64,
    pub update: u64,
    pub delete: u64,
    pub unchanged: u64,
    pub unobserved: u64,
    /// Sum of the known deltas.
    pub monthly_cost_delta_usd: String,
}

/// A blind spot that `opsctl.toml` accepts until a date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Accepted {
    pub name: String,
    pub operation: String,
    pub reason: String,
    pub until: String,
    /// How many gaps it covers in this run.
    pub gaps: u64,
    /// Where they are. Accepted is not seen: what is not found there is not known to be gone.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub covers: BTreeSet<Covered>,
}

/// What an accepted blind spot keeps from being seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Covered {
    pub environment: String,
    pub region: String,
    pub control: Control,
}

impl Accepted {
    /// Takes the gaps that it covers off the list.
    pub fn take(&mut self, gaps: &mut Vec<Gap>) {
        gaps.retain(|gap| {
            let covered = gap.operation == self.operation;
            if covered {
                self.gaps += 1;
                self.covers.insert(Covered {
                    environment: gap.environment.clone(),
                    region: gap.region.clone(),
                    control: gap.control,
                });
            }
            !covered
        });
    }
}

/// The plan, as `--format json` prints it and `--out` saves it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    pub format_version: String,
    /// `plan` or `apply`.
    pub kind: String,
    pub opsctl_version: String,
    pub generated_at: String,
    pub scope: Vec<ScopeEntry>,
    pub unobserved: Vec<Gap>,
    #[serde(default)]
    pub accepted_unobserved: Vec<Accepted>,
    pub api: ApiUse,
    pub changes: Vec<Change>,
    pub findings: Vec<Finding>,
    pub summary: Summary,
    /// By environment, then control.
    pub counts: BTreeMap<String, BTreeMap<Control, Counts>>,
    pub types_checked: Vec<String>,
    pub types_not_checked: Vec<NotChecked>,
    pub notes: Vec<String>,
    /// What planned alarms would have done in the past; only where it was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backtest: Vec<Backtest>,
    /// The scenario of the embedded sandbox that the plan is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
    /// Where the changes go: accounts, regions, credentials by name.
    pub targets: Vec<Target>,
    /// The lock that an apply takes first, where one is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<LockPlace>,
    /// SHA-256 over the rest of the document.
    pub digest: String,
}

/// Sum of the known cost deltas, in USD a month.
pub fn total_delta(changes: &[Change]) -> Decimal {
    changes
        .iter()
        .filter_map(|c| c.monthly_cost_delta_usd.as_deref())
        .filter_map(|text| Decimal::from_str_exact(text).ok())
        .sum()
}

/// A JSON object of tag keys, `null` where a key is not there.
pub fn tag_values(tags: &BTreeMap<String, Option<String>>) -> serde_json::Value {
    serde_json::to_value(tags).unwrap_or_default()
}

/// The given keys as a resource has them now.
pub fn project_tags<'a>(
    tags: &Tags,
    keys: impl IntoIterator<Item = &'a String>,
) -> BTreeMap<String, Option<String>> {
    keys.into_iter()
        .map(|key| (key.clone(), tags.get(key).cloned()))
        .collect()
}
