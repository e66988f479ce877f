use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::context::{Interrupt, Progress, says_yes};
use super::session::{Session, aws, guard, project_dir, sandbox_state, state_dir};
use super::{Failure, Format, Global, exit, plan};
use crate::apply::journal::Journal;
use crate::apply::lock::{LocalLock, RemoteLock};
use crate::apply::{Limits, Outcome, OutcomeKind, Run, apply};
use crate::cloud::{Cloud, Target};
use crate::config::Loaded;
use crate::plan::{Plan, file};
use crate::render::{self, ApplyView, OutcomeView};
use crate::sandbox::{Sandbox, scenario};

/// Execute a plan: shown, confirmed, each change read again before it is written and verified after
///
/// With a STAGE, or nothing, a plan is made first. With a FILE saved by `opsctl plan --out` exactly
/// that plan is executed; a change whose target moved since is refused as stale.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// Stage profile, or a saved plan
    #[arg(value_name = "STAGE|FILE")]
    pub what: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Stop before the first write if the plan has more changes
    #[arg(long, value_name = "N", env = "OPSCTL_MAX_CHANGES")]
    pub max_changes: Option<u64>,
    /// Stop before the first write if the plan has more deletions
    #[arg(long, value_name = "N", env = "OPSCTL_MAX_DELETES")]
    pub max_deletes: Option<u64>,
    /// Remove what opsctl made
    #[arg(long)]
    pub destroy: bool,
    /// Break the lock that this run holds, because it is dead
    #[arg(long, value_name = "RUN-ID")]
    pub force_unlock: Option<String>,
    /// Allow changes that cause an outage: switching automated backups of a database on
    ///
    /// Without it a plan with such a change stops before the first write; --target and --control plan
    /// the others by themselves.
    #[arg(long)]
    pub allow_disruptive: bool,
    /// Do not exit with 3 when something could not be seen
    #[arg(long)]
    pub allow_incomplete: bool,
}

/// A saved plan is named by its path; everything else is a stage.
fn is_file(what: &str) -> bool {
    what.contains('/')
        || what.ends_with(".json")
        || what.ends_with(".plan")
        || Path::new(what).is_file()
}

