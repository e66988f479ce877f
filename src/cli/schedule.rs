mod args;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::session::{Session, project_dir};
use super::{Failure, Format, Global, Outcome, exit, json_head};
use crate::drill::spec::{SourceId, Spec};
use crate::plan::file::write_atomically;
use crate::schedule::jobs::{Wanted, jobs};
use crate::schedule::{File, Job, Kind, Place, cron, github, gitlab, kubernetes, systemd};
pub use args::ScheduleCommand;
use args::{Common, Which};

/// What all schedulers begin with.
struct Start {
    jobs: Vec<Job>,
    place: Place,
    notes: Vec<String>,
    session: Session,
}

pub fn run(global: &Global, command: &ScheduleCommand) -> Outcome {
    if global.format == Format::Markdown {
        return Err(Failure::new("`opsctl schedule` has no --format markdown")
            .help("it prints the files as they are; --format json has them with the jobs"));
    }
    let (common, start, files) = match command {
        ScheduleCommand::Cron(args) => {
            let start = start(
                global,
                &args.common,
                Host::Machine(args.binary.as_deref()),
                &[],
            )?;
            let settings = cron::Settings {
                user: args.user.clone(),
                mailto: args.mailto.clone(),
            };
            let file = cron::file(&start.jobs, &start.place, &settings).map_err(Failure::new)?;
            (&args.common, start, vec![file])
        }
        ScheduleCommand::Systemd(args) => {
            let start = start(
                global,
                &args.common,
                Host::Machine(args.binary.as_deref()),
                &[],
            )?;
            let settings = systemd::Settings {
                user: args.user.clone(),
                on_failure: args.on_failure.clone(),
                jitter_seconds: args.common.jitter.as_secs(),
            };
            let files =
                systemd::files(&start.jobs, &start.place, &settings).map_err(Failure::new)?;
            if global.output.is_some() {
                return Err(Failure::new("systemd takes one file for each unit")
                    .help("--out-dir DIR writes them there"));
            }
            (&args.common, start, files)
        }
        ScheduleCommand::Github(args) => {
            let mut start = start(global, &args.common, Host::Repository, &args.role.role_arn)?;
            let settings = github::Settings {
                runner: args.runner.clone(),
                image: args.image.clone(),
                install: args.install.clone(),
            };
            let (file, notes) = github::file(&start.jobs, &start.place, &settings);
            start.notes.extend(notes);
            start
                .notes
                .extend(where_from(args.image.is_some() || args.install.is_some()));
            (&args.common, start, vec![file])
        }
        ScheduleCommand::Gitlab(args) => {
            let mut start = start(global, &args.common, Host::Repository, &args.role.role_arn)?;
            let settings = gitlab::Settings {
                image: args.image.clone(),
                install: args.install.clone(),
                tag: args.runner.clone(),
            };
            start
                .notes
                .extend(where_from(args.image.is_some() || args.install.is_some()));
            let file = gitlab::file(&start.jobs, &start.place, &settings);
            (&args.common, start, vec![file])
        }
        ScheduleCommand::Kubernetes(args) => {
            let start = start(global, &args.common, Host::Pod, &args.role.role_arn)?;
            let settings = kubernetes::Settings {
                image: args.image.clone(),
                namespace: args.namespace.clone(),
                service_account: args.service_account.clone(),
                files: own_files(&start.session),
            };
            let file =
                kubernetes::file(&start.jobs, &start.place, &settings).map_err(Failure::new)?;
            (&args.common, start, vec![file])
        }
    };
    for note in &start.notes {
        global.say(&format!("note: {note}"));
    }
    match &common.out_dir {
        Some(dir) => write(global, dir, &files, common.force),
        None => print(global, &start, &files),
    }
}

fn where_from(given: bool) -> Option<String> {
    (!given).then(|| {
        "the jobs expect opsctl on the runner's PATH; --image or --install brings it there"
            .to_owned()
    })
}

/// Where the jobs run.
enum Host<'a> {
    Machine(Option<&'a Path>),
    Repository,
    Pod,
}

