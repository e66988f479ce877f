//! `opsctl report`: one file per report in `report/`, each with the formats of [`super::Format`] that
//! reports have. Pages are made from the shell in [`crate::render::html`].

mod cost;
mod drills;
mod past;
mod summary;
mod tags;

use clap::Subcommand;

use super::context::Interrupt;
use crate::plan::build::NOTHING_LIKE;

use super::{Failure, Global, Outcome, exit};

/// Reports are read-only like audits, and like them exit with 3 when something they are about could
/// not be seen; they do not exit with 2, whatever they show.
#[derive(Debug, Subcommand)]
pub enum ReportCommand {
    Cost(cost::CostReportArgs),
    Drills(drills::DrillsArgs),
    Summary(summary::SummaryArgs),
    Tags(tags::TagsArgs),
}

pub async fn run(global: &Global, command: &ReportCommand) -> Outcome {
    match command {
        ReportCommand::Cost(args) => cost::run(global, args).await,
        ReportCommand::Drills(args) => drills::run(global, args).await,
        ReportCommand::Summary(args) => summary::run(global, args).await,
        ReportCommand::Tags(args) => tags::run(global, args).await,
    }
}

/// That `--target` is like nothing that was seen: not an error, since there may be nothing of that kind.
fn warn_of_nothing(global: &Global, notes: &[String]) {
    for note in notes.iter().filter(|n| n.starts_with(NOTHING_LIKE)) {
        global.say(&format!("warning: {note}"));
    }
}

/// The end of a report: told, unless it was interrupted on the way. `tell` prints it, and says
/// whether it is to exit with 3.
fn finished<R>(
    global: &Global,
    interrupt: &Interrupt,
    looked: Result<R, Failure>,
    tell: impl FnOnce(&R) -> Result<bool, Failure>,
) -> Outcome {
    if let Some(code) = interrupt.code() {
        global.say("interrupted; nothing was changed");
        return Ok(code);
    }
    Ok(match tell(&looked?)? {
        true => exit::BLIND,
        false => exit::OK,
    })
}
