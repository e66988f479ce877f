use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use crate::cli::audit_cost::{self, CostArgs};
use crate::cli::context::Interrupt;
use crate::cli::session::{Session, guard};
use crate::cli::{Failure, Format, Global, Outcome, exit, json_head};
use crate::cloud::Target;
use crate::inventory::Gap;
use crate::model::Control;
use crate::plan::ScopeEntry;
use crate::plan::build::accept;
use crate::render;
use crate::report::cost::CostReport;

/// What things cost: each day against the budget, by service, by team
///
/// From the answers that `opsctl audit cost` has asked for and kept, up to 14 days old: nothing is
/// asked and nothing is paid, unless --ask says so. What is not known stays unknown.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 done, whatever the report says, 3 of an environment nothing is known
The page for a review:  opsctl report cost --format html -o cost.html")]
pub struct CostReportArgs {
    /// Ask Cost Explorer for what is not known, which it bills like `audit cost`
    #[arg(long)]
    pub ask: bool,
    /// With --ask: answers up to this age are taken from the cache
    #[arg(long, value_name = "DURATION", default_value = "8h", value_parser = humantime::parse_duration, requires = "ask")]
    pub max_age: Duration,
    /// Read a FOCUS or CUR 2.0 export (file, folder or s3://bucket/prefix) instead
    #[arg(long, value_name = "EXPORT", conflicts_with = "ask")]
    pub from: Option<PathBuf>,
    /// Do not exit with 3 when something is not known
    #[arg(long)]
    pub allow_incomplete: bool,
}

pub async fn run(global: &Global, args: &CostReportArgs) -> Outcome {
    let interrupt = Interrupt::listen();
    let session = Session::open(global)?;
    let looked = tokio::select! {
        found = look(global, args, &session) => found,
        () = interrupt.cancel.cancelled() => {
            global.say("interrupted; nothing was changed");
            return Ok(interrupt.code().unwrap_or(exit::INTERRUPTED));
        }
    };
    let report = looked?;
    emit(global, &report)?;
    let unknown = report.unknown();
    if !unknown.is_empty() && !args.ask && args.from.is_none() {
        global.say(&format!(
            "nothing is known of the costs of {}; `opsctl audit cost` asks (what that costs: --explain), or --ask here",
            unknown.join(", ")
        ));
    }
    Ok(
        match !report.unobserved.is_empty() && !args.allow_incomplete {
            true => exit::BLIND,
            false => exit::OK,
        },
    )
}

async fn look(
    global: &Global,
    args: &CostReportArgs,
    session: &Session,
) -> Result<CostReport, Failure> {
    let environments = session.environments(global, None)?;
    let now = Timestamp::now();
    let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let head = json_head("report");
    let text = |name: &str| head[name].as_str().unwrap_or_default().to_owned();
    let mut report = CostReport {
        format_version: text("format_version"),
        kind: text("kind"),
        report: "cost".to_owned(),
        opsctl_version: text("opsctl_version"),
        generated_at: text("generated_at"),
        project: session
            .loaded
            .workspace
            .as_ref()
            .map_or_else(String::new, |w| w.project.name.value.clone()),
        scope: environments
            .iter()
            .flat_map(|(target, resolved)| {
                target.regions.iter().map(|region| ScopeEntry {
                    environment: target.environment.clone(),
                    account: target.account.clone(),
                    region: region.clone(),
                    stage: resolved.stage.name.value.clone(),
                })
            })
            .collect(),
        unobserved: Vec::new(),
        accepted_unobserved: Vec::new(),
        api: session.cloud.meter().snapshot(),
        as_of: None,
        cost: Vec::new(),
        notes: Vec::new(),
        sandbox: session.sandbox.clone(),
    };
    if args.ask || args.from.is_some() {
        if args.from.is_none() {
            let targets: Vec<&Target> = environments.iter().map(|(t, _)| t).collect();
            guard(session.cloud.as_ref(), &targets).await?;
        }
        let asked = CostArgs {
            explain: false,
            max_age: args.max_age,
            from: args.from.clone(),
        };
        let found = audit_cost::collect(global, session, &environments, &asked).await?;
        report.cost = found.entries;
        report.unobserved = found.gaps;
        report.notes = found.notes;
        report.as_of = Some(today.to_string());
    } else if let Some(known) = audit_cost::known(global, session, &environments, now).await? {
        let day = known.as_of;
        report.cost = known.audit.entries;
        // What was never asked beyond the sums is no gap of this report.
        let of_unknown = |gap: &Gap| report.unknown().contains(&gap.environment.as_str());
        let gaps = known.audit.gaps.into_iter();
        report.unobserved = gaps.filter(of_unknown).collect();
        report.as_of = Some(day.to_string());
        if day != today {
            report
                .notes
                .push(format!("the newest answers are of {day}"));
        }
    } else {
        report.cost = environments
            .iter()
            .map(|(target, resolved)| crate::cost::CostEntry {
                environment: Some(target.environment.clone()),
                account: Some(target.account.clone()),
                budget: resolved
                    .config
                    .as_ref()
                    .and_then(|c| c.monthly_budget_usd.as_ref())
                    .map(|b| crate::cost::cents::text(b.value.0)),
                stage: Some(resolved.stage.name.value.clone()),
                month: Some(today.first_of_month().to_string()),
                forecast_note: Some(crate::cost::NOTHING_ASKED.to_owned()),
                ..crate::cost::CostEntry::default()
            })
            .collect();
    }
    // So that every format says of whom nothing is known.
    for (target, _) in &environments {
        let name = target.environment.as_str();
        let told = report.unobserved.iter().any(|g| g.environment == name);
        if !told && report.unknown().contains(&name) {
            report.unobserved.push(Gap {
                environment: target.environment.clone(),
                account: target.account.clone(),
                region: "global".to_owned(),
                control: Control::Cost,
                operation: "ce:GetCostAndUsage".to_owned(),
                resource: None,
                error: crate::cost::NOTHING_ASKED.to_owned(),
            });
        }
    }
    report.accepted_unobserved = accept(&mut report.unobserved, &session.accepted(), today);
    report.api = session.cloud.meter().snapshot();
    Ok(report)
}

fn emit(global: &Global, report: &CostReport) -> Result<(), Failure> {
    use render::github::defuse;
    let text = match global.format {
        Format::Json => return global.emit_json(report),
        Format::Csv => render::csv::cost(report).map_err(Failure::new)?,
        Format::Html => render::html::cost::page(report).map_err(Failure::new)?,
        Format::Markdown => defuse(&render::markdown::cost_report(report)),
        _ => defuse(&render::human::cost_report(report, &global.style())),
    };
    global.show(&text)
}
