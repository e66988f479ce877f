use std::path::PathBuf;

use clap::Args;

use super::{Failure, Global, Outcome, exit};
use crate::config::load::{SHIPPED, WORKSPACE_FILE};
use crate::plan::file::write_atomically;

/// Write a commented opsctl.toml, stacks/ and policies/ that pass `validate`; never overwrites
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Stage of the first environment: stage-1 to stage-4
    #[arg(long, default_value = "stage-1", value_parser = ["stage-1", "stage-2", "stage-3", "stage-4"])]
    pub stage: String,
}

const WORKSPACE: &str = include_str!("../config/opsctl.toml");

/// A budget inside each stage's cost band, and users inside its range.
fn figures(stage: &str) -> (&'static str, &'static str) {
    match stage {
        "stage-1" => ("80", "500"),
        "stage-2" => ("300", "5_000"),
        "stage-3" => ("1500", "40_000"),
        _ => ("8000", "400_000"),
    }
}

pub fn run(global: &Global, args: &InitArgs) -> Outcome {
    let dir = global.dir.clone().unwrap_or_else(|| PathBuf::from("."));
    std::fs::create_dir_all(&dir).map_err(|e| Failure::new(format!("{}: {e}", dir.display())))?;
    let name: String = std::fs::canonicalize(&dir)
        .ok()
        .and_then(|d| d.file_name()?.to_str().map(str::to_owned))
        .unwrap_or_default()
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let name = name.trim_matches('-');
    let (budget, users) = figures(&args.stage);
    let workspace = WORKSPACE
        .replace("@NAME@", if name.is_empty() { "my-project" } else { name })
        .replace("@STAGE@", &args.stage)
        .replace("@BUDGET@", budget)
        .replace("@USERS@", users);
    let mut written = Vec::new();
    let mut kept = Vec::new();
    for (path, text) in std::iter::once((WORKSPACE_FILE, workspace.as_str())).chain(SHIPPED) {
        let full = dir.join(path);
        if full.symlink_metadata().is_ok() {
            kept.push(path);
            continue;
        }
        write_atomically(&full, text.as_bytes())
            .map_err(|e| Failure::new(format!("{}: {e}", full.display())))?;
        written.push(path);
    }
    let mut text = String::new();
    for path in &written {
        text.push_str(&format!("wrote  {path}\n"));
    }
    for path in &kept {
        text.push_str(&format!("kept   {path}\n"));
    }
    text.push_str("\nNext: put your account ids, regions and budget into opsctl.toml, then\n  opsctl validate\n  opsctl plan\n");
    global.emit(&text)?;
    Ok(exit::OK)
}
