//! The only code that formats for people: terminals ([`human`]) and pull requests ([`markdown`]).
//!
//! Everything here takes plain values and gives back text; nothing is printed, asked or decided.
//! Every string that may come from AWS goes through [`text::escape`] on its way out.

pub mod backtest;
pub mod csv;
pub mod diagnostics;
pub mod github;
pub mod gitlab;
pub mod html;
pub mod human;
pub mod junit;
pub mod markdown;
pub mod notice;
pub mod sarif;
pub mod text;

mod alarms;
mod attention;
mod cost;
mod doctor;
pub mod drills;
mod group;
mod machine;
mod paint;
mod summary;
mod tags;
mod verdict;
mod words;

pub use machine::Places;

#[cfg(test)]
mod tests;

/// How the terminal wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Columns.
    pub width: usize,
    pub colour: bool,
    /// Every change on its own, every address, no value cut.
    pub verbose: bool,
}

impl Default for Style {
    fn default() -> Self {
        Style {
            width: 80,
            colour: false,
            verbose: false,
        }
    }
}

/// What became of one change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeView {
    pub address: String,
    /// `+`, `~` or `-`.
    pub sign: char,
    /// `applied`, `stale`, `failed` or `skipped`.
    pub outcome: String,
    pub error: Option<String>,
    pub duration_ms: u64,
}

/// What became of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApplyView {
    /// In the order in which they are shown.
    pub environments: Vec<String>,
    pub rows: Vec<OutcomeView>,
    /// Stopped by a signal before the last change.
    pub interrupted: bool,
    pub run_id: String,
    /// The file that holds every step of the run.
    pub journal: String,
}

/// What became of one drill.
#[derive(Debug, Clone)]
pub struct DrillView {
    pub record: crate::drill::record::Record,
    /// The file of the record; empty where it is not on disk.
    pub path: String,
    pub journal: String,
    /// Where it was uploaded to and how it is locked; empty if it was not.
    pub uploaded: String,
    pub upload_error: Option<String>,
    /// What to do about a drill that could not run.
    pub help: Option<String>,
}

/// What a run of one drill would do.
#[derive(Debug, Clone, Default)]
pub struct DrillPlanView {
    pub drill: String,
    pub environment: String,
    pub source: String,
    pub recovery_point: String,
    pub objective: String,
    pub cost: String,
    pub time: String,
    pub limits: String,
    pub policy: String,
    pub steps: Vec<String>,
    pub warnings: Vec<String>,
    /// Why a run would end before it restores anything.
    pub stop: Option<String>,
    pub help: Option<String>,
}

/// What a sweep removed, or would remove.
#[derive(Debug, Clone, Default)]
pub struct SweptView {
    pub dry_run: bool,
    pub things: Vec<crate::drill::folder::Leftover>,
    /// Copies that may belong to runs which are alive elsewhere.
    pub young: Vec<crate::drill::folder::Leftover>,
    pub records: Vec<crate::drill::record::Record>,
    pub trouble: Vec<String>,
}

/// A plain table of text cells.
pub fn table(head: &[&str], rows: &[Vec<String>], markdown: bool) -> String {
    use tabled::builder::Builder;
    let mut builder = Builder::default();
    builder.push_record(head.iter().map(ToString::to_string));
    for row in rows {
        builder.push_record(row.iter().map(|cell| text::escape(cell)));
    }
    let mut table = builder.build();
    if markdown {
        table.with(tabled::settings::Style::markdown());
    } else {
        table.with(tabled::settings::Style::blank());
    }
    format!("{table}\n")
}