fn start(
    global: &Global,
    common: &Common,
    host: Host<'_>,
    roles: &[String],
) -> Result<Start, Failure> {
    if !common.more.is_empty() && common.job == Which::All {
        return Err(Failure::new("options after -- are for one job")
            .help("say which: --job audit or --job drill"));
    }
    let session = Session::open(global)?;
    let workspace = session
        .loaded
        .workspace
        .as_ref()
        .ok_or_else(|| Failure::new("there is no opsctl.toml"))?;
    let environments = session.environments(global, None)?;
    for (target, _) in &environments {
        // They go into command lines, comments and expressions of five kinds of files.
        if target.environment.contains([',', '\n']) || target.environment.contains("${{") {
            return Err(Failure::new(format!(
                "the environment `{}` has a name that no schedule can hold",
                target.environment.escape_debug()
            )));
        }
    }
    let roles = roles_by_environment(roles, workspace)?;
    let project = workspace.project.name.value.clone();
    let slug: String = crate::schedule::jobs::name(&project);
    let name = common.name.clone().unwrap_or(slug);
    let passed_on = passed_on(global);
    let (jobs, mut notes) = jobs(&Wanted {
        workspace,
        environments: &environments,
        audit: common.job != Which::Drill,
        drill: common.job != Which::Audit,
        at: common.at,
        jitter: common.jitter,
        name: &name,
        roles: &roles,
        global: &passed_on,
        extra: &common.more,
        sandbox: global.sandbox.is_some(),
    })
    .map_err(Failure::new)?;
    if jobs.is_empty() {
        return Err(
            Failure::new("no drill is configured for these environments").help(
                "add a table [backups.drill.NAME] to policies/backups.toml; --job audit schedules the audit alone",
            ),
        );
    }
    let drills = jobs.iter().any(|j| j.kind == Kind::Drill);
    let postgres = drills
        && environments.iter().any(|(target, resolved)| {
            Spec::all(target, resolved).is_ok_and(|specs| {
                specs
                    .iter()
                    .any(|s| matches!(s.id, SourceId::Dump { .. }) && s.restore.scratch.is_none())
            })
        });
    let evidence = workspace.evidence.is_some();
    let ephemeral = !matches!(host, Host::Machine(_));
    if drills && ephemeral && !evidence && global.sandbox.is_none() {
        notes.push("the records of drills go away with the runner: set [evidence] in opsctl.toml, so that they form one chain and `audit backups` finds them".to_owned());
    }
    if postgres && ephemeral {
        notes.push(
            "a drill of a dump needs the programs of PostgreSQL (initdb, pg_restore) where it runs"
                .to_owned(),
        );
    }
    let (binary, dir) = match host {
        Host::Machine(binary) => (machine_binary(binary, &mut notes)?, absolute_dir(global)?),
        Host::Repository => ("opsctl".to_owned(), repository_dir(global, &mut notes)?),
        Host::Pod => ("opsctl".to_owned(), ".".to_owned()),
    };
    if dir.contains("${{") || dir.contains(char::is_control) {
        return Err(Failure::new(format!(
            "the folder `{}` has a name that no schedule can hold",
            dir.escape_debug()
        )));
    }
    let place = Place {
        project,
        name,
        binary,
        dir,
        tolerate: common.tolerate_findings,
        evidence,
        postgres,
    };
    Ok(Start {
        jobs,
        place,
        notes,
        session,
    })
}

/// The options of this call that every run needs too.
fn passed_on(global: &Global) -> Vec<String> {
    let mut out = Vec::new();
    let regions = global.regions.iter().map(|r| format!("--region={r}"));
    out.extend(global.profile.iter().map(|p| format!("--profile={p}")));
    out.extend(regions);
    out.extend(
        global
            .endpoint_url
            .iter()
            .map(|u| format!("--endpoint-url={u}")),
    );
    out.extend(global.sandbox.iter().map(|s| format!("--sandbox={s}")));
    out
}

