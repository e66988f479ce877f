//! `opsctl report tags`: compliance of the tags, by count and weighted by spend, what is new, the
//! worst offenders, and what was not looked at.

mod exemptions;
mod fix;
pub mod line;
mod offenders;
mod twins;
mod weigh;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use globset::GlobMatcher;
use jiff::Timestamp;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::audit::Audit;
use crate::audit::compliance::{Judged, judged};
use crate::cloud::ApiUse;
use crate::cost::CostEntry;
use crate::inventory::{Gap, NotChecked};
use crate::model::Severity;
use crate::plan::build::PlanEnvironment;
use crate::plan::{Accepted, Plan, Reason, ScopeEntry};
use line::{Earlier, TagLine};

/// The report, as `--format json` prints it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TagReport {
    pub format_version: String,
    /// `report`.
    pub kind: String,
    /// `tags`.
    pub report: String,
    pub opsctl_version: String,
    pub generated_at: String,
    pub project: String,
    pub scope: Vec<ScopeEntry>,
    pub unobserved: Vec<Gap>,
    #[serde(default)]
    pub accepted_unobserved: Vec<Accepted>,
    pub api: ApiUse,
    pub summary: TagSummary,
    pub compliance: Weighed,
    pub spend: Spend,
    pub trend: Trend,
    /// Every resource that is not compliant, or of which something is to be said; worst first.
    pub resources: Vec<Offender>,
    pub twins: Vec<Twin>,
    pub exemptions: Vec<Exemption>,
    pub not_looked_at: NotLookedAt,
    #[serde(default)]
    pub notes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
    /// Only these addresses were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TagSummary {
    /// Resources that were judged.
    pub checked: u64,
    pub compliant: u64,
    pub findings: u64,
    pub by_severity: BTreeMap<Severity, u64>,
    /// Not compliant, and without any tag that says whose they are.
    pub without_owner: u64,
    /// Could not be seen well enough to judge.
    pub unobserved: u64,
    /// With the tag `opsctl:ignore`.
    pub ignored: u64,
    /// By an exemption that has not ended.
    pub exempt: u64,
}

/// Compliance, each share by count and by spend.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Weighed {
    pub overall: WeighedShare,
    pub by_environment: BTreeMap<String, WeighedShare>,
    /// Keys that every resource must have, or gets by default.
    pub by_key: BTreeMap<String, WeighedShare>,
    /// As ARNs name it: `s3`, `rds`, …
    pub by_service: BTreeMap<String, WeighedShare>,
    /// By the value of the tag `team`, or of an old spelling of it; empty: without one.
    pub by_team: BTreeMap<String, WeighedShare>,
    pub by_region: BTreeMap<String, WeighedShare>,
}

/// How many of how many, and what they cost this month. Percentages have one decimal and are rounded
/// down; amounts have two. Null: not known, or nothing to divide by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WeighedShare {
    pub compliant: u64,
    pub checked: u64,
    pub percent: Option<String>,
    /// Spend of what was checked.
    pub spend: Option<String>,
    pub spend_compliant: Option<String>,
    pub spend_percent: Option<String>,
    pub spend_basis: Option<Basis>,
}

/// How spend comes to a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// What a service cost in an environment, shared out evenly among its resources there.
    Estimated,
    /// AWS splits its costs by this tag.
    Measured,
}

/// Where the weights come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Spend {
    /// All of the environments, from the 1st of the month to `as_of`; null: not known.
    pub month_to_date: Option<String>,
    pub currency: Option<String>,
    /// The day whose data it is.
    pub as_of: Option<String>,
    /// When AWS was asked.
    pub asked_at: Option<String>,
    /// Of `month_to_date`, what stands behind resources that were judged.
    pub behind_checked: Option<String>,
    /// Services of which no resource was judged, most first.
    pub elsewhere: Vec<SpendElsewhere>,
    /// Regions with spend that are not looked at.
    pub regions_not_looked_at: Vec<SpendElsewhere>,
    /// Why there are no weights, or what they leave out.
    pub note: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpendElsewhere {
    pub name: String,
    pub environment: String,
    pub month_to_date: String,
}

