//! What plan and apply share: the files, the environments in question, and the door to the cloud.

use std::collections::BTreeMap;
use std::path::PathBuf;

use futures::future::join_all;
use globset::{Glob, GlobMatcher};
use jiff::Timestamp;

use super::context::{Interrupt, Progress};
use super::drill::status::add_to as drill_status;
use super::{Failure, Global};
use crate::aws::{AwsCloud, Settings};
use crate::cloud::{Cloud, LockPlace, Target, Want};
use crate::config::load::find_project;
use crate::config::source::suggest;
use crate::config::workspace::{AcceptUnobserved, Environment, Workspace};
use crate::config::{Loaded, Resolved};
use crate::model::Control;
use crate::plan::Plan;
use crate::plan::build::{PlanEnvironment, PlanRequest, build, judge};
use crate::sandbox::{Sandbox, scenario};

/// The project folder of this call, where there is one.
pub fn project_dir(global: &Global) -> Result<Option<PathBuf>, Failure> {
    match &global.dir {
        Some(dir) if !dir.is_dir() => {
            Err(Failure::new(format!("{}: no such folder", dir.display())))
        }
        Some(dir) => Ok(Some(dir.clone())),
        None => {
            let here = std::env::current_dir()
                .map_err(|e| Failure::new(format!("the current folder cannot be read: {e}")))?;
            Ok(find_project(&here))
        }
    }
}

/// Where journals, locks and sandbox states are kept.
pub fn state_dir(dir: Option<&PathBuf>) -> PathBuf {
    dir.cloned()
        .unwrap_or_else(|| PathBuf::from("."))
        .join(".opsctl")
}

/// Files, environments and cloud of one run.
pub struct Session {
    pub loaded: Loaded,
    pub cloud: Box<dyn Cloud>,
    pub sandbox: Option<String>,
    pub state: PathBuf,
}

/// The files of the project, or of the sandbox scenario, checked.
pub fn load(
    global: &Global,
) -> Result<(Loaded, Option<crate::sandbox::world::World>, PathBuf), Failure> {
    let dir = project_dir(global)?;
    let state = state_dir(dir.as_ref());
    let (mut loaded, world) = match &global.sandbox {
        Some(name) => {
            let opened = scenario::open(name, dir.as_deref()).map_err(|found| {
                let looks_like_stage = name.starts_with("stage-");
                let mut failure = Failure::in_files(found);
                if looks_like_stage {
                    failure = Failure::new(format!(
                        "`{name}` is a stage, and --sandbox takes the name of a scenario"
                    ))
                    .help(format!(
                        "write the stage first: opsctl plan {name} --sandbox"
                    ));
                }
                failure
            })?;
            (opened.loaded, Some(opened.world))
        }
        None => {
            let Some(dir) = dir else {
                return Err(
                    Failure::new("there is no opsctl.toml in this folder or above it")
                        .help("`opsctl init` writes a first one; `--sandbox` works without any"),
                );
            };
            (Loaded::read(Some(&dir)), None)
        }
    };
    loaded.check_all();
    if loaded.has_errors() {
        let found = loaded.diagnostics.clone();
        return Err(Failure::files(loaded, found));
    }
    Ok((loaded, world, state))
}

impl Session {
    pub fn open(global: &Global) -> Result<Session, Failure> {
        let (loaded, world, state) = load(global)?;
        global.print_warnings(&loaded);
        let cloud: Box<dyn Cloud> = match (world, &global.sandbox) {
            (Some(world), Some(name)) => {
                let path = sandbox_state(&state, name);
                Box::new(Sandbox::persistent(world, path).map_err(Failure::new)?)
            }
            _ => Box::new(aws(global)),
        };
        Ok(Session {
            loaded,
            cloud,
            sandbox: global.sandbox.clone(),
            state,
        })
    }

    pub fn workspace(&self) -> Result<&Workspace, Failure> {
        self.loaded
            .workspace
            .as_ref()
            .ok_or_else(|| Failure::new("there is no opsctl.toml"))
    }

