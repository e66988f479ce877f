//! The command line: one file per command, and what they share.

mod apply;
mod audit;
mod audit_cost;
mod backtest;
mod complete;
mod context;
mod doctor;
mod drill;
mod evidence;
mod explain;
mod iam;
mod init;
mod metrics;
mod notify;
mod pager;
mod plan;
mod report;
mod repository;
mod sandbox;
mod schedule;
mod schema;
mod session;
mod stage;
mod validate;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::config::{Diagnostic, Loaded};
use crate::model::Control;
use crate::plan::file::{write_atomically, write_atomically_with, write_json};
use crate::render;

/// Exit codes, as documented in `docs/exit-codes.md`; CI jobs are written against them.
pub mod exit {
    /// Done; nothing needs attention.
    pub const OK: i32 = 0;
    /// Could not run, or an action failed or was stale.
    pub const FAILED: i32 = 1;
    /// Ran, and something needs attention.
    pub const ATTENTION: i32 = 2;
    /// Ran, but could not see something that a requested control needs.
    pub const BLIND: i32 = 3;
    /// Interrupted (SIGINT), after cleaning up.
    pub const INTERRUPTED: i32 = 130;
    /// Terminated (SIGTERM), after cleaning up.
    pub const TERMINATED: i32 = 143;
}

/// Keeps the AWS accounts of a startup in order: shows what it would change, and changes that.
#[derive(Debug, Parser)]
#[command(
    name = "opsctl",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "\
Try it without an AWS account:  opsctl plan --sandbox
Exit codes: 0 done, 1 could not run or an action failed, 2 needs attention, 3 could not see everything, 130/143 interrupted"
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people, in a terminal or a pipe.
    Table,
    /// One object; see docs/reference/schema.
    Json,
    /// For pull requests and chat.
    Markdown,
    /// Audits: for code scanning.
    Sarif,
    /// Audits: for whatever shows test results.
    Junit,
    /// Audits and reports: for spreadsheets.
    Csv,
    /// Reports: a page in one file, for browsers and paper.
    Html,
    /// Audits: annotations of a GitHub workflow, and the summary of its step.
    Github,
    /// Audits: GitLab's code quality report.
    Gitlab,
}

impl Format {
    /// What every command has.
    const COMMON: [Format; 3] = [Format::Table, Format::Json, Format::Markdown];

    fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |v| v.get_name().to_owned())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Project folder [default: the nearest parent with opsctl.toml]
    #[arg(
        short = 'C',
        long,
        global = true,
        env = "OPSCTL_DIR",
        value_name = "DIR",
        help_heading = "Global options"
    )]
    pub dir: Option<PathBuf>,
    /// Only this environment (repeatable)
    #[arg(
        short = 'e',
        long = "env",
        global = true,
        env = "OPSCTL_ENV",
        value_delimiter = ',',
        value_name = "NAME",
        help_heading = "Global options"
    )]
    pub environments: Vec<String>,
    /// Only this region (repeatable)
    #[arg(
        long = "region",
        global = true,
        env = "OPSCTL_REGION",
        value_delimiter = ',',
        value_name = "REGION",
        help_heading = "Global options"
    )]
    pub regions: Vec<String>,
    /// Only this control: tags, budgets, lifecycle, alarms, backups (repeatable)
    #[arg(
        long = "control",
        global = true,
        env = "OPSCTL_CONTROL",
        value_delimiter = ',',
        value_name = "NAME",
        help_heading = "Global options"
    )]
    pub controls: Vec<Control>,
    /// Only what has such an address, e.g. 'prod/*/s3-bucket/*-logs#*'
    #[arg(
        long,
        global = true,
        env = "OPSCTL_TARGET",
        value_name = "ADDRESS-GLOB",
        help_heading = "Global options"
    )]
    pub target: Option<String>,
    /// Work on an embedded AWS account instead of a real one
    #[arg(long, global = true, env = "OPSCTL_SANDBOX", value_name = "SCENARIO", num_args = 0..=1, default_missing_value = crate::sandbox::scenario::DEFAULT, help_heading = "Global options")]
    pub sandbox: Option<String>,
    /// Send all AWS calls here, e.g. to LocalStack
    #[arg(
        long,
        global = true,
        env = "OPSCTL_ENDPOINT_URL",
        value_name = "URL",
        help_heading = "Global options"
    )]
    pub endpoint_url: Option<String>,
    /// AWS profile, instead of the one in opsctl.toml
    #[arg(
        long,
        global = true,
        env = "OPSCTL_PROFILE",
        value_name = "NAME",
        help_heading = "Global options"
    )]
    pub profile: Option<String>,
    /// Calls in flight at a time
    #[arg(long, global = true, env = "OPSCTL_CONCURRENCY", value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=512), help_heading = "Global options")]
    pub concurrency: u16,
    /// Most time that one AWS operation may take, retries included
    #[arg(long, global = true, env = "OPSCTL_TIMEOUT", value_name = "DURATION", default_value = "2m", value_parser = humantime::parse_duration, help_heading = "Global options")]
    pub timeout: Duration,
    /// How the result is printed
    #[arg(long, global = true, env = "OPSCTL_FORMAT", value_enum, default_value_t = Format::Table, help_heading = "Output")]
    pub format: Format,
    /// Write the result to a file, atomically
    #[arg(
        short = 'o',
        long,
        global = true,
        env = "OPSCTL_OUTPUT",
        value_name = "FILE",
        help_heading = "Output"
    )]
    pub output: Option<PathBuf>,
    /// Colour
    #[arg(long, global = true, env = "OPSCTL_COLOR", value_enum, default_value_t = When::Auto, help_heading = "Output")]
    pub color: When,
    /// No progress, no warnings
    #[arg(
        short,
        long,
        global = true,
        env = "OPSCTL_QUIET",
        value_parser = clap::builder::FalseyValueParser::new(),
        action = clap::ArgAction::SetTrue,
        help_heading = "Output"
    )]
    pub quiet: bool,
    /// Print long results straight to the terminal, not through $OPSCTL_PAGER, $PAGER or less
    #[arg(
        long,
        global = true,
        env = "OPSCTL_NO_PAGER",
        value_parser = clap::builder::FalseyValueParser::new(),
        action = clap::ArgAction::SetTrue,
        help_heading = "Output"
    )]
    pub no_pager: bool,
    /// Show more; twice: every AWS call
    #[arg(short, long, global = true, env = "OPSCTL_VERBOSE", action = clap::ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,
    /// Form of the log lines on stderr
    #[arg(long, global = true, env = "OPSCTL_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, help_heading = "Output")]
    pub log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Init(init::InitArgs),
    Validate(validate::ValidateArgs),
    /// The stage profiles: what each asks for, and what moves between two of them
    #[command(subcommand)]
    Stage(stage::StageCommand),
    Plan(plan::PlanArgs),
    Apply(apply::ApplyArgs),
    /// The metrics that the policies name
    #[command(subcommand)]
    Metrics(metrics::MetricsCommand),
    Doctor(doctor::DoctorArgs),
    Iam(iam::IamArgs),
    Audit(audit::AuditArgs),
    Explain(explain::ExplainArgs),
    /// What people read: pages to review, print and send
    #[command(subcommand)]
    Report(report::ReportCommand),
    /// Restore drills: prove backups by restoring them, and keep the evidence
    #[command(subcommand)]
    Drill(drill::DrillCommand),
    /// A ready job definition for audits and restore drills: nothing is installed, only written
    #[command(subcommand)]
    Schedule(schedule::ScheduleCommand),
    /// The embedded AWS accounts
    #[command(subcommand)]
    Sandbox(sandbox::SandboxCommand),
    Schema(schema::SchemaArgs),
    Completions(complete::CompletionsArgs),
    Man(complete::ManArgs),
}

/// Why a command could not run: printed to stderr, exit code 1.
#[derive(Debug)]
pub struct Failure {
    pub message: String,
    pub help: Option<String>,
    /// Mistakes in files, with the files that they are in.
    pub diagnostics: Option<Box<(Loaded, Vec<Diagnostic>)>>,
}

