//! The arguments of `opsctl schedule`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

/// The schedulers that `opsctl schedule` writes for
#[derive(Debug, Subcommand)]
pub enum ScheduleCommand {
    /// A crontab; mails only what needs attention
    Cron(CronArgs),
    /// A service and a timer of systemd for each job
    Systemd(SystemdArgs),
    /// A workflow of GitHub Actions, with roles by OIDC
    Github(GithubArgs),
    /// A file to include in .gitlab-ci.yml, with roles by OIDC
    Gitlab(GitlabArgs),
    /// CronJobs of Kubernetes, with the project's files in a ConfigMap
    Kubernetes(KubernetesArgs),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Which {
    /// The restore drills of each environment, so often that none is ever overdue, and their state as a metric every night
    Drill,
    /// The audit of all environments, every night
    Audit,
    All,
}

#[derive(Debug, Args)]
pub struct Common {
    /// What to schedule
    #[arg(long, value_enum, default_value_t = Which::All)]
    pub job: Which,
    /// When the jobs start [default: 03:30 drills, 06:00 the audit]
    #[arg(long, value_name = "HH:MM", value_parser = time)]
    pub at: Option<u16>,
    /// Start up to so much later, so that not everybody's jobs start at once
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = humantime::parse_duration)]
    pub jitter: Duration,
    /// Begins the names of jobs and files [default: opsctl-PROJECT]
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub name: Option<String>,
    /// Exit code 2 (findings, a failed drill) does not make the job fail
    #[arg(long)]
    pub tolerate_findings: bool,
    /// Write the files there instead of printing them
    #[arg(long, value_name = "DIR")]
    pub out_dir: Option<PathBuf>,
    /// Overwrite files that are there and differ
    #[arg(long, requires = "out_dir")]
    pub force: bool,
    /// More options for the command of the one job: --job audit -- --fail-on high
    #[arg(last = true, value_name = "OPTION")]
    pub more: Vec<String>,
}

#[derive(Debug, Args)]
pub struct CronArgs {
    #[command(flatten)]
    pub common: Common,
    /// The binary [default: the one that runs]
    #[arg(long, value_name = "PATH")]
    pub binary: Option<PathBuf>,
    /// Makes it a file for /etc/cron.d, run as this user
    #[arg(long, value_name = "NAME", value_parser = word)]
    pub user: Option<String>,
    /// Who gets the mail
    #[arg(long, value_name = "ADDRESS", value_parser = word)]
    pub mailto: Option<String>,
}

#[derive(Debug, Args)]
pub struct SystemdArgs {
    #[command(flatten)]
    pub common: Common,
    /// The binary [default: the one that runs]
    #[arg(long, value_name = "PATH")]
    pub binary: Option<PathBuf>,
    /// Run as this user
    #[arg(long, value_name = "NAME", value_parser = word)]
    pub user: Option<String>,
    /// A unit to start when a job fails
    #[arg(long, value_name = "UNIT", value_parser = word)]
    pub on_failure: Option<String>,
}

#[derive(Debug, Args)]
pub struct Role {
    /// Role that a job takes on; repeat it as ENV=ARN for several environments
    #[arg(long, value_name = "[ENV=]ARN")]
    pub role_arn: Vec<String>,
}

#[derive(Debug, Args)]
pub struct GithubArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub role: Role,
    /// `runs-on` of the jobs
    #[arg(long, value_name = "LABEL", default_value = "ubuntu-latest")]
    pub runner: String,
    /// Container image that has opsctl
    #[arg(long, value_name = "IMAGE", value_parser = word)]
    pub image: Option<String>,
    /// Command that installs opsctl on the runner
    #[arg(long, value_name = "COMMAND")]
    pub install: Option<String>,
}

#[derive(Debug, Args)]
pub struct GitlabArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub role: Role,
    /// Tag of the runners
    #[arg(long, value_name = "TAG")]
    pub runner: Option<String>,
    /// Container image that has opsctl
    #[arg(long, value_name = "IMAGE", value_parser = word)]
    pub image: Option<String>,
    /// Command that installs opsctl on the runner
    #[arg(long, value_name = "COMMAND")]
    pub install: Option<String>,
}

#[derive(Debug, Args)]
pub struct KubernetesArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub role: Role,
    /// Container image that has opsctl
    #[arg(long, value_name = "IMAGE", value_parser = word)]
    pub image: String,
    #[arg(long, value_name = "NAME", value_parser = word)]
    pub namespace: Option<String>,
    /// A service account that exists, instead of one of its own
    #[arg(long, value_name = "NAME", value_parser = word)]
    pub service_account: Option<String>,
}

fn time(text: &str) -> Result<u16, String> {
    let two = |t: &str| (t.len() == 2).then(|| t.parse::<u16>().ok()).flatten();
    text.split_once(':')
        .and_then(|(h, m)| Some((two(h)?, two(m)?)))
        .filter(|(h, m)| *h < 24 && *m < 60)
        .map(|(h, m)| h * 60 + m)
        .ok_or_else(|| "a time of the day like 03:30".to_owned())
}

/// What names files, units and objects of Kubernetes alike.
pub(super) fn name(text: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let edges = !text.starts_with('-') && !text.ends_with('-');
    match !text.is_empty() && text.len() <= 30 && edges && text.bytes().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("lower-case letters, digits and `-` between them, at most 30".to_owned()),
    }
}

/// One word that needs no quoting anywhere.
pub(super) fn word(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@:/%+,".contains(c);
    match !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("one word of letters, digits and -_.@:/%+,".to_owned()),
    }
}
