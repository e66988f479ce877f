//! Projects in temporary folders, the binary, and plans made in memory.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use jiff::Timestamp;
use opsctl::apply::journal::Journal;
use opsctl::apply::{Outcome, Run};
use opsctl::cloud::{Cloud, Target, Want};
use opsctl::config::Loaded;
use opsctl::config::load::SHIPPED;
use opsctl::model::Control;
use opsctl::plan::Plan;
use opsctl::plan::build::{PlanEnvironment, PlanRequest, build};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub const WORKSPACE: &str = r#"
[project]
name = "shop"
team = "core"

[environments.prod]
account = "123456789012"
regions = ["eu-west-1", "us-east-1"]
stage = "stage-1"
monthly_budget_usd = 50
"#;

/// A project folder with the given files over the shipped ones.
pub fn project(files: &[(&str, &str)]) -> TempDir {
    let dir = TempDir::new().expect("a temporary folder");
    let all = std::iter::once(("opsctl.toml", WORKSPACE))
        .chain(SHIPPED)
        .chain(files.iter().copied());
    for (path, text) in all {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        std::fs::write(path, text).expect("a file");
    }
    dir
}

pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

pub fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_opsctl"))
}

/// The binary in a folder, with nothing of the caller's AWS or opsctl settings.
pub fn command(dir: &Path) -> Command {
    let mut command = Command::new(binary());
    command.current_dir(dir).env_clear();
    for keep in ["PATH", "HOME", "TMPDIR"] {
        if let Some(value) = std::env::var_os(keep) {
            command.env(keep, value);
        }
    }
    command
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/nonexistent")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent");
    command
}

pub fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

pub fn opsctl(dir: &Path, args: &[&str]) -> Ran {
    ran(command(dir).args(args).output().expect("opsctl runs"))
}

pub fn json(ran: &Ran) -> serde_json::Value {
    serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|e| panic!("stdout is not JSON: {e}\n{}\n{}", ran.stdout, ran.stderr))
}

/// Lets the project keep its evidence in a bucket; `more` are lines of that table besides.
pub fn evidence(dir: &Path, bucket: &str, more: &str) {
    let path = dir.join("opsctl.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let evidence = format!("\n[evidence]\nenvironment = \"prod\"\nbucket = \"{bucket}\"\n{more}");
    std::fs::write(&path, text + &evidence).unwrap();
}

/// The environments of a loaded project as the cloud is asked for them.
pub fn targets(loaded: &Loaded) -> Vec<(Target, String)> {
    let workspace = loaded.workspace.as_ref().expect("a workspace");
    workspace
        .environments
        .iter()
        .map(|(name, e)| {
            let target = Target {
                environment: name.clone(),
                account: e.account.value.clone(),
                regions: e.regions.iter().map(|r| r.value.clone()).collect(),
                profile: None,
                role_arn: None,
                external_id: None,
            };
            (target, e.stage.value.clone())
        })
        .collect()
}

/// Waits for the next day if this one is about to end: what things cost today is another question
/// tomorrow.
pub fn not_over_midnight() {
    let now = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC);
    let left = 86_400 - (i64::from(now.hour()) * 60 + i64::from(now.minute())) * 60;
    if left <= 180 {
        std::thread::sleep(std::time::Duration::from_secs(left.unsigned_abs() + 1));
    }
}

pub const NOW: &str = "2026-11-22T08:00:00Z";

/// Observes and plans tags and lifecycle rules, as the command line does.
pub async fn plan(cloud: &dyn Cloud, loaded: &Loaded) -> Plan {
    plan_of(cloud, loaded, &[Control::Tags, Control::Lifecycle]).await
}

/// Observes and plans some controls.
pub async fn plan_of(cloud: &dyn Cloud, loaded: &Loaded, controls: &[Control]) -> Plan {
    let mut environments = Vec::new();
    for (target, stage) in targets(loaded) {
        let resolved = loaded
            .resolve(Some(&target.environment), &stage)
            .expect("it resolves");
        let lifecycle = controls.contains(&Control::Lifecycle);
        let want = Want {
            tags: controls.contains(&Control::Tags),
            lifecycle,
            sizes: lifecycle,
            ..Want::default()
        };
        let want = opsctl::controls::want(controls, &resolved, want);
        let inventory = cloud.observe(&target, &want).await;
        environments.push(PlanEnvironment {
            target,
            resolved,
            inventory,
        });
    }
    build(
        &environments,
        &PlanRequest {
            controls,
            only: None,
            destroy: false,
            now: NOW.parse::<Timestamp>().expect("a time"),
            accepted: &Default::default(),
            sandbox: None,
            lock: None,
            api: cloud.meter().snapshot(),
        },
    )
}

/// Applies a plan with a journal in a folder of its own.
pub async fn apply(cloud: &dyn Cloud, plan: &Plan) -> Vec<Outcome> {
    apply_until(cloud, plan, &CancellationToken::new()).await
}

pub async fn apply_until(
    cloud: &dyn Cloud,
    plan: &Plan,
    cancel: &CancellationToken,
) -> Vec<Outcome> {
    let folder = TempDir::new().expect("a temporary folder");
    let journal = Journal::begin(folder.path(), &plan.digest).expect("a journal");
    opsctl::apply::apply(
        &Run {
            cloud,
            journal: &journal,
            cancel,
            concurrency: 8,
            done: &|_, _| {},
        },
        plan,
    )
    .await
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(future)
}
