mod look;
mod plan;
mod run;
pub(super) mod status;
mod sweeping;
mod testing_plans;
mod validator;

use std::io::IsTerminal;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::evidence::Evidence;
use super::notify::NotifyArgs;
use super::session::{Session, aws, guard, load, project_dir, sandbox_state, state_dir, target};
use super::{Failure, Format, Global, Outcome, json_head};
use crate::cloud::{Cloud, Target};
use crate::config::Loaded;
use crate::config::source::suggest;
use crate::drill::chain::Bucket;
use crate::drill::dump::Dump;
use crate::drill::dynamodb::DynamoDb;
use crate::drill::rds::Rds;
use crate::drill::record::Trigger;
use crate::drill::source::Source;
use crate::drill::spec::{SourceId, Spec};
use crate::drill::trigger;
use crate::render::{self, DrillView};
use crate::sandbox::Sandbox;
use crate::sandbox::rds::SandboxRds;
use crate::sandbox::world::World;

#[derive(Debug, Subcommand)]
pub enum DrillCommand {
    /// What a run would do, what it would cost and how long it would take; restores nothing
    Plan(Names),
    /// Restore a backup into a copy, check the data, remove the copy, and record it
    ///
    /// Exit codes: 0 all passed, 2 one failed or missed its objective, 1 one could not run,
    /// 130/143 interrupted after cleaning up. What an earlier run left behind is removed first.
    Run(RunArgs),
    /// The records of drills, the newest last
    List(ListArgs),
    /// One record with its timeline and checks
    Show {
        /// Run id, or the beginning of one; the newest record, if none is named
        run: Option<String>,
    },
    /// Check the chain of records on this machine and in the evidence bucket
    ///
    /// Exits with 2 where it is broken, and says where.
    Verify {
        /// Only what is on this machine
        #[arg(long)]
        local: bool,
    },
    /// The drills as restore-testing plans of AWS Backup, as JSON
    ///
    /// With --out-dir one file for each request, as `aws backup create-restore-testing-plan` and
    /// `create-restore-testing-selection` take it by --cli-input-json. Asks AWS for nothing.
    ExportRestoreTestingPlan(testing_plans::ExportArgs),
    /// When each drill passed last, and whether that is recent enough
    ///
    /// Looked up in the evidence bucket, then in the metric opsctl/Drill Passed, then on this machine.
    /// Exit codes: 0 all passed within drill_every, 2 one did not, 3 it could not be seen.
    Status(StatusArgs),
    /// Remove what killed drills left behind
    Gc {
        /// Only say what would be removed, and which guards passed
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Args)]
pub struct Names {
    /// Drills, as in [backups.drill.NAME]; all, if none is named
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub names: Names,
    /// Restore nothing: check the copies that restore tests of AWS Backup made, and answer them
    ///
    /// AWS Backup makes these copies and deletes them. The password of connect.user comes from
    /// PGPASSWORD. Exits with 0 if no test waits for an answer.
    #[arg(long)]
    pub as_validator: bool,
    /// Answer only this restore job
    #[arg(long, value_name = "ID", requires = "as_validator")]
    pub restore_job: Option<String>,
    #[command(flatten, next_help_heading = "Notification")]
    pub notify: NotifyArgs,
}

#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pub names: Names,
    /// Publish the days since then as the metric opsctl/Drill DaysSincePassed, for the alarm
    ///
    /// Run it every night: the alarm takes two silent days as trouble.
    #[arg(long)]
    pub publish: bool,
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only this drill
    pub name: Option<String>,
    /// Only so many, the newest
    #[arg(long, value_name = "N")]
    pub last: Option<usize>,
}

