mod look;
pub(super) mod status;
mod testing_plans;
mod validator;

use std::io::IsTerminal;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::context::{Interrupt, Progress};
use super::evidence::Evidence;
use super::notify::{Notifier, NotifyArgs};
use super::session::{Session, aws, guard, load, project_dir, sandbox_state, state_dir, target};
use super::{Failure, Format, Global, Outcome, exit, json_head};
use crate::apply::notify::{self, Notice};
use crate::cloud::copies::CopyKind;
use crate::cloud::{Cloud, Target};
use crate::config::Loaded;
use crate::config::load::WORKSPACE_FILE;
use crate::config::source::suggest;
use crate::drill::chain::{Bucket, Chain};
use crate::drill::dump::Dump;
use crate::drill::dynamodb::DynamoDb;
use crate::drill::journal::new_run_id;
use crate::drill::machine::{self, CLEANUP, Finished, Request, money, span};
use crate::drill::metrics::Publisher;
use crate::drill::probe::Connection;
use crate::drill::rds::Rds;
use crate::drill::record::{Outcome as Result_, Record, StepRecord, Trigger, now, seconds};
use crate::drill::source::{Listener, Preflight, Source, Stop};
use crate::drill::spec::{SourceId, Spec, TIMEOUT};
use crate::drill::sweep::{Place, Sweep, Swept, sweep};
use crate::drill::trigger;
use crate::render::{self, DrillPlanView, DrillView, SweptView};
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
        DrillCommand::Plan(args) => plan(global, args).await,
        DrillCommand::Run(args) if args.as_validator => validator::validate(global, args).await,
        DrillCommand::Run(args) => run_drills(global, args).await,
        DrillCommand::ExportRestoreTestingPlan(args) => testing_plans::run(global, args),
        DrillCommand::List(args) => look::list(global, args).await,
        DrillCommand::Show { run } => look::show(global, run.as_deref()).await,
        DrillCommand::Verify { local } => look::verify(global, *local).await,
        DrillCommand::Status(args) => status::run(global, args).await,
        DrillCommand::Gc { dry_run } => gc(global, *dry_run).await,
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

/// What a drill of a source restores; an instance of a cluster goes before the cluster.
fn kinds_of(id: &SourceId) -> &'static [CopyKind] {
    match id {
        SourceId::Rds(_) | SourceId::Aurora(_) => &[CopyKind::Instance, CopyKind::Cluster],
        SourceId::DynamoDb(_) => &[CopyKind::Table],
        SourceId::Dump { .. } => &[],
    }
}

/// Where copies can be: every environment, so that each journal can be finished. Copies without a
/// journal are looked for where `searched` says so; where there is no drill in the whole project any
/// more, every kind.
fn places(all: &[(Target, Vec<Spec>)], searched: &dyn Fn(&Target) -> bool) -> Vec<Place> {
    let specs = || all.iter().flat_map(|(_, specs)| specs);
    let none = specs().next().is_none();
    // Two environments may share an account, and another machine may run any of the drills: a copy
    // is old when no run of any of them can be alive.
    let longest = specs().map(|s| s.timeout).max().unwrap_or_default();
    let older_than = longest.max(TIMEOUT) + CLEANUP;
    all.iter()
        .map(|(target, specs)| {
            let mut kinds: Vec<CopyKind> = Vec::new();
            if none {
                kinds.extend([CopyKind::Instance, CopyKind::Cluster, CopyKind::Table]);
            }
            for kind in specs.iter().flat_map(|s| kinds_of(&s.id)) {
                if !kinds.contains(kind) {
                    kinds.push(*kind);
                }
            }
            if !searched(target) {
                kinds.clear();
            }
            Place {
                target: target.clone(),
                kinds,
                older_than,
            }
        })
        .collect()
}