/// Earlier runs, and what has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trend {
    /// Of the same environments and regions, oldest first; this run is the last.
    pub runs: Vec<TrendRun>,
    /// The run that this one is compared with.
    pub since: Option<String>,
    /// Findings that were not there then; null: there is nothing to compare with.
    pub new: Option<u64>,
    /// Findings that were there then and are not any more, where everything was seen.
    pub fixed: Option<u64>,
    /// Of so many findings only a part is remembered: `new` and `fixed` count in that part.
    #[serde(default)]
    pub sampled: bool,
    /// Environments that are not compared, and why.
    pub not_compared: Vec<String>,
    /// When the policy changed between the two runs, the shares are not of the same thing.
    #[serde(default)]
    pub policy_changed: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrendRun {
    pub at: String,
    pub compliant: u64,
    pub checked: u64,
    pub percent: Option<String>,
    pub spend_percent: Option<String>,
    /// Everything was seen.
    pub complete: bool,
}

/// A resource with all that is to be said of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Offender {
    pub address: String,
    pub arn: String,
    pub environment: String,
    pub region: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub service: String,
    pub name: String,
    pub compliant: bool,
    /// Of the worst finding.
    pub severity: Severity,
    pub findings: Vec<Problem>,
    pub owner: Option<OwnerOf>,
    /// The day on which the oldest of its findings was first seen, by the history.
    pub first_seen: Option<String>,
    /// Days since then. A lower bound where `since_first_run`.
    pub age_days: Option<i64>,
    /// The first run of all has seen it, or the first that could look there: it may be any older.
    pub since_first_run: bool,
    /// A finding that was not there in the run before; null: not known.
    pub new: Option<bool>,
    /// This month's, estimated: see [`Basis::Estimated`].
    pub month_to_date: Option<String>,
    pub fix: Fix,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    pub id: String,
    pub severity: Severity,
    pub message: String,
    pub evidence: String,
    pub remediation: String,
    pub policy: Reason,
    /// Since when, by the history.
    pub first_seen: Option<String>,
    pub new: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OwnerOf {
    pub name: String,
    /// `tag team`, `stack web`, …
    pub source: String,
}

/// The one command that fixes a resource, or what has to be done by hand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fix {
    /// Complete, but for `VALUE` where only people know it; null where no command does it.
    pub command: Option<String>,
    pub text: String,
}

/// A spelling of a key that is not the policy's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Twin {
    pub key: String,
    pub spelling: String,
    /// It differs from the key in upper and lower case only.
    pub case_only: bool,
    /// The policy lists it among `tags.aliases`: apply migrates it.
    pub listed: bool,
    pub environments: Vec<String>,
    /// Resources that bear it.
    pub resources: u64,
    /// Of these, those that bear the right key too.
    pub beside_right_key: u64,
    /// Of these, those where the two say different things.
    pub conflicting: u64,
    pub fix: Fix,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exemption {
    pub name: String,
    pub environments: Vec<String>,
    pub reason: String,
    pub owner: Option<String>,
    pub until: String,
    /// 0: it ends today; below: it has ended.
    pub days_left: i64,
    /// Resources that it covers now, or would if it had not ended.
    pub resources: u64,
    pub state: ExemptionState,
    pub policy: Reason,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ExemptionState {
    Ended,
    /// In 30 days or less.
    EndsSoon,
    Holds,
}

/// What this report says nothing about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotLookedAt {
    pub types_checked: Vec<String>,
    pub types: Vec<NotChecked>,
    /// Buckets in regions that are not configured: `name (region)`.
    pub buckets_outside: Vec<String>,
    /// Environments whose stage has no policy for tags.
    pub environments_without_policy: Vec<String>,
}

