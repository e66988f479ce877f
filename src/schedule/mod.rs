//! Job definitions for schedulers: what runs when, for how long, and in whose name.
//!
//! [`jobs`] derives the jobs from the project; one file per scheduler writes them down. How often a
//! drill runs follows from `drill_every`, see [`cadence`]. Nothing here looks at the machine: what
//! the command line knows of it comes in [`Place`] and in each scheduler's own settings.

pub mod cadence;
pub mod cron;
pub mod github;
pub mod gitlab;
pub mod jobs;
pub mod kubernetes;
mod quote;
pub mod systemd;

use std::time::Duration;

use serde::Serialize;

use cadence::Cadence;

/// What a drill's cleanup may take after a signal, and writing the record: see `drill::machine`.
pub const CLEANUP: Duration = Duration::from_secs(50 * 60);

/// What an audit may take before it is stopped. The longest seen, on 2,000 buckets, took seconds.
pub const AUDIT: Duration = Duration::from_secs(3600);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Audit,
    Drill,
    /// Publishes how long ago each drill passed: the alarm on overdue drills hears nothing otherwise.
    Status,
}

/// An account whose credentials a job needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    pub environment: String,
    pub account: String,
    pub region: String,
    /// The profile that `opsctl.toml` names; a CI job has to make one of this name.
    pub profile: Option<String>,
    /// `opsctl.toml` names a role: opsctl assumes it from whatever credentials there are.
    pub assumes: bool,
    /// The role that the job itself takes on.
    pub role_arn: Option<String>,
    /// The CI variable that names the role where `role_arn` does not: `OPSCTL_ROLE_ARN_PROD`.
    pub variable: String,
}

/// One job: a command that runs at a cadence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Job {
    pub kind: Kind,
    /// `audit`, or `drill-` and the environment; letters, digits and `-`.
    pub id: String,
    /// With the project: `opsctl-findash-drill-prod`.
    pub name: String,
    /// For people: `restore drills of prod`.
    pub title: String,
    pub drills: Vec<String>,
    pub cadence: Cadence,
    /// Minute of the day at which it starts.
    pub minute: u16,
    /// What is added to `minute` where the scheduler cannot spread jobs itself, in minutes; the same
    /// for the same job of the same project, every time.
    pub spread: u16,
    /// Seconds that all of its steps may take by opsctl's own limits, cleanup included.
    pub longest_seconds: u64,
    /// The same for the longest of its drills alone.
    pub longest_one_seconds: u64,
    /// What follows the name of the binary, names of drills excepted.
    pub arguments: Vec<String>,
    pub accounts: Vec<Account>,
    /// Why it runs as often as it does.
    pub why: Vec<String>,
}

impl Job {
    /// When it starts where the scheduler does not spread jobs: minute of the day.
    pub fn fixed_minute(&self) -> u16 {
        (self.minute + self.spread) % (24 * 60)
    }

    /// The five fields of cron, spread included.
    pub fn cron(&self) -> String {
        self.cadence.cron(self.fixed_minute())
    }

    /// The command line without names of drills.
    fn command(&self, binary: &str, more: &[&str]) -> String {
        std::iter::once(binary)
            .chain(self.arguments.iter().map(String::as_str))
            .chain(more.iter().copied())
            .map(quote::shell)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The command that finishes what a killed drill left behind.
    fn sweep(&self, binary: &str) -> String {
        let global = self
            .arguments
            .iter()
            .skip_while(|a| !a.starts_with("--"))
            .take_while(|a| GLOBAL.iter().any(|g| a.starts_with(g)))
            .map(|a| quote::shell(a));
        [quote::shell(binary), "drill gc".to_owned()]
            .into_iter()
            .chain(global)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// The options that a job's sweep needs as well as the job.
const GLOBAL: [&str; 5] = [
    "--env=",
    "--profile=",
    "--region=",
    "--endpoint-url=",
    "--sandbox=",
];

/// Where and how jobs run, whatever the scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub project: String,
    /// Begins the name of every job and file.
    pub name: String,
    /// The binary: absolute on a machine, a name on the PATH in CI.
    pub binary: String,
    /// The project folder: absolute on a machine, relative to the repository in CI.
    pub dir: String,
    /// Exit code 2 (findings, a failed drill) does not make the job fail.
    pub tolerate: bool,
    /// The project keeps its evidence in a bucket.
    pub evidence: bool,
    /// A drill needs the programs of PostgreSQL.
    pub postgres: bool,
}

/// A file for a scheduler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct File {
    /// Relative to the folder asked for.
    pub path: String,
    pub text: String,
}

/// The first line of every file.
fn made_by(place: &Place, scheduler: &str) -> String {
    format!(
        "# Made by `opsctl schedule {scheduler}` (opsctl {}) for {}; make it anew after changing drills or drill_every.\n",
        env!("CARGO_PKG_VERSION"),
        quote::comment(&place.project)
    )
}

/// What the exit codes mean, for whoever reads the job's mail or log.
const EXIT_CODES: &str = "\
# Exit codes: 0 nothing to do, 1 could not run, 2 findings or a drill that failed or missed its objective,
# 3 could not see everything, 143 stopped after cleaning up.\n";

fn comments(indent: &str, lines: &[String]) -> String {
    lines
        .iter()
        .map(|line| format!("{indent}# {}\n", quote::comment(line)))
        .collect()
}

fn minutes_up(seconds: u64) -> u64 {
    seconds.div_ceil(60)
}