    /// The environments in question, each with the stage that it is planned for.
    pub fn environments(
        &self,
        global: &Global,
        stage: Option<&str>,
    ) -> Result<Vec<(Target, Resolved)>, Failure> {
        let workspace = self.workspace()?;
        let known: Vec<&str> = workspace.environments.keys().map(String::as_str).collect();
        for name in &global.environments {
            if !known.contains(&name.as_str()) {
                let failure = Failure::new(format!("unknown environment `{name}`"));
                return Err(match suggest(name, known.iter().copied()) {
                    Some(close) => failure.help(format!("did you mean `{close}`?")),
                    None => failure.help(format!("there are: {}", known.join(", "))),
                });
            }
        }
        if let Some(stage) = stage
            && !self.loaded.stages.contains_key(stage)
        {
            let found = self.loaded.resolve(None, stage).err().unwrap_or_default();
            return Err(Failure::files(self.loaded.clone(), found));
        }
        let mut out = Vec::new();
        for (name, environment) in &workspace.environments {
            let named = global.environments.contains(name);
            let chosen = match (stage, global.environments.is_empty()) {
                (Some(stage), true) => environment.stage.value == stage,
                (_, false) => named,
                (None, true) => true,
            };
            if !chosen {
                continue;
            }
            let stage = stage.unwrap_or(&environment.stage.value);
            let whole = target(name, environment);
            let configured = whole.regions.clone();
            let regions: Vec<String> = configured
                .iter()
                .filter(|r| global.regions.is_empty() || global.regions.contains(r))
                .cloned()
                .collect();
            if regions.is_empty() {
                continue;
            }
            let resolved = self
                .loaded
                .resolve(Some(name), stage)
                .map_err(|found| Failure::files(self.loaded.clone(), found))?;
            out.push((Target { regions, ..whole }, resolved));
        }
        if out.is_empty() && !global.regions.is_empty() {
            return Err(Failure::new(format!(
                "no environment in question has a region {}",
                global.regions.join(" or ")
            ))
            .help("`opsctl plan` looks only at the regions that opsctl.toml configures"));
        }
        if out.is_empty() {
            let at: Vec<String> = workspace
                .environments
                .iter()
                .map(|(name, e)| format!("{name} is at {}", e.stage.value))
                .collect();
            return Err(Failure::new(format!(
                "no environment is at {}",
                stage.unwrap_or("any stage")
            ))
            .help(format!(
                "{}; `-e NAME` plans one as if it were",
                at.join(", ")
            )));
        }
        Ok(out)
    }

    /// Where `[lock]` keeps the lock of this project.
    fn lock_place(&self) -> Result<Option<LockPlace>, Failure> {
        let workspace = self.workspace()?;
        let Some(lock) = &workspace.lock else {
            return Ok(None);
        };
        Ok(workspace
            .environments
            .get(&lock.environment.value)
            .map(|environment| {
                let target = target(&lock.environment, environment);
                LockPlace {
                    region: target.regions.first().cloned().unwrap_or_default(),
                    target,
                    bucket: lock.bucket.clone(),
                    key: format!("opsctl/{}.lock", workspace.project.name.value),
                }
            }))
    }

    /// Guards the accounts, observes them all at once, and builds the plan.
    pub async fn plan(
        &self,
        global: &Global,
        stage: Option<&str>,
        destroy: bool,
        interrupt: &Interrupt,
    ) -> Result<Plan, Failure> {
        let environments = self.environments(global, stage)?;
        let only = target_glob(global)?;
        let controls = controls(global);
        let environments = self
            .observe(global, environments, &controls, false, interrupt)
            .await?;
        let accepted = self.accepted();
        Ok(build(
            &environments,
            &PlanRequest {
                controls: &controls,
                only: only.as_ref(),
                destroy,
                now: Timestamp::now(),
                accepted: &accepted,
                sandbox: self.sandbox.clone(),
                lock: self.lock_place()?,
                api: self.cloud.meter().snapshot(),
            },
        ))
    }

    /// What the controls say of what was observed, for audits and reports.
    pub fn judged(
        &self,
        environments: &[PlanEnvironment],
        controls: &[Control],
        only: Option<&GlobMatcher>,
    ) -> Plan {
        judge(
            environments,
            &PlanRequest {
                controls,
                only,
                destroy: false,
                now: Timestamp::now(),
                accepted: &self.accepted(),
                sandbox: self.sandbox.clone(),
                lock: None,
                api: self.cloud.meter().snapshot(),
            },
        )
    }

    /// The blind spots that `opsctl.toml` accepts.
    pub fn accepted(&self) -> BTreeMap<String, AcceptUnobserved> {
        match &self.loaded.workspace {
            Some(workspace) => workspace.accept_unobserved.clone(),
            None => BTreeMap::new(),
        }
    }

