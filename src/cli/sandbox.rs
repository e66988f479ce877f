use clap::Subcommand;
use serde_json::json;

use super::session::{project_dir, sandbox_state, state_dir};
use super::{Failure, Format, Global, Outcome, exit, json_head};
use crate::render;
use crate::sandbox::scenario::{self, SCENARIOS};

#[derive(Debug, Subcommand)]
pub enum SandboxCommand {
    /// The scenarios, each a system that people described publicly
    List,
    /// The file that seeds a scenario
    Show { scenario: Option<String> },
    /// Forget what was applied to a scenario (all of them, if none is named)
    Reset { scenario: Option<String> },
}

pub fn run(global: &Global, command: &SandboxCommand) -> Outcome {
    let dir = project_dir(global)?;
    let state = state_dir(dir.as_ref());
    let named = |name: &Option<String>| name.clone().or_else(|| global.sandbox.clone());
    match command {
        SandboxCommand::List => {
            let mut rows = Vec::new();
            let mut documents = Vec::new();
            for (name, _) in SCENARIOS {
                let opened = scenario::open(name, None).map_err(Failure::in_files)?;
                let resources: usize = opened
                    .world
                    .accounts
                    .values()
                    .map(|a| a.resources.len())
                    .sum();
                let changed = sandbox_state(&state, name).exists();
                documents.push(json!({
                    "name": name, "title": opened.scenario.title, "about": opened.scenario.about,
                    "accounts": opened.world.accounts.len(), "resources": resources, "changed": changed,
                }));
                rows.push(vec![
                    name.to_owned(),
                    opened.scenario.title,
                    opened.world.accounts.len().to_string(),
                    resources.to_string(),
                    if changed {
                        "changed by an apply".to_owned()
                    } else {
                        "as seeded".to_owned()
                    },
                ]);
            }
            if global.format == Format::Json {
                let mut document = json_head("sandbox");
                document["scenarios"] = json!(documents);
                global.emit(&format!(
                    "{}\n",
                    serde_json::to_string_pretty(&document).unwrap_or_default()
                ))?;
            } else {
                global.emit(&render::table(
                    &["scenario", "system", "accounts", "resources", "state"],
                    &rows,
                    global.format == Format::Markdown,
                ))?;
            }
        }
        SandboxCommand::Show { scenario: name } => {
            let name = named(name).unwrap_or_else(|| scenario::DEFAULT.to_owned());
            // Opened for its error message on an unknown name.
            scenario::open(&name, None).map_err(Failure::in_files)?;
            let text = SCENARIOS
                .iter()
                .find(|(n, _)| *n == name)
                .map_or("", |(_, t)| t);
            global.emit(text)?;
        }
        SandboxCommand::Reset { scenario: name } => {
            let names: Vec<String> = match named(name) {
                Some(name) => {
                    scenario::open(&name, None).map_err(Failure::in_files)?;
                    vec![name]
                }
                None => SCENARIOS.iter().map(|(n, _)| (*n).to_owned()).collect(),
            };
            for name in names {
                let path = sandbox_state(&state, &name);
                // What it was like before is not the past of what it is now.
                let history = crate::history::sandbox_folder(&state, &name);
                match std::fs::remove_dir_all(&history) {
                    Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                        return Err(Failure::new(format!("{}: {e}", history.display())));
                    }
                    _ => {}
                }
                match std::fs::remove_file(&path) {
                    Ok(()) => global.emit(&format!("{name}: as seeded again\n"))?,
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                    Err(e) => return Err(Failure::new(format!("{}: {e}", path.display()))),
                }
            }
        }
    }
    Ok(exit::OK)
}