pub async fn run(global: &Global, command: &DrillCommand) -> Outcome {
    match command {
        DrillCommand::Plan(args) => plan::plan(global, args).await,
        DrillCommand::Run(args) if args.as_validator => validator::validate(global, args).await,
        DrillCommand::Run(args) => run::run_drills(global, args).await,
        DrillCommand::ExportRestoreTestingPlan(args) => testing_plans::run(global, args),
        DrillCommand::List(args) => look::list(global, args).await,
        DrillCommand::Show { run } => look::show(global, run.as_deref()).await,
        DrillCommand::Verify { local } => look::verify(global, *local).await,
        DrillCommand::Status(args) => status::run(global, args).await,
        DrillCommand::Gc { dry_run } => sweeping::gc(global, *dry_run).await,
    }
}

/// A project with its drills and the door to its accounts.
struct Opened {
    session: Session,
    world: Option<World>,
    /// With the stage that each environment is at.
    specs: Vec<(Spec, String)>,
    /// Every environment of the project with its drills, whatever this run is narrowed to: what was
    /// left behind, and how long a copy may live, does not depend on `-e` or a name.
    all: Vec<(Target, Vec<Spec>)>,
}

impl Opened {
    /// The project, whether it has any drill or not.
    fn open(global: &Global) -> Result<Opened, Failure> {
        let (loaded, world, state) = load(global)?;
        global.print_warnings(&loaded);
        let cloud: Box<dyn Cloud> = match (&world, &global.sandbox) {
            (Some(world), Some(name)) => {
                let path = sandbox_state(&state, name);
                Box::new(Sandbox::persistent(world.clone(), path).map_err(Failure::new)?)
            }
            _ => Box::new(aws(global)),
        };
        let session = Session {
            loaded,
            cloud,
            sandbox: global.sandbox.clone(),
            state,
        };
        let mut all = Vec::new();
        for (name, environment) in &session.workspace()?.environments {
            let target = target(name, environment);
            let resolved = session
                .loaded
                .resolve(Some(name), &environment.stage.value)
                .map_err(|found| Failure::files(session.loaded.clone(), found))?;
            let specs = Spec::all(&target, &resolved).map_err(Failure::new)?;
            all.push((target, specs));
        }
        let mut specs = Vec::new();
        if !all.is_empty() {
            for (target, resolved) in session.environments(global, None)? {
                let stage = resolved.stage.name.value.clone();
                let own = Spec::all(&target, &resolved).map_err(Failure::new)?;
                specs.extend(own.into_iter().map(|spec| (spec, stage.clone())));
            }
        }
        Ok(Opened {
            session,
            world,
            specs,
            all,
        })
    }

    /// The project for a run of these drills; of all, if none is named.
    fn new(global: &Global, names: &[String]) -> Result<Opened, Failure> {
        let mut opened = Opened::open(global)?;
        let known: Vec<String> = opened.specs.iter().map(|(s, _)| s.name.clone()).collect();
        if known.is_empty() {
            return Err(
                Failure::new("no drill is configured for these environments").help(
                    "add a table [backups.drill.NAME] to policies/backups.toml; `opsctl drill run orders --sandbox` shows one",
                ),
            );
        }
        for name in names {
            if !known.contains(name) {
                let failure = Failure::new(format!("there is no drill `{name}`"));
                return Err(match suggest(name, known.iter().map(String::as_str)) {
                    Some(close) => failure.help(format!("did you mean `{close}`?")),
                    None => failure.help(format!("there are: {}", known.join(", "))),
                });
            }
        }
        let asked = |spec: &Spec| names.is_empty() || names.contains(&spec.name);
        opened.specs.retain(|(spec, _)| asked(spec));
        Ok(opened)
    }

