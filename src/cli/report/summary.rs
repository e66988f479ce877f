use clap::Args;
use jiff::{Timestamp, ToSpan, tz::TimeZone};

use super::drills;
use super::past::Past;
use super::{finished, warn_of_nothing};
use crate::audit::{AuditRequest, CostPart, FAIL_ON, assemble};
use crate::cli::audit_cost;
use crate::cli::context::Interrupt;
use crate::cli::session::{Session, target_glob};
use crate::cli::{Failure, Format, Global, Outcome};
use crate::drill::journal::new_run_id;
use crate::drill::review::review;
use crate::model::Control;
use crate::render;
use crate::report::summary::line::SummaryLine;
use crate::report::summary::{self, Drills, Inputs, SummaryReport};

/// Everything on one page: how it stands, what has changed, the next three things to do
///
/// Money, tags, storage, alarms, backups and drills, readiness. What was not looked at says so.
/// Costs are those that `opsctl audit cost` has asked for: a report never pays for an answer. Each
/// run adds one line to the history, in `.opsctl/history` and, where [evidence] is configured, in
/// its bucket.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 done, whatever the report says, 3 something it is about could not be seen
The page for Monday:  opsctl report summary --format html -o summary.html")]
pub struct SummaryArgs {
    /// Do not exit with 3 when something could not be seen
    #[arg(long)]
    pub allow_incomplete: bool,
    /// Compare with earlier runs, but do not remember this one
    #[arg(long)]
    pub no_history: bool,
}

/// What costs nothing to look at; costs are taken from what is known.
const CONTROLS: [Control; 6] = [
    Control::Tags,
    Control::Budgets,
    Control::Lifecycle,
    Control::Alarms,
    Control::Backups,
    Control::Readiness,
];

pub async fn run(global: &Global, args: &SummaryArgs) -> Outcome {
    if global.format == Format::Csv {
        return Err(Failure::new("`opsctl report summary` has no --format csv")
            .help("it has table, json, markdown and html"));
    }
    let interrupt = Interrupt::listen();
    let session = Session::open(global)?;
    let looked = look(global, args, &session, &interrupt).await;
    finished(global, &interrupt, looked, |report| {
        emit(global, report)?;
        Ok(!report.unobserved.is_empty() && !args.allow_incomplete)
    })
}

fn emit(global: &Global, report: &SummaryReport) -> Result<(), Failure> {
    use render::github::defuse;
    let text = match global.format {
        Format::Json => return global.emit_json(report),
        Format::Html => render::html::summary::page(report).map_err(Failure::new)?,
        Format::Markdown => defuse(&render::markdown::summary(report)),
        _ => defuse(&render::human::summary_report(report, &global.style())),
    };
    global.show(&text)
}

async fn look(
    global: &Global,
    args: &SummaryArgs,
    session: &Session,
    interrupt: &Interrupt,
) -> Result<SummaryReport, Failure> {
    let asked = session.environments(global, None)?;
    let only = target_glob(global)?;
    // What the policies list; the others are not looked at, and say so.
    let controls: Vec<Control> = CONTROLS
        .into_iter()
        .filter(|c| global.controls.is_empty() || global.controls.contains(c))
        .filter(|c| asked.iter().any(|(_, resolved)| resolved.policies.has(*c)))
        .collect();
    let environments = session
        .observe(global, asked.clone(), &controls, true, interrupt)
        .await?;
    let now = Timestamp::now();
    let rest = async {
        let costs = audit_cost::known(global, session, &asked, now).await?;
        let past = Past::open(global, session, "summary").await;
        let lines = past.read::<SummaryLine>(global, now).await;
        let records = drills::read(global, &session.state, Some(&session.loaded), false).await;
        Ok::<_, Failure>((costs, past, lines, records))
    };
    let (costs, past, history, records) = tokio::select! {
        found = rest => found?,
        () = interrupt.cancel.cancelled() => {
            return Err(Failure::new("interrupted; nothing was changed"));
        }
    };
    let judged = session.judged(&environments, &controls, only.as_ref());
    let changes = judged.changes.clone();
    // What `audit` finds in the same answers, where a policy asks for it.
    let wants_cost = (global.controls.is_empty() || global.controls.contains(&Control::Cost))
        && asked
            .iter()
            .any(|(_, resolved)| resolved.policies.has(Control::Cost));
    let mut audited = controls.clone();
    let mut part = None;
    let month = now.to_zoned(TimeZone::UTC).date().first_of_month();
    let costs = costs.map(|known| {
        let entries = known.audit.entries.clone();
        // Findings on another month are none of this one.
        if wants_cost && known.as_of.first_of_month() == month {
            audited.push(Control::Cost);
            part = Some(CostPart {
                findings: known.audit.findings,
                entries: known.audit.entries,
                gaps: known.audit.gaps,
                notes: known.audit.notes,
            });
        }
        (entries, known.as_of)
    });
    let audit = assemble(
        &environments,
        judged,
        part,
        &AuditRequest {
            controls: &audited,
            only: only.as_ref(),
            fail_on: FAIL_ON,
            baseline: None,
            allow_incomplete: args.allow_incomplete,
            api: session.cloud.meter().snapshot(),
        },
    );
    warn_of_nothing(global, &audit.notes);
    let wanted = drills::wanted(&asked)?;
    let faults = records.faults();
    let mine: Vec<_> = records
        .records
        .into_iter()
        .filter(|r| asked.iter().any(|(t, _)| t.environment == r.environment))
        .collect();
    let year = now
        .to_zoned(TimeZone::UTC)
        .checked_sub(1.year())
        .map_or(now, |z| z.timestamp());
    let project = session
        .loaded
        .workspace
        .as_ref()
        .map_or_else(String::new, |w| w.project.name.value.clone());
    let (report, line) = summary::assemble(&Inputs {
        project,
        audit,
        changes: &changes,
        costs,
        wants_cost,
        drills: Drills {
            review: review(&mine, &wanted, year, now),
            faults,
        },
        history: &history,
        run: new_run_id(),
        now,
    });
    // A part of the places is no run to compare others with.
    if !args.no_history && only.is_none() && global.controls.is_empty() {
        past.add(global, &history, line).await;
    }
    Ok(report)
}
