use clap::Args;
use jiff::Timestamp;

use super::past::Past;
use super::{finished, warn_of_nothing};
use crate::audit::{AuditRequest, FAIL_ON, assemble};
use crate::cli::audit_cost;
use crate::cli::context::Interrupt;
use crate::cli::session::{Session, target_glob};
use crate::cli::{Failure, Format, Global, Outcome};
use crate::drill::journal::new_run_id;
use crate::model::Control;
use crate::render;
use crate::report::tags::line::TagLine;
use crate::report::tags::{self, Inputs, KnownCosts, TagReport};

/// Tag compliance: the page that is reviewed every week
///
/// Compliance by environment, team, service, region and key, by count and weighted by spend; what is
/// new since the run before; the worst offenders, each with the command that fixes it; exemptions;
/// what was not looked at. Costs are those that `opsctl audit cost` has asked for: a report never
/// pays for an answer. Each run adds one line to the history, in `.opsctl/history` and, where
/// [evidence] is configured, in its bucket.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 done, whatever the report says, 3 something it is about could not be seen
The page for a review:  opsctl report tags --format html -o tags.html")]
pub struct TagsArgs {
    /// Do not exit with 3 when something could not be seen
    #[arg(long)]
    pub allow_incomplete: bool,
    /// Compare with earlier runs, but do not remember this one
    #[arg(long)]
    pub no_history: bool,
}

pub async fn run(global: &Global, args: &TagsArgs) -> Outcome {
    let interrupt = Interrupt::listen();
    let session = Session::open(global)?;
    let looked = look(global, args, &session, &interrupt).await;
    finished(global, &interrupt, looked, |report| {
        warn_of_nothing(global, &report.notes);
        emit(global, report)?;
        Ok(!report.unobserved.is_empty() && !args.allow_incomplete)
    })
}

fn emit(global: &Global, report: &TagReport) -> Result<(), Failure> {
    use render::github::defuse;
    let text = match global.format {
        Format::Json => return global.emit_json(report),
        Format::Csv => render::csv::tags(report).map_err(Failure::new)?,
        Format::Html => render::html::tags::page(report).map_err(Failure::new)?,
        Format::Markdown => defuse(&render::markdown::tags(report)),
        _ => defuse(&render::human::tags(report, &global.style())),
    };
    global.show(&text)
}

async fn look(
    global: &Global,
    args: &TagsArgs,
    session: &Session,
    interrupt: &Interrupt,
) -> Result<TagReport, Failure> {
    const CONTROLS: &[Control] = &[Control::Tags];
    let asked = session.environments(global, None)?;
    let only = target_glob(global)?;
    let environments = session
        .observe(global, asked.clone(), CONTROLS, true, interrupt)
        .await?;
    let now = Timestamp::now();
    let rest = async {
        let costs = audit_cost::known(global, session, &asked, now).await?;
        let past = Past::open(global, session, "tags").await;
        let lines = past.read::<TagLine>(global, now).await;
        Ok::<_, Failure>((costs, past, lines))
    };
    let (costs, past, history) = tokio::select! {
        found = rest => found?,
        () = interrupt.cancel.cancelled() => {
            return Err(Failure::new("interrupted; nothing was changed"));
        }
    };
    let judged = session.judged(&environments, CONTROLS, only.as_ref());
    let audit = assemble(
        &environments,
        judged.clone(),
        None,
        &AuditRequest {
            controls: CONTROLS,
            only: only.as_ref(),
            fail_on: FAIL_ON,
            baseline: None,
            allow_incomplete: args.allow_incomplete,
            api: session.cloud.meter().snapshot(),
        },
    );
    let (report, line) = tags::assemble(Inputs {
        environments: &environments,
        judged: &judged,
        audit,
        only: only.as_ref(),
        narrowed: !global.regions.is_empty(),
        costs: costs.map(|known| KnownCosts {
            entries: known.audit.entries,
            as_of: known.as_of,
        }),
        history: &history,
        run: new_run_id(),
        now,
    });
    if let Some(line) = line.filter(|_| !args.no_history) {
        past.add(global, &history, line).await;
    }
    Ok(report)
}