    /// The source of a drill, if this version can restore it.
    fn source<'a>(
        &'a self,
        spec: &'a Spec,
        run_id: &'a str,
    ) -> Result<Box<dyn Source + 'a>, Failure> {
        if let Some(world) = &self.world {
            let account = world.accounts.get(&spec.target.environment);
            if let Some(source) = SandboxRds::new(account, spec, run_id) {
                return Ok(Box::new(source));
            }
        }
        if let Some(source) = Dump::new(self.session.cloud.objects(), spec, run_id) {
            return Ok(Box::new(source));
        }
        if let Some(source) = Rds::new(self.session.cloud.as_ref(), spec, run_id) {
            return Ok(Box::new(source));
        }
        if let Some(source) = DynamoDb::new(self.session.cloud.as_ref(), spec, run_id) {
            return Ok(Box::new(source));
        }
        let kind = match spec.id {
            SourceId::Rds(_) => "rds:",
            SourceId::Aurora(_) => "aurora:",
            SourceId::DynamoDb(_) => "dynamodb:",
            SourceId::Dump { .. } => "s3-dump:",
        };
        Err(Failure::new(format!(
            "drill `{}`: {kind} sources cannot be restored by this version",
            spec.name
        ))
        .help("on AWS all sources can; in the sandbox those of rds:"))
    }

    /// The first region that `opsctl.toml` gives the environment, whatever the run is narrowed to.
    fn home(&self, spec: &Spec) -> String {
        let environments = self.session.loaded.workspace.iter();
        let mut environments = environments.flat_map(|w| w.environments.iter());
        let own = environments.find(|(name, _)| **name == spec.target.environment);
        own.and_then(|(_, e)| e.regions.first())
            .map(|r| r.value.clone())
            .or_else(|| spec.target.regions.first().cloned())
            .unwrap_or_default()
    }

    async fn guard(&self) -> Result<(), Failure> {
        let mut targets: Vec<&Target> = self.specs.iter().map(|(s, _)| &s.target).collect();
        targets.dedup_by_key(|t| t.environment.clone());
        guard(self.session.cloud.as_ref(), &targets).await
    }
}

/// The evidence bucket, where the project has one; sandbox records never go there.
pub(super) async fn evidence<'a>(
    global: &Global,
    loaded: &Loaded,
    cloud: &'a dyn Cloud,
) -> Result<Option<Bucket<'a>>, Failure> {
    let found = super::evidence::place(global.sandbox.as_deref(), loaded, cloud).await?;
    Ok(found.map(|Evidence { place, prefix }| Bucket {
        store: cloud.objects(),
        place,
        prefix,
    }))
}

fn triggered_by() -> Trigger {
    let env = |name: &str| std::env::var(name).ok();
    trigger::detect(&env, std::io::stderr().is_terminal())
}

/// The head of the JSON documents, with who and where.
fn head(global: &Global, opened: Option<&Opened>) -> Value {
    let mut document = json_head("drill");
    if let Some(opened) = opened {
        let mut scope: Vec<Value> = opened
            .specs
            .iter()
            .map(|(spec, stage)| {
                json!({
                    "environment": spec.target.environment, "account": spec.target.account,
                    "region": spec.target.regions.first(), "stage": stage,
                })
            })
            .collect();
        scope.dedup();
        document["scope"] = json!(scope);
        document["api"] = json!(opened.session.cloud.meter().snapshot());
    }
    if let Some(sandbox) = &global.sandbox {
        document["sandbox"] = json!(sandbox);
    }
    document
}

/// The records in the format asked for; `more` are members of the JSON document besides.
fn emit_records(
    global: &Global,
    opened: &Opened,
    views: &[DrillView],
    more: &[(&str, Value)],
) -> Result<(), Failure> {
    match global.format {
        Format::Json => {
            let mut document = head(global, Some(opened));
            document["drills"] = json!(views.iter().map(|v| &v.record).collect::<Vec<_>>());
            document["evidence"] = json!(
                views
                    .iter()
                    .map(|v| json!({
                        "run_id": v.record.run_id, "path": v.path, "journal": v.journal,
                        "uploaded": v.uploaded, "upload_error": v.upload_error,
                    }))
                    .collect::<Vec<_>>()
            );
            for (name, value) in more {
                document[*name] = value.clone();
            }
            global.emit_json(&document)
        }
        Format::Markdown => global.emit(&render::markdown::drills(views)),
        _ => global.show(&render::human::drills(views, &global.style())),
    }
}

/// The state of the project of this call; evidence can be looked at without any other file.
fn state(global: &Global) -> Result<std::path::PathBuf, Failure> {
    Ok(state_dir(project_dir(global)?.as_ref()))
}