impl Failure {
    pub fn new(message: impl Into<String>) -> Self {
        Failure {
            message: message.into(),
            help: None,
            diagnostics: None,
        }
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// In one line, for those who do not see the files.
    pub fn told(&self) -> String {
        let first = self.diagnostics.iter().find_map(|found| found.1.first());
        match first {
            Some(first) => format!("the files cannot be used: {}", first.message),
            None => self.message.clone(),
        }
    }

    pub fn files(loaded: Loaded, diagnostics: Vec<Diagnostic>) -> Self {
        Failure::in_files(Box::new((loaded, diagnostics)))
    }

    pub fn in_files(found: Box<(Loaded, Vec<Diagnostic>)>) -> Self {
        Failure {
            message: String::new(),
            help: None,
            diagnostics: Some(found),
        }
    }
}

pub type Outcome = Result<i32, Failure>;

impl Global {
    pub fn colour_on(&self, terminal: bool) -> bool {
        match self.color {
            When::Always => true,
            When::Never => false,
            When::Auto => {
                let set =
                    |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty() && v != "0");
                if set("CLICOLOR_FORCE") {
                    true
                } else {
                    terminal
                        && !set("NO_COLOR")
                        && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
                }
            }
        }
    }

    /// How the human output on stdout looks.
    pub fn style(&self) -> render::Style {
        let to_terminal = self.output.is_none() && std::io::stdout().is_terminal();
        let width = terminal_size::terminal_size_of(std::io::stdout())
            .filter(|_| to_terminal)
            .map_or(100, |(w, _)| usize::from(w.0));
        render::Style {
            width: width.clamp(40, 160),
            colour: self.colour_on(to_terminal),
            verbose: self.verbose > 0,
        }
    }

    /// Writes a result to stdout, or to the file asked for.
    pub fn emit(&self, text: &str) -> Result<(), Failure> {
        match &self.output {
            Some(path) => write_atomically(path, text.as_bytes())
                .map_err(|e| Failure::new(format!("{}: {e}", path.display()))),
            None => {
                let mut out = std::io::stdout().lock();
                let result = out.write_all(text.as_bytes()).and_then(|()| out.flush());
                match result {
                    // The reader of the pipe has seen enough.
                    Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
                    other => other.map_err(|e| Failure::new(format!("stdout: {e}"))),
                }
            }
        }
    }

    /// Writes a result for people: to a terminal that it is too long for, through the pager.
    pub fn show(&self, text: &str) -> Result<(), Failure> {
        let paged = self.output.is_none()
            && matches!(self.format, Format::Table | Format::Markdown)
            && !self.no_pager
            && std::io::stdin().is_terminal()
            && std::io::stdout().is_terminal()
            && pager::show(text);
        if paged { Ok(()) } else { self.emit(text) }
    }

    /// Writes a result as JSON, without making it in memory first.
    pub fn emit_json(&self, value: &impl serde::Serialize) -> Result<(), Failure> {
        match &self.output {
            Some(path) => write_atomically_with(path, &mut |out| write_json(value, out))
                .map_err(|e| Failure::new(format!("{}: {e}", path.display()))),
            None => match write_json(value, &mut std::io::stdout().lock()) {
                // The reader of the pipe has seen enough.
                Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
                other => other.map_err(|e| Failure::new(format!("stdout: {e}"))),
            },
        }
    }