/// The scratch server that a drill of an environment names.
fn scratch_of(all: &[(Target, Vec<Spec>)], environment: &str, name: &str) -> Option<Connection> {
    let (_, specs) = all.iter().find(|(t, _)| t.environment == environment)?;
    let url = specs
        .iter()
        .find(|s| s.name == name)?
        .restore
        .scratch
        .as_ref()?;
    Connection::from_url(url, std::env::var("PGPASSWORD").ok()).ok()
}

struct Shown(Progress);

impl Listener for Shown {
    fn step(&self, drill: &str, step: &str) {
        self.0.say(format!("{drill}: {step}"));
    }

    fn progress(&self, drill: &str, text: &str) {
        self.0.say(format!("{drill}: {text}"));
    }

    fn done(&self, drill: &str, step: &StepRecord) {
        tracing::info!(drill, step = step.step, detail = step.detail, "done");
    }
}

/// What ended a run, in words.
fn interrupted_by(interrupt: &Interrupt) -> String {
    match interrupt.code() {
        Some(exit::TERMINATED) => "terminated (SIGTERM)".to_owned(),
        _ => "interrupted (SIGINT)".to_owned(),
    }
}

/// Finishes what dead runs began, and gives the evidence bucket; and whether nothing was left that
/// could not be removed.
async fn swept<'a>(
    global: &Global,
    opened: &'a Opened,
) -> Result<(Option<Bucket<'a>>, bool), Failure> {
    let session = &opened.session;
    // What an earlier run left costs money whether records can be kept or not.
    let evidence = evidence(global, &session.loaded, session.cloud.as_ref()).await;
    let resolve = |environment: &str, name: &str| scratch_of(&opened.all, environment, name);
    // The credentials of a narrowed run need not reach the other environments.
    let in_question = |target: &Target| {
        let mut specs = opened.specs.iter();
        specs.any(|(s, _)| s.target.environment == target.environment)
    };
    let places = places(&opened.all, &in_question);
    let swept = sweep(&Sweep {
        state: &session.state,
        bucket: evidence.as_ref().ok().and_then(|b| b.as_ref()),
        resolve: &resolve,
        cloud: Some(session.cloud.as_ref()),
        places: &places,
        dry_run: false,
        progress: &|text| tracing::info!("{text}"),
    })
    .await;
    tell_swept(global, &swept);
    let clean = swept.things.iter().all(|t| t.kept.is_none());
    Ok((evidence?, clean))
}

async fn run_drills(global: &Global, args: &RunArgs) -> Outcome {
    let interrupt = Interrupt::listen();
    let opened = Opened::new(global, &args.names.names)?;
    let session = &opened.session;
    let notifier = Notifier::new(&args.notify, session)?;
    opened.guard().await?;
    let (bucket, clean) = swept(global, &opened).await?;
    let trigger = triggered_by();
    let interrupted_by = || interrupted_by(&interrupt);
    let listener = Shown(Progress::spinner(global, "drill"));
    let mut views = Vec::new();
    let mut refused = Vec::new();
    let mut unrecorded = false;
    let home = |spec: &Spec| opened.home(spec);
    let publisher = Publisher {
        cloud: session.cloud.as_ref(),
        home: &home,
    };
    for (spec, _) in &opened.specs {
        if interrupt.code().is_some() {
            break;
        }
        let run_id = new_run_id();
        let request = Request {
            spec,
            run_id: &run_id,
            state: &session.state,
            sandbox: session.sandbox.as_deref(),
            trigger: trigger.clone(),
            bucket: bucket.as_ref(),
            metrics: Some(&publisher),
            cancel: &interrupt.cancel,
            interrupted_by: &interrupted_by,
            listener: &listener,
        };
        let source = match opened.source(spec, &run_id) {
            Ok(source) => source,
            Err(failure) => {
                refused.push(failure);
                continue;
            }
        };
        match machine::run(source, &request).await {
            Ok(finished) => {
                let spoken = &finished.appended.record.reasons;
                for warning in &finished.warnings {
                    // Those of before the record stand in it.
                    if !spoken.iter().any(|r| r.ends_with(warning.as_str())) {
                        global.say(&format!("warning: {warning}"));
                    }
                }
                views.push(view(finished));
            }
            Err(e) => {
                unrecorded |= matches!(e.result, Some(Result_::Failed | Result_::MissedObjective));
                refused.push(Failure::new(format!("drill `{}`: {e}", spec.name)));
            }
        }
    }
    drop(listener);
    for failure in &refused {
        global.print_failure(failure);
    }
    if !views.is_empty() || refused.is_empty() {
        emit_records(global, &opened, &views, &[])?;
    }
    let any = |result: Result_| views.iter().any(|v| v.record.result == result);
    let code = match interrupt.code() {
        Some(code) => code,
        None if unrecorded || any(Result_::Failed) || any(Result_::MissedObjective) => {
            exit::ATTENTION
        }
        None if any(Result_::Aborted) || !refused.is_empty() => exit::FAILED,
        None if views.iter().any(|v| v.upload_error.is_some()) => exit::FAILED,
        // It costs money, and an unattended run must not call that fine.
        None if !clean => exit::FAILED,
        None => exit::OK,
    };
    Ok(tell(global, &opened, notifier, &views, &refused, code).await)
}