pub async fn run(global: &Global, args: &ApplyArgs) -> super::Outcome {
    let interrupt = Interrupt::listen();
    let saved = args.what.as_deref().filter(|w| is_file(w));
    let (cloud, plan, state): (Box<dyn Cloud>, Plan, PathBuf) = match saved {
        Some(path) => open_saved(global, args, Path::new(path)).await?,
        None => {
            let session = Session::open(global)?;
            let planned = session
                .plan(global, args.what.as_deref(), args.destroy, &interrupt)
                .await;
            if let Some(code) = interrupt.code() {
                global.say("interrupted; nothing was changed");
                return Ok(code);
            }
            (session.cloud, planned?, session.state)
        }
    };
    let blind = !plan.unobserved.is_empty() && !args.allow_incomplete;
    if global.format == Format::Table {
        global.emit_terminal(&plan::show(global, &plan))?;
    }
    Limits {
        max_changes: args.max_changes,
        max_deletes: args.max_deletes,
        allow_disruptive: args.allow_disruptive,
    }
    .check(&plan)
    .map_err(Failure::new)?;
    if plan.changes.is_empty() {
        if global.format != Format::Table {
            global.emit(&document(global, &plan, &[], None, false))?;
        }
        return Ok(if blind { exit::BLIND } else { exit::OK });
    }
    if !args.yes && !confirm(&plan, &interrupt).await? {
        return match interrupt.code() {
            Some(code) => Ok(code),
            None => Err(Failure::new("not confirmed; nothing was changed")),
        };
    }
    let _lock = LocalLock::acquire(&state).map_err(Failure::new)?;
    let journal = Journal::begin(&state.join("runs"), &plan.digest).map_err(|e| {
        Failure::new(format!(
            "the journal could not be begun, so nothing was changed: {e}"
        ))
    })?;
    let remote = match &plan.lock {
        Some(place) => {
            guard(cloud.as_ref(), &[&place.target]).await?;
            let force = args.force_unlock.as_deref();
            let taken = RemoteLock::acquire(cloud.as_ref(), place, journal.run_id(), force).await;
            Some(taken.map_err(Failure::new)?)
        }
        None => None,
    };
    let outcomes = {
        let progress = Progress::bar(global, plan.changes.len() as u64, "applying");
        let cancel = interrupt.cancel.clone();
        let watcher = tokio::spawn({
            let quiet = global.quiet;
            async move {
                cancel.cancelled().await;
                if !quiet {
                    eprintln_interrupt();
                }
            }
        });
        let done = |_: &_, _: &_| progress.step();
        let outcomes = apply(
            &Run {
                cloud: cloud.as_ref(),
                journal: &journal,
                cancel: &interrupt.cancel,
                concurrency: usize::from(global.concurrency).min(32),
                done: &done,
            },
            &plan,
        )
        .await;
        watcher.abort();
        outcomes
    };
    if let Some(lock) = remote
        && let Err(e) = lock.release().await
    {
        global.say(&format!("warning: the lock could not be released: {e}"));
    }
    let mut plan = plan;
    plan.api = cloud.meter().snapshot();
    let tally = tally(&outcomes);
    if let Err(e) = journal.end(&json!(tally)) {
        global.say(&format!("warning: the journal could not be closed: {e}"));
    }
    let interrupted = interrupt.code().is_some();
    let result = document(global, &plan, &outcomes, Some(&journal), interrupted);
    global.emit(&result).map_err(|e| {
        let applied = tally
            .get(&OutcomeKind::Applied)
            .copied()
            .unwrap_or_default();
        Failure::new(format!(
            "{applied} changes were applied, but the result could not be written: {}",
            e.message
        ))
        .help(format!(
            "the journal tells what was done: {}",
            journal.path().display()
        ))
    })?;
    let bad = outcomes
        .iter()
        .any(|o| matches!(o.outcome, OutcomeKind::Failed | OutcomeKind::Stale));
    Ok(match interrupt.code() {
        Some(code) => code,
        None if bad => exit::FAILED,
        None if blind => exit::BLIND,
        None => exit::OK,
    })
}

fn eprintln_interrupt() {
    let _ = writeln!(
        std::io::stderr(),
        "\nstopping: calls in flight are finished first (press again to end at once)"
    );
}

async fn open_saved(
    global: &Global,
    args: &ApplyArgs,
    path: &Path,
) -> Result<(Box<dyn Cloud>, Plan, PathBuf), Failure> {
    let plan = file::load(path).map_err(|e| Failure::new(e.to_string()))?;
    let narrowed = !global.environments.is_empty()
        || !global.regions.is_empty()
        || !global.controls.is_empty()
        || global.target.is_some()
        || args.destroy;
    if narrowed {
        return Err(Failure::new("a saved plan is executed whole: --env, --region, --control, --target and --destroy have no place here")
            .help("make a plan of just that with `opsctl plan … --out FILE`"));
    }
    let dir = project_dir(global)?;
    let state = state_dir(dir.as_ref());
    let cloud: Box<dyn Cloud> = match (&plan.sandbox, &global.sandbox) {
        (None, Some(_)) => {
            return Err(Failure::new(
                "this plan is for a real account, not for the sandbox",
            ));
        }
        (Some(planned), Some(asked)) if planned != asked => {
            return Err(Failure::new(format!(
                "this plan is for the sandbox `{planned}`, not for `{asked}`"
            )));
        }
        (Some(name), _) => {
            let opened = scenario::open(name, dir.as_deref()).map_err(Failure::in_files)?;
            let path = sandbox_state(&state, name);
            Box::new(Sandbox::persistent(opened.world, path).map_err(Failure::new)?)
        }
        (None, None) => Box::new(aws(global)),
    };
    if plan.sandbox.is_none()
        && let Some(dir) = &dir
    {
        obey_workspace(&plan, dir)?;
    }
    let targets: Vec<&Target> = plan.targets.iter().collect();
    guard(cloud.as_ref(), &targets).await?;
    Ok((cloud, plan, state))
}

