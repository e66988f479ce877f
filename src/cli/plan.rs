use std::path::PathBuf;

use clap::Args;

use super::context::Interrupt;
use super::session::Session;
use super::{Format, Global, Outcome, exit};
use crate::plan::{Plan, file};
use crate::render;

/// Show what would change, why, at which risk and monthly cost; changes nothing, ever
///
/// Without STAGE every environment is planned for its own stage. With STAGE the environments
/// configured for it are planned; with -e those named are planned as if they were at STAGE.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Stage profile, e.g. stage-3
    #[arg(value_name = "STAGE")]
    pub stage: Option<String>,
    /// Save the plan, to be executed exactly by `opsctl apply FILE`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Exit with 2 when there are changes
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Plan the removal of what opsctl made
    #[arg(long)]
    pub destroy: bool,
    /// Show what the planned alarms would have done over so long, by the account's own metrics
    /// (GetMetricData bills 0.01 USD per 1,000 metrics), e.g. 14d
    #[arg(long, value_name = "DURATION", value_parser = super::backtest::duration)]
    pub backtest: Option<std::time::Duration>,
    /// Do not exit with 3 when something could not be seen
    #[arg(long)]
    pub allow_incomplete: bool,
}

pub async fn run(global: &Global, args: &PlanArgs) -> Outcome {
    let interrupt = Interrupt::listen();
    let session = Session::open(global)?;
    let planned = session
        .plan(global, args.stage.as_deref(), args.destroy, &interrupt)
        .await;
    if let Some(code) = interrupt.code() {
        global.say("interrupted; nothing was changed");
        return Ok(code);
    }
    let mut plan = planned?;
    if let Some(length) = args.backtest {
        super::backtest::add(global, &session, &mut plan, length, &interrupt).await?;
        if let Some(code) = interrupt.code() {
            global.say("interrupted; nothing was changed");
            return Ok(code);
        }
    }
    if let Some(path) = &args.out {
        file::save(&plan, path).map_err(|e| super::Failure::new(e.to_string()))?;
    }
    match global.format {
        Format::Json => global.emit_json(&plan)?,
        _ => global.show(&show(global, &plan))?,
    }
    if let Some(path) = &args.out {
        global.say(&format!(
            "saved; execute exactly this plan with: opsctl apply {}",
            path.display()
        ));
    }
    if !plan.unobserved.is_empty() && !args.allow_incomplete {
        return Ok(exit::BLIND);
    }
    if args.detailed_exitcode && !plan.changes.is_empty() {
        return Ok(exit::ATTENTION);
    }
    Ok(exit::OK)
}

/// The plan for people.
pub fn show(global: &Global, plan: &Plan) -> String {
    match global.format {
        Format::Markdown => render::markdown::plan(plan) + &render::backtest::markdown(plan),
        _ => {
            let style = global.style();
            render::human::plan(plan, &style) + &render::backtest::human(plan, &style)
        }
    }
}