/// Tells those who are to be notified; the exit code is that of the run, or says that it failed.
async fn tell(
    global: &Global,
    opened: &Opened,
    notifier: Option<Notifier>,
    views: &[DrillView],
    refused: &[Failure],
    code: i32,
) -> i32 {
    let Some(notifier) = notifier else {
        return code;
    };
    let records: Vec<&Record> = views.iter().map(|v| &v.record).collect();
    let notice = notice(opened, &records, refused);
    notifier.tell(global, &opened.session, &notice, code).await
}

/// What is told of a run. Another result is one where a drill came to another end.
fn notice(opened: &Opened, records: &[&Record], refused: &[Failure]) -> Notice {
    let mut lines = render::notice::drills(records);
    if let Some(failure) = refused.first() {
        lines[0].push_str(&format!(", {} could not run", refused.len()));
        lines[2] = render::text::escape(&failure.message);
    }
    let passed = refused.is_empty() && records.iter().all(|r| r.passed());
    let mut parts: Vec<String> = records
        .iter()
        .map(|r| format!("{} {} {:?}", r.environment, r.drill, r.result))
        .collect();
    parts.extend(refused.iter().map(|f| f.message.clone()));
    let names: Vec<(&str, &str)> = opened
        .specs
        .iter()
        .map(|(s, _)| (s.target.environment.as_str(), s.name.as_str()))
        .collect();
    Notice {
        what: "drill",
        outcome: if passed { "pass" } else { "fail" }.to_owned(),
        attention: !passed,
        lines,
        scope: format!("{names:?}"),
        fingerprint: notify::fingerprint(parts.iter().map(String::as_str)),
    }
}

fn view(finished: Finished) -> DrillView {
    let appended = finished.appended;
    let uploaded = match &appended.uploaded {
        Some((url, Some(lock))) => format!("{url} (locked: {lock})"),
        Some((url, None)) => url.clone(),
        None => String::new(),
    };
    DrillView {
        path: appended.path.display().to_string(),
        journal: finished.journal.display().to_string(),
        uploaded,
        upload_error: appended.upload_error,
        help: finished.help,
        record: appended.record,
    }
}