fn roles_by_environment(
    given: &[String],
    workspace: &crate::config::workspace::Workspace,
) -> Result<BTreeMap<String, String>, Failure> {
    let mut out = BTreeMap::new();
    for text in given {
        let (environment, arn) = match text.split_once('=') {
            Some((environment, arn)) => (environment, arn),
            None => ("", text.as_str()),
        };
        if !environment.is_empty() && !workspace.environments.contains_key(environment) {
            return Err(Failure::new(format!(
                "--role-arn: unknown environment `{environment}`"
            )));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || ":/+=,.@_-".contains(c);
        if !(arn.starts_with("arn:") && arn.contains(":role/") && arn.chars().all(plain)) {
            return Err(Failure::new(format!(
                "--role-arn: `{}` is not the ARN of a role",
                arn.escape_debug()
            ))
            .help("arn:aws:iam::123456789012:role/opsctl"));
        }
        out.insert(environment.to_owned(), arn.to_owned());
    }
    Ok(out)
}

fn machine_binary(given: Option<&Path>, notes: &mut Vec<String>) -> Result<String, Failure> {
    let path = match given {
        Some(path) => std::path::absolute(path)
            .map_err(|e| Failure::new(format!("--binary {}: {e}", path.display())))?,
        None => std::env::current_exe().map_err(|e| {
            Failure::new(format!("the path of this binary is not known: {e}"))
                .help("say it: --binary PATH")
        })?,
    };
    let text = path
        .to_str()
        .filter(|t| !t.contains(char::is_control))
        .ok_or_else(|| {
            Failure::new(format!(
                "{}: no schedule can hold this path",
                path.display()
            ))
        })?;
    if !path.is_file() {
        notes.push(format!("{text} is not there (yet)"));
    } else if given.is_none() && path.components().any(|c| c.as_os_str() == "target") {
        notes.push(format!(
            "{text} is in a build folder: install it, or name another with --binary"
        ));
    }
    Ok(text.to_owned())
}

/// The project folder, or where the sandbox keeps its state.
fn absolute_dir(global: &Global) -> Result<String, Failure> {
    let dir = project_dir(global)?.unwrap_or_else(|| PathBuf::from("."));
    let dir =
        std::fs::canonicalize(&dir).map_err(|e| Failure::new(format!("{}: {e}", dir.display())))?;
    dir.to_str()
        .map(str::to_owned)
        .ok_or_else(|| Failure::new(format!("{}: no schedule can hold this path", dir.display())))
}

/// The project folder as seen from the root of its repository.
fn repository_dir(global: &Global, notes: &mut Vec<String>) -> Result<String, Failure> {
    let dir = PathBuf::from(absolute_dir(global)?);
    let Some(root) = super::repository::root(&dir) else {
        notes.push(
            "this folder is in no repository: the jobs take its root for the project".to_owned(),
        );
        return Ok(".".to_owned());
    };
    let relative = dir.strip_prefix(root).unwrap_or(Path::new(""));
    Ok(match relative.to_string_lossy().as_ref() {
        "" => ".".to_owned(),
        text => text.to_owned(),
    })
}

/// The project's own files; those that ship are in the binary.
fn own_files(session: &Session) -> Vec<(String, String)> {
    session
        .loaded
        .sources
        .all()
        .filter(|s| !s.name.starts_with("builtin:") && session.sandbox.is_none())
        .map(|s| (s.name.clone(), s.text.clone()))
        .collect()
}

fn print(global: &Global, start: &Start, files: &[File]) -> Outcome {
    if global.format == Format::Json {
        let mut document = json_head("schedule");
        document["jobs"] = json!(
            start
                .jobs
                .iter()
                .map(|job| {
                    let mut value = json!(job);
                    value["cron"] = json!(job.cron());
                    value["when"] = json!(job.cadence.words());
                    value["longest_gap_seconds"] = json!(job.cadence.longest_gap_seconds());
                    value
                })
                .collect::<Vec<_>>()
        );
        document["files"] = json!(files);
        document["notes"] = json!(start.notes);
        global.emit_json(&document)?;
        return Ok(exit::OK);
    }
    let mut text = String::new();
    for file in files {
        if files.len() > 1 {
            text.push_str(&format!("# ---- {}\n", file.path));
        }
        text.push_str(&file.text);
        if files.len() > 1 {
            text.push('\n');
        }
    }
    global.emit(&text)?;
    Ok(exit::OK)
}

/// Writes all files or none: what is there and differs is looked for first.
fn write(global: &Global, dir: &Path, files: &[File], force: bool) -> Outcome {
    let mut differs = Vec::new();
    for file in files {
        let path = dir.join(&file.path);
        match std::fs::read(&path) {
            Ok(bytes) if bytes == file.text.as_bytes() => {}
            Ok(_) => differs.push(path.display().to_string()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(Failure::new(format!("{}: {e}", path.display()))),
        }
    }
    if !force && !differs.is_empty() {
        return Err(Failure::new(format!(
            "nothing was written: {} would be overwritten",
            differs.join(", ")
        ))
        .help("--force overwrites; look first: `opsctl schedule` without --out-dir prints"));
    }
    let mut text = String::new();
    for file in files {
        let path = dir.join(&file.path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)
                .map_err(|e| Failure::new(format!("{}: {e}", parent.display())))?;
        }
        write_atomically(&path, file.text.as_bytes())
            .map_err(|e| Failure::new(format!("{}: {e}", path.display())))?;
        text.push_str(&format!("wrote  {}\n", path.display()));
    }
    global.emit(&text)?;
    Ok(exit::OK)
}
