//! `opsctl report`: one file per report in `report/`, each with the formats of [`super::Format`] that
//! reports have. Pages are made from the shell in [`crate::render::html`].

mod past;
mod tags;

use clap::Subcommand;

use super::{Global, Outcome};

/// Reports are read-only like audits, and like them exit with 3 when something they are about could
/// not be seen; they do not exit with 2, whatever they show.
#[derive(Debug, Subcommand)]
pub enum ReportCommand {
    Tags(tags::TagsArgs),
}

pub async fn run(global: &Global, command: &ReportCommand) -> Outcome {
    match command {
        ReportCommand::Tags(args) => tags::run(global, args).await,
    }
}