fn tell_swept(global: &Global, swept: &Swept) {
    for thing in &swept.things {
        match &thing.kept {
            None => global.say(&format!(
                "removed what an earlier drill left: {}",
                thing.what
            )),
            // With -q too: it may cost money.
            Some(why) => global.print_failure(
                &Failure::new(format!(
                    "what an earlier drill left could not be removed: {}: {why}",
                    thing.what
                ))
                .help("`opsctl drill gc` tries again"),
            ),
        }
    }
    for trouble in &swept.trouble {
        global.say(&format!("warning: {trouble}"));
    }
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

async fn plan(global: &Global, args: &Names) -> Outcome {
    let opened = Opened::new(global, &args.names)?;
    opened.guard().await?;
    let (records, _) = Chain::new(&opened.session.state, global.sandbox.as_deref()).read();
    let mut views = Vec::new();
    let mut documents = Vec::new();
    let mut code = exit::OK;
    for (spec, _) in &opened.specs {
        let run_id = new_run_id();
        let looked = match opened.source(spec, &run_id) {
            Ok(mut source) => source.preflight(now()).await,
            Err(failure) => Err(Stop::CouldNotRun(failure.message, failure.help)),
        };
        let last = records.iter().rev().find(|r| {
            r.drill == spec.name && r.environment == spec.target.environment && r.passed()
        });
        let view = plan_view(spec, looked, last, &mut code);
        documents.push(json!({
            "drill": view.drill, "environment": view.environment, "source": view.source,
            "recovery_point": view.recovery_point, "objective": view.objective, "cost": view.cost,
            "time": view.time, "limits": view.limits, "policy": view.policy, "steps": view.steps,
            "warnings": view.warnings, "stop": view.stop, "help": view.help,
        }));
        views.push(view);
    }
    match global.format {
        Format::Json => {
            let mut document = head(global, Some(&opened));
            document["drills"] = json!([]);
            document["planned"] = json!(documents);
            global.emit_json(&document)?;
        }
        Format::Markdown => global.emit(&render::markdown::drill_plans(&views))?,
        _ => global.show(&render::human::drill_plans(&views, &global.style()))?,
    }
    Ok(code)
}

fn plan_view(
    spec: &Spec,
    looked: Result<Preflight, Stop>,
    last: Option<&Record>,
    code: &mut i32,
) -> DrillPlanView {
    let objective = [("RTO", spec.rto), ("RPO", spec.rpo)]
        .iter()
        .filter_map(|(name, d)| d.map(|d| format!("{name} {}", span(seconds(d)))))
        .collect::<Vec<_>>()
        .join(", ");
    let mut view = DrillPlanView {
        drill: spec.name.clone(),
        environment: spec.target.environment.clone(),
        source: spec.source.clone(),
        objective,
        limits: format!(
            "{} and {} USD",
            span(seconds(spec.timeout)),
            spec.cost_usd.normalize()
        ),
        policy: format!("{}:{}", spec.policy_file, spec.policy_line),
        ..DrillPlanView::default()
    };
    let stop = match looked {
        Err(stop) => Some(stop),
        Ok(preflight) => {
            if let Some(point) = &preflight.recovery_point {
                view.recovery_point = format!(
                    "{} {}, {} old ({} {})",
                    point.kind,
                    point.arn,
                    span(point.age_seconds),
                    point.data_time_basis,
                    point.data_time
                );
            }
            view.cost = format!(
                "about {} USD: {}",
                money(preflight.estimated_cost_usd),
                preflight.cost_basis
            );
            let measured = last.and_then(|r| Some((r, r.measured.time_to_verified_seconds?)));
            view.time = match (measured, preflight.estimated_seconds) {
                (Some((record, took)), _) => {
                    format!("{} the last time ({})", span(took), record.run_id)
                }
                (None, Some(estimate)) => format!("about {}, by its size", span(estimate)),
                (None, None) => "not known before the first run".to_owned(),
            };
            view.steps = preflight.steps;
            view.warnings = preflight.warnings;
            let age = preflight.recovery_point.as_ref().map(|p| p.age_seconds);
            match (preflight.stop, age, spec.rpo) {
                (Some(stop), _, _) => Some(stop),
                (None, Some(age), Some(rpo)) if age > seconds(rpo) => Some(Stop::Missed(format!(
                    "the newest recovery point is {} old, and the objective (RPO) is {}",
                    span(age),
                    span(seconds(rpo))
                ))),
                _ if preflight.estimated_cost_usd > spec.cost_usd => {
                    Some(Stop::could_not_run(format!(
                        "it would cost about {} USD, more than limits.cost_usd",
                        money(preflight.estimated_cost_usd)
                    )))
                }
                _ => None,
            }
        }
    };
    match stop {
        Some(Stop::Failed(why) | Stop::Missed(why)) => {
            view.stop = Some(why);
            *code = exit::ATTENTION;
        }
        Some(Stop::CouldNotRun(why, help)) => {
            view.stop = Some(why);
            view.help = help;
            if *code == exit::OK {
                *code = exit::FAILED;
            }
        }
        None => {}
    }
    view
}

/// The state of the project of this call; evidence can be looked at without any other file.
fn state(global: &Global) -> Result<std::path::PathBuf, Failure> {
    Ok(state_dir(project_dir(global)?.as_ref()))
}

async fn gc(global: &Global, dry_run: bool) -> Outcome {
    let state = state(global)?;
    // Without any project the folders on this machine can be swept all the same. One that cannot be
    // read is another matter: its accounts would not be looked at.
    let project = project_dir(global)?.is_some_and(|dir| dir.join(WORKSPACE_FILE).is_file());
    let opened = match project || global.sandbox.is_some() {
        true => Some(Opened::open(global)?),
        false => None,
    };
    let bucket = match &opened {
        Some(opened) => {
            let session = &opened.session;
            let found = evidence(global, &session.loaded, session.cloud.as_ref()).await;
            found.unwrap_or_else(|failure| {
                global.say(&format!(
                    "warning: {}; records stay on this machine until the next run",
                    failure.message
                ));
                None
            })
        }
        None => None,
    };
    let all = opened.as_ref().map_or(&[][..], |o| &o.all);
    let resolve = |environment: &str, name: &str| scratch_of(all, environment, name);
    let chosen = |target: &Target| {
        global.environments.is_empty() || global.environments.contains(&target.environment)
    };
    let places = places(all, &chosen);
    let shown = Progress::spinner(global, "gc");
    let swept = sweep(&Sweep {
        state: &state,
        bucket: bucket.as_ref(),
        resolve: &resolve,
        cloud: opened.as_ref().map(|o| o.session.cloud.as_ref()),
        places: &places,
        dry_run,
        progress: &|text| shown.say(text.to_owned()),
    })
    .await;
    drop(shown);
    let clean = swept.is_clean();
    let view = SweptView {
        dry_run,
        records: swept.records.into_iter().map(|a| a.record).collect(),
        things: swept.things,
        young: swept.young,
        trouble: swept.trouble,
    };
    match global.format {
        Format::Json => {
            let mut document = head(global, None);
            document["drills"] = json!(view.records);
            document["dry_run"] = json!(view.dry_run);
            document["leftovers"] = json!(view.things);
            document["left_alone"] = json!(view.young);
            document["trouble"] = json!(view.trouble);
            global.emit_json(&document)?;
        }
        Format::Markdown => global.emit(&render::markdown::drill_swept(&view))?,
        _ => global.show(&render::human::drill_swept(&view, &global.style()))?,
    }
    Ok(match clean {
        true => exit::OK,
        false => exit::FAILED,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_narrowed_run_knows_the_drills_of_all_environments() {
        let drill = |environment: &str, source: &str, hours: u64| {
            let mut spec = Spec::sample(source);
            spec.target.environment = environment.to_owned();
            spec.timeout = Duration::from_secs(hours * 3600);
            (spec.target.clone(), vec![spec])
        };
        let all = [
            drill("prod", "rds:orders", 9),
            drill("staging", "dynamodb:Orders", 1),
        ];
        let found = places(&all, &|t| t.environment == "staging");
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].kinds, [], "only for its journals");
        assert_eq!(found[1].kinds, [CopyKind::Table]);
        let nine_hours = Duration::from_secs(9 * 3600);
        assert!(found.iter().all(|p| p.older_than == nine_hours + CLEANUP));

        let short = places(&all[1..], &|_| true);
        assert_eq!(short[0].older_than, TIMEOUT + CLEANUP);

        let none = [(all[0].0.clone(), Vec::new())];
        assert_eq!(places(&none, &|_| true)[0].kinds.len(), 3);
    }
}
