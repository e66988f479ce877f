//! Audits: findings about what is, without changing anything.
//!
//! What a control would change is a finding too ([`pending`]): the account is not as its policy
//! says. Everything in here is pure; the command line brings what was seen and the time.

pub mod baseline;
pub mod compliance;
mod fingerprint;
pub mod pending;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use globset::GlobMatcher;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::baseline::Baseline;
pub use self::compliance::Compliance;
pub use self::fingerprint::fingerprint;
use crate::cloud::ApiUse;
use crate::cost::CostEntry;
use crate::inventory::{Gap, NotChecked};
use crate::model::object::ObjectKind;
use crate::model::{Address, Control, Severity};
use crate::plan::build::PlanEnvironment;
use crate::plan::{Accepted, Change, Counts, Finding, Operation, Plan, ScopeEntry};

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
    /// What was asked for, in its own order.
    #[serde(default)]
    pub controls: Vec<Control>,
    /// Worst first, then by address.
    pub findings: Vec<Reported>,
    pub summary: AuditSummary,
    /// By environment, then control: how the sums in `summary` come about.
    #[serde(default)]
    pub counts: BTreeMap<String, BTreeMap<Control, Counts>>,
    /// Of `audit cost`: one for each environment, then the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Vec<CostEntry>>,
    /// Of `audit tags`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compliance: Option<Compliance>,
    #[serde(default)]
    pub types_checked: Vec<String>,
    #[serde(default)]
    pub types_not_checked: Vec<NotChecked>,
    #[serde(default)]
    pub notes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
}

/// A finding, and whether it is new.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reported {
    #[serde(flatten)]
    pub finding: Finding,
    /// The baseline holds it: it is listed and does not fail.
    #[serde(default)]
    pub in_baseline: bool,
    /// The same again in every run: of its id and address, counted through where two agree in both.
    #[serde(default)]
    pub fingerprint: String,
}

impl Audit {
    /// Where something could not be seen, whether that is accepted or not: environment and control.
    pub fn blind(&self) -> impl Iterator<Item = (&str, Control)> {
        let gaps = self.unobserved.iter();
        let accepted = self.accepted_unobserved.iter().flat_map(|a| &a.covers);
        gaps.map(|g| (g.environment.as_str(), g.control))
            .chain(accepted.map(|c| (c.environment.as_str(), c.control)))
    }

    /// What was asked for and this version does not have.
    pub fn not_audited(&self) -> impl Iterator<Item = Control> {
        self.controls.iter().copied().filter(|c| !c.audited())
    }

    /// The accepted blind spots that hide something in this run.
    pub fn accepted(&self) -> impl Iterator<Item = &Accepted> {
        self.accepted_unobserved.iter().filter(|a| a.gaps > 0)
    }
}

impl Deref for Reported {
    type Target = Finding;

    fn deref(&self) -> &Finding {
        &self.finding
    }
}

/// What an audit comes to.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Exit code 0.
    #[default]
    Pass,
    /// Exit code 2: a finding that is new is at or above `--fail-on`.
    Fail,
    /// Exit code 3, whatever was found: something that was asked for could not be seen.
    Incomplete,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditSummary {
    #[serde(default)]
    pub outcome: Outcome,
    /// Listed resources of the accounts and regions in scope, counted once for each control that
    /// judged them. Those that could not be seen well enough, that bear `opsctl:ignore` or that an
    /// exemption covers are not among them; they stand in `counts`.
    pub checked: u64,
    /// Of those checked: nothing to change and nothing to report.
    pub compliant: u64,
    pub by_severity: BTreeMap<Severity, u64>,
    pub by_control: BTreeMap<Control, u64>,
    /// New findings of this severity or above fail.
    #[serde(default = "default_fail_on")]
    pub fail_on: Severity,
    /// Findings that fail: at or above `fail_on`, and not in the baseline.
    #[serde(default)]
    pub failing: u64,
    /// Findings that `--baseline` knows; they are listed and do not fail.
    #[serde(default)]
    pub in_baseline: u64,
    /// How the baseline compares; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<BaselineUse>,
}

fn default_fail_on() -> Severity {
    FAIL_ON
}

/// The severity from which findings fail, unless told otherwise.
pub const FAIL_ON: Severity = Severity::High;

/// What became of the entries of a baseline.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BaselineUse {
    pub file: String,
    pub entries: u64,
    /// They were looked for and do not occur any more.
    pub fixed: u64,
    /// Of controls, environments, regions or resources that this audit did not look at, or could
    /// not see.
    pub not_looked_at: u64,
}

/// What the cost audit adds.
#[derive(Debug, Default)]
pub struct CostPart {
    pub findings: Vec<Finding>,
    pub entries: Vec<CostEntry>,
    pub gaps: Vec<Gap>,
    pub notes: Vec<String>,
}

/// What is asked of an audit besides what was seen.
pub struct AuditRequest<'a> {
    /// In their own order, with cost and readiness.
    pub controls: &'a [Control],
    pub only: Option<&'a GlobMatcher>,
    pub fail_on: Severity,
    pub baseline: Option<&'a Baseline>,
    /// Blind spots do not make it incomplete.
    pub allow_incomplete: bool,
    pub api: ApiUse,
}

