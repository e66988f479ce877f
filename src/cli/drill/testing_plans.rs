//! `drill export-restore-testing-plan`: drills as restore-testing plans of AWS Backup.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::{Opened, head};
use crate::cli::{Failure, Global, Outcome, exit, write_atomically};
use crate::drill::testing_plan::{Exported, MOST_HOURS, Options, check_schedule, export};
use crate::model::Arn;

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Drills, as in [backups.drill.NAME]; all that AWS Backup knows, if none is named
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// When AWS Backup restores, e.g. 'cron(0 5 ? * SUN *)' in UTC [default: from `drill_every`]
    #[arg(long, value_name = "CRON")]
    pub schedule: Option<String>,
    /// ARN of a vault to take recovery points from, with * in it (repeatable) [default: all vaults]
    #[arg(long = "vault", value_name = "ARN")]
    pub vaults: Vec<String>,
    /// Role that AWS Backup restores with [default: AWSBackupDefaultServiceRole]
    #[arg(long, value_name = "ARN")]
    pub role: Option<String>,
    /// Hours in which the copy waits for `drill run --as-validator`
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_HOURS)))]
    pub validation_hours: u32,
    /// Write one file for each request, as `aws backup … --cli-input-json file://FILE` takes it
    #[arg(long, value_name = "DIR")]
    pub out_dir: Option<PathBuf>,
}

fn checked(args: &ExportArgs) -> Result<Options, Failure> {
    if let Some(schedule) = &args.schedule {
        check_schedule(schedule).map_err(|e| Failure::new(format!("--schedule: {e}")))?;
    }
    for vault in &args.vaults {
        let fine = Arn::parse(vault)
            .is_some_and(|a| a.service == "backup" && a.resource.starts_with("backup-vault:"));
        if !fine && vault != "*" {
            return Err(
                Failure::new(format!("--vault: `{vault}` is not the ARN of a vault")).help(
                    "arn:aws:backup:eu-west-1:123456789012:backup-vault:NAME; * may stand in it",
                ),
            );
        }
    }
    if let Some(role) = &args.role
        && !Arn::parse(role).is_some_and(|a| a.service == "iam" && a.resource.starts_with("role/"))
    {
        return Err(Failure::new(format!(
            "--role: `{role}` is not the ARN of a role"
        )));
    }
    Ok(Options {
        schedule: args.schedule.clone(),
        vaults: args.vaults.clone(),
        role: args.role.clone(),
        validation_hours: args.validation_hours,
    })
}

fn write(path: &Path, request: &impl Serialize) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::new(format!("{}: {e}", path.display()));
    let mut text = serde_json::to_string_pretty(request)
        .map_err(|e| Failure::new(format!("{}: {e}", path.display())))?;
    text.push('\n');
    write_atomically(path, text.as_bytes()).map_err(failed)
}

/// Two files for each drill, and the commands that take them.
fn write_all(dir: &Path, exported: &[Exported]) -> Result<String, Failure> {
    std::fs::create_dir_all(dir).map_err(|e| Failure::new(format!("{}: {e}", dir.display())))?;
    let mut commands = String::new();
    for one in exported {
        let requests: [(&str, PathBuf); 2] = ["plan", "selection"].map(|what| {
            let name = &one
                .create_restore_testing_selection
                .restore_testing_plan_name;
            (what, dir.join(format!("{name}.{what}.json")))
        });
        write(&requests[0].1, &one.create_restore_testing_plan)?;
        write(&requests[1].1, &one.create_restore_testing_selection)?;
        for (what, path) in &requests {
            // A quote in the name of a folder ends the word and begins it again.
            let path = path.display().to_string().replace('\'', "'\\''");
            commands.push_str(&format!(
                "aws backup create-restore-testing-{what} --region {} --cli-input-json 'file://{path}'\n",
                one.region
            ));
        }
    }
    Ok(commands)
}

pub(super) fn run(global: &Global, args: &ExportArgs) -> Outcome {
    let options = checked(args)?;
    let opened = Opened::new(global, &args.names)?;
    let mut exported = Vec::new();
    let mut refused = Vec::new();
    for (spec, _) in &opened.specs {
        let region = spec.target.regions.first().cloned().unwrap_or_default();
        match export(spec, &region, &options) {
            Ok(one) => {
                if spec.target.regions.len() > 1 {
                    global.say(&format!(
                        "note: {}: the source is taken to be in {region}, the first region of {}; --region names another",
                        spec.name, spec.target.environment
                    ));
                }
                for note in &one.notes {
                    global.say(&format!("note: {}: {note}", spec.name));
                }
                exported.push(one);
            }
            Err(e) => refused.push(e),
        }
    }
    // Of all drills those that fit are meant; one that was named has to fit.
    if !refused.is_empty() && (!args.names.is_empty() || exported.is_empty()) {
        return Err(Failure::new(refused.join("; ")));
    }
    for why in &refused {
        global.say(&format!("left out: {why}"));
    }
    match &args.out_dir {
        Some(dir) => global.emit(&write_all(dir, &exported)?)?,
        None => {
            let mut document = head(global, Some(&opened));
            document["restore_testing_plans"] = json!(exported);
            global.emit_json(&document)?;
        }
    }
    Ok(exit::OK)
}
