//! `report summary`: one page over everything that was looked at, what has changed, and what to do next.

mod areas;
pub mod line;
mod money;
mod next;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::audit::Audit;
use crate::audit::pending::in_sandbox;
use crate::cloud::ApiUse;
use crate::cost::CostEntry;
use crate::drill::review::Review;
use crate::inventory::Gap;
use crate::model::Severity;
use crate::plan::{Accepted, Change, ScopeEntry};
use line::SummaryLine;

/// The report, as `--format json` prints it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SummaryReport {
    pub format_version: String,
    /// `report`.
    pub kind: String,
    /// `summary`.
    pub report: String,
    pub opsctl_version: String,
    pub generated_at: String,
    pub project: String,
    pub scope: Vec<ScopeEntry>,
    pub unobserved: Vec<Gap>,
    #[serde(default)]
    pub accepted_unobserved: Vec<Accepted>,
    pub api: ApiUse,
    /// In their own order, all of them: what was not looked at says so.
    pub areas: Vec<Area>,
    pub changed: Changed,
    /// At most three, the most urgent first.
    pub next: Vec<Step>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum AreaId {
    Money,
    Tags,
    Storage,
    Alarms,
    Backups,
    Readiness,
}

/// How an area stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Nothing is said about it: no policy asks for it, or this version does not look.
    NotLookedAt,
    /// There is nothing that it could be said about.
    NotApplicable,
    /// It was asked for, and could not be seen.
    Unknown,
    Good,
    Careful,
    Bad,
}

/// One area.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Area {
    pub id: AreaId,
    pub standing: Standing,
    /// The one number that says most: `1,213.79`, `62.0`, `1 of 3`; null where nothing is known.
    pub value: Option<String>,
    /// `USD`, `%` or empty.
    pub unit: String,
    /// What the number is.
    pub label: String,
    /// Sentences, the most important first.
    pub text: Vec<String>,
    pub findings: Found,
    /// Of what was looked at, so much could not be seen.
    pub unobserved: u64,
    /// Accepted blind spots that hide something of it.
    #[serde(default)]
    pub accepted: u64,
    /// Looks closer.
    pub command: String,
}

/// Findings by severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Found {
    pub critical: u64,
    pub high: u64,
    pub medium: u64,
    pub low: u64,
}

impl Found {
    fn add(&mut self, severity: Severity) {
        match severity {
            Severity::Critical => self.critical += 1,
            Severity::High => self.high += 1,
            Severity::Medium => self.medium += 1,
            Severity::Low => self.low += 1,
        }
    }

    pub fn total(&self) -> u64 {
        self.critical + self.high + self.medium + self.low
    }

    fn standing(&self) -> Standing {
        match self {
            f if f.critical + f.high > 0 => Standing::Bad,
            f if f.medium > 0 => Standing::Careful,
            _ => Standing::Good,
        }
    }
}

/// What has changed since the run before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// The run that this one is compared with; null: there is none of the same environments.
    pub since: Option<String>,
    /// Findings that were not there then, and that are not there any more where everything was seen;
    /// null: not known.
    pub new: Option<u64>,
    pub fixed: Option<u64>,
    /// Findings where the run before could not see: whether they are new is not known.
    #[serde(default)]
    pub first_seen: u64,
    /// Of so many findings only a part is remembered: `new` and `fixed` count in that part.
    #[serde(default)]
    pub sampled: bool,
    /// Areas whose number or standing moved.
    pub moved: Vec<Moved>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Moved {
    pub area: AreaId,
    pub label: String,
    /// As they were and are shown, with their units.
    pub before: String,
    pub now: String,
    pub better: Option<bool>,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    pub area: AreaId,
    pub title: String,
    /// What it brings: money, or a risk that is gone.
    pub effect: String,
    pub severity: Severity,
    /// A decimal string; null where it is not known or nothing.
    pub saves_usd_per_month: Option<String>,
    /// Things that it is about.
    pub count: u64,
    /// The command that does it, or that looks closer; null: it is done elsewhere, see `how`.
    pub command: Option<String>,
    pub how: String,
    /// Where `opsctl explain` says more.
    pub finding: Option<String>,
}

/// Everything that the report is made of.
pub struct Inputs<'a> {
    pub project: String,
    pub audit: Audit,
    /// What a plan would change.
    pub changes: &'a [Change],
    /// As far as costs are known without paying, with the day they are about.
    pub costs: Option<(Vec<CostEntry>, Date)>,
    /// Findings on costs are asked for.
    pub wants_cost: bool,
    pub drills: Drills<'a>,
    /// Earlier runs, oldest first.
    pub history: &'a [SummaryLine],
    pub run: String,
    pub now: Timestamp,
}

impl Inputs<'_> {
    /// The costs, if they are about this month: what another month has cost says nothing about the
    /// budget of this one.
    pub fn current_costs(&self) -> Option<&[CostEntry]> {
        let today = self.now.to_zoned(jiff::tz::TimeZone::UTC).date();
        let (entries, day) = self.costs.as_ref()?;
        (day.first_of_month() == today.first_of_month()).then_some(entries)
    }
}

/// What is known of drills.
pub struct Drills<'a> {
    pub review: Review<'a>,
    /// A chain is broken, or records could not be read.
    pub faults: Vec<String>,
}

/// Puts the report together, and the line that is remembered of it.
pub fn assemble(inputs: &Inputs<'_>) -> (SummaryReport, SummaryLine) {
    let audit = &inputs.audit;
    let mut areas = areas::areas(inputs);
    let line = SummaryLine::of(inputs, &areas);
    let changed = line.against(inputs.history, audit, &areas);
    let mut next = next::steps(inputs, &areas);
    if let Some(scenario) = &audit.sandbox {
        // A command of a report on a sandbox must not reach a real account.
        let there = |command: &mut String| command.push_str(&format!(" --sandbox {scenario}"));
        areas.iter_mut().for_each(|a| there(&mut a.command));
        for step in &mut next {
            step.command.iter_mut().for_each(there);
            step.how = in_sandbox(&step.how, scenario);
        }
    }
    let report = SummaryReport {
        format_version: audit.format_version.clone(),
        kind: "report".to_owned(),
        report: "summary".to_owned(),
        opsctl_version: audit.opsctl_version.clone(),
        generated_at: audit.generated_at.clone(),
        project: inputs.project.clone(),
        scope: audit.scope.clone(),
        unobserved: audit.unobserved.clone(),
        accepted_unobserved: audit.accepted_unobserved.clone(),
        api: audit.api.clone(),
        next,
        areas,
        changed,
        sandbox: audit.sandbox.clone(),
    };
    (report, line)
}