/// Puts the document together: what the controls say ([`crate::plan::build::judge`]), what they
/// would change, and the costs.
pub fn assemble(
    environments: &[PlanEnvironment],
    judged: Plan,
    cost: Option<CostPart>,
    request: &AuditRequest,
) -> Audit {
    let compliance = (request.controls.contains(&Control::Tags))
        .then(|| compliance::of_tags(environments, &judged, request.only))
        .flatten();
    let mut findings = judged.findings;
    let told: BTreeSet<(Address, String)> = findings
        .iter()
        .map(|f| (f.address.clone(), f.id.clone()))
        .collect();
    // A topic that two controls need is one thing that is missing, as it is one change of a plan.
    let topic = |change: &Change| {
        matches!(&change.operation, Operation::Object { before, after, .. }
            if after.as_ref().or(before.as_ref()).is_some_and(|o| o.kind() == ObjectKind::Topic))
    };
    let mut planners: BTreeMap<&str, Control> = BTreeMap::new();
    for change in judged.changes.iter().filter(|c| topic(c)) {
        let first = planners
            .entry(&change.resource.arn)
            .or_insert(change.control);
        *first = change.control.min(*first);
    }
    for change in &judged.changes {
        if topic(change) && planners.get(change.resource.arn.as_str()) != Some(&change.control) {
            continue;
        }
        let resolved = environments
            .iter()
            .map(|e| &e.resolved)
            .find(|r| r.environment == change.address.environment());
        let tags = resolved.and_then(|r| r.policies.tags.as_ref());
        findings.extend(pending::findings(change, tags).into_iter().filter(|f| {
            // The same key may be missing for two reasons; any other repetition is one.
            f.id == pending::TAGS_MISSING || !told.contains(&(f.address.clone(), f.id.clone()))
        }));
    }
    let mut unobserved = judged.unobserved;
    let mut accepted = judged.accepted_unobserved;
    let mut notes: Vec<String> = judged.notes.into_iter().map(unspoken).collect();
    let mut entries = None;
    if let Some(mut cost) = cost {
        if let Some(only) = request.only {
            cost.findings.retain(|f| only.is_match(f.address.as_str()));
        }
        findings.append(&mut cost.findings);
        for spot in &mut accepted {
            spot.take(&mut cost.gaps);
        }
        unobserved.append(&mut cost.gaps);
        unobserved.sort();
        notes.append(&mut cost.notes);
        entries = Some(cost.entries);
    }
    sort(&mut findings);
    findings.dedup();
    let mut audit = Audit {
        format_version: judged.format_version,
        kind: "audit".to_owned(),
        opsctl_version: judged.opsctl_version,
        generated_at: judged.generated_at,
        scope: judged.scope,
        unobserved,
        accepted_unobserved: accepted,
        api: request.api.clone(),
        controls: request.controls.to_vec(),
        findings: findings
            .into_iter()
            .map(|finding| Reported {
                finding,
                in_baseline: false,
                fingerprint: String::new(),
            })
            .collect(),
        summary: AuditSummary {
            outcome: Outcome::Pass,
            checked: 0,
            compliant: 0,
            by_severity: BTreeMap::new(),
            by_control: BTreeMap::new(),
            fail_on: request.fail_on,
            failing: 0,
            in_baseline: 0,
            baseline: None,
        },
        counts: judged.counts,
        cost: entries,
        compliance,
        types_checked: judged.types_checked,
        types_not_checked: judged.types_not_checked,
        notes,
        sandbox: judged.sandbox,
    };
    fingerprint::fill(&mut audit.findings);
    if let Some(baseline) = request.baseline {
        audit.summary.baseline = Some(baseline.mark(&mut audit, request.only));
    }
    summarise(&mut audit, request.allow_incomplete);
    audit
}

/// What a control says that this version does not compare, as an audit has to say it.
fn unspoken(note: String) -> String {
    match note.split_once(": not yet reconciled") {
        Some((control, _)) => format!(
            "{control}: not audited by this version; nothing is said about it, and nothing of it counts as compliant"
        ),
        None => note,
    }
}

/// Worst first, then by address.
fn sort(findings: &mut [Finding]) {
    findings.sort_by(|a, b| {
        (b.severity, &a.address, &a.id, &a.message)
            .cmp(&(a.severity, &b.address, &b.id, &b.message))
    });
}

fn summarise(audit: &mut Audit, allow_incomplete: bool) {
    let summary = &mut audit.summary;
    for severity in Severity::ALL {
        summary.by_severity.insert(severity, 0);
    }
    for control in &audit.controls {
        summary.by_control.insert(*control, 0);
    }
    for finding in &audit.findings {
        *summary.by_severity.entry(finding.severity).or_default() += 1;
        *summary.by_control.entry(finding.control).or_default() += 1;
        if finding.in_baseline {
            summary.in_baseline += 1;
        } else if finding.severity >= summary.fail_on {
            summary.failing += 1;
        }
    }
    for counts in audit.counts.values().flat_map(BTreeMap::values) {
        summary.checked += judged(counts);
        summary.compliant += counts.compliant;
    }
    summary.outcome = if !audit.unobserved.is_empty() && !allow_incomplete {
        Outcome::Incomplete
    } else if summary.failing > 0 {
        Outcome::Fail
    } else {
        Outcome::Pass
    };
}

/// Of the resources that a control looked at, those that it could and should judge.
pub fn judged(counts: &Counts) -> u64 {
    counts
        .checked
        .saturating_sub(counts.unobserved + counts.ignored + counts.exempt)
}