/// What the report is made of.
pub struct Inputs<'a> {
    pub environments: &'a [PlanEnvironment],
    pub judged: &'a Plan,
    pub audit: Audit,
    pub only: Option<&'a GlobMatcher>,
    /// Not all regions of the environments were asked for: costs by service are not theirs.
    pub narrowed: bool,
    pub costs: Option<KnownCosts>,
    pub history: &'a [TagLine],
    /// Of this run.
    pub run: String,
    pub now: Timestamp,
}

/// Costs that were asked for earlier, by this or another command.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KnownCosts {
    pub entries: Vec<CostEntry>,
    /// The last day that they are about.
    pub as_of: Date,
}

/// The report, and the line that is to be remembered of it: none where only some addresses were
/// asked for.
pub fn assemble(inputs: Inputs<'_>) -> (TagReport, Option<TagLine>) {
    let today = inputs.now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let resources: Vec<Judged<'_>> =
        judged(inputs.environments, inputs.judged, inputs.only).unwrap_or_default();
    let weights = weigh::Weights::of(&inputs);
    let (compliance, spend) = weigh::weigh(&inputs, &resources, &weights);
    let earlier = Earlier::of(&inputs, today);
    let offenders = offenders::offenders(&inputs, &resources, &weights, &earlier, today);
    let line = TagLine::of(&inputs, &compliance, &offenders, &earlier, today);
    let trend = earlier.trend(&inputs, &offenders, &line);
    let counts = inputs
        .judged
        .counts
        .values()
        .filter_map(|c| c.get(&crate::model::Control::Tags));
    let mut summary = TagSummary {
        checked: compliance.overall.checked,
        compliant: compliance.overall.compliant,
        ..TagSummary::default()
    };
    let mut not_looked_at = NotLookedAt {
        types_checked: inputs.audit.types_checked.clone(),
        types: inputs.audit.types_not_checked.clone(),
        environments_without_policy: inputs
            .environments
            .iter()
            .filter(|e| e.resolved.policies.tags.is_none())
            .map(|e| e.target.environment.clone())
            .collect(),
        ..NotLookedAt::default()
    };
    for counts in counts {
        summary.unobserved += counts.unobserved;
        summary.ignored += counts.ignored;
        summary.exempt += counts.exempt;
    }
    for environment in inputs.environments {
        for (name, region) in &environment.inventory.buckets_elsewhere {
            not_looked_at
                .buckets_outside
                .push(format!("{name} ({region})"));
        }
    }
    not_looked_at.buckets_outside.sort();
    not_looked_at.buckets_outside.dedup();
    for severity in Severity::ALL {
        summary.by_severity.insert(severity, 0);
    }
    for offender in &offenders {
        for problem in &offender.findings {
            summary.findings += 1;
            *summary.by_severity.entry(problem.severity).or_default() += 1;
        }
        summary.without_owner += u64::from(!offender.compliant && offender.owner.is_none());
    }
    let twins = twins::twins(&inputs, &resources);
    let exemptions = exemptions::exemptions(&inputs, today);
    let Inputs { audit, only, .. } = inputs;
    let report = TagReport {
        format_version: audit.format_version,
        kind: "report".to_owned(),
        report: "tags".to_owned(),
        opsctl_version: audit.opsctl_version,
        generated_at: audit.generated_at,
        project: inputs
            .environments
            .first()
            .map(|e| e.resolved.project.clone())
            .unwrap_or_default(),
        scope: audit.scope,
        unobserved: audit.unobserved,
        accepted_unobserved: audit.accepted_unobserved,
        api: audit.api,
        summary,
        compliance,
        spend,
        trend,
        resources: offenders,
        twins,
        exemptions,
        not_looked_at,
        notes: audit.notes,
        sandbox: audit.sandbox,
        target: only.map(|glob| glob.glob().glob().to_owned()),
    };
    (report, only.is_none().then_some(line))
}