    /// Guards the accounts and observes them all at once, as far as the controls need it, and audits
    /// beyond that.
    pub async fn observe(
        &self,
        global: &Global,
        environments: Vec<(Target, Resolved)>,
        controls: &[Control],
        audit: bool,
        interrupt: &Interrupt,
    ) -> Result<Vec<PlanEnvironment>, Failure> {
        let targets: Vec<&Target> = environments.iter().map(|(t, _)| t).collect();
        let work = async {
            guard(self.cloud.as_ref(), &targets).await?;
            Ok(
                join_all(environments.iter().map(|(target, resolved)| async move {
                    let mut want = want(controls, resolved);
                    if audit {
                        crate::controls::want_for_audit(controls, resolved, &mut want);
                    }
                    let mut seen = self.cloud.observe(target, &want).await;
                    if audit && want.backups {
                        drill_status(global, self, target, resolved, &mut seen).await;
                    }
                    seen
                }))
                .await,
            )
        };
        let progress = Progress::spinner(global, "looking");
        let names: Vec<&str> = targets.iter().map(|t| t.environment.as_str()).collect();
        let tick = async {
            loop {
                progress.say(format!(
                    "looking at {}: {} requests",
                    names.join(", "),
                    self.cloud.meter().requests()
                ));
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
        };
        let inventories = tokio::select! {
            result = work => result?,
            () = tick => Vec::new(),
            () = interrupt.cancel.cancelled() => {
                return Err(Failure::new("interrupted; nothing was changed"));
            }
        };
        drop(progress);
        Ok(environments
            .into_iter()
            .zip(inventories)
            .map(|((target, resolved), inventory)| PlanEnvironment {
                target,
                resolved,
                inventory,
            })
            .collect())
    }
}

/// An environment as the cloud is asked for it.
pub fn target(name: &str, environment: &Environment) -> Target {
    Target {
        environment: name.to_owned(),
        account: environment.account.value.clone(),
        regions: environment
            .regions
            .iter()
            .map(|r| r.value.clone())
            .collect(),
        profile: environment.profile.clone(),
        role_arn: environment.role_arn.as_ref().map(|r| r.value.clone()),
        external_id: environment.external_id.clone(),
    }
}

pub fn sandbox_state(state: &std::path::Path, scenario: &str) -> PathBuf {
    state.join("sandbox").join(format!("{scenario}.json"))
}

pub fn aws(global: &Global) -> AwsCloud {
    AwsCloud::new(Settings {
        endpoint_url: global.endpoint_url.clone(),
        concurrency: usize::from(global.concurrency),
        timeout: global.timeout,
        profile_override: global.profile.clone(),
    })
}

/// The controls asked for, in their own order.
pub fn controls(global: &Global) -> Vec<Control> {
    Control::ALL
        .into_iter()
        .filter(|c| global.controls.is_empty() || global.controls.contains(c))
        .collect()
}

/// What plan looks at for these controls.
pub fn want(controls: &[Control], resolved: &Resolved) -> Want {
    let lifecycle = resolved
        .policies
        .lifecycle
        .as_ref()
        .filter(|_| controls.contains(&Control::Lifecycle));
    let want = Want {
        tags: controls.contains(&Control::Tags) && resolved.policies.tags.is_some(),
        lifecycle: lifecycle.is_some(),
        sizes: lifecycle.is_some_and(|l| l.rule.values().any(|r| !r.transition.is_empty())),
        ..Want::default()
    };
    crate::controls::want(controls, resolved, want)
}

pub fn target_glob(global: &Global) -> Result<Option<GlobMatcher>, Failure> {
    global
        .target
        .as_ref()
        .map(|text| {
            Glob::new(text)
                .map(|g| g.compile_matcher())
                .map_err(|e| Failure::new(format!("--target {text}: {}", e.kind())))
        })
        .transpose()
}

/// Refuses to go on unless every account is the one that was configured.
pub async fn guard(cloud: &dyn Cloud, targets: &[&Target]) -> Result<(), Failure> {
    let callers = join_all(targets.iter().map(|t| cloud.caller_account(t))).await;
    for (target, caller) in targets.iter().zip(callers) {
        let name = &target.environment;
        match caller {
            Ok(account) if account == target.account => {}
            Ok(account) => {
                return Err(Failure::new(format!(
                    "`{name}` is account {}, but these credentials belong to {account}: nothing was looked at or changed",
                    target.account
                ))
                .help("use the profile or role of that account, or correct `account` in opsctl.toml"));
            }
            Err(e) => {
                return Err(Failure::new(format!("`{name}`: the account could not be checked, so nothing was done: {}: {}", e.code, e.message))
                    .help("`aws sts get-caller-identity` with the same profile shows whether the credentials work"));
            }
        }
    }
    Ok(())
}
