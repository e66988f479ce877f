//! `opsctl report`: one file per report in `report/`, each with the formats of [`super::Format`] that
//! reports have. Pages are made from the shell in [`crate::render::html`].

mod cost;
mod drills;
mod past;
mod summary;
mod tags;

use clap::Subcommand;

use super::{Global, Outcome};

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