/// Where there is an opsctl.toml, its guard holds for saved plans too.
fn obey_workspace(plan: &Plan, dir: &Path) -> Result<(), Failure> {
    let loaded = Loaded::read(Some(dir));
    let Some(workspace) = &loaded.workspace else {
        let found = loaded.diagnostics.clone();
        return Err(Failure::files(loaded, found));
    };
    for target in &plan.targets {
        let name = &target.environment;
        match workspace.environments.get(name) {
            Some(e) if e.account.value == target.account => {}
            Some(e) => {
                return Err(Failure::new(format!(
                    "the plan is for the account {}, but opsctl.toml says that `{name}` is {}: nothing was changed",
                    target.account, e.account.value
                )));
            }
            None => {
                return Err(Failure::new(format!(
                    "the plan is for the environment `{name}`, which opsctl.toml does not have: nothing was changed"
                )));
            }
        }
    }
    Ok(())
}

/// Asks on a terminal; elsewhere `--yes` has to say it.
async fn confirm(plan: &Plan, interrupt: &Interrupt) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(
            Failure::new("nothing was changed: there is no terminal to ask on")
                .help("say --yes to apply without being asked"),
        );
    }
    let accounts: Vec<String> = plan
        .targets
        .iter()
        .map(|t| format!("{} ({})", t.environment, t.account))
        .collect();
    let question = format!(
        "\nApply {} changes to {}? Only `yes` will do: ",
        plan.changes.len(),
        accounts.join(", ")
    );
    Ok(says_yes(question, interrupt).await)
}

fn tally(outcomes: &[Outcome]) -> BTreeMap<OutcomeKind, u64> {
    let mut out = BTreeMap::new();
    for kind in [
        OutcomeKind::Applied,
        OutcomeKind::Stale,
        OutcomeKind::Failed,
        OutcomeKind::Skipped,
    ] {
        let count = outcomes.iter().filter(|o| o.outcome == kind).count() as u64;
        out.insert(kind, count);
    }
    out
}

fn document(
    global: &Global,
    plan: &Plan,
    outcomes: &[Outcome],
    journal: Option<&Journal>,
    interrupted: bool,
) -> String {
    if global.format == Format::Json {
        let mut value = serde_json::to_value(plan).unwrap_or_default();
        value["kind"] = json!("apply");
        for (i, outcome) in outcomes.iter().enumerate() {
            value["changes"][i]["outcome"] = json!(outcome.outcome);
            value["changes"][i]["error"] = json!(outcome.error);
            value["changes"][i]["duration_ms"] = json!(outcome.duration_ms);
        }
        for (kind, count) in tally(outcomes) {
            if let Some(name) = json!(kind).as_str() {
                value["summary"][name] = json!(count);
            }
        }
        value["run_id"] = json!(journal.map(Journal::run_id));
        value["journal"] = json!(journal.map(|j| j.path().display().to_string()));
        value["interrupted"] = json!(interrupted);
        let mut text = serde_json::to_string_pretty(&value).unwrap_or_default();
        text.push('\n');
        return text;
    }
    let view = ApplyView {
        environments: plan.targets.iter().map(|t| t.environment.clone()).collect(),
        rows: plan
            .changes
            .iter()
            .zip(outcomes)
            .map(|(change, outcome)| OutcomeView {
                address: change.address.as_str().to_owned(),
                sign: change.action.sign(),
                outcome: json!(outcome.outcome)
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
                error: outcome.error.clone(),
                duration_ms: outcome.duration_ms,
            })
            .collect(),
        interrupted,
        run_id: journal.map(|j| j.run_id().to_owned()).unwrap_or_default(),
        journal: journal
            .map(|j| j.path().display().to_string())
            .unwrap_or_default(),
    };
    match global.format {
        Format::Markdown => render::markdown::apply(plan, &view),
        _ => render::human::apply(plan, &view, &global.style()),
    }
}

impl Global {
    /// The plan that an apply shows first goes to the terminal, also when the result goes to a file.
    fn emit_terminal(&self, text: &str) -> Result<(), Failure> {
        Global {
            output: None,
            ..self.clone()
        }
        .emit(text)
    }
}