    /// A line for people, on stderr.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    pub fn print_failure(&self, failure: &Failure) {
        let colour = self.colour_on(std::io::stderr().is_terminal());
        let text = match &failure.diagnostics {
            Some(found) => render::diagnostics::render(&found.0.sources, &found.1, colour),
            None => render::diagnostics::failure(&failure.message, failure.help.as_deref(), colour),
        };
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    /// Warnings of files that are good enough to run with.
    pub fn print_warnings(&self, loaded: &Loaded) {
        if self.quiet || loaded.diagnostics.is_empty() {
            return;
        }
        let colour = self.colour_on(std::io::stderr().is_terminal());
        let text = render::diagnostics::render(&loaded.sources, &loaded.diagnostics, colour);
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    fn start_log(&self) {
        use tracing_subscriber::EnvFilter;
        let level = match (self.quiet, self.verbose) {
            (true, _) => "off",
            (_, 0) => "opsctl=warn",
            (_, 1) => "opsctl=info",
            _ => "opsctl=debug",
        };
        let filter =
            EnvFilter::try_from_env("OPSCTL_LOG").unwrap_or_else(|_| EnvFilter::new(level));
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(self.colour_on(std::io::stderr().is_terminal()));
        match self.log_format {
            LogFormat::Text => log.with_target(false).init(),
            LogFormat::Json => log.json().init(),
        }
    }
}

/// Parses the arguments and runs the command; the result is the exit code.
pub fn main() -> i32 {
    // CI systems often set a variable to nothing when they mean that it is not set.
    for (name, value) in std::env::vars_os() {
        if value.is_empty() && name.to_str().is_some_and(|n| n.starts_with("OPSCTL_")) {
            // SAFETY: no other thread has been started yet.
            unsafe { std::env::remove_var(name) };
        }
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            let _ = e.print();
            // A usage mistake is bad input (1); help and version are what was asked for.
            return if e.use_stderr() {
                exit::FAILED
            } else {
                exit::OK
            };
        }
    };
    cli.global.start_log();
    let global = cli.global;
    if let Err(failure) = formats(&global, &cli.command) {
        global.print_failure(&failure);
        return exit::FAILED;
    }
    let result = match cli.command {
        Command::Init(args) => init::run(&global, &args),
        Command::Validate(args) => validate::run(&global, &args),
        Command::Stage(command) => stage::run(&global, &command),
        Command::Plan(args) => context::block_on(plan::run(&global, &args)),
        Command::Apply(args) => context::block_on(apply::run(&global, &args)),
        Command::Metrics(command) => context::block_on(metrics::run(&global, &command)),
        Command::Iam(args) => iam::run(&global, &args),
        Command::Doctor(args) => context::block_on(doctor::run(&global, &args)),
        Command::Audit(args) => context::block_on(audit::run(&global, &args)),
        Command::Explain(args) => explain::run(&global, &args),
        Command::Report(command) => context::block_on(report::run(&global, &command)),
        Command::Drill(command) => context::block_on(drill::run(&global, &command)),
        Command::Schedule(command) => schedule::run(&global, &command),
        Command::Sandbox(command) => sandbox::run(&global, &command),
        Command::Schema(args) => schema::run(&global, &args),
        Command::Completions(args) => complete::completions(&global, &args),
        Command::Man(args) => complete::man(&global, &args),
    };
    match result {
        Ok(code) => code,
        Err(failure) => {
            global.print_failure(&failure);
            exit::FAILED
        }
    }
}

/// Refuses a format that the command does not have.
fn formats(global: &Global, command: &Command) -> Result<(), Failure> {
    let all: Vec<Format> = match command {
        Command::Audit(_) => Format::value_variants()
            .iter()
            .copied()
            .filter(|f| *f != Format::Html)
            .collect(),
        Command::Report(_) => [&Format::COMMON[..], &[Format::Csv, Format::Html]].concat(),
        _ => Format::COMMON.to_vec(),
    };
    if all.contains(&global.format) {
        return Ok(());
    }
    let of = match global.format {
        Format::Html => "`opsctl report`",
        Format::Csv => "`opsctl audit` and `opsctl report`",
        _ => "`opsctl audit`",
    };
    let names: Vec<String> = all.into_iter().map(Format::name).collect();
    Err(Failure::new(format!(
        "--format {} is a format of {of}",
        global.format.name()
    ))
    .help(format!("this command has {}", render::text::one_of(&names))))
}

/// The head that all JSON documents have in common, for those without a plan.
pub fn json_head(kind: &str) -> serde_json::Value {
    serde_json::json!({
        "format_version": crate::plan::FORMAT_VERSION,
        "kind": kind,
        "opsctl_version": env!("CARGO_PKG_VERSION"),
        "generated_at": format!("{:.0}", jiff::Timestamp::now()),
        "scope": [],
        "unobserved": [],
        "api": crate::cloud::Meter::default().snapshot(),
    })
}

/// The whole command line, for completions, man pages and the reference.
pub fn command() -> clap::Command {
    Cli::command()
}
