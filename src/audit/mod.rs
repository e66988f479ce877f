//! Audits: findings about what is, without changing anything.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cloud::ApiUse;
use crate::cost::CostEntry;
use crate::inventory::{Gap, NotChecked};
use crate::model::{Control, Severity};
use crate::plan::{Accepted, Finding, ScopeEntry};

/// An audit, as `--format json` prints it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Audit {
    pub format_version: String,
    /// `audit`.
    pub kind: String,
    pub opsctl_version: String,
    pub generated_at: String,
    pub scope: Vec<ScopeEntry>,
    pub unobserved: Vec<Gap>,
    #[serde(default)]
    pub accepted_unobserved: Vec<Accepted>,
    pub api: ApiUse,
    /// Worst first, then by address.
    pub findings: Vec<Finding>,
    pub summary: AuditSummary,
    /// Of `audit cost`: one for each environment, then the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Vec<CostEntry>>,
    #[serde(default)]
    pub types_checked: Vec<String>,
    #[serde(default)]
    pub types_not_checked: Vec<NotChecked>,
    #[serde(default)]
    pub notes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditSummary {
    /// Listed resources of the accounts and regions in scope.
    pub checked: u64,
    pub compliant: u64,
    pub by_severity: BTreeMap<Severity, u64>,
    pub by_control: BTreeMap<Control, u64>,
    /// Findings that `--baseline` knows; they are listed and do not fail.
    #[serde(default)]
    pub in_baseline: u64,
}
